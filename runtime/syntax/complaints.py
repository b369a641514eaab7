"""What to say of a statement that fits no instruction, or of a value that fits no hole."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.syntax.arithmetic import signed
from runtime.syntax.solve import Unsolvable
from runtime.syntax.tables import Alias, AliasHole, Form, Hole, Piece

__all__ = ["describe", "explain", "forms_note"]


def describe(pieces: Sequence[Piece | AliasHole]) -> str:
    """A template with the names of fields in its holes, for messages."""
    text = ""
    for piece in pieces:
        if isinstance(piece, str):
            text += piece
        elif isinstance(piece, AliasHole):
            text += f"{{{piece.name}}}"
        elif piece.kind == "optional":
            text += f"[{piece.text}]"
        else:
            text += f"{{{piece.operand or '/'.join(piece.depends)}}}"
    return text


def forms_note(targets: Sequence[Form | Alias]) -> list[str]:
    shown = list(dict.fromkeys(describe(target.pieces) for target in targets))
    return [f"note: it is written {text}" for text in shown[:4]]


def explain(hole: Hole, number: int, pc: int, error: Unsolvable) -> str:
    """Why a value cannot stand in a hole."""
    allowed = error.allowed
    if hole.names is not None:
        if hole.kind == "set":
            return f"'{hole.names.show_set(number)}' cannot stand here"
        shown = hole.names.show(number)
        if allowed is None:
            return f"'{shown}' cannot stand here"
        low, high = hole.names.show(allowed.low), hole.names.show(allowed.high)
        return f"'{shown}' cannot stand here, only '{low}'" + (f" to '{high}'" if allowed.high > allowed.low else "")
    if allowed is None:
        return f"{number} cannot be encoded here"
    if allowed.low == allowed.high:
        return f"{number} cannot be encoded here, only {allowed.low}"
    if hole.kind == "address":
        step = f" in steps of {allowed.step}" if allowed.step and allowed.step > 1 else ""
        distance = signed((number - pc) % (1 << hole.width), hole.width)
        return f"the target is {distance} bytes away; it can be {allowed.low - pc}..{allowed.high - pc}{step}"
    if allowed.step and allowed.step > 1 and allowed.low <= number <= allowed.high:
        return f"{number} is no multiple of {allowed.step} (range {allowed})"
    return f"{number} is out of range {allowed}"
