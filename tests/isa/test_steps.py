"""Single instructions that no oracle can be asked about, and what they leave behind or raise: steps.txt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from isomorph.coverage import ran
from runtime.core.cpu import load_isa
from runtime.core.env import Exit
from runtime.core.memory import GuestMemory
from runtime.syntax.decode import Decoder
from runtime.syntax.tables import mode_key
from runtime.tcg.loop import Tcg, TcgVcpu, cpu_exec
from tests.tools import require_build

CODE, DATA = 0x10000, 0x20000
#: guest, what it is, code, state before and after
ROWS = [
    [part.strip() for part in line.split("|")]
    for line in (Path(__file__).parent / "steps.txt").read_text().splitlines()
    if not line.startswith("#")
]
#: how files of registers are called there
FILES = {
    "i386": {"r": "R", "F": "FPR"},
    "x86_64": {"r": "R", "F": "FPR"},
    "arm": {"r": "r"},
    "mips": {"r": "R"},
    "mipsel": {"r": "R"},
}
#: names of rows for two guests
BOTH = {"i386": "x86", "x86_64": "x86", "mips": "mips32", "mipsel": "mips32"}
#: Linux's selectors of code
SELECTORS = {"i386": 0x23, "x86_64": 0x33}


class Guest:
    """A processor, with a page of code and one of data."""

    def __init__(self, name: str) -> None:
        self.isa = load_isa(require_build(name))
        self.files = FILES[name]
        self.modes = {mode.name for mode in self.isa.layout.modes}
        self.memory = GuestMemory(self.isa.layout.memories[0].address_width)
        self.tcg = Tcg(self.isa, self.memory)
        self.cpu = TcgVcpu(self.tcg)
        self.memory.map(CODE, 0x1000, 7)
        self.memory.map(DATA, 0x1000, 3)

    def close(self) -> None:
        self.cpu.close()
        self.tcg.close()
        self.memory.close()

    def value(self, text: str) -> int:
        return SELECTORS[self.isa.name] if text == "CS" else int(text, 16)

    def get(self, name: str) -> int:
        if name == "PC":
            return self.cpu.pc
        if name.startswith("["):
            return int.from_bytes(self.memory.read(int(name[1:-1], 16), 4), "little")
        if name in self.modes:
            return self.cpu.get_mode(name)
        return self.cpu.get(self.files[name[0]], int(name[1:])) if name[1:].isdigit() else self.cpu.get(name)

    def set(self, name: str, value: int) -> None:
        if name.startswith("["):
            self.memory.write(int(name[1:-1], 16), value.to_bytes(4, "little"))
        elif name in self.modes:
            self.cpu.set_mode(name, value)
        elif name[1:].isdigit():
            self.cpu.set(self.files[name[0]], value, int(name[1:]))
        else:
            self.cpu.set(name, value)

    def run(self, words: list[bytes]) -> str:
        """Execute so many instructions: the exception that was raised, if there was one."""
        code = b"".join(words)
        self.memory.write(CODE, code.ljust(16, b"\0"))
        self.cpu.pc = CODE
        modes = {mode_key(name): self.cpu.get_mode(name) for name in self.modes}
        for word in words:
            decoded = Decoder(self.isa.module("syntax").SYNTAX, modes).decode(word.ljust(16, b"\0"), self.cpu.pc)
            if decoded is not None:
                ran(self.isa.name, decoded.form.name.partition("__")[0])
            if Exit(cpu_exec(self.cpu, 1)) == Exit.EXCEPTION:
                return self.isa.layout.exception_name(self.cpu.exception)
        return ""

    def differences(self, code: str, before: str, after: str) -> Iterator[str]:
        """What is other than it is to be."""
        self.cpu.reset()
        self.memory.write(DATA, bytes(0x1000))
        for part in before.split():
            name, _, text = part.partition("=")
            self.set(name, self.value(text))
        words = [bytes.fromhex(word) for word in code.split()]
        raised = self.run([word[::-1] for word in words] if self.isa.name == "mipsel" else words)
        for part in after.split():
            name, equals, text = part.partition("=")
            if not equals:
                if raised != name:
                    yield f"raised {raised or 'nothing'}, not {name}"
            elif raised or self.get(name) != self.value(text):
                yield f"{raised or f'{name} is {self.get(name):#x}'}, not {text}"


@pytest.fixture(scope="module", params=FILES)
def guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    made = Guest(request.param)
    yield made
    made.close()


def test_single_instructions(guest: Guest) -> None:
    names = {guest.isa.name, BOTH.get(guest.isa.name, "")}
    wrong = [
        f"{what}: {line}"
        for which, what, code, before, after in ROWS
        if which in names
        for line in guest.differences(code, before, after)
    ]
    assert wrong == []


def test_a_wrong_row_is_noticed(guest: Guest) -> None:
    """The control."""
    assert list(guest.differences("00000000", "", "PC=0"))
