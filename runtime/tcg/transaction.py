"""Makes an instruction a transaction: register writes before something that can fault move behind it (LANGUAGE §4).

Works on the ops of one instruction, after its emitter ran.  Faults are exits inside the body; the body's end is where
the writes are committed.  A register written too early becomes a local for the rest of the instruction: loaded at the
start, read and written in its place, stored at the end.  An entry of a register file at a run-time offset becomes a
pair of locals (offset, value) that reads of the same file look at first; in a loop, the whole file is copied.  The
host's FP flags cannot wait: they are cleared where that is said, and a fault puts them back.
"""

from __future__ import annotations

from runtime.core.env import ENV
from runtime.core.layout import Layout, RegisterLayout
from runtime.core.record import mutable_record
from runtime.tcg.ir import Function, Label, Local, Op, Operand, Temp

#: `symbol` of accesses to env.flags; other runtime fields have none and are not part of the transaction
FLAGS_SYMBOL = "%flags"

_WRITES = frozenset(("st_env", "st_envx", "fpflags_clear"))
_ACCESSES = frozenset(("ld_env", "ld_envx", "st_env", "st_envx"))


@mutable_record
class _Block:
    """ops[start:end] and where control goes from there."""

    start: int
    end: int
    successors: tuple[int, ...] = ()
    faults: bool = False


def _blocks(body: list[Op]) -> list[_Block]:
    starts = {0}
    for position, op in enumerate(body):
        if op.name == "label":
            starts.add(position)
        if op.definition.terminator:
            starts.add(position + 1)
    ordered = sorted(start for start in starts if start < len(body))
    blocks = [_Block(start, end) for start, end in zip(ordered, [*ordered[1:], len(body)], strict=True)]
    entries: dict[Label, int] = {
        body[block.start].labels[0]: number for number, block in enumerate(blocks) if body[block.start].name == "label"
    }
    for number, block in enumerate(blocks):
        last = body[block.end - 1]
        if not last.definition.terminator:
            block.successors = (number + 1,) if number + 1 < len(blocks) else ()
        elif last.labels:
            block.successors = tuple(entries[label] for label in last.labels if label in entries)
        else:
            block.faults = True
    return blocks


def _reaching(blocks: list[_Block], goals: set[int]) -> set[int]:
    """Blocks from which some goal can be reached, goals included."""
    reached = set(goals)
    changed = True
    while changed:
        changed = False
        for number, block in enumerate(blocks):
            if number not in reached and not reached.isdisjoint(block.successors):
                reached.add(number)
                changed = True
    return reached


def _transactional(op: Op) -> bool:
    return op.name in _WRITES and (op.name == "fpflags_clear" or bool(op.symbol))


def sink_writes(function: Function, layout: Layout, body: list[Op], goes_on: bool) -> list[Op]:
    """The instruction's ops with early writes sunk to the end (where control arrives if `goes_on`); `body` itself if
    there is nothing to do."""
    first = next((position for position, op in enumerate(body) if _transactional(op)), None)
    if first is None:
        return body
    last_fault = next((at for at in range(len(body) - 1, -1, -1) if body[at].name == "exit"), -1)
    if last_fault < 0:
        return body
    blocks = _blocks(body)
    faulting = _reaching(blocks, {number for number, block in enumerate(blocks) if block.faults})
    early: list[Op] = []
    looping: set[int] = set()  # ids of ops that may run more than once
    for number, block in enumerate(blocks):
        writes = [op for op in body[block.start : block.end] if _transactional(op)]
        if number in faulting:
            early += writes
        if writes and _cyclic(blocks, number):
            looping |= {id(op) for op in writes}
    if not early:
        return body
    return _Sinker(function, layout, body, early, looping).run(goes_on)


def _cyclic(blocks: list[_Block], number: int) -> bool:
    seen: set[int] = set()
    pending = list(blocks[number].successors)
    while pending:
        at = pending.pop()
        if at == number:
            return True
        if at not in seen:
            seen.add(at)
            pending += blocks[at].successors
    return False


