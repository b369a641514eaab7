"""The Python decoder of an ISA: field extraction and the decision tree as nested `match` statements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gen import decisions, model
from gen.source import INDENT, Chain, Doc, Keyword, call, hexadecimal, identifier, quoted, statement

#: deeper trees go on in a function of their own
DEEPEST = 8


def extraction(layout: model.FieldLayout) -> Doc:
    """A field's value from `fetch`, as a Python expression."""
    parts = []
    for piece in sorted(layout.slices, key=lambda s: -s.field_low):
        moved = f"fetch >> {piece.low}" if piece.low else "fetch"
        bits = f"{moved} & {hexadecimal((1 << piece.width) - 1)}"
        parts.append(f"({bits}) << {piece.field_low}" if piece.field_low else bits)
    return Chain(tuple(parts), " | ") if parts else "0"


def extraction_function(name: str, kind: str, layouts: Sequence[model.FieldLayout]) -> list[str]:
    """`def fields_addi(fetch: int) -> RdRs1Imm:`"""
    arguments = [Keyword(f"{identifier(layout.name)}=", extraction(layout)) for layout in layouts]
    return [f"def fields_{name}(fetch: int) -> {kind}:", *statement("return ", call(kind, *arguments), depth=1)]


class DecoderPrinter:
    """Prints the tree of one space; `fields` and `guard` name the extraction and guard functions of an encoding."""

    def __init__(
        self,
        space: str,
        fields: Callable[[model.Instruction], str],
        guard: Callable[[model.Instruction], str | None],
        prefixes: Sequence[model.Prefix] = (),
        prefix_guards: Mapping[int, str] | None = None,
    ) -> None:
        self._prefixes = prefixes
        self._prefix_guards = prefix_guards or {}
        self._space = space
        self._fields = fields
        self._guard = guard
        self._pending: list[tuple[str, decisions.Node]] = []
        self._lines: list[str] = []
        self._count = 0

    def functions(self, root: decisions.Node) -> list[list[str]]:
        """The functions, the root's first: `decode_<space>(fetch, b)`."""
        printed = []
        self._pending = [(f"_decode_{self._space}", root)]
        while self._pending:
            name, node = self._pending.pop(0)
            self._lines = [f"def {name}(fetch: int, b: Builder) -> Decoded | None:"]
            self._node(node, 1)
            printed.append(self._lines)
        return printed

    def _put(self, depth: int, text: str) -> None:
        self._lines.append(f"{INDENT * depth}{text}")

    def _node(self, node: decisions.Node, depth: int) -> None:
        match node:
            case decisions.Illegal():
                self._put(depth, "return None")
            case decisions.Leaf():
                self._leaf(node, depth)
            case decisions.Switch():
                if depth > DEEPEST:
                    self._count += 1
                    name = f"_decode_{self._space}_{self._count}"
                    self._pending.append((name, node))
                    self._put(depth, f"return {name}(fetch, b)")
                    return
                moved = f"fetch >> {node.low}" if node.low else "fetch"
                self._put(depth, f"match {moved} & {hexadecimal((1 << node.width) - 1)}:")
                for value, child in node.cases.items():
                    self._put(depth + 1, f"case {hexadecimal(value)}:")
                    self._node(child, depth + 2)
                self._put(depth + 1, "case _:")
                self._node(node.default, depth + 2)

    def _leaf(self, leaf: decisions.Leaf, depth: int) -> None:
        certain = False
        for candidate in leaf.candidates:
            remaining = leaf.remaining(candidate)
            if isinstance(candidate, model.Prefix):
                certain = self._prefix(candidate, *remaining, depth)
            else:
                certain = self._candidate(candidate, *remaining, depth)
        if not certain:
            self._put(depth, "return None")

    def _candidate(self, insn: model.Instruction, mask: int, value: int, depth: int) -> bool:
        """True if nothing after it can be reached."""
        fields = f"{self._fields(insn)}(fetch)"
        guard = self._guard(insn)
        tests = [f"fetch & {hexadecimal(mask)} == {hexadecimal(value)}"] if mask else []
        if guard is not None:
            tests.append(f"{guard}(b, {fields})")
        if tests:
            self._lines += statement("if ", Chain(tuple(tests), " and "), ":", depth)
        instruction = f"INSTRUCTIONS[{quoted(insn.name)}]"
        inside = depth + bool(tests)
        if insn.operands:
            # A row may have to fit: if none does, the next candidate is tried.
            found = call("with_operands", instruction, fields, "fetch", "b")
            self._lines += statement("found = ", found, depth=inside)
            self._put(inside, "if found is not None:")
            self._put(inside + 1, "return found")
            return False
        self._lines += statement("return ", call("Decoded", instruction, fields), depth=inside)
        return not tests

    def _prefix(self, prefix: model.Prefix, mask: int, value: int, depth: int) -> bool:
        """What a prefix says, and then the rest of the instruction."""
        number = next(index for index, other in enumerate(self._prefixes) if other is prefix)
        fields, guard = f"fields_prefix_{number}(fetch)", self._prefix_guards.get(number)
        tests = [f"fetch & {hexadecimal(mask)} == {hexadecimal(value)}"] if mask else []
        if guard is not None:
            tests.append(f"{guard}(b, {fields})")
        if tests:
            self._lines += statement("if ", Chain(tuple(tests), " and "), ":", depth)
        inside, length = depth + bool(tests), prefix.pattern.length
        self._put(inside, f"prefix_{number}(b, {fields})")
        self._put(inside, f"return behind(_decode(fetch >> {length}, b), {length // 8})")
        return not tests
