"""Lays out what a spec declares: registers, files, modes, memories, inputs, exceptions, spaces; and gives every
declared name its entity."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from gen import expressions, fold, model, sysregs, tree
from gen.names import Declared
from gen.scope import (
    AliasEntity,
    Body,
    Entity,
    FileEntity,
    ForeignField,
    InputEntity,
    LazyEntity,
    Local,
    MemoryEntity,
    ModeEntity,
    OperandEntity,
    PcEntity,
    Program,
    RegisterEntity,
    SpaceEntity,
    SplitEntity,
    SysTableEntity,
    TypeEntity,
)
from gen.tree import Pos
from gen.values import ExceptionValue, Failed, Number, Sized, UserFunction
from runtime.tcg.tb import FETCH_BYTES

D = TypeVar("D")

_RANGE = re.compile(r"(.*?)(\d+)-(\d+)")
#: bytes an instruction may have; of a space that does not say `max` gen/elaborate.py finds the real number
LONGEST_BYTES = FETCH_BYTES
#: bits of addresses, of exceptions' codes and of what is raised with them: what a register of the host has
_WORD_BITS = 64
#: more names than this in one range are surely a mistake
_MOST_NAMES = 4096


@dataclass(slots=True)
class State:
    """The declared state, in order."""

    pc: model.Pc | None = None
    registers: list[model.Register] = field(default_factory=list)
    files: list[model.RegFile] = field(default_factory=list)
    modes: list[model.Mode] = field(default_factory=list)
    memories: list[model.Memory] = field(default_factory=list)
    inputs: list[model.Input] = field(default_factory=list)
    exceptions: list[model.ExceptionDef] = field(default_factory=list)
    sysregs: list[model.SysReg] = field(default_factory=list)
    spaces: list[model.Space] = field(default_factory=list)


def expand_names(program: Program, text: tree.Text) -> list[str]:
    """`zero ra t0-2` is zero ra t0 t1 t2; `~` in a name is a space."""
    names: list[str] = []
    for shown in text.value.split():
        word = shown.replace("~", " ")
        match = _RANGE.fullmatch(word)
        if match is None:
            names.append(word)
            continue
        low, high = int(match[2]), int(match[3])
        if high < low or high - low >= _MOST_NAMES:
            program.error(text.pos, f"'{word}' is no range of names", help="write it as in x0-31")
            continue
        names += [f"{match[1]}{number}" for number in range(low, high + 1)]
    return names


class Declarations:
    """Fills Program.entities and collects the state."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.state = State()

    def read(self) -> State:
        """Everything that bodies may name; expressions in declarations come in `finish`."""
        module, entities = self.program.module, self.program.entities
        for name, number in {**module.parameters, **module.constants}.items():
            entities[name] = Number(number)
        for name, fn in module.functions.items():
            entities[name] = UserFunction(fn)
        for name, alias in module.aliases.items():
            entities[name] = AliasEntity(alias)
        for name, operand in module.operands.items():
            entities[name] = OperandEntity(operand)
        for name, lazy in module.lazies.items():
            entities[name] = LazyEntity(lazy)
        for name, typed in module.types.items():
            entities[name] = TypeEntity(typed)
        for name in module.spaces:
            entities[name] = SpaceEntity(name)
        self._each(module.splits, self._split)
        self._each(module.exceptions, self._exception)
        self._each(module.pcs, self._pc)
        self._each(module.regs, self._register)
        self._each(module.files_of_regs, self._file)
        self._each(module.modes, self._mode)
        self._each(module.prefix_state, self._prefix)
        self._each(module.memories, self._memory)
        self._each(module.inputs, self._input)
        self._each(module.sysregs, self._table)
        for name in module.fields:
            entities.setdefault(name, ForeignField(name))
        for sticky in module.sticky:
            self._each({"": sticky}, lambda _, declared: self._sticky(declared))
        if "exception" in module.hooks:
            self._each({"": module.hooks["exception"]}, lambda _, declared: self._exception_hook(declared))
        return self.state

    def _each(self, table: dict[str, Declared[D]], action: Callable[[str, Declared[D]], None]) -> None:
        """Does something for each declaration of a kind; those with errors are left out."""
        for name, declared in table.items():
            with self.program.outside_instructions(f"'{name}'"):
                action(name, declared)

    def _body(self, msb0: bool) -> Body:
        return Body(self.program, msb0, "fn")

    def _width(self, declared: Declared[object], node: tree.TypeExpr) -> int:
        return expressions.width_of_type(self._body(declared.msb0), node)

    def _address_width(self, declared: Declared[object], node: tree.TypeExpr, what: str) -> int:
        width = self._width(declared, node)
        if width > _WORD_BITS:
            self.program.fail(node.pos, f"{what} has {_WORD_BITS} bits at most; this is bits({width})")
        return width

    def _declare(self, name: str, entity: Entity) -> None:
        self.program.entities[name] = entity

    # ------------------------------------------------ one kind after the other

    def _split(self, name: str, declared: Declared[tree.SplitDecl]) -> None:
        body = self._body(declared.msb0)
        values = tuple(expressions.number_of(body, value, "a value of a split") for value in declared.decl.values)
        if len(set(values)) != len(values):
            self.program.fail(declared.decl.name.pos, f"'{name}' has a value twice")
        entity = SplitEntity(name, values, declared)
        self._declare(name, entity)
        self.program.splits[name] = entity

    def _exception(self, name: str, declared: Declared[tree.ExceptionDecl]) -> None:
        own, code_node = next(item for item in declared.decl.items if item[0].name == name)
        code = expressions.number_of(self._body(declared.msb0), code_node, "an exception's code")
        if code < 0:
            self.program.fail(code_node.pos, "an exception's code is not negative")
        if code >> _WORD_BITS:
            self.program.fail(code_node.pos, f"an exception's code has {_WORD_BITS} bits at most")
        for other in self.state.exceptions:
            if other.code == code:
                self.program.fail(
                    own.pos,
                    f"exception code {code} is taken by '{other.name}'",
                    ((other.pos, f"'{other.name}' is here"),),
                )
        self.state.exceptions.append(model.ExceptionDef(name, code, own.pos))
        self._declare(name, ExceptionValue(name, code))

    def _pc(self, name: str, declared: Declared[tree.PcDecl]) -> None:
        self.state.pc = model.Pc(name, self._address_width(declared, declared.decl.type, "the pc"))
        self._declare(name, PcEntity(self.state.pc))

    def _register(self, name: str, declared: Declared[tree.RegDecl]) -> None:
        decl = declared.decl
        width = self._width(declared, decl.type)
        body = self._body(declared.msb0)
        fields = sysregs.register_fields(body, width, decl.fields)
        reset = self._value(body, decl.reset, width)
        pos = next(own.pos for own in decl.names if own.name == name)
        register = model.Register(name, width, fields, reset, pos)
        self.state.registers.append(register)
        self._declare(name, RegisterEntity(register))

    def _value(self, body: Body, node: tree.Expr | None, width: int) -> int:
        """A constant that fits a width; 0 when there is none."""
        if node is None:
            return 0
        value = expressions.sized(body, node, width, f"bits({width}) is declared")
        if not isinstance(value, model.Const):
            body.fail(node.pos, "this must be known at generation")
        return value.value

    def _file(self, name: str, declared: Declared[tree.RegsDecl]) -> None:
        decl = declared.decl
        body = self._body(declared.msb0)
        width = self._width(declared, decl.type)
        count = expressions.number_of(body, decl.count, "the number of registers")
        if not 1 <= count <= 1 << 16:
            body.fail(decl.count.pos, f"{count} registers")
        zero = None
        if decl.zero is not None:
            zero = expressions.number_of(body, decl.zero, "the entry that is always 0")
            if not 0 <= zero < count:
                body.error(decl.zero.pos, f"'{name}' has entries 0 to {count - 1}; there is no {zero}")
                zero = None
        spellings = []
        for text in decl.names:
            names = tuple(expand_names(self.program, text))
            if len(names) != count:
                body.error(text.pos, f"'{name}' has {count} entries, these are {len(names)} names")
            elif len(set(names)) != count:
                twice = next(n for n in names if names.count(n) > 1)
                body.error(text.pos, f"'{twice}' is named twice")
            else:
                spellings.append(names)
        parts = tuple(self._parts(body, decl, width, count, {word for names in spellings for word in names}))
        file = model.RegFile(name, width, count, zero, tuple(spellings), decl.name.pos, parts)
        self.state.files.append(file)
        self._declare(name, FileEntity(file))

    def _parts(
        self, body: Body, decl: tree.RegsDecl, width: int, count: int, taken: set[str]
    ) -> Iterator[tuple[str, int, int, int]]:
        """Name, entry, lowest bit and width of each part that has a name."""
        for part in decl.parts:
            names = expand_names(self.program, tree.Text(part.name.name, part.name.pos))
            bits = sysregs.register_fields(body, width, (part,))
            if len(names) > count:
                message = f"'{decl.name.name}' has {count} entries, these are {len(names)} names"
                body.error(part.name.pos, message)
                continue
            for entry, name in enumerate(names):
                if name == "_":
                    continue
                if name in taken:
                    body.error(part.name.pos, f"'{name}' is named twice")
                taken.add(name)
                yield from ((name, entry, field.low, field.width) for field in bits)

    def _mode(self, name: str, declared: Declared[tree.ModeDecl]) -> None:
        decl = declared.decl
        width = self._width(declared, decl.type)
        reset = self._value(self._body(declared.msb0), decl.reset, width)
        pos = next(own.pos for own in decl.names if own.name == name)
        self.state.modes.append(model.Mode(name, width, reset, None, False, pos, decl.machine))
        self._declare(name, ModeEntity(name, width))

    def _prefix(self, name: str, declared: Declared[tree.PrefixesDecl]) -> None:
        own, typed = next(item for item in declared.decl.names if item[0].name == name)
        width = self._width(declared, typed)
        self.state.modes.append(model.Mode(name, width, 0, None, True, own.pos))
        self._declare(name, ModeEntity(name, width))

    def _memory(self, name: str, declared: Declared[tree.MemoryDecl]) -> None:
        width = self._address_width(declared, declared.decl.address, "an address")
        decl = declared.decl
        self.state.memories.append(model.Memory(name, width, model.Const(1, 0), decl.name.pos, decl.physical))
        self._declare(name, MemoryEntity(name, width))

    def _input(self, name: str, declared: Declared[tree.InputDecl]) -> None:
        width = self._width(declared, declared.decl.type)
        pos = next(own.pos for own in declared.decl.names if own.name == name)
        self.state.inputs.append(model.Input(name, width, pos))
        self._declare(name, InputEntity(name, width))

    def _table(self, name: str, declared: Declared[tree.SysRegsDecl]) -> None:
        decl = declared.decl
        index_width = expressions.number_of(self._body(declared.msb0), decl.width, "the width of addresses")
        width = self._width(declared, decl.type)
        if not 1 <= index_width <= 64:
            self.program.fail(decl.width.pos, f"addresses of bits({index_width})")
        rows, storage, listed = sysregs.rows_of(self.program, declared, index_width, width)
        for row in rows:
            if row.name in self.program.entities:
                self.program.error(row.pos, f"'{row.name}' is declared already")
            self._declare(row.name, row)
        self.state.registers += storage
        self.state.sysregs += listed
        self._declare(name, SysTableEntity(name, index_width, width, declared, tuple(rows)))

    def _sticky(self, declared: Declared[tree.Sticky]) -> None:
        decl = declared.decl
        entity = self.program.entities.get(decl.register.name)
        register = (
            entity.register
            if isinstance(entity, RegisterEntity)
            else next((r for r in self.state.registers if r.name == decl.register.name), None)
        )
        if register is None:
            self.program.fail(
                decl.register.pos,
                f"'{decl.register.name}' is no register",
                help=self.program.suggest(decl.register.name, [r.name for r in self.state.registers]),
            )
        if self.program.sticky is not None:
            self.program.fail(decl.pos, "there is one `sticky` already")
        low, width = 0, register.width
        if decl.field is not None:
            part = next((part for part in register.fields if part.name == decl.field.name), None)
            if part is None:
                self.program.fail(
                    decl.field.pos,
                    f"'{register.name}' has no field '{decl.field.name}'",
                    help=self.program.suggest(decl.field.name, [p.name for p in register.fields]),
                )
            low, width = part.low, part.width
        self.program.sticky = model.StickyBits(register.name, low, width)

    def _exception_hook(self, declared: Declared[tree.Hook]) -> None:
        """`on exception(code, …)` fixes how many values `raise` takes, and their widths."""
        decl = declared.decl
        if not decl.params:
            self.program.fail(decl.pos, "`on exception` takes the code first", help="on exception(code : bits(5))")
        found = []
        for param in decl.params:
            if param.type is None:
                self.program.fail(param.name.pos, "a parameter of a hook needs a type")
            found.append(self._width(declared, param.type))
            if found[-1] > _WORD_BITS:
                self.program.fail(param.type.pos, f"an exception tells {_WORD_BITS} bits at most, not {found[-1]}")
        self.program.exception_widths = tuple(found[1:])
        for exception in self.state.exceptions:
            if exception.code >> found[0]:
                self.program.error(
                    exception.pos,
                    f"code {exception.code} does not fit in bits({found[0]})",
                    ((decl.params[0].name.pos, "`on exception` takes it here"),),
                )

    # ------------------------------------------------ expressions over state

    def finish(self) -> None:
        """`next` of modes, `endian` of memories, the spaces."""
        module = self.program.module
        for index, mode in enumerate(self.state.modes):
            declared = module.modes.get(mode.name)
            if declared is not None and declared.decl.next is not None:
                with self.program.outside_instructions(f"'{mode.name}'"):
                    self.state.modes[index] = self._with_next(mode, declared)
        for index, memory in enumerate(self.state.memories):
            memory_decl = module.memories[memory.name]
            with self.program.outside_instructions(f"'{memory.name}'"):
                big = self._endian(self._guard(memory_decl.msb0, {}), memory_decl.decl.endian)
                self.state.memories[index] = replace(memory, big=big)
        self._each(module.spaces, self._space)

    def _with_next(self, mode: model.Mode, declared: Declared[tree.ModeDecl]) -> model.Mode:
        node = declared.decl.next
        assert node is not None
        body = self._guard(declared.msb0, {})
        value = expressions.sized(body, node, mode.width, f"'{mode.name}' is bits({mode.width})")
        require_translation_time(body, value, node, f"the next value of '{mode.name}'")
        return replace(mode, next=value)

    def _guard(self, msb0: bool, outer: dict[str, Local]) -> Body:
        return Body(self.program, msb0, "guard", {}, outer)

    def _endian(self, body: Body, node: tree.Expr) -> model.Expr:
        """1 when big: `little`, `big`, or a choice between them by modes."""
        if isinstance(node, tree.Name) and node.name in {"little", "big"}:
            return fold.const(1, int(node.name == "big"))
        if isinstance(node, tree.IfExpr):
            chosen = self._endian(body, node.otherwise)
            for test, value in reversed(node.arms):
                condition = expressions.condition(body, test)
                require_translation_time(body, condition, test, "the byte order")
                chosen = fold.select(condition, self._endian(body, value), chosen)
            return chosen
        body.fail(
            node.pos, "the byte order is `little` or `big`", help="or chosen by a mode: if E then big else little"
        )

    def _space(self, name: str, declared: Declared[tree.DecodeDecl]) -> None:
        decl = declared.decl
        units = tuple(sorted(unit.value for unit in decl.units))
        for unit in decl.units:
            if unit.value < 8 or unit.value % 8:
                self.program.fail(unit.pos, f"a unit has whole bytes, not {unit.value} bits")
            if unit.value > 8 * LONGEST_BYTES:
                self.program.fail(unit.pos, f"a unit has {8 * LONGEST_BYTES} bits at most, not {unit.value}")
        if decl.order.name not in {"little", "big"}:
            self.program.fail(decl.order.pos, f"'{decl.order.name}' is no byte order", help="write little or big")
        fields = known_fields(self.program)
        when = where = predicate = None
        if decl.when is not None:
            body = self._guard(declared.msb0, {})
            when = expressions.condition(body, decl.when)
            require_translation_time(body, when, decl.when, "when a space is active")
        if decl.where is not None:
            body = self._guard(declared.msb0, fields)
            where = expressions.condition(body, decl.where)
            require_translation_time(body, where, decl.where, "what holds for a space's fields")
        if decl.predicate is not None:
            predicate = expressions.condition(self._guard(declared.msb0, fields), decl.predicate)
        most = LONGEST_BYTES
        if decl.maximum is not None:
            most = expressions.number_of(self._body(declared.msb0), decl.maximum, "the longest instruction")
            if not units[-1] <= 8 * most <= 8 * LONGEST_BYTES:
                bounds = f"{units[-1] // 8} to {LONGEST_BYTES}"
                self.program.fail(decl.maximum.pos, f"the longest instruction has {bounds} bytes here, not {most}")
        self.state.spaces.append(
            model.Space(name, units, decl.order.name == "big", when, predicate, most, decl.name.pos, where)
        )


