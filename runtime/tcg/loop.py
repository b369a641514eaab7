"""`cpu_exec`: run a vCPU in native code until something needs Python, and do what the engine itself asks for.

To run a program: `load_isa`, a GuestMemory with the program in it, a Tcg, a TcgVcpu with its pc set.  Then call
cpu_exec again and again.  After EXCEPTION `vcpu.exception` and `vcpu.arguments` tell what happened at `vcpu.pc`;
whoever answers it moves the pc on if the instruction is done.
"""

from __future__ import annotations

from _bisect import bisect_left  # see runtime/core/memory.py
from time import thread_time

from runtime.core.buffer import HostBuffer
from runtime.core.cpu import Isa, Vcpu
from runtime.core.env import ENV, GUEST_STATE, JUMP_CACHE_ENTRIES, JUMP_CACHE_ENTRY_BYTES, Exit
from runtime.core.foreign import CFUNCTYPE, c_void_p
from runtime.core.light import import_module
from runtime.core.memory import GuestMemory
from runtime.core.segment_x86_64 import SEGMENTS, can_point
from runtime.tcg import invalidate
from runtime.tcg.blobs import Blob
from runtime.tcg.code_cache import DEFAULT_BYTES, CodeCache
from runtime.tcg.native import map_native
from runtime.tcg.tb import TB_MAX_INSTRUCTIONS, TRACE_NOCHAIN, TRACE_TRANSLATION
from runtime.tcg.tier_options import OFF, TierOptions, first_threshold

TYPE_CHECKING = False  # typing's own takes longer to import than all this
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.tcg.region import RegionRequest
    from runtime.tcg.trace import BlockTracer

#: instructions between two looks at Python's signals and at stop_requested, at first
SLICE = 1_000_000
#: ... and at most: a look costs as much as thousands of compiled instructions do
_LONGEST_SLICE = 16 * SLICE
#: ... and while there is more to do about hot code than the guest shall wait for at once
_SOON = SLICE // 4
#: seconds of processor time that slices shall last, at least and at most
_SHORT, _LONG = 0.002, 0.006
#: seconds of importing before the guest goes on
_MOST_IMPORTING = 0.0005
#: the same beside other vCPUs, who may want the world to stop
SHARED_SLICE = 250_000

#: what a program without hot code can do without, imported from the last on when native code is left
_STEPS = ("runtime.tcg.tier", "runtime.tcg.region_cache", "runtime.tcg.installed", "runtime.tcg.region_formation")

_EXITS = tuple(Exit)
_EXCEPTION = int(Exit.EXCEPTION)
_BUDGET = ENV["budget"] // 8
_EXIT_REASON = ENV["exit_reason"] // 8
_JUMP_CACHE = ENV["jump_cache"] // 8
_SINGLE_STEP = ENV["single_step"] // 8
_TB = ENV["tb"] // 8
_TRACE = ENV["trace"] // 8
_ALL_ONES = (1 << 64) - 1
_NATIVE = CFUNCTYPE(None, c_void_p)
_FIND = CFUNCTYPE(c_void_p, c_void_p)


class Pauses:
    """How long the guest waited for its second tier: how often, in all, the longest, and how often below each bound.

    What counts is the processor time of its thread: on a busy machine the host takes the processor away for longer."""

    __slots__ = ("counts", "longest", "total")

    #: milliseconds
    BOUNDS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)

    def __init__(self) -> None:
        self.counts = [0] * (len(self.BOUNDS) + 1)
        self.total = self.longest = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        milliseconds = 1000 * seconds
        self.counts[bisect_left(self.BOUNDS, milliseconds)] += 1
        self.total += milliseconds
        self.longest = max(self.longest, milliseconds)


