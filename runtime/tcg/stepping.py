"""Single instructions under Python's eyes: past hooked addresses and pages, and on trial to see what they access."""

from __future__ import annotations

import struct

from runtime.core.buffer import HostBuffer
from runtime.core.env import ENV, PAGE_BITS, PASS_CODE, PASS_DENIED, PASS_MEMORY, Exit
from runtime.core.record import record
from runtime.core.watch import Watch
from runtime.tcg import invalidate
from runtime.tcg.tb import ACCESS, ACCESS_LOG_BYTES, TranslationBlock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.tcg.loop import TcgVcpu

_BUDGET = ENV["budget"] // 8
_BUDGET_BASE = ENV["budget_base"] // 8
_EXIT_REASON = ENV["exit_reason"] // 8
_HOOK_PASS = ENV["hook_pass"] // 8
_ACCESS_LOG = ENV["access_log"] // 8
_PERMISSIONS = ENV["permissions"] // 8
_TB = ENV["tb"] // 8
_ACCESS = struct.Struct(f"={ACCESS['bytes'] // 8}Q")


class Access:
    """One access of an instruction: what was found there, and what stands there afterwards."""

    __slots__ = ("address", "after", "before", "size", "store")

    def __init__(self, address: int, size: int, store: bool, before: bytes, after: bytes) -> None:
        self.address = address
        self.size = size
        self.store = store
        self.before = before
        self.after = after


@record
class Trial:
    """What an instruction did: the exit's reason, its accesses, all that `undo` must put back, and the state before."""

    reason: int
    accesses: list[Access]
    undone: list[Access]
    state: bytes


