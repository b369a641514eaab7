"""Decision trees find what a linear search through the encodings finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gen import model
from gen.decisions import Candidate, Leaf, Switch, build, decode_with_tree, walk


def linear(
    candidates: list[model.Instruction], fetch: int, available: int, holds: Callable[[Candidate, int], bool]
) -> str | None:
    """The first match of the most special encodings first."""
    for candidate in sorted(candidates, key=lambda item: -item.pattern.mask.bit_count()):
        if (
            fetch & candidate.pattern.mask == candidate.pattern.value
            and candidate.pattern.length <= available
            and holds(candidate, fetch)
        ):
            return candidate.name
    return None


def always(_candidate: Candidate, _fetch: int) -> bool:
    return True


def bits(text: str) -> str:
    return " ".join(f"v{at}:1" if bit == "x" else bit for at, bit in enumerate(text))


# Encodings whose overlaps are nested: a random prefix code of fixed bits, then special cases of its members.
PATTERNS = st.lists(st.tuples(st.text("01xx", min_size=16, max_size=16), st.booleans()), min_size=1, max_size=24)


def nested(texts: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Keeps patterns that overlap those before them only as special cases."""
    kept: list[tuple[str, bool]] = []
    for text, long in texts:
        fine = True
        for other, other_long in kept:
            pairs = list(zip(text, other, strict=True))
            if all("x" in pair or pair[0] == pair[1] for pair in map("".join, pairs)):
                special = all(b in ("x", a) for a, b in pairs) and text != other
                fine &= special and long == other_long
        if fine:
            kept.append((text, long))
    return kept


@settings(max_examples=150, deadline=None)
@given(PATTERNS, st.randoms(use_true_random=False))
def test_tree_agrees_with_a_linear_search(
    new_parts: Callable[[], Any], texts: list[tuple[str, bool]], random: Any
) -> None:
    parts = new_parts()
    instructions = []
    for index, (text, long) in enumerate(nested(texts)):
        pattern = ("y:16 " if long else "") + bits(text)
        instructions.append(parts.instruction("16|32 little", f"i{index}", pattern))
    tree = build(parts.space("16|32 little"), instructions)
    for _ in range(50):
        base = random.choice(instructions).pattern
        fetch = random.getrandbits(32) & ~base.mask | base.value if random.random() < 0.8 else random.getrandbits(32)
        for available in (16, 32):
            word = fetch & ((1 << available) - 1)
            found = decode_with_tree(tree, word, available, always)
            assert (found.name if isinstance(found, model.Instruction) else None) == linear(
                instructions, word, available, always
            )


def test_no_bit_is_tested_that_a_candidate_lacks(parts: Any) -> None:
    space = "16|32 little"
    instructions = [
        parts.instruction(space, "c_addi", "000 imm[5] rd imm[4:0] 01"),
        parts.instruction(space, "c_lw", "010 imm[5:3] a:3 imm[2|6] b:3 00"),
        parts.instruction(space, "addi", "imm[11:0] rs1 000 rd 0010011"),
        parts.instruction(space, "slti", "imm[11:0] rs1 010 rd 0010011"),
    ]
    tree = build(parts.space(space), instructions)
    assert isinstance(tree, Switch)
    assert (tree.low, tree.width) == (0, 2)
    assert all(
        node.low + node.width <= 16 for node in (tree, tree.cases[0b00], tree.cases[0b01]) if isinstance(node, Switch)
    )


def test_special_cases_and_guards_come_first(parts: Any) -> None:
    guard = model.Binary(1, "ne", model.FieldRef(5, "rd"), model.Const(5, 0))
    general = parts.instruction("32 little", "general", "imm[11:0] rs1 000 rd 0010011")
    special = parts.instruction(
        "32 little", "special", "imm[11:0] 00000 000 rd 0010011", where=guard, overrides=["general"]
    )
    tree = build(parts.space("32 little"), [general, special])
    assert isinstance(tree, Leaf)
    assert [candidate.pattern for candidate in tree.candidates] == [special.pattern, general.pattern]
    # rd = 0 fails the guard, so the general one takes the word.
    found = decode_with_tree(tree, 0x00000013, 32, lambda candidate, fetch: candidate is general or fetch >> 7 & 31 > 0)
    assert found is general


def test_leaves_end_with_a_candidate_that_always_matches(parts: Any) -> None:
    one = parts.instruction("32 little", "one", "imm[11:0] rs1 000 rd 0010011")
    tree = build(parts.space("32 little"), [one])
    assert isinstance(tree, Leaf)
    assert tree.remaining(one) == (0x707F, 0x13)


def test_a_large_space_becomes_a_shallow_tree(parts: Any) -> None:
    instructions = [
        parts.instruction("32 little", f"i{index}", f"{index >> 3:07b} rs2 rs1 {index & 7:03b} rd 0110011")
        for index in range(1024)
    ]
    tree = build(parts.space("32 little"), instructions)
    assert isinstance(tree, Switch)
    assert sum(isinstance(node, Leaf) for node in walk(tree)) == 1024
    assert (tree.low, tree.width) == (25, 7)
