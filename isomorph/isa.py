"""`Isa`: what an instruction set's tables can do without a machine: decode, disassemble, assemble, lift."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from isomorph.builds import find_build
from isomorph.errors import InstructionError
from runtime.core.cpu import Isa as Generated
from runtime.core.cpu import load_isa
from runtime.syntax.disassemble import Disassembler, Instruction
from runtime.syntax.tables import mode_key

if TYPE_CHECKING:
    from isomorph.explain import Explanation
    from runtime.tcg.ir import Function

__all__ = ["DecodedInstruction", "Instruction", "Isa"]


@dataclass(frozen=True, slots=True)
class DecodedInstruction:
    """An instruction and its fields: `name` is that of its encoding in the spec."""

    name: str
    fields: Mapping[str, int]
    size: int
    address: int


class Isa:
    """A generated instruction set by name: `Isa("riscv64")`."""

    def __init__(self, name: str, *, _generated: Generated | None = None) -> None:
        self.generated = _generated or load_isa(find_build(name))
        self.name = self.generated.name
        self._disassemblers: dict[object, Disassembler] = {}

    @property
    def registers(self) -> tuple[str, ...]:
        """Names of registers and register files, as the spec declares them."""
        return tuple(register.name for register in self.generated.layout.registers)

    @property
    def exceptions(self) -> tuple[str, ...]:
        """Names of the exceptions that instructions raise."""
        return tuple(name for name, _ in self.generated.layout.exceptions)

    def decode(self, data: bytes, pc: int = 0, modes: Mapping[str, int] | None = None) -> DecodedInstruction | None:
        """The instruction at the start of `data`, which stands at `pc`; None if it is none.

        `modes` are the spec's modes that differ from what they are at reset, such as `{"T": 1}` for Thumb.
        """
        decoded = self._tables(modes=modes).decoder.decode(data, pc) if data else None
        if decoded is None:
            return None
        fields = {field.name: decoded.values[field.name] for field in decoded.form.encoding.fields}
        return DecodedInstruction(decoded.form.name, fields, decoded.length, pc)

    def disassemble(
        self,
        data: bytes,
        pc: int = 0,
        count: int | None = None,
        *,
        aliases: bool = True,
        symbols: Callable[[int], str | None] | None = None,
        modes: Mapping[str, int] | None = None,
    ) -> Iterator[Instruction]:
        """Instructions one after the other: `address`, `mnemonic`, `op_str`, `bytes`, `size`, as Capstone has them.

        What is no instruction comes as data: `.4byte 0x0`.  Without `aliases` each instruction has its own name, and
        what is printed assembles to the same bytes.  `symbols` gives the name of an address, to stand behind targets;
        `modes` are as in `decode`.
        """
        return islice(self._tables(aliases, symbols, modes).all(bytes(data), pc), count)

    def assemble(self, text: str, pc: int = 0, *, short: bool = False, modes: Mapping[str, int] | None = None) -> bytes:
        """The bytes of assembly text that will stand at `pc`; InstructionError says what is wrong with it.

        Instructions have the encoding they are written in; with `short` the shortest that does the same.  `modes` are
        as in `decode`, until the text changes them.
        """
        from runtime.syntax.assemble import assemble_text
        from runtime.syntax.errors import AssemblyError

        values = {mode_key(name): value for name, value in self._known(modes).items()}
        try:
            image = assemble_text(self.generated.module("syntax"), text, "<text>", pc, short, values)
        except AssemblyError as error:
            raise InstructionError(str(error)) from None
        sections = [section for section in image.sections if section.loaded]
        others = [section.name for section in sections if section.name != ".text" and section.size]
        if others:
            raise InstructionError(f"assemble() takes code only, not {', '.join(others)}; see `isomorph asm`")
        return next((s.data for s in sections if s.name == ".text"), b"")

    def lift(self, data: bytes, pc: int = 0, modes: Mapping[str, int] | None = None) -> Function:
        """The TCG ops of the instructions in `data` up to the end of their block; `str` of it is readable."""
        from runtime.tcg.intermediate import gen_intermediate_code

        layout = self.generated.layout
        flags = layout.flags(self._known(modes))
        if not data or self.decode(data[: layout.max_bytes], pc, modes) is None:
            raise InstructionError(f"{data[: layout.max_bytes].hex(' ') or 'nothing'} at {pc:#x} is no instruction")
        return gen_intermediate_code(self.generated.module("translate"), layout, data, pc, flags)

    def explain(
        self,
        what: str | bytes,
        pc: int | None = None,
        count: int | None = None,
        *,
        modes: Mapping[str, int] | None = None,
    ) -> Explanation:
        """What becomes of instructions, from bits to host code; shows itself in a notebook, prints as text.

        `what` is assembly text, hexadecimal, bytes, or `FILE:SYMBOL+OFFSET` of a program; `modes` are as in `decode`,
        and those that a program's function is in need not be given.
        """
        from isomorph.explain import explain

        return explain(self, what, pc, count, self._known(modes))

    def _known(self, modes: Mapping[str, int] | None) -> dict[str, int]:
        """Modes that somebody gives; InstructionError unless they are modes of this ISA that may have these values."""
        widths = {mode.name: mode.width for mode in self.generated.layout.modes if not mode.prefix}
        for name, value in (modes or {}).items():
            if name not in widths:
                raise InstructionError(f"{self.name} has no mode {name}; it has {', '.join(widths) or 'none'}")
            if not 0 <= value < 1 << widths[name]:
                raise InstructionError(f"mode {name} of {self.name} has {widths[name]} bits: it cannot be {value}")
        return dict(modes or {})

    def _tables(
        self,
        aliases: bool = True,
        symbols: Callable[[int], str | None] | None = None,
        modes: Mapping[str, int] | None = None,
    ) -> Disassembler:
        values = {mode_key(name): value for name, value in self._known(modes).items()}
        syntax = self.generated.module("syntax").SYNTAX
        if symbols is not None:

            def address(value: int) -> str:
                name = symbols(value)
                return f"0x{value:x} <{name}>" if name else f"0x{value:x}"

            return Disassembler(syntax, aliases, values, address)
        key = (aliases, *sorted(values.items()))
        if key not in self._disassemblers:
            self._disassemblers[key] = Disassembler(syntax, aliases, values)
        return self._disassemblers[key]

    def __repr__(self) -> str:
        return f"Isa({self.name!r})"