class Stepper:
    """Runs single instructions and single blocks of one vCPU; `watch` holds its memory's marks.

    A memory has one Watch: the steppers of further vCPUs are given that of the first.
    """

    def __init__(self, vcpu: TcgVcpu, watch: Watch | None = None) -> None:
        self.vcpu = vcpu
        self._owns_watch = watch is None
        self.watch = watch or Watch(vcpu.memory, vcpu.tcg.cache.invalidate_range, vcpu.tcg.cache.set_hooked)
        self._log: HostBuffer | None = None
        self._nothing: HostBuffer | None = None
        self._first = 0  # where the accesses of the last try begin in the log

    def close(self) -> None:
        """Free what is the stepper's own; before the vCPU and the memory are closed."""
        if self._owns_watch:
            self.watch.close()
        for buffer in (self._log, self._nothing):
            if buffer is not None:
                buffer.close()

    def step(self, passing: int = PASS_CODE) -> int:
        """Run the instruction at pc; BUDGET when it is done, EXCEPTION when it raised.  `passing`: PASS_* bits."""
        vcpu = self.vcpu
        words, signed, cache = vcpu.words, vcpu.signed, vcpu.tcg.cache
        budget = signed[_BUDGET]
        start = signed[_BUDGET_BASE] - budget
        words[_TB] = 0
        vcpu.set_single_step(True)
        words[_HOOK_PASS] = passing
        try:
            while True:
                signed[_BUDGET_BASE], signed[_BUDGET] = start, 0
                vcpu.enter(vcpu.address)
                reason = words[_EXIT_REASON]
                if reason == Exit.CACHE_FULL:
                    cache.evict()
                    words[_TB] = 0
                elif reason == Exit.CODE_WRITE:
                    invalidate.code_written(vcpu, cache)
                    self._first = self._logged()
                else:
                    return reason
        finally:
            if words[_TB]:
                cache.discard(words[_TB])
            words[_HOOK_PASS] = 0
            vcpu.set_single_step(False)
            done = -signed[_BUDGET]
            signed[_BUDGET_BASE], signed[_BUDGET] = start + budget, budget - done

    def size(self) -> int | None:
        """Bytes of the instruction at pc; None if it cannot be fetched: then the vCPU is as after that exception."""
        vcpu = self.vcpu
        cache = vcpu.tcg.cache
        while True:
            vcpu.set_single_step(True)
            vcpu.words[_HOOK_PASS] = PASS_CODE
            found = vcpu.tcg.find(vcpu.address)
            vcpu.words[_HOOK_PASS] = 0
            vcpu.set_single_step(False)
            if found is not None:
                size = cache.code_bytes(found)
                cache.discard(found)
                return size
            if vcpu.words[_EXIT_REASON] != Exit.CACHE_FULL:
                return None
            cache.evict()

    def block(self) -> TranslationBlock | None:
        """The block at pc, though it be hooked; None as for `size`."""
        vcpu = self.vcpu
        cache = vcpu.tcg.cache
        while True:
            vcpu.words[_HOOK_PASS] = PASS_CODE
            with vcpu.world.stopped(vcpu.address):  # else the exit might be CODE_PAGE
                found = vcpu.tcg.find(vcpu.address)
            vcpu.words[_HOOK_PASS] = 0
            if found is not None:
                return cache.block(found)
            if vcpu.words[_EXIT_REASON] != Exit.CACHE_FULL:
                return None
            cache.evict()

    def run_block(self) -> int:
        """Run the block at pc, though it be hooked, and no more."""
        vcpu = self.vcpu
        words, signed = vcpu.words, vcpu.signed
        budget = signed[_BUDGET]
        start = signed[_BUDGET_BASE] - budget
        signed[_BUDGET_BASE], signed[_BUDGET] = start, 0
        words[_HOOK_PASS] = PASS_CODE
        try:
            vcpu.enter(vcpu.address)
            if words[_EXIT_REASON] == Exit.HOT:  # said at its beginning
                vcpu.enter(vcpu.address)
            return words[_EXIT_REASON]
        finally:
            words[_HOOK_PASS] = 0
            done = -signed[_BUDGET]
            signed[_BUDGET_BASE], signed[_BUDGET] = start + budget, budget - done

    # ------------------------------------------------------------ on trial

    def trial(self, denied: bool = False) -> Trial:
        """Run the instruction at pc past all marks, noting its accesses.

        `denied`: even accesses that are not allowed, as long as the address exists.  `undo` takes it all back.
        """
        vcpu = self.vcpu
        words = vcpu.words
        state = bytes(vcpu.octets)
        if self._log is None or self._nothing is None:
            self._log = HostBuffer(ACCESS_LOG_BYTES)
            self._nothing = HostBuffer(vcpu.memory.size >> PAGE_BITS, sparse=True)
        self._log.memory[:8] = bytes(8)
        self._first = 0
        permissions = words[_PERMISSIONS]
        words[_ACCESS_LOG] = self._log.address
        # No page allows anything inline, so every access comes to where it is logged; that looks at the real table.
        words[_PERMISSIONS] = self._nothing.address
        try:
            reason = self.step(PASS_CODE | PASS_MEMORY | (PASS_DENIED if denied else 0))
        finally:
            words[_ACCESS_LOG] = 0
            words[_PERMISSIONS] = permissions
        undone = self._accesses(self._log, 0)
        return Trial(reason, self._accesses(self._log, self._first) if self._first else undone, undone, state)

    def undo(self, trial: Trial) -> None:
        """Put memory and registers back to before a trial."""
        view = self.vcpu.memory.view
        for access in reversed(trial.undone):
            if access.store:
                view[access.address : access.address + access.size] = access.before
        self.vcpu.octets[:] = trial.state

    def _logged(self) -> int:
        """Bytes in the log."""
        return 0 if self._log is None else int.from_bytes(self._log.memory[:8], "little")

    def _accesses(self, log: HostBuffer, first: int) -> list[Access]:
        data = log.memory
        used = self._logged()
        found, at, view = [], 8 + first, self.vcpu.memory.view
        while at < 8 + used:
            address, size, access = _ACCESS.unpack_from(data, at)
            at += _ACCESS.size
            before = bytes(data[at : at + size])
            at += -(-size // 8) * 8
            found.append(Access(address, size, access == 1, before, bytes(view[address : address + size])))
        return found
