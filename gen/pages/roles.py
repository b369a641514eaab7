"""What the fields of an instruction are for, and what the instruction does to the machine, read off its body."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gen import model
from gen.walk import nodes

__all__ = ["Roles", "Touched"]

_READ, _WRITTEN = "read", "written"
_SLOT_KINDS = {
    "number": "field-imm",
    "hex": "field-imm",
    "plus": "field-imm",
    "either": "field-imm",
    "file": "field-reg",
    "enum": "field-opt",
    "set": "field-reg",
    "optional": "field-opt",
    "sysreg": "field-sys",
    "address": "field-adr",
}

#: (field or parameter, register file, read or written)
_Use = tuple[str, str, str]


@dataclass(slots=True)
class Touched:
    """State an instruction reads and writes without naming it in a field, and how it may end."""

    reads: dict[str, None] = field(default_factory=dict)
    writes: dict[str, None] = field(default_factory=dict)
    loads: dict[str, None] = field(default_factory=dict)
    stores: dict[str, None] = field(default_factory=dict)
    raises: dict[str, None] = field(default_factory=dict)
    jumps: bool = False

    def add(self, other: Touched) -> None:
        for name in ("reads", "writes", "loads", "stores", "raises"):
            getattr(self, name).update(getattr(other, name))
        self.jumps = self.jumps or other.jumps


class Roles:
    """Answers for the instructions of one spec; functions are looked at once each."""

    def __init__(self, spec: model.Spec) -> None:
        self.spec = spec
        self._uses: dict[str, frozenset[_Use]] = {}
        self._touched: dict[str, Touched] = {}
        self._files = {file.name: file for file in spec.files}

    # ------------------------------------------------------------ fields

    def kinds(self, insn: model.Instruction) -> dict[str, str]:
        """The kind of each field: see diagram.FIELD_KINDS."""
        found: dict[str, str] = {}
        for slot in insn.syntax:
            if isinstance(slot, model.Slot) and slot.kind in _SLOT_KINDS:
                for name in _fields(slot.expr):
                    found.setdefault(name, _SLOT_KINDS[slot.kind])
        for operand in insn.operands:
            for name in (name for argument in operand.args for name in _fields(argument)):
                found.setdefault(name, "field-sub")
        used = self.uses(insn)
        for layout in insn.pattern.fields:
            ways = {way for name, _, way in used if name == layout.name}
            if found.get(layout.name) == "field-reg" and ways:
                found[layout.name] = "field-dst" if _WRITTEN in ways else "field-src"
            found.setdefault(layout.name, "field-hid")
        return found

    def uses(self, insn: model.Instruction) -> frozenset[_Use]:
        """Which register files each field picks an entry of, to read or to write."""
        return self._used(insn.body, {layout.name: frozenset({layout.name}) for layout in insn.pattern.fields})

    def _used(self, body: object, start: Mapping[str, frozenset[str]]) -> frozenset[_Use]:
        found: set[_Use] = set()
        known = dict(start)
        for node in nodes(body):
            match node:
                case model.Let():
                    for name in node.names:
                        known[name] = _roots(node.value, known)
                case model.Var():
                    known[node.name] = _roots(node.value, known)
                case model.Assign(place=model.ToLocal() as place):
                    known[place.name] = known.get(place.name, frozenset()) | _roots(node.value, known)
                case model.For():
                    known[node.name] = _roots(node.low, known) | _roots(node.high, known)
                case model.RegFileRead():
                    found |= {(root, node.file, _READ) for root in _roots(node.index, known)}
                case model.ToRegFile():
                    found |= {(root, node.file, _WRITTEN) for root in _roots(node.index, known)}
                case model.Call():
                    found |= self._through(node, known)
                case _:
                    pass
        return frozenset(found)

    def _through(self, call: model.Call, known: Mapping[str, frozenset[str]]) -> set[_Use]:
        function = self.spec.functions[call.function]
        if call.function not in self._uses:
            names = {name: frozenset({name}) for name, _ in function.params}
            self._uses[call.function] = self._used(function.body, names)
        found: set[_Use] = set()
        for (parameter, _), argument in zip(function.params, call.args, strict=True):
            ways = [(file, way) for name, file, way in self._uses[call.function] if name == parameter]
            if ways:
                found |= {(root, file, way) for root in _roots(argument, known) for file, way in ways}
        return found

    # ------------------------------------------------------------ state

    def touched(self, insn: model.Instruction) -> Touched:
        """What the instruction does besides what its fields say."""
        found = self._touches(insn.body)
        for operand in insn.operands:
            for row in operand.alternatives:
                found.add(self._touches((row.before, row.value, row.place, row.write)))
        return found

    def raised(self, body: tuple[model.Stmt, ...]) -> list[str]:
        """The exceptions that statements raise."""
        return list(self._touches(body).raises)

    def _touches(self, root: object) -> Touched:
        found = Touched()
        for node in nodes(root):
            match node:
                case model.RegRead() | model.InputRead():
                    found.reads[node.register if isinstance(node, model.RegRead) else node.input] = None
                case model.ModeRead():
                    found.reads[node.mode] = None
                case model.ToReg():
                    found.writes[node.register] = None
                case model.Accrue():
                    found.writes[node.register] = None
                case model.ToMode():
                    found.writes[node.mode] = None
                case model.RegFileRead(index=model.Const()):
                    found.reads[self._entry(node.file, node.index)] = None
                case model.ToRegFile(index=model.Const()):
                    found.writes[self._entry(node.file, node.index)] = None
                case model.MemRead():
                    found.loads[f"{node.width} bits"] = None
                case model.ToMem():
                    found.stores[f"{node.width} bits"] = None
                case model.Atomic():
                    found.loads[f"{node.width} bits, atomically"] = None
                    found.stores[f"{node.width} bits, atomically"] = None
                case model.Goto():
                    found.jumps = True
                case model.Raise():
                    found.raises[node.exception] = None
                case model.Call():
                    found.add(self._function(node.function))
                case _:
                    pass
        return found

    def _function(self, name: str) -> Touched:
        if name not in self._touched:
            self._touched[name] = self._touches(self.spec.functions[name].body)
        return self._touched[name]

    def _entry(self, name: str, index: model.Expr) -> str:
        file = self._files[name]
        assert isinstance(index, model.Const)
        return file.names[0][index.value] if file.names else f"{name}[{index.value}]"


def _fields(expr: model.Expr) -> Iterable[str]:
    return (node.name for node in nodes(expr) if isinstance(node, model.FieldRef))


def _roots(expr: model.Expr, known: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """The fields and parameters an index is made of; what is read from state is not one of them."""
    found: frozenset[str] = frozenset()
    pending: list[object] = [expr]
    while pending:
        node = pending.pop()
        if isinstance(node, (model.RegFileRead, model.MemRead)):
            continue
        if isinstance(node, (model.FieldRef, model.Local)):
            found |= known.get(node.name, frozenset())
            continue
        pending.extend(_children(node))
    return found


def _children(node: object) -> list[object]:
    """What a value is computed from."""
    match node:
        case model.Unary() | model.Extend() | model.Slice():
            return [node.operand]
        case model.Binary():
            return [node.left, node.right]
        case model.DynSlice():
            return [node.operand, node.low]
        case model.Cat():
            return list(node.parts)
        case model.Select():
            return [node.then, node.otherwise]
        case model.Call() | model.Intrinsic():
            return list(node.args)
        case _:
            return []
