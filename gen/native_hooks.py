"""Native code of the hooks: what the engine of a machine calls to take a trap, to translate an address and so on.

They take env and work on the state in it, outside any instruction: a write takes effect at once, pc and budget are
env's.
Symbols and signatures, for the engine:

    i64  @hook_translate(env, va, access)  0: env.walk_* are set; 1: env.exception and its arguments are
    void @hook_exception(env)              for env.exception, env.arg0… raised at env.pc
    i64  @hook_interrupt(env)              1: env.pc is where an interrupt's handler begins; 0: there is none
    i64  @hook_wake(env)                   1: a vCPU that waits goes on
    i64  @hook_deadline(env)               the TIME when the last two may answer otherwise; all ones: never
    void @hook_reset(env)

A hook the spec does not have does nothing, answers 0, or translates every address to itself; without `on wake` an
interrupt that can be taken wakes.  The engine has @phys_load, @phys_store, @phys_cmpxchg, which set env.phys_failed
where nothing answers, and @tlb_flush.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType

from gen.handler_builder import BadAddress
from gen.hooks import HOOKS
from runtime.core.env import ENV, Exit
from runtime.core.layout import Layout
from runtime.tcg.builder import EVERYWHERE, Builder
from runtime.tcg.control import SELDOM
from runtime.tcg.instructions import Hook
from runtime.tcg.ir import Function, InternalError, Temp, Value, plain_function
from runtime.tcg.ops import mask

#: a page that is the whole of a 64-bit address space, readable, writable and executable
_EVERYTHING = (0, 64, 7)
ACCESS_BITS = 2


class HookBuilder(Builder):
    """Builds a hook.  `translating` are the access and address that `on translate` was asked for."""

    def __init__(self, layout: Layout, function: Function, bad_address: BadAddress | None) -> None:
        super().__init__(layout, function, bad_address)
        self.translating: tuple[Value, Value] | None = None
        #: whether the hook has said where control goes on
        self.went = self.var(1, 0)
        self.implicit = (*self.implicit, self.went)

    # ------------------------------------------------------------ control

    def pc(self) -> Value:
        pc = self.emit1("ld_env", (), (), 64, offset=ENV["pc"])
        return self.slice(pc, 64, 0, self.layout.pc_width)

    def goto(self, target: Value) -> None:
        if not self.dead:
            self.store_env("pc", self.zext(target, self.layout.pc_width, 64))
            self.went.value = 1

    def exit_here(self, reason: Exit) -> None:
        self.ret((1,))

    def leave(self, *answer: Value) -> None:
        """The hook is over."""
        self.tell_engine()
        self.ret(answer)

    def store_env(self, field: str, value: Value) -> None:
        """Set a field of env's own."""
        self.emit("st_env", (value,), (64,), offset=ENV[field])

    def load_env(self, field: str, width: int) -> Value:
        """The low bits of a field of env's own."""
        return self.slice(self.emit1("ld_env", (), (), 64, offset=ENV[field]), 64, 0, width)

    def instret(self) -> Value:
        base = self.emit1("ld_env", (), (), 64, offset=ENV["budget_base"])
        return self.sub(64, base, self.emit1("ld_env", (), (), 64, offset=ENV["budget"]))

    # ------------------------------------------------------------ physical memory

    def _reach(self, function: str, memory: str, address: Value, *more: Value, results: tuple[int, ...]) -> Value:
        layout = self.memory_layout(memory)
        if not layout.physical:
            raise InternalError(f"a hook reaches '{memory}', which is not physical")
        wide = self.zext(address, layout.address_width, 64)
        found = self.call_env(function, wide, *more, results=results)
        failed = self.emit1("ld_env", (), (), 64, offset=ENV["phys_failed"])
        for nothing in self.If(self.ne(64, failed, 0), weight=SELDOM):
            if nothing:
                self.store_env("phys_failed", 0)
                if self.translating is not None and self._bad_address is not None:
                    self._bad_address(self, *self.translating)
        return found[0] if found else 0

    def _ordered(self, width: int, value: Value, big: Value) -> Value:
        """The value as it lies in memory, taken as little-endian."""
        return self.select(width, big, self._swapped(width, value), value) if width > 8 else value

    def load(self, memory: str, address: Value, width: int, big: Value) -> Value:
        whole = self._reach("phys_load", memory, address, width // 8, results=(64,))
        return self._ordered(width, self.slice(whole, 64, 0, width), big)

    def store(self, memory: str, address: Value, width: int, value: Value, big: Value) -> None:
        stored = self.zext(self._ordered(width, value, big), width, 64)
        self._reach("phys_store", memory, address, width // 8, stored, results=())

    def compare_exchange(
        self, memory: str, address: Value, width: int, expected: Value, new: Value, big: bool
    ) -> Temp | Value:
        one = self.zext(self._ordered(width, expected, int(big)), width, 64)
        other = self.zext(self._ordered(width, new, int(big)), width, 64)
        seen = self._reach("phys_cmpxchg", memory, address, width // 8, one, other, results=(64,))
        return self._ordered(width, self.slice(seen, 64, 0, width), int(big))

    def read_for_update(self, memory: str, address: Value, width: int, big: bool) -> Value:
        return self.load(memory, address, width, int(big))

    def in_one_step(self) -> bool:
        return False


def _translate(b: HookBuilder, hook: Hook | None) -> None:
    va, access = b.function.parameters
    page: tuple[Value, ...] = _EVERYTHING
    if hook is not None:
        address = b.slice(va, 64, 0, hook.parameters[0])
        kind = b.slice(access, 64, 0, ACCESS_BITS)
        b.translating = b.zext(kind, ACCESS_BITS, max(ACCESS_BITS, hook.parameters[1])), address
        page = hook.body(b, address, kind)
    if b.dead:
        return
    start, bits, permissions = page
    inside = b.sub(64, b.shl(64, 1, b.zext(bits, 8, 64), 64), 1)
    b.store_env("walk_page", b.and_(64, start, b.not_(64, inside)))
    b.store_env("walk_bits", b.zext(bits, 8, 64))
    b.store_env("walk_permissions", b.zext(permissions, 3, 64))
    b.leave(0)


def _exception(b: HookBuilder, hook: Hook | None) -> None:
    if hook is not None:
        fields = ("exception", "arg0", "arg1", "arg2")
        widths = zip(fields, hook.parameters, strict=False)
        hook.body(b, *[b.load_env(field, width) for field, width in widths])
    if not b.dead:
        b.leave()


def _interrupt(b: HookBuilder, hook: Hook | None) -> None:
    if hook is not None:
        hook.body(b)
    if not b.dead:
        b.leave(b.zext(b.went.value, 1, 64))


def _wake(b: HookBuilder, hook: Hook | None) -> None:
    answer: Value = 0 if hook is None else hook.body(b)
    if not b.dead:
        b.leave(b.zext(answer, 1, 64))


def _deadline(b: HookBuilder, hook: Hook | None) -> None:
    answer: Value = EVERYWHERE if hook is None else hook.body(b)
    if not b.dead:
        b.leave(answer)


def _reset(b: HookBuilder, hook: Hook | None) -> None:
    """Registers and modes as declared, then what the hook does."""
    layout = b.layout
    for register in layout.registers:
        for at in range(register.offset, register.offset + register.count * register.stride, register.stride):
            b.emit("st_env", (register.reset & mask(register.width),), (register.width,), offset=at)
    b.store_env("flags", sum(mode.reset << mode.shift for mode in layout.modes if not mode.prefix))
    b.store_env("npc", EVERYWHERE)
    b.store_env("pc", 0)
    b.store_env("exclusive_address", EVERYWHERE)
    if layout.sticky is not None:
        b.emit("fpflags_clear")
    if hook is not None:
        hook.body(b)
    if not b.dead:
        b.call_env("tlb_flush", EVERYWHERE)
        b.ret(())


_SHAPES: dict[str, tuple[Callable[[HookBuilder, Hook | None], None], tuple[int, ...], tuple[int, ...]]] = {
    "translate": (_translate, (64, 64), (64,)),
    "exception": (_exception, (), ()),
    "interrupt": (_interrupt, (), (64,)),
    "wake": (_wake, (), (64,)),
    "deadline": (_deadline, (), (64,)),
    "reset": (_reset, (), ()),
}


def hook_functions(layout: Layout, module: ModuleType) -> Iterator[Function]:
    """The functions listed above."""
    bad = module.HOOKS.get("badaddr")
    for name in HOOKS:
        if name not in _SHAPES:
            continue
        shape, parameters, results = _SHAPES[name]
        hook = module.HOOKS.get(name)
        if name == "wake" and hook is None:
            continue  # the engine asks hook_interrupt then
        function = plain_function(f"hook_{name}", parameters, results, ("env",))
        shape(HookBuilder(layout, function, bad.body if bad else None), hook)
        yield function
