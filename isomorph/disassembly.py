"""The disassembler of a generated instruction set, as the log, the crash report and monitors call it."""

from __future__ import annotations

from runtime.syntax.disassemble import Disassembler
from runtime.syntax.tables import mode_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.core.cpu import Isa
    from runtime.core.disassembly import Disassemble

#: disassemblers kept, one for each value of the modes: what is in the loop of a program is a handful
_KEPT = 64


def disassembler(isa: Isa) -> Disassemble:
    """A function from (bytes, address, modes) to (bytes used, hexadecimal, text); modes are as in a block's flags."""
    syntax = isa.module("syntax").SYNTAX
    modes = [mode for mode in isa.layout.modes if mode_key(mode.name) in syntax.modes]
    known: dict[int, Disassembler] = {}

    def one(data: bytes, address: int, flags: int) -> tuple[int, str, str]:
        engine = known.get(flags)
        if engine is None:
            values = {mode_key(mode.name): flags >> mode.shift & (1 << mode.width) - 1 for mode in modes}
            if len(known) == _KEPT:
                known.clear()
            engine = known[flags] = Disassembler(syntax, modes=values)
        instruction = engine.one(data, address)
        word = engine.decoder.space.digits(instruction.bytes)
        return instruction.size, word, str(instruction).replace("\t", " ", 1)

    return one
