"""A machine's virtual CPU under TCG: running it, waking it, its state."""

from __future__ import annotations

import struct
from ctypes import CFUNCTYPE, c_uint64, c_void_p
from threading import get_ident

from runtime.core.accelerator import Breakpoint, Idle, Running, Watchpoint
from runtime.core.buffer import HostBuffer
from runtime.core.cpu import Vcpu
from runtime.core.env import (
    ENV,
    GUEST_STATE,
    JUMP_CACHE_ENTRIES,
    JUMP_CACHE_ENTRY_BYTES,
    KICKED,
    PAGE_BITS,
    PASS_CODE,
    REQUEST_FLUSH,
    REQUEST_LEAVE,
    Exit,
)
from runtime.tcg.soft_tlb import after_tlbs, entries
from runtime.tcg.tb import BUS_DONE, BUS_FAILED, RECORD_MAX_BYTES, TB, TB_MAX_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Literal

    from runtime.core.accelerator import VcpuExit
    from runtime.tcg.machine_trace import MachineTracer
    from runtime.tcg.system import TcgVm
    from runtime.tcg.watching import Access

#: instructions between two looks at a clock that runs by itself
POLL_EVERY = 20_000
_WORD = {name: offset // 8 for name, offset in ENV.items()}
_ALL_ONES = (1 << 64) - 1
_STATE_WORDS = ("pc", "flags", "npc", "cs_base", "exclusive_address", "exclusive_value")
_HEADER = struct.Struct(f"<Q{len(_STATE_WORDS) + 1}Q")
_MAGIC = 0x1_5500_0001
_INPUT_FORMATS: dict[int, Literal["B", "H", "I", "Q"]] = {1: "B", 2: "H", 4: "I", 8: "Q"}


class MachineVcpu(Vcpu):
    """One processor of a TcgVm; see runtime/core/accelerator.py."""

    def __init__(self, vm: TcgVm, index: int) -> None:
        self._ready = False
        super().__init__(vm.isa, vm.ram, index)  # type: ignore[arg-type]  # of memory it asks base and permissions
        self.vm = vm
        code = vm.code
        self._jump_cache = HostBuffer(JUMP_CACHE_ENTRIES * JUMP_CACHE_ENTRY_BYTES)
        # Never filled: what steps instruction by instruction always comes to tb_find.
        self._empty_cache = HostBuffer(JUMP_CACHE_ENTRIES * JUMP_CACHE_ENTRY_BYTES)
        for buffer in (self._jump_cache, self._empty_cache):
            buffer.memory[:16] = b"\xff" * 16  # the only entry that zeros would be right for
        behind = after_tlbs(self.layout)
        self._tlbs = HostBuffer(behind["bytes"])
        ranges = behind["bytes"] - behind["large_ranges"]
        self._tlbs.memory[behind["large_ranges"] : behind["bytes"]] = b"\xff" * ranges
        self._step_block = HostBuffer(TB["bytes"] + TB_MAX_BYTES + 4 * RECORD_MAX_BYTES)
        for name, value in (
            ("jump_cache", self._jump_cache.address),
            ("plain_jump_cache", self._jump_cache.address),
            ("empty_jump_cache", self._empty_cache.address),
            ("jump_generation", 1),
            ("tlbs", self._tlbs.address),
            ("tlb", self._tlbs.address),
            ("step_block", self._step_block.address),
            ("tcg", vm.cache.address),
            ("native", code.base),
            ("exact", vm.icount is not None),
            ("poll_every", POLL_EVERY),
            ("number", index),
        ):
            self.words[_WORD[name]] = value
        self._enter: Callable[[int], None] = CFUNCTYPE(None, c_void_p)(code.address("system_run"))
        self._find: Callable[[int], int | None] = CFUNCTYPE(c_void_p, c_void_p)(code.address("tb_find"))
        self._reset: Callable[[int], None] = CFUNCTYPE(None, c_void_p)(code.address("hook_reset"))
        self._clock_now: Callable[[int], int] = CFUNCTYPE(c_uint64, c_void_p)(code.address("clock_now"))
        self._deadline: Callable[[int], int] = CFUNCTYPE(c_uint64, c_void_p)(code.address("clock_deadline"))
        self._translate: Callable[[int, int, int], int] = CFUNCTYPE(c_uint64, c_void_p, c_uint64, c_uint64)(
            code.address("translate_debug")
        )
        self._inputs: dict[str, tuple[memoryview, int]] = {}
        for name, width, offset in self.layout.inputs:
            size = next(size for size in (1, 2, 4, 8) if 8 * size >= width)
            place = self.octets[offset : offset + size].cast(_INPUT_FORMATS[size])
            self._inputs[name] = place, (1 << width) - 1
        self._thread = 0
        #: shows what runs here (`-d`); and whether somebody kicked since it last looked
        self.tracer: MachineTracer | None = None
        self.kicked = False
        #: the accesses to watched memory that an instruction makes, while it may make them
        self._touched: list[Access] | None = None
        self._about_to_touch = False
        vm.world.add(self.address, self._jump_cache.address)
        self._ready = True
        self.reset()

    def close(self) -> None:
        self.vm.world.remove(self.address)
        for place, _ in self._inputs.values():
            place.release()
        self._inputs.clear()
        for buffer in (self._jump_cache, self._empty_cache, self._tlbs, self._step_block):
            buffer.close()
        super().close()

    # ------------------------------------------------------------ running

    def run(self, instructions: int) -> VcpuExit:
        """Execute so many instructions at most; exactly so many with -icount, if nothing happens before."""
        if self.tracer is not None and self.tracer.one_by_one:
            return self.tracer.run(self, instructions)
        return self.run_untraced(instructions)

    def run_untraced(self, instructions: int) -> VcpuExit:
        """The same, without showing each block."""
        words, address = self.words, self.address
        executed = self.executed
        words[_WORD["run_end"]] = executed + instructions
        terms = self.vm.clock_terms(executed)
        words[_WORD["clock_base"]], words[_WORD["clock_start"]], words[_WORD["clock_scale"]] = terms
        self._thread = get_ident()
        self.vm.attend()
        try:
            while True:
                self._enter(address)
                answer = self._answer(words[_WORD["exit_reason"]])
                if answer is not None:
                    return answer
        finally:
            self._thread = 0
            self.vm.time_was(self._clock_now(address))

    def _answer(self, reason: int) -> VcpuExit | None:
        """Do what the engine asks for; what is left for the caller of `run`."""
        vm = self.vm
        match reason:
            case Exit.BUDGET:
                return Running()
            case Exit.WAIT:
                deadline = self._deadline(self.address)
                return Idle(None if deadline == _ALL_ONES else vm.to_nanoseconds(deadline))
            case Exit.CACHE_FULL:
                vm.cache.evict()
            case Exit.HOT:
                vm.attend()
            case Exit.CODE_WRITE:
                with vm.world.stopped(self.address):
                    page = self.words[_WORD["fault_address"]] >> PAGE_BITS
                    vm.cache.invalidate_pages(page, page)
                    self._step()
            case Exit.CODE_PAGE:
                with vm.world.stopped(self.address):
                    self._find(self.address)
            case Exit.HOOK:
                return Breakpoint()
            case Exit.TRANSLATED if self.tracer is not None:
                self.tracer.block_made(self)
            case Exit.TRAPPED if self.tracer is not None:
                self.tracer.trapped(self)
                if self.tracer.one_by_one:  # the handler is to be shown, too
                    return Running()
            case Exit.HOST_ERROR:
                self.words[_WORD["host_error"]] = 0
                if self._about_to_touch:
                    return self._touch_alone()
                error, vm.error = vm.error, None
                if error is not None:
                    raise error
            case _:
                raise RuntimeError(f"native code was left for reason {reason}")
        return None

    def _step(self) -> None:
        """Run one instruction while the world is stopped."""
        words = self.words
        end = words[_WORD["run_end"]]
        words[_WORD["run_end"]], words[_WORD["single_step"]] = self.executed + 1, 1
        try:
            self._enter(self.address)
        finally:
            words[_WORD["run_end"]], words[_WORD["single_step"]] = end, 0

    def touch(self, address: int, size: int, store: bool) -> int:
        """The instruction that runs accesses a page that is watched: have it leave, unless it runs alone."""
        if self._touched is None:
            self._about_to_touch = True
            self.words[_WORD["host_error"]] = 1
            return BUS_FAILED
        self._touched.append((address, size, store))
        return BUS_DONE

    def _touch_alone(self) -> VcpuExit | None:
        """Execute the instruction that was left before its access, and see whether it touches what is watched."""
        self._about_to_touch = False
        accesses: list[Access] = []
        self._touched = accesses
        executed = self.executed
        try:
            with self.vm.world.stopped(self.address):
                self._step()
        finally:
            self._touched = None
        reason = self.words[_WORD["exit_reason"]]
        answer = None if reason == Exit.BUDGET else self._answer(reason)
        # An access that was refused, or is to be made again, is none.
        found = self.vm.watched.touched(accesses) if self.executed != executed else None
        return answer if found is None else Watchpoint(*found)

    def step(self) -> VcpuExit:
        """Execute one instruction, even if there is a breakpoint at it; or enter an interrupt's handler before it."""
        words = self.words
        words[_WORD["single_step"]], words[_WORD["hook_pass"]] = 1, PASS_CODE
        try:
            return self.run(1)
        finally:
            words[_WORD["single_step"]] = words[_WORD["hook_pass"]] = 0

    @property
    def is_mine(self) -> bool:
        """Whether the calling thread is in this vCPU's native code, by way of a device."""
        return self._thread == get_ident()

    def kick(self) -> None:
        """Make `run` return soon."""
        self.kicked = True
        self.request(REQUEST_LEAVE)

    def trace(self, tracer: MachineTracer | None) -> None:
        """Show what runs here, or no more; it does not run now."""
        if self.tracer is not None:
            self.tracer.end(self)
        self.tracer = tracer
        if tracer is not None:
            tracer.begin(self)

    def find_block(self) -> int | None:
        """The block that comes next; None: exit_reason says why there is none.  The world stands still."""
        return self._find(self.address)

    def request(self, what: int) -> None:
        """Have native code do something at the end of the block it is in; from any thread."""
        with self.vm.requests:
            self.words[_WORD["requests"]] |= what
            self.words[_WORD["kick"]] = KICKED

    def set_input(self, name: str, level: int) -> None:
        """A wire into the processor; looked at when the block that runs has ended."""
        place, mask = self._inputs[name]
        place[0] = level & mask
        self.words[_WORD["kick"]] = KICKED

    # ------------------------------------------------------------ state

    def reset(self) -> None:
        """The state after power-on."""
        super().reset()
        if self._ready:
            self._reset(self.address)
            self.forget_translations()

    def forget_translations(self) -> None:
        """Registers were written from outside: what was derived from them is to be derived anew."""
        self.request(REQUEST_FLUSH)

    def registers(self) -> Mapping[str, int]:
        """Every register by its spec's name; entries of files by their printed names; modes; pc."""
        found = {self.layout.pc_name: self.pc}
        for register in self.layout.registers:
            for index in range(register.count):
                name = register.names[index][0] if register.names else register.name
                name = name if register.names or not register.is_file else f"{register.name}{index}"
                found[name] = self.get(register.name, index)
        for mode in self.layout.modes:
            if not mode.prefix:
                found[mode.name] = self.get_mode(mode.name)
        return found

    def set_register(self, name: str, value: int) -> None:
        """Change one; KeyError for a name there is none of."""
        if name in ("pc", self.layout.pc_name):
            self.pc = value
        elif (found := self.find(name)) is not None:
            self.set(found[0].name, value, found[1])
        elif any(mode.name == name and not mode.prefix for mode in self.layout.modes):
            mode = self.layout.mode(name)
            self.set_mode(name, value & (1 << mode.width) - 1)
        else:
            base = name.rstrip("0123456789")
            register = self.layout.by_name.get(base)
            if register is None or not register.is_file or base == name:
                raise KeyError(name)
            self.set(base, value, int(name[len(base) :]))
        self.forget_translations()

    def save(self) -> bytes:
        """Its whole state, for `load` of a vCPU of the same kind."""
        values = [self.words[_WORD[name]] for name in _STATE_WORDS]
        return _HEADER.pack(_MAGIC, self.executed, *values) + bytes(self.octets[GUEST_STATE:])

    def load(self, state: bytes) -> None:
        """What `save` gave."""
        if len(state) != _HEADER.size + len(self.octets) - GUEST_STATE:
            raise ValueError("a saved processor of another kind")
        magic, executed, *values = _HEADER.unpack_from(state)
        if magic != _MAGIC:
            raise ValueError("no saved processor")
        for name, value in zip(_STATE_WORDS, values, strict=True):
            self.words[_WORD[name]] = value
        self.octets[GUEST_STATE:] = state[_HEADER.size :]
        self.signed[_WORD["budget"]], self.signed[_WORD["budget_base"]] = 0, executed
        self.forget_translations()

    # ------------------------------------------------------------ looking

    def translate(self, address: int, access: int = 0) -> int | None:
        """The physical address behind a virtual one as the processor is now; None when an access would fault.

        As a real access does, it may set accessed and dirty bits."""
        kept = [self.words[_WORD[name]] for name in ("exception", "arg0", "arg1", "arg2")]
        found = self._translate(self.address, address, access)
        for name, value in zip(("exception", "arg0", "arg1", "arg2"), kept, strict=True):
            self.words[_WORD[name]] = value
        return None if found == _ALL_ONES else found

    def show_tlb(self) -> str:
        """What the software TLBs hold, for `info tlb`."""
        lines = []
        for modes, address, physical, letters in entries(self.layout, memoryview(self._tlbs.memory)):
            lines.append(f"modes {modes:#x}: {address:016x} -> {physical:016x} {letters}")
        return "\n".join(lines) or "nothing"

    def statistics(self) -> dict[str, int]:
        """What was counted since the start."""
        names = ("raised", "interrupts", "tlb_misses", "tlb_flushes", "tlb_full_flushes", "bus_accesses")
        return {"executed": self.executed} | {name: self.words[_WORD[name]] for name in names}