class _Sinker:
    def __init__(self, function: Function, layout: Layout, body: list[Op], early: list[Op], looping: set[int]) -> None:
        self._function = function
        self._layout = layout
        self._body = body
        dynamic = {op.symbol for op in body if op.name in ("ld_envx", "st_envx")}
        #: fixed places (register name, offset) that become locals
        self._cells: dict[tuple[str, int], Local] = {}
        self._widths: dict[tuple[str, int], int] = {}
        #: register files with run-time offsets: pending writes, by op; or a copy of the file
        self._pending: dict[int, tuple[Local, Local]] = {}
        self._pending_files: dict[str, list[Op]] = {}
        self._copies: dict[str, Local] = {}
        self._cleared: Local | None = None
        # Of those in turns of a loop any may be: a later turn reads what one that nothing can fault behind has written.
        in_loops = {op.symbol for op in body if id(op) in looping}
        for op in early:
            if op.name == "fpflags_clear":
                self._cleared = function.local(5)
            elif op.symbol not in dynamic:
                key = (op.symbol, op.offset)
                self._cells.setdefault(key, function.local(op.widths[0]))
                self._widths[key] = op.widths[0]
            elif op.symbol in in_loops:
                self._copies.setdefault(op.symbol, self._copy_of(layout.by_name[op.symbol]))
            else:
                self._pending_files.setdefault(op.symbol, [])
        for op in body:
            if op.name not in ("st_env", "st_envx"):
                continue
            if op.symbol in self._copies:
                self._pending_files.pop(op.symbol, None)
            elif op.symbol in self._pending_files:
                # Later writes to the same file must not be overtaken by the commit of earlier ones.
                self._pending_files[op.symbol].append(op)
                self._pending[id(op)] = (function.local(64), function.local(layout.by_name[op.symbol].width))
        self._out: list[Op] = []
        self._met: set[int] = set()

    def _copy_of(self, file: RegisterLayout) -> Local:
        return self._function.local(file.width, file.count + 1)  # one more stands for the sink

    # ------------------------------------------------------------ small ops

    def _emit(
        self,
        name: str,
        args: tuple[Operand, ...],
        widths: tuple[int, ...],
        width: int = 0,
        offset: int = 0,
        symbol: str = "",
        local: Local | None = None,
        result: Temp | None = None,
    ) -> Temp:
        results = () if not width else (result or self._function.temp(width),)
        self._out.append(Op(name, results, args, widths, offset=offset, symbol=symbol, local=local))
        return results[0] if results else Temp(0, 0)

    def _wide(self, value: Operand, width: int) -> Operand:
        return value if width == 64 or isinstance(value, int) else self._emit("zext", (value,), (width,), 64)

    def _position(self, op: Op) -> tuple[Operand, int]:
        """The byte offset an access names, and its width."""
        return (op.args[0], op.widths[0]) if op.name in ("ld_envx", "st_envx") else (op.offset, 64)

    def _index(self, file: RegisterLayout, op: Op) -> Operand:
        """The entry of the file's copy an access names."""
        value, width = self._position(op)
        if isinstance(value, int):
            return file.count if value == ENV["sink"] else (value - file.offset) // file.stride
        wide = self._wide(value, width)
        relative = self._emit("sub", (wide, file.offset), (64, 64), 64)
        index = self._emit("udiv", (relative, file.stride), (64, 64), 64)
        sunk = self._emit("eq", (wide, ENV["sink"]), (64, 64), 1)
        return self._emit("select", (sunk, file.count, index), (1, 64, 64), 64)

    # ------------------------------------------------------------ the pass

    def run(self, goes_on: bool) -> list[Op]:
        """Prologue, rewritten body, commit."""
        self._prologue()
        for op in self._body:
            self._rewrite(op)
        if goes_on:
            self._commit()
        return self._out

    def _prologue(self) -> None:
        for (symbol, offset), local in self._cells.items():
            now = self._emit("ld_env", (), (), local.width, offset, symbol)
            self._emit("st_local", (now,), (local.width,), local=local)
        for offsets, values in self._pending.values():
            self._emit("st_local", (ENV["sink"],), (64,), local=offsets)
            self._emit("st_local", (0,), (values.width,), local=values)
        for name, local in self._copies.items():
            file = self._layout.by_name[name]
            for number in range(file.count):
                now = self._emit("ld_env", (), (), file.width, file.offset + number * file.stride, name)
                self._emit("st_localx", (number, now), (64, file.width), local=local)
        if self._cleared is not None:
            self._emit("st_local", (0,), (5,), local=self._cleared)

    def _rewrite(self, op: Op) -> None:
        if op.name == "fpflags_clear" and self._cleared is not None:
            self._clear_flags(op, self._cleared)
        elif op.name == "exit" and self._cleared is not None:
            self._restore_flags(self._cleared)
            self._out.append(op)
        elif op.name in _ACCESSES and op.symbol in self._copies:
            file, local = self._layout.by_name[op.symbol], self._copies[op.symbol]
            index = self._index(file, op)
            if op.results:
                self._emit("ld_localx", (index,), (64,), file.width, local=local, result=op.result)
            else:
                self._emit("st_localx", (index, op.args[-1]), (64, file.width), local=local)
        elif op.name in _ACCESSES and op.symbol in self._pending_files:
            self._rewrite_pending(op)
        elif op.name in ("ld_env", "st_env") and (cell := self._cells.get((op.symbol, op.offset))) is not None:
            if op.results:
                self._emit("ld_local", (), (), cell.width, local=cell, result=op.result)
            else:
                self._emit("st_local", op.args, op.widths, local=cell)
        else:
            self._out.append(op)

    def _clear_flags(self, op: Op, cleared: Local) -> None:
        """Clear the host's flags, and remember them: what accrues from here on cannot be told from them later."""
        now = self._emit("fpflags_get", (), (), 5)
        before = self._emit("ld_local", (), (), 5, local=cleared)
        both = self._emit("or", (before, now), (5, 5), 5)
        self._emit("st_local", (both,), (5,), local=cleared)
        self._out.append(op)

    def _restore_flags(self, cleared: Local) -> None:
        """At a fault: flags that were cleared go into the sticky register itself, where they mean the same."""
        sticky = self._layout.sticky
        if sticky is None:
            return
        register = self._layout.by_name[sticky.register]
        width = register.width
        flags = self._emit("ld_local", (), (), 5, local=cleared)
        part = flags if sticky.width == 5 else self._emit("slice", (flags,), (5,), sticky.width)
        wide = part if width == sticky.width else self._emit("zext", (part,), (sticky.width,), width)
        placed = self._emit("shl", (wide, sticky.low), (width, 16), width)
        old = self._emit("ld_env", (), (), width, register.offset, register.name)
        both = self._emit("or", (old, placed), (width, width), width)
        self._emit("st_env", (both,), (width,), offset=register.offset, symbol=register.name)

    def _rewrite_pending(self, op: Op) -> None:
        position, width = self._position(op)
        wide = self._wide(position, width)
        if not op.results:
            offsets, values = self._pending[id(op)]
            self._emit("st_local", (wide,), (64,), local=offsets)
            self._emit("st_local", (op.args[-1],), (values.width,), local=values)
            self._met.add(id(op))
            return
        # The value in env, unless a write before this one in the list names the same entry; the last such wins.
        earlier = [write for write in self._pending_files[op.symbol] if id(write) in self._met]
        if not earlier:
            self._out.append(op)
            return
        found = self._function.temp(op.result.width)
        self._out.append(Op(op.name, (found,), op.args, op.widths, op.offset, symbol=op.symbol))
        for write in earlier:
            offsets, values = self._pending[id(write)]
            pending = self._emit("ld_local", (), (), 64, local=offsets)
            hit = self._emit("eq", (pending, wide), (64, 64), 1)
            value = self._emit("ld_local", (), (), values.width, local=values)
            found = self._emit(
                "select",
                (hit, value, found),
                (1, values.width, values.width),
                values.width,
                result=op.result if write is earlier[-1] else None,
            )

    def _commit(self) -> None:
        for (symbol, offset), local in self._cells.items():
            value = self._emit("ld_local", (), (), local.width, local=local)
            self._emit("st_env", (value,), (local.width,), offset=offset, symbol=symbol)
        for name, writes in self._pending_files.items():
            for write in writes:
                offsets, values = self._pending[id(write)]
                where = self._emit("ld_local", (), (), 64, local=offsets)
                value = self._emit("ld_local", (), (), values.width, local=values)
                self._emit("st_envx", (where, value), (64, values.width), symbol=name)
        for name, local in self._copies.items():
            file = self._layout.by_name[name]
            for number in range(file.count):
                value = self._emit("ld_localx", (number,), (64,), file.width, local=local)
                self._emit("st_env", (value,), (file.width,), offset=file.offset + number * file.stride, symbol=name)
