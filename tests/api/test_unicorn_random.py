"""Random programs as scripts for Unicorn would run them, under Unicorn and under isomorph.compat.unicorn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from random import Random
from typing import Any

import pytest

from isomorph.fuzz.case import Case
from isomorph.fuzz.description import oracle_of
from isomorph.fuzz.engine import LIMIT
from isomorph.fuzz.sequences import Sequences, mnemonic
from isomorph.fuzz.state import CODE, CODE_SIZE, WINDOW, WINDOW_SIZE, random_state
from runtime.core.cpu import Isa, load_isa
from runtime.core.layout import Layout
from runtime.syntax.decode import Decoder
from tests.oracles.test_mips_unicorn import NOT_ASKED, word_of
from tests.tools import require_build

pytest.importorskip("unicorn", reason="Unicorn is the oracle of these tests")

PACKAGES = ("unicorn", "isomorph.compat.unicorn")


@dataclass(frozen=True)
class Guest:
    """How an architecture is called; files: our register file -> Unicorn's name of an entry."""

    isa: str
    arch: str
    mode: str
    constants: str
    files: dict[str, str]
    #: (our register, Unicorn's, the bit where it stands)
    flags: tuple[tuple[str, str, int], ...] = ()
    setup: tuple[tuple[str, int], ...] = ()


_X86_FILES = {"R": "UC_X86_REG_{name}", "XMM": "UC_X86_REG_XMM{}"}
_X86_FLAGS = tuple(
    (name, "UC_X86_REG_EFLAGS", bit)
    for name, bit in (("CF", 0), ("PF", 2), ("AF", 4), ("ZF", 6), ("SF", 7), ("OF", 11))
)
_ARM_FLAGS = tuple(
    (name, "UC_ARM_REG_CPSR", bit) for name, bit in (("N", 31), ("Z", 30), ("C", 29), ("V", 28), ("Q", 27))
)
GUESTS = (
    Guest("x86_64", "UC_ARCH_X86", "UC_MODE_64", "x86", _X86_FILES, _X86_FLAGS),
    Guest("i386", "UC_ARCH_X86", "UC_MODE_32", "x86", _X86_FILES, _X86_FLAGS),
    Guest(
        "arm", "UC_ARCH_ARM", "UC_MODE_ARM", "arm", {"r": "UC_ARM_REG_R{}", "D": "UC_ARM_REG_D{}"}, _ARM_FLAGS,
        (("UC_ARM_REG_CPSR", 0x10), ("UC_ARM_REG_C1_C0_2", 0xF00000), ("UC_ARM_REG_FPEXC", 0x40000000)),
    ),
    Guest("mips", "UC_ARCH_MIPS", "UC_MODE_MIPS32|UC_MODE_BIG_ENDIAN", "mips", {"R": "UC_MIPS_REG_{}"}),
    Guest("mipsel", "UC_ARCH_MIPS", "UC_MODE_MIPS32", "mips", {"R": "UC_MIPS_REG_{}"}),
)  # fmt: skip


@dataclass
class Seen:
    """What a script would see of a run."""

    trace: list[tuple[int, int]]
    stores: list[tuple[int, int, int]]
    registers: dict[tuple[str, int], int]
    memory: bytes
    error: str


def numbers(guest: Guest, constants: Any, layout: Layout) -> dict[tuple[str, int], int]:
    """(file, entry) -> Unicorn's number, but for entries that are always zero."""
    found = {}
    for register in layout.registers:
        pattern = guest.files.get(register.name)
        for entry in range(register.count if pattern else 0):
            if entry != register.zero and pattern is not None:
                name = register.names[entry][0].upper() if register.names else ""
                found[register.name, entry] = getattr(constants, pattern.format(entry, name=name))
    return found


