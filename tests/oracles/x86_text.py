"""Texts of i386 and x86-64 instructions as the specification and GNU objdump write them, brought to one spelling."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).parent / "objdump_x86_texts.txt"
#: what objdump shows of prefixes in front of an instruction's name
PREFIXES = re.compile(
    r"(?:(?:rep[nz]*|lock|data(?:16|32)|addr(?:16|32)|[cdefgs]s|rex(?:\.\w+)?|notrack|bnd|xacquire|xrelease)\s+)+(?=\S)"
)
#: string instructions: objdump shows registers and memory that are always the same, and the size with them
_STRINGS = re.compile(r"(movs|stos|lods|scas|cmps|ins|outs)\s+.*?(BYTE|WORD|DWORD|QWORD) PTR")
_UNTIL = ("scas", "cmps")
_COMMENT = re.compile(r"\s*#\s*(0x[0-9a-f]+)\s*$")
_RELATIVE = re.compile(r"\[[re]ip[+-]0x[0-9a-f]+\]")
_NUMBER = re.compile(r"(?<![\w(])[+-]?(?:0x[0-9a-f]+|\d+)\b")
#: the data's segment is where nothing is said, too; an address alone has no brackets there
_DATA_SEGMENT = re.compile(r"\bds:(?:\[|(0x[0-9a-f]+))")
_FLAT = re.compile(r"\b([cefgs]s):(0x[0-9a-f]+)")
_OF_STRING = re.compile(r"\b([cefgs]s):\[[er]?si\]")
_SEGMENT = re.compile(r"[c-gs]s")
_EXTENT = re.compile(r"\b(\w+) PTR ")


@dataclass(frozen=True, slots=True)
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
            and (
                self.numbers == other.numbers
                or all(_same(one, two) for one, two in zip(self.numbers, other.numbers, strict=True))
            )
        )

    def __str__(self) -> str:
        return f"{self.mnemonic} {self.operands}".strip()


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
    found = tuple(int(number.lstrip("+"), 0) for number in _NUMBER.findall(operands))
    return (_NUMBER.sub("#", operands) if found else operands), found


def theirs(text: str) -> Text:
    """As objdump's Intel syntax has it."""
    comment = _COMMENT.search(text)
    if comment:
        text = _RELATIVE.sub(f"[{comment[1]}]", text[: comment.start()])
    before = ""
    prefixes = PREFIXES.match(text)
    if prefixes is not None:
        before, text = prefixes[0], text[prefixes.end() :]
    locked = "lock " if "lock " in before else ""
    string = _STRINGS.match(text)
    if string is not None:
        segment = _OF_STRING.search(text)
        segment_shown = "" if segment is None else f"{segment[1]} "
        repeated = _repeated(before, string[1] in _UNTIL)
        return Text(f"{repeated}{segment_shown}{string[1]}{string[2][0].lower()}", "", ())
    mnemonic, _, operands = text.strip().partition(" ")
    if not operands:
        return Text(locked + mnemonic, "", ())
    if ":" in operands:
        operands = _FLAT.sub(r"\1:[\2]", operands)
        operands = _DATA_SEGMENT.sub(lambda m: f"[{m[1]}]" if m[1] else "[", operands)
    if "iz*" in operands:
        operands = re.sub(r"\+[re]iz\*\d", "", operands)
        operands = re.sub(r"\[[re]iz\*\d([+-])", r"[\1", operands).replace("[+", "[")
    return Text(locked + mnemonic, *_numbers(_EXTENT.sub(_extent, operands).replace(" ", "")))


def _extent(match: re.Match[str]) -> str:
    """Sixteen bytes have another name in CMPXCHG16B alone."""
    return "xmmwordptr" if match[1] == "OWORD" else f"{match[1].lower()}ptr"


def string_instruction(text: str) -> str | None:
    """A string instruction of objdump's as the specification writes it; None if it is none, or of another segment."""
    prefixes = PREFIXES.match(text)
    before, text = ("", text) if prefixes is None else (prefixes[0], text[prefixes.end() :])
    string = _STRINGS.match(text)
    if string is None or "fs:" in text or "gs:" in text or "[e" in text:
        return None
    return f"{_repeated(before, string[1] in _UNTIL)}{string[1]}{string[2][0].lower()}"


def _repeated(before: str, until: bool) -> str:
    """The repeat prefix as the specification writes it."""
    if "repnz " in before or "repne " in before:
        return "repne "
    if "rep " in before or "repz " in before:
        return "repe " if until else "rep "
    return ""


def ours(mnemonic: str, operands: str) -> Text:
    """As the specification has it."""
    before = ""
    while (mnemonic in ("lock", "rep", "repe", "repne") or _SEGMENT.fullmatch(mnemonic)) and operands:
        before += "" if mnemonic == "ds" else f"{mnemonic} "
        mnemonic, _, operands = operands.partition(" ")
    mnemonic = before + mnemonic.removesuffix(".d32").removesuffix(".d16")
    return Text(mnemonic, *_numbers(_DATA_SEGMENT.sub("[", operands).replace(" ", "")))


@dataclass(frozen=True)
class Rule:
    """A line of the table: what is written here, what there, and why."""

    ours: re.Pattern[str]
    theirs: re.Pattern[str]
    reason: str

    def explains(self, one: str, two: str) -> bool:
        return self.ours.fullmatch(one) is not None and self.theirs.fullmatch(two) is not None


@cache
def rules() -> list[Rule]:
    """The table's lines."""
    found = []
    for line in TABLE.read_text().splitlines():
        if line and not line.startswith("#"):
            one, two, reason = (part.strip() for part in re.split(r"\s\|\s", line))
            found.append(Rule(re.compile(one), re.compile(two), reason))
    return found
