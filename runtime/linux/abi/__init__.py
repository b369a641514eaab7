"""One table per guest: registers of a system call, numbers, structures, exceptions that become signals. Data only."""

from __future__ import annotations

from os.path import isfile

from runtime.core.light import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.core.cpu import Isa
    from runtime.linux.abi.model import Abi

#: e_machine of a program for a machine without a number of its own
EM_NONE = 0

#: (e_machine, bits, big-endian) of an ELF header -> the module here that describes that guest
MACHINES: dict[tuple[int, int, bool], str] = {
    (3, 32, False): "i386",
    (8, 32, True): "mips",
    (8, 32, False): "mipsel",
    (40, 32, False): "arm",
    (62, 64, False): "x86_64",
    (243, 32, False): "riscv32",
    (243, 64, False): "riscv64",
}

#: names for e_machine, to say what a file is when it cannot be run (ELF specification and its registry)
MACHINE_NAMES: dict[int, str] = {
    2: "sparc",
    3: "i386",
    4: "m68k",
    8: "mips",
    20: "ppc",
    21: "ppc64",
    22: "s390x",
    40: "arm",
    42: "sh4",
    43: "sparc64",
    62: "x86_64",
    76: "cris",
    183: "aarch64",
    189: "microblaze",
    243: "riscv",
    258: "loongarch",
    0x9026: "alpha",
}


def machine_name(machine: int, bits: int, big_endian: bool) -> str:
    """How to call an ELF file's machine in a message: the guest's name, or the number if nobody knows it."""
    known = MACHINES.get((machine, bits, big_endian))
    if known is not None:
        return known
    name = MACHINE_NAMES.get(machine)
    if name is None:
        return f"unknown machine {machine}"
    return f"{name}, {bits}-bit, {'big' if big_endian else 'little'}-endian"


def load(name: str) -> Abi:
    """The table called `name`; LookupError if there is none."""
    if name not in MACHINES.values():
        raise LookupError(name)
    abi: Abi = import_module(f"runtime.linux.abi.{name}").ABI
    return abi


class AbiError(Exception):
    """A table beside a spec that names what Linux has not; the message is for the user."""


def abi_of(isa: Isa) -> Abi | None:
    """The table of an instruction set: made from the one beside its spec, or, of those here, its own or a base's."""
    if isfile(f"{isa.path}/abi.py"):
        try:
            abi: Abi = isa.module("abi").ABI
        except LookupError as error:
            raise AbiError(f"{isa.name}: its table of system calls (.abi.toml): {error.args[0]}") from None
        return abi
    for name in (isa.name, *isa.layout.bases):
        if name in MACHINES.values():
            return load(name)
    return None
