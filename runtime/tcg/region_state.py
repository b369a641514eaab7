"""Guest registers of a region as SSA values: env is read where the region begins and written where it is left.

A *cell* is a register (or entry of a file) that is only ever accessed whole and at an offset known now, or a local.  It
is loaded at the start if some way needs its value, and an exit stores it if some way to there wrote it: exits that
leave by the same op and store the same cells share the code that does, with the values as its label's parameters.
Registers that a run-time index may reach stay in memory, and so do the runtime's own fields of env, but for the modes
and where a delayed branch goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from itertools import pairwise

from runtime.core.env import GUEST_STATE
from runtime.core.layout import LAZY_SYNC, LazyLayout, storage_bytes
from runtime.tcg.ir import Function, Label, Local, Op, Operand, Temp
from runtime.tcg.ops import OPS, Effect
from runtime.tcg.region_flow import Flow

_Key = int | Local
_STATE = ("ld_env", "st_env")
#: bits of a vector register at least, and so many are cleared at once
_VECTOR = 128
_MANY = 8
_LOCAL = ("ld_local", "st_local")


def promote(
    function: Function,
    start: Label,
    fixed: Iterable[str] = (),
    owed: LazyLayout | None = None,
    own: Mapping[int, int | None] | None = None,
) -> None:
    """Rewrite the function.  `start` is where its cells are loaded.  fixed: registers that stay in env, for what the
    region calls reads them.  owed: registers that exits need not store where a rule's number says what they hold.  own:
    the runtime's fields that are cells, too, for nobody looks at them while the region runs, and what they hold at
    its start, if that is known: where they hold that again, exits need not store them."""
    _Promotion(function, start, frozenset(fixed), owed, own or {}).run()


def keep_owing(function: Function, owed: LazyLayout) -> bool:
    """Where nothing reads what the registers of the lazy group held before, do not ask for it; whether that is so.

    What is only read for results that nobody uses counts, so these should have been removed."""
    if any(op.name == "ld_env" and op.symbol in owed.registers for op in function.ops):
        return False
    pay = {
        one.labels[0]
        for one, other in pairwise(function.ops)
        if one.name == "label" and other.name == "call_env" and other.symbol == LAZY_SYNC
    }
    for op in function.ops:
        if op.name == "brcond" and op.labels[0] in pay:
            op.name, op.args, op.widths, op.labels, op.offset = "br", (), (), op.labels[1:], 0
    return True


def _cells(function: Function, fixed: Set[str], own: Mapping[int, int | None]) -> dict[_Key, tuple[int, str]]:
    """Key -> width and register's name, in order of first use."""
    cells: dict[_Key, tuple[int, str]] = {}
    barred: set[_Key] = set()
    dynamic = {op.symbol for op in function.ops if op.name in ("ld_envx", "st_envx")} | fixed
    for op in function.ops:
        if op.name in _STATE:
            if op.offset not in own and (op.offset < GUEST_STATE or not op.symbol):
                continue
            width = op.result.width if op.results else op.widths[0]
            if cells.setdefault(op.offset, (width, op.symbol))[0] != width or op.symbol in dynamic:
                barred.add(op.offset)
        elif op.name in _LOCAL and op.local is not None:
            cells.setdefault(op.local, (op.local.width, ""))
        elif op.local is not None:
            barred.add(op.local)
    barred |= _cleared(function)
    offsets = sorted(key for key in cells if isinstance(key, int))
    for one, other in pairwise(offsets):
        if one + storage_bytes(cells[one][0]) > other:
            barred |= {one, other}
    return {key: value for key, value in cells.items() if key not in barred}


def _cleared(function: Function) -> set[_Key]:
    """Offsets of vector registers that are nowhere read, and only written by instructions that set many to numbers.

    As cells they would all be loaded to be stored by the exits behind, or carried to them past such an instruction: a
    store each where it is done is less."""
    found: set[_Key] = set()
    others: set[_Key] = set()
    here: list[int] = []
    for op in [*function.ops, Op("insn_start", ())]:
        if op.name == "st_env" and op.widths[0] >= _VECTOR and isinstance(op.args[0], int):
            here.append(op.offset)
        elif op.name in _STATE:
            others.add(op.offset)
        elif op.name == "insn_start":
            (found if len(set(here)) >= _MANY else others).update(here)
            here = []
    return found - others


