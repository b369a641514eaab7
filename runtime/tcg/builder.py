"""The TCG builder generated emitters are written against: guest state, control transfer, instruction boundaries.

A driver makes one for a function, then for each guest instruction calls begin_instruction, the instruction's emitter
with its decoded fields, and end_instruction.  With fields that are ints that translates a block; with fields that are
Deferreds and the hooks overridden (regfile_offset, defer, materialise, decide, finish_*), it makes a native handler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from runtime.core.env import ENV, Exit
from runtime.core.layout import Layout, ModeLayout, RegisterLayout
from runtime.tcg.control import SELDOM
from runtime.tcg.ir import Deferred, Function, InternalError, Operand, Temp, Value
from runtime.tcg.memory import MemoryBuilder
from runtime.tcg.ops import mask
from runtime.tcg.transaction import FLAGS_SYMBOL, sink_writes
from runtime.tcg.values import same, width_of

__all__ = ["Builder", "Value"]

#: env.npc in the slot of a branch that is not taken
NOT_TAKEN = mask(64)
# What becomes of control at the end of the instruction; a static goto's kind is its slot number + 1.
NEXT, WAIT, RUN_TIME = 0, 254, 255
#: the argument of @tlb_flush that means every address
EVERYWHERE = mask(64)


class Builder(MemoryBuilder):
    """See the module; `bad_address(builder, access, address)` is the spec's `on badaddr`."""

    def __init__(
        self,
        layout: Layout,
        function: Function,
        bad_address: Callable[[Builder, Value, Value], object] | None = None,
    ) -> None:
        super().__init__(layout, function, bad_address)  # type: ignore[arg-type]  # it is only ever called with self
        # Per instruction, set by the driver (begin_instruction's arguments):
        self.pc_value: Value = 0
        self.next_pc_value: Value = 0
        self.index_value: Value = 0
        #: whether the instruction just built (or being built) ends its TB
        self.ends_block = False
        #: static targets of this instruction's gotos, by slot number
        self.targets: list[Value] = []
        self._kinds_used: set[int] = set()
        self._kind = self.var(8, NEXT)
        self._target = self.var(layout.pc_width, 0)
        #: what a delayed instruction leaves in env.npc
        self._pending = self.var(64, NOT_TAKEN)
        self._delayed = False
        #: targets of its gotos that wait for the end of the slot
        self._delayed_targets: list[Value] = []
        #: of the instruction before, if it was a delayed one: where it goes, None if only env.npc says
        self._slot_target: Value | None = None
        self._in_slot: Value = 0
        self._prefixes = frozenset(mode.name for mode in layout.modes if mode.prefix)
        #: whether this instruction has written what translation, or interrupts, depend on
        self._remapped = self.var(1, 0)
        self._rerouted = self.var(1, 0)
        self.implicit = (self._kind, self._target, self._pending, self._remapped, self._rerouted)
        self._start = 0
        self._restartable = False

    # ------------------------------------------------------------ what drivers override

    def regfile_offset(self, file: RegisterLayout, index: Value) -> Value:
        """Byte offset in env of the entry to read."""
        width = max(1, (file.count - 1).bit_length(), width_of(index, 1))
        wide = self.zext(index, width, 64)
        return self.add(64, self.mul(64, wide, file.stride), file.offset)

    def regfile_write_offset(self, file: RegisterLayout, index: Value) -> Value:
        """Byte offset in env of the entry to write: the sink for the hard-wired one."""
        offset = self.regfile_offset(file, index)
        if file.zero is None:
            return offset
        return self.select(64, self.eq(64, offset, file.offset + file.zero * file.stride), ENV["sink"], offset)

    def initial_mode(self, name: str) -> Value:
        """A mode this instruction has not written and `modes` does not know."""
        return self._mode_in_flags(name)

    def budget(self) -> Operand:
        """Instructions left to run when the TB was entered."""
        return self.emit1("ld_budget", (), (), 64)

    def slot_offset(self, slot: int) -> int:
        """Where in the op record the jump slot stands; 48 bytes each, after the handler's address."""
        return 8 + 48 * slot

    def finish_next(self) -> None:
        """The instruction is over and control goes on to the next: in this TB, or by a jump slot if it ends here."""
        if self.ends_block:
            self.finish_goto(len(self.targets), self.next_pc_value)

    def finish_goto(self, slot: int, target: Value) -> None:
        """The TB ends with a jump to a target known at translation time."""
        left = self.spend(target)
        self.emit("goto_tb", (left,), (64,), offset=self.slot_offset(slot))

    def finish_goto_ptr(self, target: Value) -> None:
        """The TB ends with a jump to a run-time target."""
        left = self.spend(target)
        self.emit("goto_ptr", (target, left), (self.layout.pc_width, 64))

    def finish_wait(self) -> None:
        """The TB ends and the vCPU sleeps."""
        self.emit("exit", (self.after_pc(), self.budget_after()), (self.layout.pc_width, 64), offset=Exit.WAIT)

    def guarded(self, predicate: Callable[[Builder, Any], Value], fields: object) -> Iterator[None]:
        """The body of an instruction whose space has a predicate: built once, for when that holds."""
        for holds in self.If(predicate(self, fields)):
            if holds:
                yield

    # ------------------------------------------------------------ registers

    def _register(self, name: str) -> RegisterLayout:
        return self.layout.by_name[name]

    def _raw(self, register: RegisterLayout) -> Temp:
        return self.emit1("ld_env", (), (), register.width, offset=register.offset, symbol=register.name)

    def get_reg(self, name: str) -> Value:
        """A register; one with sticky bits includes what the host's FP unit has accrued."""
        register = self._register(name)
        value: Value = self._raw(register)
        sticky = self.layout.sticky
        if sticky is not None and sticky.register == name:
            flags = self.emit1("fpflags_get", (), (), 5)
            wide = self.zext(self.slice(flags, 5, 0, sticky.width), sticky.width, register.width)
            value = self.or_(register.width, value, self.shl(register.width, wide, sticky.low, 8))
        return value

    def set_reg(self, name: str, value: Value) -> None:
        """Write a register; one with sticky bits takes over from the host's FP unit."""
        register = self._register(name)
        self._wrote(name)
        self.emit("st_env", (value,), (register.width,), offset=register.offset, symbol=name)
        if self.layout.sticky is not None and self.layout.sticky.register == name:
            self.emit("fpflags_clear")

    def accrue(self, name: str, low: int, width: int, value: Value) -> None:
        """Or `value` into a register's sticky bits; what the host accrued stays where it is."""
        if isinstance(value, int) and value == 0:
            return
        register = self._register(name)
        shifted = self.shl(register.width, self.zext(value, width, register.width), low, 16)
        merged = self.or_(register.width, self._raw(register), shifted)
        self.emit("st_env", (merged,), (register.width,), offset=register.offset, symbol=name)

    def get_regfile(self, name: str, index: Value) -> Value:
        """An entry of a register file."""
        file = self._register(name)
        if isinstance(index, int):
            if index == file.zero:
                return 0
            return self.emit1("ld_env", (), (), file.width, offset=file.offset + index * file.stride, symbol=name)
        offset = self.regfile_offset(file, index)
        if isinstance(offset, int):
            return self.emit1("ld_env", (), (), file.width, offset=offset, symbol=name)
        return self.emit1("ld_envx", (offset,), (width_of(offset, 64),), file.width, symbol=name)

    def set_regfile(self, name: str, index: Value, value: Value) -> None:
        """Write an entry of a register file; nothing for the hard-wired one."""
        file = self._register(name)
        self._wrote(name)
        if isinstance(index, int):
            if index != file.zero:
                offset = file.offset + index * file.stride
                self.emit("st_env", (value,), (file.width,), offset=offset, symbol=name)
            return
        at = self.regfile_write_offset(file, index)
        if isinstance(at, int):
            if at != ENV["sink"]:
                self.emit("st_env", (value,), (file.width,), offset=at, symbol=name)
        else:
            self.emit("st_envx", (at, value), (width_of(at, 64), file.width), symbol=name)

    def lazy(self, rule: int, *arguments: tuple[Value, int]) -> bool:
        """Before a rule of a lazy group: whether its work is put off, and need not be done now."""
        return False

    def _wrote(self, name: str) -> None:
        if self.layout.machine and not self.dead:
            if name in self.layout.translation_registers:
                # The next instruction may lie elsewhere already: it is looked up anew.
                self._remapped.value = self._rerouted.value = 1
            if name in self.layout.interrupt_registers:
                self._rerouted.value = 1

    def get_input(self, name: str) -> Value:
        """A wire from the platform."""
        for wire, width, offset in self.layout.inputs:
            if wire == name:
                return self.emit1("ld_env", (), (), width, offset=offset)
        raise KeyError(name)

    def sync_state(self) -> None:
        """Fold what the host's FP unit has accrued into the sticky register."""
        if self.layout.sticky is not None:
            name = self.layout.sticky.register
            self.set_reg(name, self.get_reg(name))

    # ------------------------------------------------------------ modes

    def get_mode(self, name: str) -> Value:
        """A mode's value for this instruction, or as just written."""
        if name not in self.modes:
            return self.initial_mode(name)
        known = self.modes[name]
        return self._mode_in_flags(name) if known is None else known

    def _mode_in_flags(self, name: str) -> Value:
        mode = self.layout.mode(name)
        flags = self.emit1("ld_env", (), (), 64, offset=ENV["flags"], symbol=FLAGS_SYMBOL)
        return self.slice(flags, 64, mode.shift, mode.width)

    def set_mode(self, name: str, value: Value) -> None:
        """Write a mode.  Unless the new value is known at translation time the TB ends with this instruction."""
        if self.dead:
            return
        mode = self.layout.mode(name)
        if mode.prefix:
            self.modes[name] = value
            return
        known = self.modes.get(name)
        if known is not None and same(known, value):
            return
        # Another way of translating addresses begins with another block, which is looked up anew.
        moves = self.layout.machine and name in self.layout.translation
        self.modes[name] = None if moves or isinstance(value, Temp) else value
        self._store_mode(mode, value, moves)
        if self.layout.machine and name in self.layout.interrupt:
            self._rerouted.value = 1

    def _store_mode(self, mode: ModeLayout, value: Value, moves: bool = False) -> None:
        together: Value | None = 0
        for each in self.layout.modes:
            known = self.modes.get(each.name)
            if moves and each is mode and not isinstance(value, Temp):
                known = value
            if each.prefix:
                continue
            if known is None or together is None:
                together = None
                break
            together = self.or_(64, together, self.shl(64, self.zext(known, each.width, 64), each.shift, 8))
        if together is not None:
            self.store_flags(together)
            return
        flags = self.emit1("ld_env", (), (), 64, offset=ENV["flags"], symbol=FLAGS_SYMBOL)
        others = self.and_(64, flags, mask(64) ^ mask(mode.width) << mode.shift)
        shifted = self.shl(64, self.zext(value, mode.width, 64), mode.shift, 8)
        self.emit("st_env", (self.or_(64, others, shifted),), (64,), offset=ENV["flags"], symbol=FLAGS_SYMBOL)

    def store_flags(self, flags: Value) -> None:
        """Set all modes at once, to a value known at translation time."""
        self.emit("st_env", (flags,), (64,), offset=ENV["flags"], symbol=FLAGS_SYMBOL)

    # ------------------------------------------------------------ pc, clocks, helpers

    def pc(self) -> Value:
        """Address of this instruction."""
        return self.pc_value

    def next_pc(self) -> Value:
        """Address of the next instruction."""
        return self.next_pc_value

    def after_pc(self) -> Value:
        """Where control goes after this instruction unless it says otherwise: in a slot, where the branch goes."""
        if isinstance(self._in_slot, int) and not self._in_slot:
            return self.next_pc_value
        return self.select(self.layout.pc_width, self._in_slot, self._after_slot(), self.next_pc_value)

    def instret(self) -> Value:
        """Instructions executed so far, this one excluded."""
        base = self.emit1("ld_env", (), (), 64, offset=ENV["budget_base"])
        return self.sub(64, base, self.budget_here())

    def time(self) -> Value:
        """The platform's clock if there is one, or the host's, in its ticks."""
        if self.layout.machine:
            return self.emit1("clock", (self.instret(),), (64,), 64)
        return self.emit1("host_time", (), (), 64)

    def call(
        self, helper: str, args: tuple[tuple[Value, int], ...], results: tuple[int, ...], pure: bool = True
    ) -> Value | tuple[Value, ...]:
        """Call a helper; gives its value, or a tuple of them."""
        values = tuple([value for value, _ in args])
        widths = tuple([width for _, width in args])
        temps = self.emit("call", values, widths, results, symbol=helper, flag=pure)
        return temps if len(temps) != 1 else temps[0]

    def call_env(self, function: str, *args: Value, results: tuple[int, ...] = ()) -> tuple[Temp, ...]:
        """Call a function of the engine; arguments have 64 bits."""
        return self.emit("call_env", args, (64,) * len(args), results, symbol=function)

    def ret(self, values: tuple[Value, ...]) -> None:
        """Return from a plain function."""
        self.emit("ret", values, self.function.results)

    # ------------------------------------------------------------ one-shot modes and delay slots

    def delayed(self) -> None:
        """This instruction's gotos wait for the end of the next one."""
        self._delayed = True

    def next_mode(self, name: str, value: Value) -> None:
        """The instruction is over and has not set this one-shot mode: it gets the value it has for the next one."""
        known = self.modes.get(name)
        if not self.dead and (known is None or not same(known, value)):
            self.set_mode(name, value)

    def leave_slot(self) -> None:
        """The instruction is over: if it stood in a delay slot, the branch before it takes effect."""
        if self.dead or (isinstance(self._in_slot, int) and not self._in_slot):
            return
        slot = self.layout.slot
        assert slot is not None
        self.set_mode(slot, 0)
        for stays in self.If(self.eq(8, self._kind.value, NEXT)):
            if stays:
                self._take_branch()

    def _take_branch(self) -> None:
        """Go where the branch before this slot goes."""
        if self._slot_target is None:
            self._goto_now(self.operand(self._after_slot(), self.layout.pc_width))
            return
        for taken in self.If(self.ne(64, self._npc(), NOT_TAKEN)):
            if taken:
                self._goto_now(self._slot_target)

    def _after_slot(self) -> Value:
        npc, width = self._npc(), self.layout.pc_width
        there = self.slice(npc, 64, 0, width)
        return self.select(width, self.eq(64, npc, NOT_TAKEN), self.next_pc_value, there)

    def _npc(self) -> Value:
        """Where the branch before this slot goes."""
        return self.emit1("ld_env", (), (), 64, offset=ENV["npc"])

    def _stays(self) -> bool:
        """Whether control certainly goes on to the next instruction here."""
        return isinstance(self._kind.value, int) and self._kind.value == NEXT

    def _enter_slot(self) -> None:
        """A delayed instruction is over, and control goes on to its slot."""
        slot = self.layout.slot
        assert slot is not None
        # In a slot itself: the first one's target comes next, and is the second one's slot.
        target = None if self.known(self._in_slot) is False else self.operand(self.after_pc(), self.layout.pc_width)
        self.emit("st_env", (self._pending.value,), (64,), offset=ENV["npc"])
        self.set_mode(slot, 1)
        if target is None:
            self.finish_next()
        else:
            self.ends_block = True
            self.finish_goto_ptr(target)

    # ------------------------------------------------------------ leaving

    def goto(self, target: Value) -> None:
        """The next pc; the rest of the instruction still happens."""
        if self.dead:
            return
        if self._delayed and self._stays():
            self._pending.value = self.zext(target, self.layout.pc_width, 64)
            self._delayed_targets.append(target)
        else:
            self._goto_now(target)

    def _goto_now(self, target: Value) -> None:
        if isinstance(target, Temp):
            self._leave_by(RUN_TIME, target)
            return
        slot = next((number for number, known in enumerate(self.targets) if same(known, target)), len(self.targets))
        if slot == len(self.targets):
            self.targets.append(target)
        self._leave_by(slot + 1, 0)

    def _leave_by(self, kind: int, target: Value) -> None:
        if not self.dead:
            self._kind.value = kind
            self._target.value = target
            self._kinds_used.add(kind)

    def flush_icache(self) -> None:
        """Instructions stored before are seen from the next one on: stores into translated code invalidate it as they
        happen, so all there is to do is to end the TB."""
        if isinstance(self._kind.value, int) and self._kind.value == NEXT:
            self._leave_by(RUN_TIME, self.after_pc())

    def flush_translation(self) -> None:
        """Forget every translation of addresses."""
        self.flush_page(EVERYWHERE)

    def flush_page(self, address: Value) -> None:
        """Forget how an address is translated; instructions are fetched anew from the next one on."""
        if self.layout.machine:
            self.call_env("tlb_flush", self.zext(address, width_of(address, 64), 64))
            self.flush_icache()

    def wait(self) -> None:
        """Sleep until an interrupt, once the instruction is over."""
        self._leave_by(WAIT, 0)

    def annul(self) -> None:
        """Skip the instruction in the delay slot: go at once where the delayed instruction goes."""
        if self.dead:
            return
        pending = self._pending.value
        if isinstance(pending, int) and pending == NOT_TAKEN:
            width = self.layout.pc_width
            self._goto_now(self.add(width, self.next_pc_value, self.layout.unit_bytes))
        else:
            self._goto_now(self.slice(pending, 64, 0, self.layout.pc_width))

    def raise_(self, code: Value, *args: Value) -> None:
        """Raise an exception: this instruction has no effect, and ends here."""
        if self.dead:
            return
        if len(args) > 3:
            raise InternalError("an exception has three arguments at most")
        for number, value in enumerate(args):
            wide = self.zext(value, width_of(value, 64), 64)
            self.emit("st_env", (wide,), (64,), offset=ENV[f"arg{number}"])
        self.emit("st_env", (self.zext(code, width_of(code, 64), 64),), (64,), offset=ENV["exception"])
        self.exit_here(Exit.EXCEPTION)

    def exit_here(self, reason: Exit) -> None:
        """Leave native code at this instruction, which counts as not executed."""
        self.emit("exit", (self.pc_value, self.budget_here()), (self.layout.pc_width, 64), offset=reason)

    def budget_here(self) -> Value:
        """Instructions left to run before this one."""
        return self.sub(64, self.budget(), self.zext(self.index_value, 32, 64))

    def budget_after(self) -> Value:
        """Instructions left to run after this one."""
        return self.sub(64, self.budget(), self.zext(self.add(32, self.index_value, 1), 32, 64))

    def spend(self, target: Value) -> Value:
        """Count the instructions up to here; exit with pc = target if the budget is overdrawn."""
        left = self.budget_after()
        least = self.emit1("kick", (), (), 64) if self.layout.machine else 0
        for over in self.If(self.slt(64, left, least), weight=SELDOM):
            if over:
                self.emit("exit", (target, left), (self.layout.pc_width, 64), offset=Exit.BUDGET)
        return left

    # ------------------------------------------------------------ instruction boundaries

    def begin_instruction(
        self, pc: Value, next_pc: Value, index: Value, line: str = "", restartable: bool = False
    ) -> None:
        """From here to end_instruction everything belongs to one guest instruction, which happens wholly or not at all.

        index: instructions of the TB before it.  restartable: its body commits as it goes (LANGUAGE §4).
        """
        if self.dead:
            raise InternalError("an instruction where control does not come")
        self.pc_value, self.next_pc_value, self.index_value = pc, next_pc, index
        self.ends_block = False
        self.targets = []
        self._kinds_used = set()
        self._kind.value, self._target.value, self._pending.value = NEXT, 0, NOT_TAKEN
        self._remapped.value = self._rerouted.value = 0
        self._slot_target = self._waiting_target() if self._delayed else None
        self._delayed = False
        self._delayed_targets = []
        self._in_slot = self.get_mode(self.layout.slot) if self.layout.slot else 0
        self._restartable = restartable
        where = f"{pc:#x}" if isinstance(pc, int) else "pc"
        self.emit("insn_start", symbol=f"{where} {line}".rstrip(), offset=index if isinstance(index, int) else 0)
        self._start = len(self.ops)

    def _waiting_target(self) -> Value | None:
        """Where the delayed instruction just built goes if it is taken, None if that depends."""
        targets = self._delayed_targets
        if targets and not isinstance(targets[0], Temp) and all(same(targets[0], other) for other in targets[1:]):
            return targets[0]
        return None

    def end_instruction(self) -> None:
        """Commit the instruction and go where it says; `dead` tells whether control goes on in this function."""
        self.ends_block = self.dead or bool(self._kinds_used) or self._run_time_modes()
        commit = len(self.ops) if not self.dead else None
        if not self._restartable:
            body = self.ops[self._start :]
            rewritten = sink_writes(self.function, self.layout, body, commit is not None)
            if rewritten is not body:
                self.ops[self._start :] = rewritten
        if not self.dead:
            self.tell_engine()
            if any(isinstance(told.value, int) and told.value for told in (self._rerouted, self._remapped)):
                self.ends_block = True
            self._finish(self._kind.value, self._target.value)

    def tell_engine(self) -> None:
        """The instruction's writes are done: if translation depends on one, old answers are forgotten."""
        for remapped in self.If(self._remapped.value, weight=SELDOM):
            if remapped:
                self.call_env("tlb_flush", EVERYWHERE)

    def _run_time_modes(self) -> bool:
        return any(value is None and name not in self._prefixes for name, value in self.modes.items())

    def _finish(self, kind: Value, target: Value) -> None:
        if isinstance(kind, Deferred):
            raise InternalError("the way out of an instruction is not deferred")
        if isinstance(kind, int):
            self._finish_by(kind, target)
            return
        ways = sorted(self._ways(kind, set()), reverse=True)  # NEXT comes last
        for way in ways[:-1]:
            taken, otherwise = self.function.label(), self.function.label()
            self.branch(self.eq(8, kind, way), taken, otherwise)
            self.bind(taken)
            self._finish_by(way, target)
            if not self.dead:
                raise InternalError("only the last way out may go on in this function")
            self.bind(otherwise)
        self._finish_by(ways[-1], target)

    def _ways(self, kind: Value, seen: set[Temp]) -> set[int]:
        """Which values the way out may have: it is a constant, or a label's parameter."""
        if isinstance(kind, int):
            return {kind}
        if not isinstance(kind, Temp) or kind in seen:
            return set()
        seen.add(kind)
        for label in self.ops:
            if label.name == "label" and kind in label.results:
                at = label.results.index(kind)
                edges = [op for op in self.ops if op.name == "br" and op.labels == label.labels]
                return set().union(*[self._ways(op.args[at], seen) for op in edges])
        return {NEXT, *self._kinds_used}

    def _poll(self, target: Value) -> None:
        """Leave for the engine to look for interrupts, if the instruction wrote what decides about them."""
        for rerouted in self.If(self._rerouted.value, weight=SELDOM):
            if rerouted:
                self.emit("exit", (target, self.budget_after()), (self.layout.pc_width, 64), offset=Exit.POLL)

    def _look_up(self, target: Value) -> None:
        """Fetch what comes next anew, if the instruction wrote what translation depends on."""
        for remapped in self.If(self._remapped.value, weight=SELDOM):
            if remapped:
                self.finish_goto_ptr(target)

    def _finish_by(self, kind: int, target: Value) -> None:
        slot = self.layout.slot
        if slot is not None and self._delayed and kind != NEXT and self.known(self._in_slot) is not False:
            self.set_mode(slot, 0)
        if kind == WAIT:
            self.finish_wait()
            return
        if kind == NEXT and self._delayed:
            self._enter_slot()
            return
        following = target if kind == RUN_TIME else self.after_pc() if kind == NEXT else self.targets[kind - 1]
        self._poll(following)
        self._look_up(following)
        if self.dead:
            return
        if kind == RUN_TIME:
            self.finish_goto_ptr(target)
        elif self._run_time_modes():
            self.finish_goto_ptr(self.next_pc_value if kind == NEXT else self.targets[kind - 1])
        elif kind == NEXT:
            self.finish_next()
        else:
            self.finish_goto(kind - 1, self.targets[kind - 1])
