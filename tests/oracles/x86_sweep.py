"""Random bytes and instructions of i386 and x86-64 against GNU objdump: what is one, how long, how written.

    python -m tests.oracles.x86_sweep --count 10000000 --seed 1

Each byte string stands in a slot that ends with one-byte instructions, so that objdump is in step again where the next
begins.  What differs is counted by the line of objdump_x86_differences.txt or objdump_x86_texts.txt that says why, or
by what it is; the command ends with 1 if anything has no reason.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random

from runtime.core.cpu import load_isa
from runtime.syntax.disassemble import Disassembler
from runtime.syntax.tables import Syntax, mode_key
from tests.conftest import ROOT
from tests.oracles import x86_text
from tests.oracles.x86_cases import instruction

TABLE = Path(__file__).parent / "objdump_x86_differences.txt"
#: for objdump; i8086 is i386's 16-bit code
MACHINES = {"i386": "i386", "x86_64": "i386:x86-64", "i8086": "i8086"}
_CODE16 = mode_key("CODE16")
_SLOT, _LONGEST, _NOP = 32, 15, b"\x90"
_EVEN = frozenset(" 02468ace")
#: strings that objdump gets at once
_BATCH = 20_000
_LINE = re.compile(r"\s*([0-9a-f]+):\s+(.*)")
#: what makes VEX behind it undefined (2.3.2 to 2.3.4), which objdump passes over
_BEFORE_VEX = re.compile(
    rb"[\x26\x2e\x36\x3e\x64\x65\x67]*(?:[\x66\xf0\xf2\xf3]|[\x40-\x4f](?=[\xc4\xc5])).*?[\xc4\xc5]", re.DOTALL
)
#: LOCK, and what it may stand before: these, when they write memory (volume 2, LOCK)
_LOCKED = re.compile(r"\block\b")
_LOCKABLE = re.compile(
    r"\block (?:rex\S* |xacquire |xrelease |repn?z |data\d+ |addr\d+ )*"
    r"(?:adc|add|and|btc|btr|bts|cmpxchg|cmpxchg8b|cmpxchg16b|dec|inc|neg|not|or|sbb|sub|xadd|xchg|xor) +[^,]*\["
)
#: EVEX, behind whatever prefixes (2.7)
_EVEX = re.compile(rb"[\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3\x40-\x4f]*\x62")
#: several prefixes of one kind, of which objdump shows all or none, and the processor obeys one
_TWICE = re.compile(
    rb"[\x66\x67\xf0\xf2\xf3\x26\x2e\x36\x3e\x64\x65\x40-\x4f]*"
    rb"(?:[\x64\x65][^\x64\x65]{0,12}[\x64\x65]|[\xf2\xf3][^\xf2\xf3]{0,12}[\xf2\xf3])"
)


@dataclass(frozen=True)
class Rule:
    """One line of the table."""

    guest: str
    who: str  # knows it: "ours", "objdump", or "both" with different lengths
    name: re.Pattern[str]
    reason: str

    def explains(self, guest: str, who: str, name: str) -> bool:
        return self.guest in (guest, "both") and self.who == who and self.name.fullmatch(name) is not None


@cache
def rules() -> list[Rule]:
    """The table's lines."""
    found = []
    for line in TABLE.read_text().splitlines():
        if line and not line.startswith("#"):
            guest, who, name, reason = (part.strip() for part in re.split(r"\s\|\s", line))
            found.append(Rule(guest, who, re.compile(name), reason))
    return found


@dataclass
class Found:
    """What a sweep saw: strings that both read alike, that neither knows, and the rest by reason or by what it is."""

    alike: int = 0
    neither: int = 0
    explained: Counter[str] = field(default_factory=Counter)
    unexplained: Counter[str] = field(default_factory=Counter)
    #: an example of each
    examples: dict[str, str] = field(default_factory=dict)

    def explain(self, what: str, example: str) -> None:
        self.explained[what] += 1
        self.examples.setdefault(what, example)

    def wonder(self, what: str, example: str) -> None:
        self.unexplained[what] += 1
        self.examples.setdefault(what, example)

    def __str__(self) -> str:
        lines = [f"{self.alike} alike, {self.neither} no instruction for either"]
        for title, counts in (("with a reason", self.explained), ("without", self.unexplained)):
            lines.append(f"{sum(counts.values())} differences {title}:")
            lines += [f"{count:9}  {what}   [{self.examples[what]}]" for what, count in counts.most_common()]
        return "\n".join(lines)


def objdump(program: str, cases: Sequence[bytes], guest: str, folder: Path) -> list[tuple[int, str]]:
    """How long each instruction is, and its text; "" if it is none."""
    file = folder / "cases.bin"
    file.write_bytes(b"".join(case.ljust(_SLOT, _NOP) for case in cases))
    options = ["-D", "-z", "-w", "-b", "binary", "-m", MACHINES[guest], "-M", "intel", "--no-show-raw-insn"]
    done = subprocess.run([program, *options, file], capture_output=True, text=True, check=True)
    found: list[tuple[int, str]] = []
    text, start = "", -1
    for line in done.stdout.splitlines():
        place, colon, rest = line.partition(":\t")
        if not colon:
            continue
        if start >= 0:
            found.append((int(place, 16) - start, text))
            start = -1
        if place[-1] == "0" and place[-2] in _EVEN:  # a multiple of the slot's size
            start, text = int(place, 16), "" if "(bad)" in rest else rest
    if start >= 0:
        found.append((len(cases) * _SLOT - start, text))
    assert len(found) == len(cases), "objdump lost step"
    return found