class Tcg:
    """The accelerator of one machine: an ISA's native code, the guest's memory, the code cache."""

    def __init__(
        self,
        isa: Isa,
        memory: GuestMemory,
        cache_bytes: int = DEFAULT_BYTES,
        segments: int | None = None,
        code: Blob | None = None,
        tier: TierOptions = OFF,
    ) -> None:
        self._mapped = map_native(isa.blob_path) if code is None else None  # and unmapped by `close`
        code = code or self._mapped
        assert code is not None
        self.isa = isa
        self.memory = memory
        self.code = code
        self.cache = CodeCache(code, memory, cache_bytes, segments)
        invalidate.watch(memory, self.cache)
        self.enter: Callable[[int], None] = _NATIVE(code.address("cpu_exec_native"))
        self.find: Callable[[int], int | None] = _FIND(code.address("tb_find"))
        self.vcpus: list[TcgVcpu] = []
        if tier.threshold and not can_point():
            tier = OFF
        self.tier_options = tier
        self._steps = list(_STEPS)
        self.pauses = Pauses()
        #: called with the listing of each region that is compiled; None: nobody wants it
        self.on_region: Callable[[RegionRequest, str], None] | None = None
        if tier.threshold or memory.guard is not None:
            self._point_on_entry()
        self._close_pages_on_entry()  # an earlier machine on the same memory may have wanted that
        if tier.threshold:
            self.cache.count_blocks(first_threshold(isa, code, tier), not tier.workers)

    def sibling(self, vcpu: Vcpu) -> TcgVcpu:
        """A vCPU of the same machine in the same state: registers, modes, pc."""
        made = TcgVcpu(self, len(self.cache.world.vcpus))
        made.octets[GUEST_STATE:] = vcpu.octets[GUEST_STATE:]
        for name in ("pc", "flags", "cs_base"):
            made.words[ENV[name] // 8] = vcpu.words[ENV[name] // 8]
        return made

    def close(self) -> None:
        """Free the code cache and the native code, when no vCPU is left; the memory is its maker's."""
        self.memory.on_code_change = None
        if self.cache.tier is not None:
            self.cache.tier.close()
        self.cache.close()
        if self._mapped is not None:
            self._mapped.close()

    def attend(self) -> None:
        """Look after the second tier: native code has been left anyway."""
        cache = self.cache
        if cache.tier is None and not cache.hot_count:
            return
        began = thread_time()
        if cache.tier is not None:
            cache.tier.attend()
        else:
            self._begin_tier()
        self.pauses.add(thread_time() - began)

    def _begin_tier(self) -> None:
        """There is hot code.  What is to be done then comes in steps, for the guest waits meanwhile."""
        if self.tier_options.workers and self._steps:
            began = thread_time()
            while self._steps and thread_time() < began + _MOST_IMPORTING:
                import_module(self._steps.pop())
            return
        from runtime.tcg.tier import Tier

        cache = self.cache
        with cache.world.lock:  # several threads may be here
            if cache.tier is None:
                cache.tier = Tier(self)
        if not self.tier_options.workers:
            cache.tier.attend()

    def guard(self) -> None:
        """Compiled code is about to come that leaves checks of memory accesses to the host (runtime/core/guard.py)."""
        if self.memory.guard is None:
            self.cache.guard(self.memory)
            self._close_pages_on_entry()

    def _point_on_entry(self) -> None:
        """Have the host's segment register point at guest memory, in whatever thread code is entered.

        From the beginning, for a thread that is about to enter knows nothing of the first region, which another makes.
        """
        base, native, here = self.memory.base, self.enter, SEGMENTS

        def enter(env: int) -> None:
            if here.base != base:
                here.point(base)
            native(env)

        self.enter = enter

    def _close_pages_on_entry(self) -> None:
        """Pages that Python has written to are protected again before the guest runs."""
        guard, native, world = self.memory.guard, self.enter, self.cache.world
        if guard is None:
            return
        opened, close = guard.opened, guard.close_opened

        def enter(env: int) -> None:
            if opened[0]:
                with world.stopped():
                    close()
            native(env)

        self.enter = enter
        for vcpu in self.vcpus:
            vcpu.enter = enter


class TcgVcpu(Vcpu):
    """A virtual CPU run by TCG."""

    def __init__(self, tcg: Tcg, index: int = 0) -> None:
        super().__init__(tcg.isa, tcg.memory, index)
        self.tcg = tcg
        self.enter = tcg.enter
        self.tracer: BlockTracer | None = None
        self._slice = SLICE
        self._slice_began = 0.0
        self._hot = 0  # blocks that had become hot when the last slice ended
        self._jump_cache = HostBuffer(JUMP_CACHE_ENTRIES * JUMP_CACHE_ENTRY_BYTES)
        # Never filled: with it as the jump cache goto_ptr always comes to tb_find, which knows about stepping.
        self._no_jump_cache = HostBuffer(JUMP_CACHE_ENTRIES * JUMP_CACHE_ENTRY_BYTES)
        for buffer in (self._jump_cache, self._no_jump_cache):
            # A zeroed entry is right for pc 0 only, and that has entry 0: give it a key that no guest state has.
            buffer.memory[:16] = b"\xff" * 16
        self.words[_JUMP_CACHE] = self._jump_cache.address
        self.words[ENV["tcg"] // 8] = tcg.cache.address
        self.words[ENV["native"] // 8] = tcg.code.base
        tcg.vcpus.append(self)
        self.world = tcg.cache.world
        self.world.add(self.address, self._jump_cache.address)
        # A program that was run before has regions on disk, and the first of its blocks is hot very soon.
        self.set_budget(SHARED_SLICE if self.world.is_shared else _SOON)

    def close(self) -> None:
        self.world.remove(self.address)
        if self in self.tcg.vcpus:
            self.tcg.vcpus.remove(self)
        self._jump_cache.close()
        self._no_jump_cache.close()
        super().close()

    def next_slice(self) -> None:
        """Let native code run on for another slice: as long as the code is fast, unless somebody waits for its end."""
        now = thread_time()
        lasted, self._slice_began = now - self._slice_began, now
        cache = self.tcg.cache
        tier, hot = cache.tier, cache.hot_count
        if self.world.is_shared:
            self.set_budget(SHARED_SLICE)
            return
        if hot and (tier is None or tier.behind):  # a short program does not come here in its first slice
            self.set_budget(_SOON)
            return
        if hot != self._hot:  # more is likely to become hot soon, and waits in tier 0 to be looked at
            self._hot, self._slice = hot, SLICE
        elif lasted > _LONG:
            self._slice = max(self._slice // 2, SLICE)
        elif lasted < _SHORT:
            self._slice = min(2 * self._slice, _LONGEST_SLICE)
        self.set_budget(self._slice)

    def come_back(self) -> None:
        """Let a slice that was long for compiled code be short, if regions come from the disk for what now runs."""
        tier = self.tcg.cache.tier
        if tier is not None and tier.behind and self.signed[_BUDGET] > _SOON:
            self.set_budget(_SOON)

    def set_single_step(self, on: bool) -> None:
        """Run blocks of one instruction each, apart from the others and not chained."""
        self.words[_SINGLE_STEP] = on
        self.words[_JUMP_CACHE] = (self._no_jump_cache if on else self._jump_cache).address


def cpu_exec(vcpu: TcgVcpu, count: int | None = None) -> Exit:
    """Run until an exception, a wait, or a stop: BUDGET means that `stop_requested` was set or `count` reached.

    The vCPU's state is precise at every return.  An instruction that raises does not count.  KeyboardInterrupt passes
    through, after which the vCPU can be run on.
    """
    if count is not None:
        return _cpu_exec_counted(vcpu, count)
    if vcpu.tracer is not None:
        return _cpu_exec_traced(vcpu, vcpu.tracer)
    enter, address, words = vcpu.enter, vcpu.address, vcpu.words
    while True:
        enter(address)
        reason = words[_EXIT_REASON]
        # Most often a system call, and then all that is done here is on its path.
        if reason == _EXCEPTION:
            return Exit.EXCEPTION
        if (stop := _go_on(vcpu, reason)) is not None:
            return stop
        enter = vcpu.enter


def _go_on(vcpu: TcgVcpu, reason: int) -> Exit | None:
    """Do what the engine asks for; what is left for the caller of cpu_exec is returned."""
    if reason == Exit.BUDGET:
        if vcpu.stop_requested or vcpu.attention[0]:
            return Exit.BUDGET
        vcpu.tcg.attend()
        vcpu.next_slice()
    elif reason == Exit.CACHE_FULL:
        vcpu.tcg.cache.evict()
    elif reason == Exit.HOT:
        vcpu.tcg.attend()
        vcpu.come_back()
    elif reason == Exit.CODE_WRITE:
        # As one, for other vCPUs could translate the page again before the store is made.
        with vcpu.world.stopped(vcpu.address):
            invalidate.code_written(vcpu, vcpu.tcg.cache)
            reason = _step(vcpu)
        if reason != Exit.BUDGET:
            return _go_on(vcpu, reason)
    elif reason == Exit.CODE_PAGE:
        with vcpu.world.stopped(vcpu.address):
            found = vcpu.tcg.find(vcpu.address)
        if found is None:
            return _go_on(vcpu, vcpu.words[_EXIT_REASON])
    else:
        return _EXITS[reason]
    return None


def _step(vcpu: TcgVcpu) -> int:
    """Run one instruction; the exit's reason, BUDGET when it is done."""
    before, budget = vcpu.executed, vcpu.signed[_BUDGET]
    vcpu.set_single_step(True)
    vcpu.set_budget(0)
    try:
        vcpu.enter(vcpu.address)
    finally:
        vcpu.set_single_step(False)
        vcpu.set_budget(budget - (vcpu.executed - before))
    return vcpu.words[_EXIT_REASON]


def _cpu_exec_counted(vcpu: TcgVcpu, count: int) -> Exit:
    """Run exactly `count` instructions, unless something else stops the vCPU first."""
    end = vcpu.executed + count
    try:
        while (remaining := end - vcpu.executed) > 0:
            # Native code leaves at the end of the block in which the budget becomes negative: with the room of one
            # block less it cannot overshoot, and what is left is done an instruction at a time.
            stepping = remaining <= TB_MAX_INSTRUCTIONS
            vcpu.set_single_step(stepping)
            vcpu.set_budget(remaining - 1 if stepping else min(remaining - TB_MAX_INSTRUCTIONS, SLICE))
            if vcpu.tracer is not None:
                reason = _run_traced(vcpu, vcpu.tracer)
            else:
                vcpu.enter(vcpu.address)
                reason = vcpu.words[_EXIT_REASON]
            if (stop := _go_on(vcpu, reason)) is not None:
                return stop
        return Exit.BUDGET
    finally:
        vcpu.set_single_step(False)
        vcpu.set_budget(SLICE)


def _cpu_exec_traced(vcpu: TcgVcpu, tracer: BlockTracer) -> Exit:
    """cpu_exec with a tracer listening."""
    while (stop := _go_on(vcpu, _run_traced(vcpu, tracer))) is None:
        pass
    return stop


def _run_traced(vcpu: TcgVcpu, tracer: BlockTracer) -> int:
    """Enter native code until an exit that is not for the tracer; its reason."""
    words, cache = vcpu.words, vcpu.tcg.cache
    words[_TRACE] = TRACE_TRANSLATION | (0 if tracer.chain else TRACE_NOCHAIN)
    try:
        while True:
            if tracer.each_block:
                reason = _run_block(vcpu, tracer)
            else:
                vcpu.enter(vcpu.address)
                reason = words[_EXIT_REASON]
            if reason == Exit.TRANSLATED:
                tracer.translated(vcpu, cache.block(words[_TB]))
            elif reason != Exit.BUDGET or vcpu.signed[_BUDGET] < 0:
                return reason
    finally:
        words[_TRACE] = 0


def _run_block(vcpu: TcgVcpu, tracer: BlockTracer) -> int:
    """Run the next block and no more: with a budget of nothing its end is an exit."""
    block = vcpu.tcg.find(vcpu.address)
    if block is None:
        return vcpu.words[_EXIT_REASON]
    tracer.executing(vcpu, vcpu.tcg.cache.block(block))
    before, budget = vcpu.executed, vcpu.signed[_BUDGET]
    vcpu.set_budget(0)
    vcpu.enter(vcpu.address)
    if vcpu.words[_EXIT_REASON] == Exit.HOT:  # said at its beginning
        vcpu.enter(vcpu.address)
    vcpu.set_budget(budget - (vcpu.executed - before))
    return vcpu.words[_EXIT_REASON]
