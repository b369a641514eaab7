"""The front end: a spec's files in, a checked model.Spec out, or every error found."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gen import encodings, expressions, lints, model, names, statements, tree
from gen.declarations import LONGEST_BYTES, Declarations, State, require_translation_time
from gen.encodings import parse_pattern
from gen.errors import Diagnostics, about_file
from gen.exits import MOST_ARGUMENTS
from gen.formats import field_formats, named_formats, spelled_aliases
from gen.hooks import HOOKS, reached
from gen.instances import InstanceMaker
from gen.instructions import InstructionMaker
from gen.names import Declared, Module
from gen.operands import Formats
from gen.scope import Body, LazyEntity, Program, SysTableEntity, sized_local
from gen.tree import Pos
from gen.values import Failed
from gen.walk import nodes

__all__ = ["check", "check_module"]

#: the exception for words that no encoding takes, if the spec has one of this name; else its first one
ILLEGAL = "Illegal"

#: more bits of modes than this make many copies of each translated block
_MOST_KEY_BITS = 32
#: Python frames
_RECURSION = 20_000


def check(path: Path, search: Sequence[Path] = (), parameters: Mapping[str, int] | None = None) -> model.Spec:
    """Reads and checks a spec; raises SpecError with all errors found."""
    return check_module(names.load(path, search, parameters))


def check_module(module: Module) -> model.Spec:
    """Checks a spec whose names are resolved."""
    limit = sys.getrecursionlimit()
    # Expressions may nest as deep as the parser allows, and functions may call each other within them.
    sys.setrecursionlimit(max(limit, _RECURSION))
    try:
        return _Elaboration(module).run()
    finally:
        sys.setrecursionlimit(limit)


class _Elaboration:
    def __init__(self, module: Module) -> None:
        self.module = module
        self.program = Program(module, Diagnostics(module.sources))
        self.instances = InstanceMaker(self.program)
        self.program.attach(self.instances)

    def run(self) -> model.Spec:
        program, module = self.program, self.module
        declarations = Declarations(program)
        state = declarations.read()
        # Errors in declarations make most bodies wrong in ways nobody wants to read about.
        program.diagnostics.raise_if_any()
        self._require(state)
        declarations.finish()
        named = named_formats(program)
        formats = Formats(field_formats(program, named), named)
        self._lint_bodies()
        spaces = {space.name: space for space in state.spaces}
        maker = InstructionMaker(program, spaces, formats)
        for declared in module.instructions:
            maker.make(declared)
        maker.require_shown()
        prefixes = tuple(self._prefixes(maker))
        reserved = tuple(self._reserved(spaces, maker))
        hooks = self._hooks()
        tests = tuple(self._tests())
        with program.outside_instructions("a pseudo-instruction"):
            aliases = tuple(alias for declared in module.asm for alias in spelled_aliases(program, declared, named))
        fused = tuple(self._fused(maker))
        self._tables()
        self.instances.check_uncalled()
        lazy = tuple(self._lazy())
        final = [self._measured(space, maker.made) for space in state.spaces]
        for space in final:
            words = [word for name, word in reserved if name == space.name]
            encodings.check_space(
                space,
                [i for i in maker.made if i.space == space.name],
                program.diagnostics,
                reserved=words,
                functions=program.instances,
            )
        if not state.memories:
            program.error(
                about_file(module.path), "the spec declares no memory", help="write `memory M : bits(32) endian little`"
            )
        program.diagnostics.raise_if_any()
        assert state.pc is not None
        illegal, exceptions = self._illegal(state)
        self._require_slot(state, maker.made)
        self._check_hooks(hooks, state, maker.made)
        program.diagnostics.raise_if_any()
        spec = model.Spec(
            name=module.name,
            modules=module.isas,
            sources=module.files,
            parameters=dict(module.parameters),
            pc=state.pc,
            registers=tuple(state.registers),
            files=tuple(state.files),
            modes=tuple(state.modes),
            memories=tuple(state.memories),
            inputs=tuple(state.inputs),
            sticky=program.sticky,
            spaces=tuple(final),
            instructions=tuple(maker.made),
            prefixes=prefixes,
            reserved=tuple(word for _, word in reserved),
            functions={},
            hooks=hooks,
            exceptions=exceptions,
            illegal=illegal,
            sysregs=tuple(state.sysregs),
            lazy=lazy,
            asm_aliases=aliases,
            tests=tests,
            fused=fused,
            warnings=self._warnings(state, maker.made),
        )
        return replace(spec, functions=self._reachable(spec))

    def _require_slot(self, state: State, made: list[model.Instruction]) -> None:
        """Delayed instructions need the mode that says that one stands in a slot."""
        first = next((instruction for instruction in made if instruction.delayed), None)
        if first is None:
            return
        slot = next((mode for mode in state.modes if mode.name == model.SLOT), None)
        help = f"write `mode {model.SLOT} : bit next 0`"
        if slot is None:
            message = f"'{first.mnemonic}' is `delayed`, but no mode '{model.SLOT}' is declared"
            self.program.error(first.pos, message, help=help)
        elif slot.width != 1 or not (isinstance(slot.next, model.Const) and slot.next.value == 0):
            message = f"'{model.SLOT}' is set in delay slots: it is one bit, and 0 for the next instruction"
            self.program.error(slot.pos, message, help=help)

    # ------------------------------------------------ bodies outside instructions

    def _lint_bodies(self) -> None:
        module, program = self.module, self.program
        for function in module.functions.values():
            lints.check_body(program, function.decl.body)
        for hook in module.hooks.values():
            lints.check_body(program, hook.decl.body)
        for alias in module.aliases.values():
            lints.check_body(program, alias.decl.set_body)
        for lazy in module.lazies.values():
            for rule in lazy.decl.rules:
                lints.check_body(program, rule.body)
        for prefix in module.prefixes:
            lints.check_body(program, prefix.decl.body)
        for table in module.sysregs.values():
            for row in table.decl.rows:
                lints.check_body(program, row.write_body)

    def _require(self, state: State) -> None:
        """What no spec can do without."""
        here = about_file(self.module.path)
        if state.pc is None:
            self.program.error(here, "the spec declares no pc", help="write `pc PC : bits(32)`")
        if not self.module.spaces:
            self.program.error(here, "the spec declares no instruction space", help="write `decode A : 32 little`")
        self.program.diagnostics.raise_if_any()

    def _hooks(self) -> dict[str, model.HookFn]:
        made: dict[str, model.HookFn] = {}
        for name, declared in self.module.hooks.items():
            if name not in HOOKS:
                hint = self.program.suggest(name, HOOKS) or f"the hooks are {', '.join(HOOKS)}"
                self.program.error(declared.decl.name.pos, f"there is no hook '{name}'", help=hint)
                continue
            with self.program.outside_instructions(f"`on {name}`"):
                made[name] = self._hook(name, declared)
        return made

    def _hook(self, name: str, declared: Declared[tree.Hook]) -> model.HookFn:
        decl = declared.decl
        hook = HOOKS[name]
        takes = [word for word in hook.takes.split(", ") if word]
        most = len(takes) + (MOST_ARGUMENTS if name == "exception" else 0)
        if not len(takes) <= len(decl.params) <= most:
            more = f" and up to {MOST_ARGUMENTS} values" if name == "exception" else ""
            self.program.fail(
                decl.name.pos, f"`on {name}` takes {hook.takes or 'nothing'}{more}, not {len(decl.params)} parameters"
            )
        body = Body(self.program, declared.msb0, name if name in {"reset", "translate"} else "hook")
        if name != "translate":
            body.results = hook.results
        params: list[tuple[str, int]] = []
        for param in decl.params:
            if param.type is None:
                self.program.fail(param.name.pos, "a parameter of a hook needs a type")
            width = expressions.width_of_type(body, param.type)
            chosen = body.fresh(param.name.name)
            body.scopes[0][param.name.name] = sized_local("parameter", width, chosen, param.name.pos, model.Time.R)
            params.append((chosen, width))
        body.scopes.append({})
        errors = len(self.program.diagnostics)
        statements.check_block(body, decl.body)
        block = body.blocks[0]
        must_end = (hook.results or name == "badaddr") and len(self.program.diagnostics) == errors
        if must_end and not statements.returns(block, self.instances.diverges):
            what = {"translate": "return a page or raise", "badaddr": "raise"}.get(name, "return a value")
            self.program.error(decl.name.pos, f"`on {name}` must {what} on every path")
        return model.HookFn(name, tuple(params), tuple(block), decl.pos, hook.results)

    def _check_hooks(self, hooks: Mapping[str, model.HookFn], state: State, made: Sequence[model.Instruction]) -> None:
        """Which memory hooks and instructions may reach, and which hooks may raise."""
        instances = self.program.instances
        physical = {memory.name for memory in state.memories if memory.physical}
        for hook in hooks.values():
            for node in reached(hook.body, instances):
                if isinstance(node, model.Raise) and not HOOKS[hook.name].raises:
                    help = "it is what the machine does when something was raised"
                    self.program.error(
                        hook.pos, f"`on {hook.name}` cannot raise, but {node.exception} may be raised in it", help=help
                    )
                    break
                if (memory := _memory_of(node)) and memory not in physical:
                    help = f"declare one that is physical: `memory P{memory} : bits(56) endian little physical`"
                    self.program.error(
                        hook.pos,
                        f"`on {hook.name}` reaches memory '{memory}', whose addresses it translates",
                        help=help,
                    )
                    break
        seen: set[tuple[Pos, str]] = set()
        for instruction in made if physical else ():
            if (instruction.pos, instruction.mnemonic) not in seen:
                seen.add((instruction.pos, instruction.mnemonic))
                for node in reached(instruction.body, instances):
                    if (memory := _memory_of(node)) in physical:
                        self.program.error(
                            instruction.pos,
                            f"'{instruction.mnemonic}' reaches memory '{memory}', which is physical",
                            help="only hooks do; instructions have the memory in front of it",
                        )
                        break

    def _tests(self) -> list[model.Test]:
        made = []
        for declared in self.module.tests:
            decl = declared.decl
            body = Body(self.program, declared.msb0, "test")
            with self.program.outside_instructions("a test"):
                word = None if decl.word is None else expressions.number_of(body, decl.word, "an encoding")
                statements.check_block(body, decl.given)
                then = None if decl.then is None else expressions.condition(body, decl.then, "what must hold")
                made.append(model.Test(decl.syntax.value, word, tuple(body.blocks[0]), then, decl.pos))
        return made

    def _tables(self) -> None:
        """The accessors of sysregs tables are checked even if no instruction uses them."""
        for entity in list(self.program.entities.values()):
            if isinstance(entity, SysTableEntity):
                body = Body(self.program, entity.declared.msb0, "fn")
                address = model.Local(entity.index_width, "address", model.Time.R)
                value = model.Local(entity.width, "value", model.Time.R)
                with self.program.outside_instructions(f"'{entity.name}'"):
                    self.instances.table_get(body, entity, address, entity.declared.decl.pos)
                with self.program.outside_instructions(f"'{entity.name}'"):
                    self.instances.table_set(body, entity, address, value, entity.declared.decl.pos)

    def _warnings(self, state: State, made: Sequence[model.Instruction]) -> tuple[str, ...]:
        """What is legal but will hurt."""
        found = []
        bits = sum(mode.width for mode in state.modes if not mode.prefix)
        if bits > _MOST_KEY_BITS:
            found.append(f"modes have {bits} bits together: blocks are translated for each combination")
        found += [
            f"{pos.file}:{pos.line}: '{name}' reads operand '{operand}' more than once: as memory, each is a read"
            for name, operand, pos in lints.double_reads(made)
        ]
        return tuple(found)

    def _lazy(self) -> list[model.LazyGroup]:
        made = []
        for entity in self.program.entities.values():
            if not isinstance(entity, LazyEntity):
                continue
            decl = entity.declared.decl
            known = set(self.module.regs)
            for name in decl.registers:
                if name.name not in known:
                    self.program.error(
                        name.pos, f"'{name.name}' is no register", help=self.program.suggest(name.name, known)
                    )
            rules = [
                name
                for key, instances in self.program.made.items()
                if key[:2] == ("rule", decl.name.name)
                for name, instance in instances
                if instance.function is not None
            ]
            made.append(model.LazyGroup(decl.name.name, tuple(name.name for name in decl.registers), tuple(rules)))
        return made

    # ------------------------------------------------ encodings

    def _prefixes(self, maker: InstructionMaker) -> list[model.Prefix]:
        made = []
        for declared in self.module.prefixes:
            decl = declared.decl
            try:
                space = maker.space_called(decl.space, decl.pos, "prefix")
            except Failed:
                continue
            pattern = parse_pattern(decl.pattern, space, maker.widths, {}, self.program.diagnostics, declared.msb0)
            if pattern is None:
                continue
            scope = {layout.name: maker.field(layout, decl.pattern.pos) for layout in pattern.fields}
            with self.program.outside_instructions("a prefix"):
                when = None
                if decl.when is not None:
                    guard = Body(self.program, declared.msb0, "guard", {}, scope)
                    when = expressions.condition(guard, decl.when, "a guard")
                    require_translation_time(guard, when, decl.when, "a guard")
                body = Body(self.program, declared.msb0, "prefix", {}, scope)
                body.scopes.append({})
                statements.check_block(body, decl.body)
                made.append(model.Prefix(space.name, pattern, when, tuple(body.blocks[0]), decl.pos))
        return made

    def _reserved(
        self, spaces: Mapping[str, model.Space], maker: InstructionMaker
    ) -> list[tuple[str, model.ReservedWord]]:
        """(space, word): a reserved word belongs to the space its length fits."""
        made = []
        for declared in self.module.reserved:
            decl = declared.decl
            if len(spaces) != 1:
                self.program.error(decl.pos, "`reserved` is for a spec with one instruction space")
                continue
            (space,) = spaces.values()
            pattern = parse_pattern(decl.pattern, space, maker.widths, {}, self.program.diagnostics, declared.msb0)
            if pattern is not None:
                made.append((space.name, model.ReservedWord(pattern)))
        return made

    def _fused(self, maker: InstructionMaker) -> Iterator[tuple[str, str]]:
        """All pairs of `fuse` declarations, each once."""
        known = {instruction.mnemonic for instruction in maker.made}
        seen: set[tuple[str, str]] = set()
        for declared in self.module.fused:
            for name in (*declared.decl.first, *declared.decl.second):
                if name.name not in known:
                    self.program.error(
                        name.pos,
                        f"`fuse` names '{name.name}', which is no instruction",
                        help=self.program.suggest(name.name, known),
                    )
            for first in declared.decl.first:
                for second in declared.decl.second:
                    pair = first.name, second.name
                    if pair not in seen and known.issuperset(pair):
                        seen.add(pair)
                        yield pair

    def _measured(self, space: model.Space, made: Sequence[model.Instruction]) -> model.Space:
        """A space that does not say `max` allows what its longest encoding needs."""
        if self.module.spaces[space.name].decl.maximum is not None:
            return space
        longest = max(
            (_longest(i.pattern.length, i.operands) for i in made if i.space == space.name), default=space.units[0]
        )
        return replace(space, max_bytes=min(LONGEST_BYTES, max(longest, space.units[-1]) // 8))

    # ------------------------------------------------ the rest

    def _illegal(self, state: State) -> tuple[str, tuple[model.ExceptionDef, ...]]:
        exceptions = tuple(state.exceptions)
        if any(exception.name == ILLEGAL for exception in exceptions):
            return ILLEGAL, exceptions
        if exceptions:
            return exceptions[0].name, exceptions
        assert state.pc is not None
        pos = next(iter(self.module.pcs.values())).decl.pos
        return ILLEGAL, (model.ExceptionDef(ILLEGAL, 0, pos),)

    def _reachable(self, spec: model.Spec) -> dict[str, model.Function]:
        """Functions that something calls; others were made for checking only."""
        found: dict[str, model.Function] = {}
        instances = self.program.instances
        named = [name for group in spec.lazy for name in group.rules]
        named += [name for key, found in self.program.made.items() if key[0] == "table" for name, _ in found]
        pending: list[object] = [
            spec.instructions,
            tuple(spec.hooks.values()),
            spec.spaces,
            spec.modes,
            spec.memories,
            spec.prefixes,
            spec.tests,
            tuple(instances[name] for name in named),
        ]
        while pending:
            for node in nodes(pending.pop()):
                called = node if isinstance(node, model.Function) else None
                if isinstance(node, model.Call):
                    called = instances[node.function]
                if called is not None and called.name not in found:
                    found[called.name] = called
                    pending.append(called.body)
        return {name: function for name, function in instances.items() if name in found}


def _memory_of(node: object) -> str:
    """The memory a node reads or writes; "" if it does neither."""
    return node.memory if isinstance(node, model.MemRead | model.ToMem | model.Atomic | model.Intrinsic) else ""


def _longest(length: int, operands: Sequence[model.BoundOperand]) -> int:
    """Bits of an instruction with its longest operands."""
    return length + sum(
        max((_longest(alt.pattern.length, alt.operands) for alt in operand.alternatives), default=0)
        for operand in operands
    )
