"""The builder's guest memory: checked loads and stores, atomics, exclusives."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from runtime.core.env import ENV, Exit
from runtime.core.layout import Layout, MemoryLayout
from runtime.tcg.control import SELDOM, ControlBuilder
from runtime.tcg.ir import Function, InternalError, Label, Temp, Value

READ, WRITE = 0, 1  # env.fault_access, and the `acc` of `on badaddr`
#: no reservation is held (env.exclusive_address)
NO_RESERVATION = (1 << 64) - 1
#: read-modify-writes the host does in one instruction, by the op that computes the new value
_ONE_STEP = {"add": "add_mem", "and": "and_mem", "or": "or_mem", "xor": "xor_mem"}


class AtomicUpdate:
    """One read-modify-write being built: `old` is the value found, `commit(new)` replaces it."""

    def __init__(
        self, builder: MemoryBuilder, memory: str, address: Value, width: int, big: bool, header: Label
    ) -> None:
        self._builder = builder
        self._memory = memory
        self._address = address
        self._width = width
        self._big = big
        self._header = header
        self.committed = False
        parameter = builder.function.temp(width)
        builder.bind(header, (parameter,))
        self.old: Value = parameter
        self._start = len(builder.ops)

    def commit(self, new: Value) -> None:
        """Store `new` if the location still holds `old`, else go back and try with what it holds now."""
        builder, width = self._builder, self._width
        self.committed = True
        if builder.dead or (builder.in_one_step() and self._in_one_step(new)):
            return
        seen = builder.compare_exchange(self._memory, self._address, width, self.old, new, self._big)
        done, retry = builder.function.label(), builder.function.label()
        builder.branch(builder.eq(width, seen, self.old), done, retry)
        builder.bind(retry)
        builder.emit("br", (seen,), (width,), labels=(self._header,))
        builder.bind(done)

    def _in_one_step(self, new: Value) -> bool:
        """Use the host's own exchange-and-operate where the new value is just that."""
        builder, ops = self._builder, self._builder.ops
        body = ops[self._start :]
        if self._big and self._width > 8:
            return False
        if not body and new is not self.old:
            name, other = "xchg_mem", new
        elif len(body) == 1 and body[0].name in _ONE_STEP and body[0].results == (new,):
            left, right = body[0].args
            if (left is self.old) == (right is self.old):
                return False
            name, other = _ONE_STEP[body[0].name], right if left is self.old else left
        else:
            return False
        # The loop's header, and the load and branch before it, give way to one op.
        del ops[self._start - 3 :]
        address_width = builder.memory_layout(self._memory).address_width
        old = builder.emit1(
            name, (self._address, other), (address_width, self._width), self._width, symbol=self._memory
        )
        self.old = old
        return True