def require_translation_time(body: Body, expr: model.Expr, node: tree.Expr, what: str) -> None:
    if body.time_of(expr) == model.Time.R:
        body.fail(
            node.pos,
            f"{what} must be known at translation; this is known only at run time",
            help="only modes, prefixes, fields and the pc may be read here",
        )


# ---------------------------------------------------------------- encoding fields


def field_width(program: Program, name: str) -> int | None:
    """The declared width of an encoding field; None when the pattern gives it."""
    declared = program.module.fields[name]
    decl = declared.decl
    if decl.width is not None:
        return decl.width.value
    if decl.kind != "file" or decl.target is None:
        return None
    entity = program.entities.get(decl.target.name)
    if isinstance(entity, FileEntity):
        return entity.index_width
    if isinstance(entity, SysTableEntity):
        return entity.index_width
    if isinstance(entity, AliasEntity):
        first = next((param for param in entity.index_params if param.width is not None), None)
        if first is not None and first.width is not None:
            try:
                return expressions.number_of(Body(program, False, "fn"), first.width, "the width of an index")
            except Failed:
                return None
    hint = program.suggest(
        decl.target.name,
        [
            key
            for key, value in program.entities.items()
            if isinstance(value, FileEntity | SysTableEntity | AliasEntity)
        ],
    )
    program.error(
        decl.target.pos,
        f"'{decl.target.name}' is no register file, alias with an index, or sysregs table",
        help=hint or "the other kinds are a width (5), `signed`, and a width with names",
    )
    return None


def is_signed(decl: tree.FieldDecl) -> bool:
    """Declared `signed`."""
    return decl.kind == "format" and decl.target is not None and decl.target.name == "signed"


def known_fields(program: Program) -> dict[str, Local]:
    """Declared fields of known width, for predicates, which speak of any encoding of a space."""
    found: dict[str, Local] = {}
    for name, declared in program.module.fields.items():
        width = field_width(program, name)
        if width is not None:
            found[name] = field_local(name, width, is_signed(declared.decl), declared.decl.pos)
    return found


def field_local(name: str, width: int, signed: bool, pos: Pos, model_name: str = "") -> Local:
    """A field in scope."""
    return Local("field", Sized(model.FieldRef(width, model_name or name), signed), pos, "", width)
