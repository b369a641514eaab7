"""What programs of x86 may do to segments and ask of protection, and where LOCK may stand: x86_protection.txt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.core.cpu import load_isa
from runtime.core.env import Exit
from runtime.core.memory import GuestMemory
from runtime.tcg.loop import Tcg, TcgVcpu, cpu_exec
from tests.tools import require_build

CODE, DATA = 0x10000, 0x20000

#: guest, what it is, code, registers and memory before and after
ROWS = [
    [part.strip() for part in line.split("|")]
    for line in (Path(__file__).parent / "x86_protection.txt").read_text().splitlines()
    if not line.startswith("#")
]


class Guest:
    """A processor, with a page of code and one of data."""

    def __init__(self, name: str) -> None:
        self.isa = load_isa(require_build(name))
        self.selector = 0x33 if name == "x86_64" else 0x23
        self.memory = GuestMemory(64 if name == "x86_64" else 32)
        self.tcg = Tcg(self.isa, self.memory)
        self.cpu = TcgVcpu(self.tcg)
        self.memory.map(CODE, 0x1000, 7)
        self.memory.map(DATA, 0x1000, 3)

    def close(self) -> None:
        self.cpu.close()
        self.tcg.close()
        self.memory.close()

    def value(self, text: str) -> int:
        return self.selector if text == "CS" else int(text, 16)

    def get(self, name: str) -> int:
        if name == "PC":
            return self.cpu.pc
        if name.startswith("["):
            return int.from_bytes(self.memory.read(int(name[1:-1], 16), 4), "little")
        return self.cpu.get("R", int(name[1:])) if name[0] == "R" else self.cpu.get(name)

    def set(self, name: str, value: int) -> None:
        if name.startswith("["):
            self.memory.write(int(name[1:-1], 16), value.to_bytes(4, "little"))
        elif name[0] == "R":
            self.cpu.set("R", value, int(name[1:]))
        else:
            self.cpu.set(name, value)


@pytest.fixture(scope="module", params=["i386", "x86_64"])
def guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    made = Guest(request.param)
    yield made
    made.close()


def test_single_instructions(guest: Guest) -> None:
    wrong = []
    for which, what, code, before, after in ROWS:
        if which not in ("both", guest.isa.name):
            continue
        guest.cpu.reset()
        guest.memory.write(DATA, bytes(0x1000))
        guest.memory.write(CODE, bytes.fromhex(code).ljust(16, b"\x90"))
        for part in before.split():
            name, _, text = part.partition("=")
            guest.set(name, guest.value(text))
        guest.cpu.pc = CODE
        reason = cpu_exec(guest.cpu, 1)
        raised = guest.isa.layout.exception_name(guest.cpu.exception) if reason == Exit.EXCEPTION else ""
        for part in after.split():
            name, equals, text = part.partition("=")
            if not equals:
                if raised != name:
                    wrong.append(f"{what}: raised {raised or 'nothing'}, not {name}")
            elif raised or guest.get(name) != guest.value(text):
                wrong.append(f"{what}: {raised or f'{name} is {guest.get(name):#x}'}, not {text}")
    assert wrong == []
