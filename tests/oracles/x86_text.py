"""Texts of i386 and x86-64 instructions as the specification and GNU objdump write them, brought to one spelling."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).parent / "objdump_x86_texts.txt"
#: what objdump shows of prefixes that change nothing
_PREFIXES = re.compile(
    r"^(?:(?:rep[nz]*|lock|data16|addr(?:16|32)|[cdefgs]s|rex(?:\.\w+)?|notrack|bnd|xacquire|xrelease)\s+)+(?=\S)"
)
_COMMENT = re.compile(r"\s*#\s*(0x[0-9a-f]+)\s*$")
_RELATIVE = re.compile(r"\[[re]ip[+-]0x[0-9a-f]+\]")
_FLAT = re.compile(r"\b([cdefgs]s):(0x[0-9a-f]+)")
_NUMBER = re.compile(r"(?<![\w(])[+-]?(?:0x[0-9a-f]+|\d+)\b")
_IN_BRACKETS = re.compile(r"\[[^]]*\]")
_SHORT = re.compile(r"\be([a-z]{2})\b|\b(r\d+)d\b")


@dataclass(frozen=True)
class Text:
    """A mnemonic, its operands with `#` for each number, and the numbers."""

    mnemonic: str
    operands: str
    numbers: tuple[int, ...]

    def alike(self, other: Text) -> bool:
        """Whether both say the same; a number may be shown with or without its sign."""
        return (
            self.mnemonic == other.mnemonic
            and self.operands == other.operands
            and all(_same(one, two) for one, two in zip(self.numbers, other.numbers, strict=True))
        )


def _same(one: int, two: int) -> bool:
    """Numbers of one to eight bytes that have the same bits."""
    if (one - two) % (1 << 64) == 0:
        return True
    for bits in (8, 16, 32):
        mask = (1 << bits) - 1
        small, other = (one, two) if 0 <= one <= mask else (two, one)
        if not 0 <= small <= mask:
            continue
        extended = small - (1 << bits) if small >> bits - 1 else small
        if any((extended - other) % (1 << width) == 0 for width in (16, 32, 64)):
            return True
    return False


def _numbers(operands: str) -> tuple[str, tuple[int, ...]]:
    found = [int(match[0].lstrip("+"), 0) for match in _NUMBER.finditer(operands)]
    return _NUMBER.sub("#", operands), tuple(found)


def theirs(text: str, sixteen_or_less: bool) -> Text:
    """As objdump's Intel syntax has it; `sixteen_or_less` says that 67 stands before it, which shows shorter names."""
    comment = _COMMENT.search(text)
    text = _COMMENT.sub("", _PREFIXES.sub("", text.strip(), count=1))
    if comment:
        text = _RELATIVE.sub(f"[{comment[1]}]", text)
    mnemonic, _, operands = text.partition(" ")
    # The other segments begin at 0; an address alone has no brackets.
    operands = re.sub(r"\b([fg]s):(0x[0-9a-f]+)", r"\1:[\2]", operands)
    operands = re.sub(r"\b[cdes]s:(?:\[|(0x[0-9a-f]+))", lambda m: f"[{m[1]}]" if m[1] else "[", operands)
    operands = re.sub(r"\+[re]iz\*\d", "", operands)
    operands = re.sub(r"\[[re]iz\*\d([+-])", r"[\1", operands).replace("[+", "[")
    operands = re.sub(r"(?i)\b(\w+) ptr \b", lambda m: f"{m[1].lower()} ptr ", operands).lower()
    if sixteen_or_less:
        operands = _IN_BRACKETS.sub(lambda m: _SHORT.sub(lambda n: f"r{n[1]}" if n[1] else n[2], m[0]), operands)
    return Text(mnemonic, *_numbers(operands.replace(" ", "")))


def ours(mnemonic: str, operands: str) -> Text:
    """As the specification has it."""
    words = f"{mnemonic} {operands}".split()
    while words[0] in ("lock", "rep") and len(words) > 1:
        words = words[1:]
    return Text(words[0].removesuffix(".d32"), *_numbers("".join(words[1:])))


@dataclass(frozen=True)
class Rule:
    """A line of the table: what is written here, what there."""

    ours: re.Pattern[str]
    theirs: re.Pattern[str]

    def explains(self, one: Text, two: Text) -> bool:
        return bool(
            self.ours.fullmatch(f"{one.mnemonic} {one.operands}".strip())
            and self.theirs.fullmatch(f"{two.mnemonic} {two.operands}".strip())
        )


def rules() -> list[Rule]:
    """The table's lines."""
    found = []
    for line in TABLE.read_text().splitlines():
        if line and not line.startswith("#"):
            one, two, _ = (part.strip() for part in re.split(r"\s\|\s", line))
            found.append(Rule(re.compile(one), re.compile(two)))
    return found
