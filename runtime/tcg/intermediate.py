"""`gen_intermediate_code`: a block of guest code as TCG ops, from the generated emitters with known fields."""

from __future__ import annotations

from types import ModuleType

from runtime.core.layout import Layout
from runtime.tcg.builder import Builder
from runtime.tcg.ir import Function


class _BlockBuilder(Builder):
    """An instruction that may jump and may go on does not end a block: neither does it in the native decoder."""

    def finish_next(self) -> None:
        self.ends_block = False


def gen_intermediate_code(translate: ModuleType, layout: Layout, code: bytes, pc: int, flags: int) -> Function:
    """The ops of the instructions in `code`, which stands at `pc`; they end where control leaves the block.

    `translate` is build/<isa>/translate.py, `flags` the modes that the block was translated for.  A word that does not
    decode ends the listing: what it raises is the native decoder's business.
    """
    function = Function(f"tb_{pc:x}")
    hook = translate.HOOKS.get("badaddr")
    b = _BlockBuilder(layout, function, hook.body if hook else None)
    b.modes = {m.name: flags >> m.shift & (1 << m.width) - 1 for m in layout.modes if not m.prefix}
    at, index = 0, 0
    mask = (1 << layout.pc_width) - 1
    while at < len(code):
        rest = code[at : at + layout.max_bytes]
        decoded = translate.decode(int.from_bytes(rest, "little"), len(rest), b)
        if decoded is None:
            break
        here = pc + at & mask
        following = here + decoded.length & mask
        instruction = decoded.instruction
        b.begin_instruction(here, following, index, f"{instruction.mnemonic} {instruction.source}")
        decoded.emit(b, decoded.fields)
        b.end_instruction()
        at += decoded.length
        index += 1
        if b.dead:
            return function
    if index:
        # The block was cut here, or the last instruction goes on to the next block.
        b.finish_goto(len(b.targets), b.next_pc_value)
    return function