def run(guest: Guest, package: str, case: Case, layout: Layout) -> Seen:
    """The case as a script has it run: code hooks, hooks on stores, registers by numbers."""
    unicorn = import_module(package)
    constants = import_module(f"{package}.{guest.constants}_const")
    mode = sum(getattr(unicorn, name) for name in guest.mode.split("|"))
    machine = unicorn.Uc(getattr(unicorn, guest.arch), mode)
    machine.mem_map(CODE, CODE_SIZE, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
    machine.mem_map(WINDOW, WINDOW_SIZE, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE)
    machine.mem_write(CODE, case.bytes)
    machine.mem_write(WINDOW, case.state.memory)
    wholes = {name: 0 for _, name, _ in guest.flags}
    wholes |= dict(guest.setup)
    for name, whole, bit in guest.flags:
        wholes[whole] |= case.state.registers[name][0] << bit
    if guest.constants == "x86":
        wholes["UC_X86_REG_EFLAGS"] |= 2 | case.state.modes["DF"] << 10
        wholes["UC_X86_REG_MXCSR"] = 0x1F80
    for name, value in wholes.items():
        machine.reg_write(getattr(constants, name), value)
    places = numbers(guest, constants, layout)
    machine.reg_write_batch([(number, case.state.registers[file][entry]) for (file, entry), number in places.items()])
    trace: list[tuple[int, int]] = []
    stores: list[tuple[int, int, int]] = []
    machine.hook_add(unicorn.UC_HOOK_CODE, lambda uc, address, size, _: trace.append((address, size)))
    machine.hook_add(
        unicorn.UC_HOOK_MEM_WRITE, lambda uc, access, address, size, value, _: stores.append((address, size, value))
    )
    error = ""
    try:
        machine.emu_start(case.state.pc, case.end, count=LIMIT)
    except unicorn.UcError as raised:
        error = str(raised.errno)
    values = machine.reg_read_batch(list(places.values()))
    registers = {place: value & (1 << 128) - 1 for place, value in zip(places, values, strict=True)}
    for name, whole, bit in guest.flags:
        registers[name, 0] = machine.reg_read(getattr(constants, whole)) >> bit & 1
    return Seen(_once(trace), stores, registers, bytes(machine.mem_read(WINDOW, WINDOW_SIZE)), error)


def _once(trace: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Without the turns of an instruction that repeats itself, of which Unicorn shows one more."""
    return [step for number, step in enumerate(trace) if number == 0 or trace[number - 1] != step]


def differences(guest: Guest, case: Case, layout: Layout) -> tuple[bool, list[str]]:
    """Whether it ran to its end, and what the two saw differently."""
    theirs, ours = (run(guest, package, case, layout) for package in PACKAGES)
    found = []
    if bool(theirs.error) != bool(ours.error):
        return False, [f"error: {theirs.error or 'none'} / {ours.error or 'none'}"]
    if theirs.trace != ours.trace:
        found.append(f"trace: {theirs.trace} / {ours.trace}")
    if ours.error:
        return False, found  # which of the instruction's effects there are then is another test's
    for place, value in theirs.registers.items():
        mask = case.masks.get(place, ~0)
        if value & mask != ours.registers[place] & mask:
            found.append(f"{place}: {value:#x} / {ours.registers[place]:#x}")
    if theirs.memory != ours.memory:
        found.append("memory")
    if theirs.stores != ours.stores and _bytes(theirs.stores) != _bytes(ours.stores):
        found.append(f"stores: {theirs.stores} / {ours.stores}")
    return True, found


def _bytes(stores: list[tuple[int, int, int]]) -> list[int]:
    """Which bytes were stored to: how many at once is the emulator's business."""
    return sorted({address + at for address, size, _ in stores for at in range(size)})


def straight(isa: Isa, random: Random) -> Case:
    """A few instructions of MIPS one after the other, whatever they find; its delay slots have scripts of their own."""
    syntax, instructions = isa.module("syntax").SYNTAX, isa.module("translate").INSTRUCTIONS
    decoder = Decoder(syntax)
    code: list[bytes] = []
    while len(code) < 6:
        form = random.choice(syntax.forms)
        word = word_of(random, form)
        decoded = decoder.decode(word, CODE)
        if (
            "fpu" not in form.source
            and mnemonic(form) not in NOT_ASKED
            and mnemonic(form) not in ("swl", "swr")  # behind which Unicorn goes on where they are not possible
            and "delayed" not in instructions[form.name].emit.__code__.co_names
            and decoded is not None
            and decoded.form is form
        ):
            code.append(word)
    state = random_state(random, isa.layout, oracle_of(isa))
    # To Unicorn's kernel mode addresses in kseg0 and kseg1 are others by another name (volume III, 4.3).
    values = tuple(value & 0x1FFF_FFFF if value >> 29 in (4, 5) else value for value in state.registers["R"])
    return Case(tuple(code), replace(state, registers={**state.registers, "R": values}), {})


def sweep(guest: Guest, seed: int, count: int) -> tuple[int, list[str]]:
    """How many cases ran to their end on both, and what differed."""
    isa = load_isa(require_build(guest.isa))
    sequences = Sequences(isa, "unicorn") if guest.constants != "mips" else None
    done, wrong = 0, []
    for number in range(count):
        random = Random(f"{seed} {number}")
        case = straight(isa, random) if sequences is None else sequences.judged(sequences.case(random))
        if case is None:
            continue
        code = " ".join(word.hex() for word in case.code)
        completed, found = differences(guest, case, isa.layout)
        done += completed
        wrong += [f"{number}: {code}: {line}" for line in found]
    if sequences is not None:
        sequences.close()
    return done, wrong


@pytest.mark.parametrize("guest", GUESTS, ids=lambda guest: guest.isa)
def test_random_programs_are_seen_alike(guest: Guest) -> None:
    done, wrong = sweep(guest, 1, 40)
    assert done >= 8
    assert wrong == []
