"""Which instruction set a program is for, how it calls Linux, and its segments into memory: what its ELF file says."""

from __future__ import annotations

import os

from isomorph.builds import NotGenerated, find_build, generated
from isomorph.errors import ProgramError
from runtime.core.cpu import load_isa
from runtime.linux.abi import EM_NONE, MACHINES, abi_of, load
from runtime.linux.elf import ElfError, identify, open_executable, read_image
from runtime.linux.loader import StartError, load_segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.core.cpu import Isa
    from runtime.core.memory import GuestMemory
    from runtime.linux.abi.model import Abi
    from runtime.linux.elf import Image

#: the table of programs that KVM runs
_OF_KVM = "x86_64"


def read_program(path: str, descriptor: int) -> Image:
    """A program's headers, checked against the address space of its machine if that is known."""
    machine = _table(identify(path, descriptor))
    return read_image(path, descriptor, load(machine).address_top if machine else None)


def isa_of(image: Image, wanted: str | None) -> Isa:
    """The instruction set the user wants, or the one `isomorph asm` noted in the file, or that of its machine."""
    machine = _table(image)
    name = wanted or image.isa or (load(machine).isa if machine else None)
    if name is None:
        built = f"(generated: {', '.join(generated()) or 'none'})"
        if image.machine == EM_NONE:
            raise ElfError(f"{image.path}: the file does not name its machine; say which it is: --isa NAME {built}")
        raise ElfError(
            f"{image.path}: a program for {image.machine_name}; programs can be run for "
            f"{', '.join(sorted(set(MACHINES.values())))}; --isa NAME takes another instruction set {built}"
        )
    try:
        return load_isa(find_build(name))
    except NotGenerated as error:
        if machine != _OF_KVM:
            raise
        raise NotGenerated(f"{error}; --accel kvm runs it on the processor itself") from None


def abi_for(image: Image, isa: Isa) -> Abi | None:
    """How the program calls Linux; None if its instruction set has no table that says so."""
    machine = _table(image)
    abi = load(machine) if machine else abi_of(isa)
    if abi is None:
        return None
    if (image.bits, image.big_endian) != (abi.bits, abi.big_endian):
        raise StartError(f"{isa.name} does not run {image.path}, a program for {image.machine_name}")
    for name, index in (abi.number, abi.result, abi.stack, *abi.arguments):
        register = isa.layout.by_name.get(name)
        if register is None or register.width != abi.bits or index >= register.count:
            raise StartError(f"{isa.name} does not run programs for {abi.name}: it has no {abi.bits}-bit {name}")
    return abi


def _table(image: Image) -> str | None:
    return MACHINES.get((image.machine, image.bits, image.big_endian))


def load_segments(memory: GuestMemory, path: str, bias: int) -> int:
    """Map an executable's segments; the entry's address."""
    try:
        descriptor = open_executable(path)
        try:
            image = read_image(path, descriptor, memory.size)
            for segment in image.segments:
                load_segment(memory, segment, descriptor, bias, os.path.realpath(path))
        finally:
            os.close(descriptor)
    except ElfError as error:
        raise ProgramError(str(error)) from None
    return image.entry + bias
