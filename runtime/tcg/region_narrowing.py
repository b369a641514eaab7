"""Registers whose upper half is only the sign of their lower half are kept, and passed on, as their lower half.

Code for 32-bit numbers on a 64-bit guest extends each result by its sign, and seldom looks at the extension: registers
that meet at a label are then extensions on every way in, but for what the region found in them when it was entered.
Such label parameters are narrow here, and so is what bitwise operations make of them.  Ways out, which need all of a
register, extend it; where nothing was written since the region was entered they take it from env, where it still
stands: another parameter, of one bit, tells.  Of the many such bits that are equal LLVM makes one.
"""

from __future__ import annotations

from runtime.core.env import GUEST_STATE
from runtime.tcg.ir import Function, Op, Operand, Temp
from runtime.tcg.ops import OPS, Effect, mask, signed
from runtime.tcg.optimize import blocks_of
from runtime.tcg.region_sinking import exit_blocks

NARROW, WIDE = 32, 64
_BITWISE = ("and", "or", "xor")


def narrow_registers(function: Function) -> bool:
    """Rewrite the function; whether anything was found."""
    return _Narrowing(function).run()


class _Narrowing:
    def __init__(self, function: Function) -> None:
        self._function = function
        self._blocks = blocks_of(function.ops)
        #: where the part of each block begins that only leaves the region
        self._tails = self._find_tails()
        self._made: dict[Operand, Op] = {temp: op for op in function.ops for temp in op.results}
        self._parameters = {op.labels[0]: op.results for op in function.ops if op.name == "label"}
        self._stored = self._find_stored()
        #: what might be narrow -> what it is made of: a parameter of what each way in passes, an op of its operands
        self._sources = self._find_sources()
        #: temps of which something but a way out wants more than the lower half
        self._whole: set[Temp] = set()
        #: what temps go into
        self._into: dict[Temp, set[Temp]] = {}
        self._find_uses()
        #: lower halves; bits that tell whether the whole was written; the load it comes from before that, if any
        self._narrow: dict[Temp, Temp] = {}
        self._written: dict[Temp, Temp] = {}
        self._load: dict[Temp, Op | None] = {}
        #: lower halves of what the region found in registers
        self._halves: dict[Temp, Temp] = {}
        self._replace: dict[Operand, Temp] = {}

    def run(self) -> bool:
        chosen = self._choose()
        if not chosen:
            return False
        for temp in chosen:
            self._narrow[temp] = self._function.temp(NARROW)
            if self._load[temp] is not None:
                self._written[temp] = self._function.temp(1)
        wanted = {value for temp in chosen for value in self._sources[temp]}
        for block, tail in zip(self._blocks, self._tails, strict=True):
            block[:] = [*self._inside(block[:tail], wanted), *self._leaving(block[tail:])]
        for block in self._blocks:
            self._pass_on(block)
        for op in self._function.ops:
            if op.args:
                op.args = tuple([self._replace.get(value, value) for value in op.args])
        self._function.ops[:] = [op for block in self._blocks for op in block]
        return True

    # ------------------------------------------------------------ looking

    def _find_tails(self) -> list[int]:
        exits, shared = exit_blocks(self._blocks)
        self._shared = shared
        alone = set(exits)
        tails = []
        for number, block in enumerate(self._blocks):
            last = block[-1]
            at = len(block)
            if number in alone:
                at = 1
            elif OPS[last.name].effects & Effect.LEAVE or (last.name == "br" and last.labels[0] in shared):
                at -= 1
                while at and block[at - 1].name == "st_env":
                    at -= 1
            tails.append(at)
        return tails

    def _find_stored(self) -> set[int]:
        """Bytes of env that may be written before the region is left."""
        stored: set[int] = set()
        dynamic: set[str] = set()
        #: whether something is called that may write any register that stays in env
        self._opaque = False
        for block, tail in zip(self._blocks, self._tails, strict=True):
            for op in block[:tail]:
                if op.name == "st_env":
                    stored.update(range(op.offset, op.offset + WIDE // 8))
                elif op.name == "st_envx":
                    dynamic.add(op.symbol)
                elif OPS[op.name].writes_state:
                    self._opaque = True
        for op in self._function.ops:
            if op.name == "ld_env" and op.symbol in dynamic:
                stored.add(op.offset)
        return stored

    def _find_sources(self) -> dict[Temp, list[Operand]]:
        found: dict[Temp, list[Operand]] = {}
        for label, parameters in self._parameters.items():
            if label not in self._shared:
                found.update({parameter: [] for parameter in parameters if parameter.width == WIDE})
        for block, tail in zip(self._blocks, self._tails, strict=True):
            for op in block[:tail]:
                if op.name in _BITWISE and op.result.width == WIDE:
                    found[op.result] = list(op.args)
            last = block[-1]
            if last.name == "br":
                for value, parameter in zip(last.args, self._parameters[last.labels[0]], strict=True):
                    if parameter in found:
                        found[parameter].append(value)
        return found

    def _find_uses(self) -> None:
        for block, tail in zip(self._blocks, self._tails, strict=True):
            for op in block[:tail]:
                if op.name == "br":
                    for value, parameter in zip(op.args, self._parameters[op.labels[0]], strict=True):
                        if isinstance(value, Temp):
                            self._into.setdefault(value, set()).add(parameter)
                elif op.name in _BITWISE:
                    for value in op.args:
                        if isinstance(value, Temp):
                            self._into.setdefault(value, set()).add(op.result)
                elif op.name != "slice" or op.offset or op.result.width > NARROW:
                    self._whole.update(value for value in op.args if isinstance(value, Temp))

    # ------------------------------------------------------------ choosing

    def _choose(self) -> set[Temp]:
        """Temps that only ways out want whole, and that are extensions, or what one register held at the beginning."""
        chosen = {temp for temp, sources in self._sources.items() if sources and temp not in self._whole}
        while True:
            loads = self._reaching(chosen)
            bad = {temp for temp in chosen if not self._narrows(temp, chosen, loads)}
            if not bad:
                break
            chosen -= bad
        self._load = {temp: next(iter(loads[temp].values()), None) for temp in chosen}
        return chosen

    def _narrows(self, temp: Temp, chosen: set[Temp], loads: dict[Temp, dict[int, Op]]) -> bool:
        if not self._into.get(temp, set()) <= chosen or len(loads[temp]) > 1:
            return False
        parameter = self._made[temp].name == "label"
        for value in self._sources[temp]:
            if isinstance(value, int):
                if signed(value & mask(NARROW), NARROW) & mask(WIDE) != value:
                    return False
            elif value in chosen:
                if loads[value] and not parameter:
                    return False
            elif not _extends(self._made[value]) and not (parameter and self._loads(self._made[value])):
                return False
        return True

    def _reaching(self, chosen: set[Temp]) -> dict[Temp, dict[int, Op]]:
        """The registers, by place in env, that temps may still be as the region found them."""
        found: dict[Temp, dict[int, Op]] = {temp: {} for temp in chosen}
        changed = True
        while changed:
            changed = False
            for temp, into in found.items():
                before = len(into)
                for value in self._sources[temp]:
                    if isinstance(value, int):
                        continue
                    if value in found:
                        into.update(found[value])
                    elif self._loads(self._made[value]):
                        into[self._made[value].offset] = self._made[value]
                changed = changed or len(into) != before
        return found

    def _loads(self, op: Op) -> bool:
        """Whether the op reads a register that stays in env as it is until the region is left."""
        if op.name != "ld_env" or op.result.width != WIDE or op.offset < GUEST_STATE or self._opaque:
            return False
        return self._stored.isdisjoint(range(op.offset, op.offset + WIDE // 8))

    # ------------------------------------------------------------ rewriting

    def _inside(self, ops: list[Op], wanted: set[Operand]) -> list[Op]:
        kept: list[Op] = []
        for op in ops:
            narrow = self._narrow.get(op.args[0]) if op.name == "slice" and isinstance(op.args[0], Temp) else None
            if narrow is not None:
                op.args, op.widths = (narrow,), (NARROW,)
                if op.result.width == NARROW:
                    self._replace[op.result] = narrow
                    continue
            elif op.name in _BITWISE and op.result in self._narrow:
                halves = tuple([self._half(value) for value in op.args])
                op = Op(op.name, (self._narrow[op.result],), halves, (NARROW, NARROW))
            kept.append(op)
            if op.name == "ld_env" and op.result in wanted and self._loads(op):
                half = self._halves[op.result] = self._function.temp(NARROW)
                kept.append(Op("slice", (half,), (op.result,), (WIDE,)))
        return kept

    def _leaving(self, ops: list[Op]) -> list[Op]:
        """A way out makes whole what it wants."""
        made: list[Op] = []
        whole: dict[Operand, Temp] = {}
        for op in ops:
            for value in op.args:
                if isinstance(value, Temp) and value in self._narrow and value not in whole:
                    whole[value] = self._widen(value, made)
            if op.args:
                op.args = tuple([whole.get(value, value) for value in op.args])
        return [*made, *ops]

    def _widen(self, temp: Temp, made: list[Op]) -> Temp:
        extended = self._function.temp(WIDE)
        made.append(Op("sext", (extended,), (self._narrow[temp],), (NARROW,)))
        load = self._load[temp]
        if load is None:
            return extended
        found, chosen = self._function.temp(WIDE), self._function.temp(WIDE)
        made.append(Op("ld_env", (found,), offset=load.offset, symbol=load.symbol))
        made.append(Op("select", (chosen,), (self._written[temp], extended, found), (1, WIDE, WIDE)))
        return chosen

    def _pass_on(self, block: list[Op]) -> None:
        """The parameters of the block's label, and what its jump passes."""
        label, last = block[0], block[-1]
        if label.name == "label" and not self._narrow.keys().isdisjoint(label.results):
            results: list[Temp] = []
            for temp in label.results:
                results.append(self._narrow.get(temp, temp))
                if temp in self._written:
                    results.append(self._written[temp])
            label.results = tuple(results)
        if last.name != "br" or self._narrow.keys().isdisjoint(self._parameters[last.labels[0]]):
            return
        args: list[Operand] = []
        widths: list[int] = []
        for value, width, parameter in zip(last.args, last.widths, self._parameters[last.labels[0]], strict=True):
            narrow = parameter in self._narrow
            args.append(self._half(value) if narrow else value)
            widths.append(NARROW if narrow else width)
            if parameter in self._written:
                args.append(self._is_written(value))
                widths.append(1)
        last.args, last.widths = tuple(args), tuple(widths)

    def _half(self, value: Operand) -> Operand:
        if isinstance(value, int):
            return value & mask(NARROW)
        if value in self._narrow:
            return self._narrow[value]
        made = self._made[value]
        return made.args[0] if _extends(made) else self._halves[value]

    def _is_written(self, value: Operand) -> Operand:
        if isinstance(value, int):
            return 1
        if value in self._narrow:
            return self._written.get(value, 1)
        return int(not self._loads(self._made[value]))


def _extends(op: Op) -> bool:
    return op.name == "sext" and op.widths[0] == NARROW and op.result.width == WIDE