def _bits(mask: int) -> list[int]:
    """Numbers of the bits set."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


class _Promotion:
    def __init__(
        self,
        function: Function,
        start: Label,
        fixed: Set[str],
        owed: LazyLayout | None,
        own: Mapping[int, int | None],
    ) -> None:
        self._function = function
        self._own = own
        self._flow = Flow(function)
        self._start = self._flow.number[start]
        cells = _cells(function, fixed, own)
        self._keys = list(cells)
        self._widths = [width for width, _ in cells.values()]
        self._symbols = [symbol for _, symbol in cells.values()]
        self._number = {key: at for at, key in enumerate(self._keys)}
        self._state = sum(1 << at for at, key in enumerate(self._keys) if isinstance(key, int))
        #: cells of the lazy group, and where the number of its rule stands
        self._group = sum(1 << at for at, name in enumerate(self._symbols) if owed and name in owed.registers)
        self._rule = owed.rule if owed else None
        count = len(self._flow.blocks)
        self._kept = [0] * count  # what its exits are to store at its end, if they are to at its start
        self._stored = [0] * count  # what they are to store anyway
        self._used = [0] * count  # read before the block writes them
        self._written = [0] * count
        self._dirty = [0] * count  # at the block's end: perhaps written since the region was entered, and not owed
        self._live = [0] * count  # at its start
        self._parameters: list[list[int]] = [[] for _ in range(count)]
        self._replace: dict[Temp, Operand] = {}
        #: (op, offset, flag, cells) -> the label of the code that leaves so, or the one exit that does
        self._ways: dict[tuple[str, int, bool, int], list[tuple[int, Op, dict[int, Operand]]]] = {}

    def _cell(self, op: Op) -> int | None:
        if op.name in _STATE:
            return self._number.get(op.offset) if op.symbol or op.offset in self._own else None
        if op.name in _LOCAL and op.local is not None:
            return self._number.get(op.local)
        return None

    def run(self) -> None:
        self._scan()
        self._spread_dirt()
        self._spread_life()
        self._place_parameters()
        self._rename()
        self._leave()
        self._function.ops[:] = [op for block in self._flow.blocks for op in block]

    # ------------------------------------------------------------ analysis

    def _scan(self) -> None:
        for at in self._flow.order:
            used = written = stored = 0
            kept = -1
            for op in self._flow.blocks[at]:
                cell = self._cell(op)
                if cell is None:
                    continue
                if op.results:
                    used |= 1 << cell & ~written
                else:
                    written |= 1 << cell
                    stored |= 1 << cell
                    clean = 0  # what no exit behind need store
                    if op.name == "st_env" and op.args[0] == self._own.get(op.offset):
                        clean = 1 << cell  # it is what stands there
                    if op.offset == self._rule and op.args[0] and isinstance(op.args[0], int) and op.name == "st_env":
                        clean |= self._group
                    kept &= ~clean
                    stored &= ~clean
            self._used[at], self._written[at] = used, written
            self._kept[at], self._stored[at] = kept, stored & self._state

    def _spread_dirt(self) -> None:
        changed = True
        while changed:
            changed = False
            for at in self._flow.order:
                dirty = self._stored[at]
                for before in self._flow.predecessors[at]:
                    dirty |= self._dirty[before] & self._kept[at]
                if dirty != self._dirty[at]:
                    self._dirty[at] = dirty
                    changed = True

    def _spread_life(self) -> None:
        changed = True
        while changed:
            changed = False
            for at in reversed(self._flow.order):
                live = 0
                for after in self._flow.successors[at]:
                    live |= self._live[after]
                if OPS[self._flow.blocks[at][-1].name].effects & Effect.LEAVE:
                    live |= self._dirty[at]
                live = live & ~self._written[at] | self._used[at]
                if live != self._live[at]:
                    self._live[at] = live
                    changed = True

    def _place_parameters(self) -> None:
        """Where different values of a cell meet, and one is wanted."""
        flow = self._flow
        defined = list(self._written)
        defined[self._start] |= self._live[self._start] & self._state
        met = [0] * len(flow.blocks)
        pending = [at for at in flow.order if defined[at]]
        while pending:
            at = pending.pop()
            for join in flow.frontier.get(at, ()):
                fresh = defined[at] & self._live[join] & ~met[join]
                if fresh:
                    met[join] |= fresh
                    if fresh & ~defined[join]:
                        defined[join] |= fresh
                        pending.append(join)
        for at, mask in enumerate(met):
            self._parameters[at] = _bits(mask)

    # ------------------------------------------------------------ renaming

    def _resolve(self, value: Operand) -> Operand:
        return self._replace.get(value, value) if isinstance(value, Temp) else value

    def _rename(self) -> None:
        flow = self._flow
        values: dict[int, dict[int, Operand]] = {}
        splits: list[list[Op]] = []
        for at in flow.order:
            here = dict(values[flow.dominator[at]]) if at else {}
            block = flow.blocks[at]
            kept: list[Op] = []
            if self._parameters[at]:
                label = block[0]
                for number in self._parameters[at]:
                    temp = self._function.temp(self._widths[number])
                    label.results = (*label.results, temp)
                    here[number] = temp
            for op in block:
                cell = self._cell(op)
                if op.args:
                    op.args = tuple([self._resolve(value) for value in op.args])
                if cell is None:
                    kept.append(op)
                    if op.name == "label" and at == self._start:
                        kept += self._loads(here)
                elif op.results:
                    self._replace[op.result] = here.get(
                        cell, 0
                    )  # a local not yet written is read by nothing that counts
                else:
                    here[cell] = op.args[-1]
            block[:] = kept
            values[at] = here
            self._finish(at, block, here, splits)
        # In this order definitions come before uses, which the lowering wants.
        flow.blocks = [*(flow.blocks[at] for at in flow.order), *splits]

    def _loads(self, here: dict[int, Operand]) -> list[Op]:
        loads = []
        for cell in _bits(self._live[self._start] & self._state):
            key = self._keys[cell]
            assert isinstance(key, int)
            known = self._own.get(key)
            if known is not None:
                here[cell] = known
                continue
            temp = self._function.temp(self._widths[cell])
            here[cell] = temp
            loads.append(Op("ld_env", (temp,), offset=key, symbol=self._symbols[cell]))
        return loads

    def _finish(self, at: int, block: list[Op], here: dict[int, Operand], splits: list[list[Op]]) -> None:
        """Give the values to where control goes."""
        last = block[-1]
        if last.name == "br":
            self._give(last, self._flow.number[last.labels[0]], here)
        elif last.name == "brcond":
            targets = []
            for label in last.labels:
                number = self._flow.number[label]
                if not self._parameters[number]:
                    targets.append(label)
                    continue
                between = self._function.label()
                jump = Op("br", labels=(label,))
                self._give(jump, number, here)
                splits.append([Op("label", labels=(between,)), jump])
                targets.append(between)
            last.labels = tuple(targets)
        elif OPS[last.name].effects & Effect.LEAVE:
            way = (last.name, last.offset, last.flag, self._dirty[at])
            self._ways.setdefault(way, []).append((at, last, here))

    def _give(self, jump: Op, target: int, here: dict[int, Operand]) -> None:
        for cell in self._parameters[target]:
            jump.args = (*jump.args, here.get(cell, 0))
            jump.widths = (*jump.widths, self._widths[cell])

    # ------------------------------------------------------------ leaving

    def _leave(self) -> None:
        """Store what may be dirty: once for all exits that store the same and leave alike."""
        of_exit = {id(block[-1]): block for block in self._flow.blocks}
        for (name, offset, flag, mask), exits in self._ways.items():
            cells = _bits(mask)
            if not cells:
                continue
            if len(exits) == 1:
                _, op, here = exits[0]
                block = of_exit[id(op)]
                block[-1:] = [*self._stores(cells, [here[cell] for cell in cells]), op]
                continue
            label = self._function.label("leave")
            widths = (*exits[0][1].widths, *(self._widths[cell] for cell in cells))
            temps = tuple([self._function.temp(width) for width in widths])
            own = len(exits[0][1].widths)
            for _, op, here in exits:
                jump = Op("br", (), (*op.args, *(here[cell] for cell in cells)), widths, labels=(label,))
                of_exit[id(op)][-1] = jump
            way = Op(name, (), temps[:own], exits[0][1].widths, offset=offset, flag=flag)
            self._flow.blocks.append(
                [Op("label", temps, labels=(label,)), *self._stores(cells, list(temps[own:])), way]
            )

    def _stores(self, cells: list[int], values: list[Operand]) -> list[Op]:
        stores = []
        for cell, value in zip(cells, values, strict=True):
            key = self._keys[cell]
            assert isinstance(key, int)
            if isinstance(value, int) and self._own.get(key) == value:  # as it was found
                continue
            stores.append(Op("st_env", (), (value,), (self._widths[cell],), offset=key, symbol=self._symbols[cell]))
        return stores
