"""The disassembler of a generated instruction set, as the log, the crash report and `isomorph disasm` call it."""

from __future__ import annotations

from runtime.syntax.disassemble import Disassembler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.core.cpu import Isa
    from runtime.linux.crash import Disassemble


def disassembler(isa: Isa) -> Disassemble:
    """A function from (bytes, address, modes) to (bytes used, text)."""
    engine = Disassembler(isa.module("syntax").SYNTAX)

    def one(data: bytes, address: int, flags: int) -> tuple[int, str]:
        instruction = engine.one(data, address)
        return instruction.size, str(instruction).replace("\t", " ", 1)

    return one