def random_cases(random: Random, syntax: Syntax, guest: str, count: int, made: float = 0.5) -> list[bytes]:
    """Byte strings, so many of which are instructions with something random behind them."""
    cases = []
    for _ in range(count):
        if random.random() < made:
            cases.append(instruction(random, random.choice(syntax.forms), guest == "x86_64").ljust(_LONGEST, _NOP))
        else:
            cases.append(random.randbytes(_LONGEST))
    return cases


def isa_of(guest: str) -> str:
    """The instruction set that has a guest's code."""
    return "i386" if guest == "i8086" else guest


def syntax_of(guest: str) -> Syntax:
    """The tables of a generated ISA."""
    found: Syntax = load_isa(ROOT / "build" / isa_of(guest)).module("syntax").SYNTAX
    return found


def modes_of(guest: str) -> dict[str, int]:
    """The modes that make code a guest's."""
    return {_CODE16: 1} if guest == "i8086" else {}


def disassembler_of(guest: str) -> Disassembler:
    """What reads a guest's code."""
    return Disassembler(syntax_of(guest), modes=modes_of(guest))


def compare(
    guest: str, program: str, disassembler: Disassembler, cases: Sequence[bytes], folder: Path, found: Found
) -> None:
    """Adds what the strings show."""
    table, texts = rules(), x86_text.rules()
    for number, (case, (length, text)) in enumerate(zip(cases, objdump(program, cases, guest, folder), strict=True)):
        shown = disassembler.one(case, number * _SLOT)
        name, size = shown.name, shown.size
        written = bool(name)
        if not written:
            # Bits that no text tells from others, as a scale without an index, are shown as data, too.
            decoded = disassembler.decoder.decode(case, number * _SLOT)
            name, size = (decoded.form.name, decoded.length) if decoded is not None else ("", 0)
        name = name.partition("__")[0]
        if not name and not text:
            found.neither += 1
        elif name and text and size == length:
            if not written:
                found.alike += 1
                continue
            one, two = x86_text.ours(shown.mnemonic, shown.op_str), x86_text.theirs(text)
            if one.alike(two) or _TWICE.match(case):
                found.alike += 1
                continue
            ours, theirs = str(one), str(two)
            rule = next((rule for rule in texts if rule.explains(ours, theirs)), None)
            example = f"{case[:size].hex()}: {shown.mnemonic} {shown.op_str} | {text}"
            if rule is not None:
                found.explain(f"text: {rule.reason}", example)
            else:
                found.wonder(f"text | {ours} | {theirs}", example)
        else:
            words = text.split()
            prefixes = x86_text.PREFIXES.match(text)
            theirs = text[prefixes.end() :].split()[0] if prefixes is not None else words[0] if words else ""
            example = f"{case[: max(size, length if text else 0)].hex()}: {shown} | {text} | {size}, {length}"
            if not name:
                if _LOCKED.search(text) and not _LOCKABLE.search(text):
                    found.explain("objdump: LOCK before what cannot be locked", example)
                    continue
                if theirs.startswith("v") and _BEFORE_VEX.match(case):
                    found.explain("objdump: prefixes before VEX that make it undefined", example)
                    continue
                if guest == "x86_64" and _EVEX.match(case):
                    found.explain("objdump: AVX-512 is not there", example)
                    continue
                who, what = "objdump", theirs
            elif text:
                who, what = "both", f"{name} {theirs}"
            else:
                who, what = "ours", name
            reason = next((rule.reason for rule in table if rule.explains(isa_of(guest), who, what)), None)
            if reason is not None:
                found.explain(f"{who}: {reason}", example)
            else:
                found.wonder(f"{who} | {what}", example)


def sweep(
    guest: str,
    program: str,
    seed: str,
    count: int,
    folder: Path,
    made: float = 0.5,
    said: Callable[[int, Found], None] | None = None,
) -> Found:
    """So many strings, in batches."""
    syntax = syntax_of(guest)
    disassembler = disassembler_of(guest)
    random, found, done = Random(seed), Found(), 0
    while done < count:
        cases = random_cases(random, syntax, guest, min(_BATCH, count - done), made)
        compare(guest, program, disassembler, cases, folder, found)
        done += len(cases)
        if said is not None:
            said(done, found)
    return found


def main(words: Sequence[str]) -> int:
    """The command: 0, or 1 if a difference has no reason."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracles.x86_sweep")
    parser.add_argument("--count", type=int, default=100_000, help="strings for each guest")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--guest", choices=tuple(MACHINES), action="append")
    parser.add_argument("--made", type=float, default=0.5, help="which part of them are instructions; 0: random bytes")
    parser.add_argument("--objdump", default="objdump")
    options = parser.parse_args(words)
    wrong = False
    for guest in options.guest or MACHINES:
        with tempfile.TemporaryDirectory() as folder:

            def said(done: int, found: Found) -> None:
                print(f"{done} strings, {sum(found.unexplained.values())} unexplained", file=sys.stderr, flush=True)

            seed = f"{guest} {options.seed}"
            found = sweep(guest, options.objdump, seed, options.count, Path(folder), options.made, said)
        print(f"{guest}, seed {options.seed}, {options.count} strings: {found}", flush=True)
        wrong = wrong or bool(found.unexplained)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