class MemoryBuilder(ControlBuilder):
    """Loads, stores and atomics.  Every access is checked first, and a bad one raises through `bad_address`."""

    def __init__(
        self, layout: Layout, function: Function, bad_address: Callable[[MemoryBuilder, Value, Value], object] | None
    ) -> None:
        super().__init__(function)
        self.layout = layout
        #: whether an access is a check and then the access; else one op does both, as handlers of machines want it
        self.checks_apart = not layout.machine
        self._bad_address = bad_address
        self._memories = {memory.name: memory for memory in layout.memories}

    def memory_layout(self, memory: str) -> MemoryLayout:
        """The declared memory."""
        return self._memories[memory]

    def exit_here(self, reason: Exit) -> None:
        """Leave native code at this instruction, which counts as not executed."""
        raise NotImplementedError

    def budget_here(self) -> Value:
        """Instructions left to run before this one."""
        raise NotImplementedError

    # ------------------------------------------------------------ checks

    def check(self, memory: str, address: Value, size: int, access: int, atomic: bool = False) -> None:
        """Fault unless `size` bytes may be accessed; nothing after it in this access can."""
        width = self.memory_layout(memory).address_width
        status = self.emit1("check_mem", (address,), (width,), 2, symbol=memory, size=size, offset=access, flag=atomic)
        if self.layout.machine:
            self._refused(status, access)
            return
        for bad in self.If(self.ne(2, status, 0), weight=SELDOM):
            if bad:
                if access == WRITE:
                    for code in self.If(self.eq(2, status, 2), weight=SELDOM):
                        if code:
                            self.exit_here(Exit.CODE_WRITE)
                if self._bad_address is not None:
                    self._bad_address(self, access, address)
                if not self.dead:
                    self.exit_here(Exit.EXCEPTION)

    def _refused(self, status: Temp, access: int) -> None:
        """Leave where an access of a machine's was refused: env holds the exception by then."""
        for bad in self.If(self.ne(2, status, 0), weight=SELDOM):
            if bad:
                if access == WRITE:
                    for code in self.If(self.eq(2, status, 2), weight=SELDOM):
                        if code:
                            self.exit_here(Exit.CODE_WRITE)
                self.exit_here(Exit.EXCEPTION)

    def probe(self, memory: str, address: Value, size: int) -> None:
        """Fault now if a later store to these bytes would."""
        self.check(memory, address, size, WRITE)

    # ------------------------------------------------------------ plain accesses

    def _swapped(self, width: int, value: Value) -> Value:
        return self.cat(tuple([(self.slice(value, width, low, 8), 8) for low in range(0, width, 8)]))

    def load(self, memory: str, address: Value, width: int, big: Value) -> Value:
        """M[address, width]."""
        address_width = self.memory_layout(memory).address_width
        address = self.operand(address, address_width)
        known = self.known(big)
        value: Value
        if not self.checks_apart:
            status, value = self.emit(
                "load_mem",
                (address, self.budget_here()),
                (address_width, 64),
                (2, width),
                symbol=memory,
                flag=bool(known),
            )
            self._refused(status, READ)
        else:
            self.check(memory, address, width // 8, READ)
            value = self.emit1("ld_mem", (address,), (address_width,), width, symbol=memory, flag=bool(known))
        if known is None and width > 8:
            value = self.select(width, big, self._swapped(width, value), value)
        return value

    def store(self, memory: str, address: Value, width: int, value: Value, big: Value) -> None:
        """M[address, width] = value."""
        address_width = self.memory_layout(memory).address_width
        address = self.operand(address, address_width)
        if self.checks_apart:
            self.check(memory, address, width // 8, WRITE)
        known = self.known(big)
        if known is None and width > 8:
            value = self.select(width, big, self._swapped(width, value), value)
        if not self.checks_apart:
            status = self.emit1(
                "store_mem",
                (address, value, self.budget_here()),
                (address_width, width, 64),
                2,
                symbol=memory,
                flag=bool(known),
            )
            self._refused(status, WRITE)
            return
        self.emit("st_mem", (address, value), (address_width, width), symbol=memory, flag=bool(known))

    # ------------------------------------------------------------ atomics

    def _static_order(self, big: Value) -> bool:
        known = self.known(big)
        if known is None:
            raise InternalError("an atomic access needs a byte order known at translation time")
        return known

    def atomic(self, memory: str, address: Value, width: int, big: Value) -> Iterator[AtomicUpdate]:
        """Yields the update once; its body computes the new value from `old` and commits it."""
        if self.dead:
            return
        address_width = self.memory_layout(memory).address_width
        address = self.operand(address, address_width)
        order = self._static_order(big)
        found = self.read_for_update(memory, address, width, order)
        header = self.function.label("atomic")
        self.emit("br", (found,), (width,), labels=(header,))
        update = AtomicUpdate(self, memory, address, width, order, header)
        yield update
        if not update.committed:
            raise InternalError("an atomic body that does not commit")

    def read_for_update(self, memory: str, address: Value, width: int, big: bool) -> Value:
        """The value that a read-modify-write starts from."""
        self.check(memory, address, width // 8, WRITE, atomic=True)
        address_width = self.memory_layout(memory).address_width
        return self.emit1("ld_mem", (address,), (address_width,), width, symbol=memory, flag=big)

    def compare_exchange(
        self, memory: str, address: Value, width: int, expected: Value, new: Value, big: bool
    ) -> Value:
        """What stands at a checked address; if it is `expected`, `new` from now on."""
        widths = (self.memory_layout(memory).address_width, width, width)
        return self.emit1("cas_mem", (address, expected, new), widths, width, symbol=memory, flag=big)

    def in_one_step(self) -> bool:
        """Whether the host's own exchange-and-operate may be used."""
        return True

    def load_exclusive(self, memory: str, address: Value, width: int, big: Value) -> Value:
        """Load and reserve the address: store_exclusive succeeds while the value stands there."""
        address_width = self.memory_layout(memory).address_width
        address = self.operand(address, address_width)
        value = self.load(memory, address, width, big)
        self.emit("st_env", (self.zext(address, address_width, 64),), (64,), offset=ENV["exclusive_address"])
        kept = self.slice(value, width, 0, 64) if width > 64 else self.zext(value, width, 64)
        self.emit("st_env", (kept,), (64,), offset=ENV["exclusive_value"])
        return value

    def store_exclusive(self, memory: str, address: Value, width: int, value: Value, big: Value) -> Value:
        """Store if the reservation holds, which ends it: 1 when stored."""
        if width > 64:
            raise InternalError("exclusive accesses have 64 bits at most")
        address_width = self.memory_layout(memory).address_width
        address = self.operand(address, address_width)
        order = self._static_order(big)
        reserved = self.emit1("ld_env", (), (), 64, offset=ENV["exclusive_address"])
        done = self.var(1, 0)
        for holds in self.If(self.eq(64, reserved, self.zext(address, address_width, 64)), done):
            if holds:
                self.check(memory, address, width // 8, WRITE, atomic=True)
                whole: Temp = self.emit1("ld_env", (), (), 64, offset=ENV["exclusive_value"])
                expected = self.slice(whole, 64, 0, width)
                seen = self.compare_exchange(memory, address, width, expected, value, order)
                done.set(self.eq(width, seen, expected))
        self.emit("st_env", (NO_RESERVATION,), (64,), offset=ENV["exclusive_address"])
        return done.get()

    def fence(self, before: Value, after: Value) -> None:
        """Order memory accesses; the kinds named on either side are not told apart."""
        self.emit("fence")
