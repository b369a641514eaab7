"""One case: instructions and the state they start in; as a text file it is a test that tests/fuzz replays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from isomorph.errors import IsomorphError
from isomorph.fuzz.state import CODE, WINDOW, WINDOW_SIZE, State, empty_state
from runtime.core.layout import Layout
from runtime.syntax.disassemble import Disassembler
from runtime.syntax.tables import Syntax

__all__ = ["BadCase", "Case", "read_case", "write_case"]


class BadCase(IsomorphError):
    """A case file that cannot be read; the message names the line."""


@dataclass(frozen=True, slots=True)
class Case:
    """`code` one instruction after the other; `masks`: bits of registers that are compared, if not all are."""

    code: tuple[bytes, ...]
    state: State
    masks: Mapping[tuple[str, int], int]

    @property
    def bytes(self) -> bytes:
        return b"".join(self.code)

    @property
    def end(self) -> int:
        """The address behind the last instruction."""
        return CODE + len(self.bytes)

    def with_register(self, name: str, number: int, value: int) -> Case:
        """The same with another value in a register."""
        values = self.state.registers[name]
        registers = {**self.state.registers, name: (*values[:number], value, *values[number + 1 :])}
        return replace(self, state=replace(self.state, registers=registers))


def write_case(case: Case, isa: str, syntax: Syntax, engines: str, notes: tuple[str, ...]) -> str:
    """The text of a file; what it does not say is 0, or as after a reset."""
    lines = [f"# {note}" for note in notes]
    lines += [f"isa     {isa}", f"engines {engines}"]
    disassembler = Disassembler(syntax, aliases=False)
    pc = CODE
    for code in case.code:
        lines.append(f"code    {code.hex():16} # {disassembler.one(code, pc)}".replace("\t", " ").rstrip())
        pc += len(code)
    for name, values in case.state.registers.items():
        for number, value in enumerate(values):
            if value:
                lines.append(f"state   {name}[{number}] = {value:#x}")
    lines += [f"mode    {name} = {value}" for name, value in case.state.modes.items() if value]
    lines += [f"memory  {WINDOW + at:#x} {data.hex()}" for at, data in _runs(case.state.memory)]
    return "\n".join(lines) + "\n"


def _runs(memory: bytes) -> Iterator[tuple[int, bytes]]:
    """Pieces of up to 32 bytes that are not all zero."""
    for at in range(0, len(memory), 32):
        piece = memory[at : at + 32]
        if any(piece):
            first = len(piece) - len(piece.lstrip(b"\0"))
            yield at + first, piece.strip(b"\0")


def isa_of(text: str) -> tuple[str, tuple[str, ...]]:
    """The instruction set of a case file, and the engines it was found with."""
    words = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line and not line.startswith("#")}
    if len(words.get("isa", ())) != 1:
        raise BadCase("a case needs a line 'isa NAME'")
    return words["isa"][0], tuple(words.get("engines", ()))


def read_case(text: str, layout: Layout) -> Case:
    """A case from its file's text; BadCase names the line that is wrong."""
    state = empty_state(layout)
    registers = {name: list(values) for name, values in state.registers.items()}
    modes = dict(state.modes)
    memory = bytearray(WINDOW_SIZE)
    code: list[bytes] = []
    for number, line in enumerate(text.splitlines(), 1):
        word, _, rest = line.partition("#")[0].strip().partition(" ")
        try:
            match word:
                case "" | "isa" | "engines":
                    pass
                case "code":
                    code.append(bytes.fromhex(rest))
                case "state":
                    place, value = rest.split("=")
                    name, index = _place(place)
                    registers[name][index] = int(value, 0)
                case "mode":
                    name, value = (part.strip() for part in rest.split("="))
                    modes[name] = int(value, 0)
                case "memory":
                    place, data = rest.split()
                    at = int(place, 0) - WINDOW
                    content = bytes.fromhex(data)
                    if not 0 <= at <= WINDOW_SIZE - len(content):
                        raise ValueError(f"memory is from {WINDOW:#x} to {WINDOW + WINDOW_SIZE:#x}")
                    memory[at : at + len(content)] = content
                case _:
                    raise ValueError(f"there is no '{word}'; a line is isa, engines, code, state, mode, memory")
        except (ValueError, KeyError, IndexError) as error:
            raise BadCase(f"line {number}: {line.strip()}: {error}") from error
    if not code:
        raise BadCase("a case needs at least one line 'code'")
    frozen = {name: tuple(values) for name, values in registers.items()}
    return Case(tuple(code), State(CODE, frozen, modes, bytes(memory)), {})


def _place(text: str) -> tuple[str, int]:
    name, _, index = text.strip().rstrip("]").partition("[")
    return name, int(index or 0)
