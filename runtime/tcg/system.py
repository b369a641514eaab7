"""TCG as an accelerator: a machine's processors and memory, run by the engine in system.ll (accelerator.py).

Native code goes on by itself through exceptions, interrupts and TLB misses.  Python is entered for devices, by the bus
callbacks; when a slice is over, when the processor waits; and when the code cache is full.
"""

from __future__ import annotations

import time
from ctypes import CFUNCTYPE, c_uint64, c_void_p, memmove, string_at
from threading import Lock

from runtime.core.accelerator import BusError
from runtime.core.buffer import HostBuffer
from runtime.core.cpu import Isa
from runtime.core.env import ENV, PAGE_BITS, REQUEST_FLUSH
from runtime.tcg.code_cache import DEFAULT_BYTES, CodeCache
from runtime.tcg.native import map_native
from runtime.tcg.places import RamPlaces
from runtime.tcg.soft_tlb import WATCH_UPDATE
from runtime.tcg.system_vcpu import MachineVcpu
from runtime.tcg.tb import BUS_DONE, BUS_FAILED, BUS_NOBODY
from runtime.tcg.tier_options import OFF, TierOptions, first_threshold
from runtime.tcg.watching import WatchedMemory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runtime.core.accelerator import Bus, Clock, Watched
    from runtime.tcg.machine_trace import MachineTracer
    from runtime.tcg.region import RegionRequest

#: ticks a second of the clock that programs read (TIME), unless the board says otherwise
FREQUENCY = 10_000_000
MOST_BREAKPOINTS = 1024
_SECOND = 1_000_000_000
_ALL_ONES = (1 << 64) - 1
_BUS_VALUE = ENV["bus_value"] // 8
_HOST_ERROR = ENV["host_error"] // 8
#: how long the host's cycle counter is watched to learn its frequency, at least
_CALIBRATION = 2_000_000
_CALLBACK = CFUNCTYPE(c_uint64, c_void_p, c_uint64, c_uint64, c_uint64)


class TcgAccelerator:
    """Makes machines of one instruction set.

    tier        how hot code is compiled
    icount      log2 of the nanoseconds that an instruction takes of virtual time: then slices end exactly where they
                should, and runs repeat.  None: the clock is the host's
    threaded    vCPUs are run by several host threads
    """

    name = "tcg"

    def __init__(
        self,
        isa: Isa,
        icount: int | None = None,
        threaded: bool = False,
        frequency: int = FREQUENCY,
        cache_bytes: int = DEFAULT_BYTES,
        tier: TierOptions = OFF,
    ) -> None:
        self.isa = isa
        self.icount = icount
        self.threaded = threaded
        self.frequency = frequency
        self.cache_bytes = cache_bytes
        self.tier_options = tier

    def make_vm(self, bus: Bus, ports: Bus | None = None, clock: Clock | None = None) -> TcgVm:
        """A machine on `bus`; `ports` are for accelerators whose processors have port I/O."""
        return TcgVm(self, bus, clock)


class _HostClock:
    """Virtual time that is the host's."""

    def __init__(self) -> None:
        self._start = time.monotonic_ns()

    def now(self) -> int:
        return time.monotonic_ns() - self._start


class TcgVm:
    """One machine: its RAM, its code cache, its processors."""

    def __init__(self, accelerator: TcgAccelerator, bus: Bus, clock: Clock | None = None) -> None:
        self.isa = accelerator.isa
        self.accelerator = accelerator
        self.bus = bus
        self.clock: Clock = clock or _HostClock()
        self.frequency = accelerator.frequency
        self.icount = accelerator.icount
        self.code = map_native(self.isa.system_blob_path)
        self.ram = RamPlaces()
        self.cache = CodeCache(self.code, self.ram, accelerator.cache_bytes)
        self.cache.expect_much()
        self.memory = self.ram
        self.world = self.cache.world
        self.tier_options = accelerator.tier_options
        #: called with the listing of each region that is compiled
        self.on_region: Callable[[RegionRequest, str], None] | None = None
        self._tier_is_near = False
        self._any_breakpoint = self._one_by_one = False
        self.watched = WatchedMemory(self.ram)
        self.vcpus: list[MachineVcpu] = []
        self.acknowledge: Callable[[], int] | None = None
        self.most_breakpoints: int | None = None
        self.has_watchpoints = True
        self._by_env: dict[int, MachineVcpu] = {}
        self.requests = Lock()
        self._mapping = Lock()
        self._callbacks = _CALLBACK(self._read), _CALLBACK(self._write)
        read, write = self._callbacks
        self.cache.set_bus(c_void_p.from_buffer(read).value or 0, c_void_p.from_buffer(write).value or 0)
        self._breakpoints = HostBuffer(MOST_BREAKPOINTS * 8)
        self._flush: Callable[[int, int], None] = CFUNCTYPE(None, c_void_p, c_uint64)(self.code.address("tlb_flush"))
        self._cycles: Callable[[], int] = CFUNCTYPE(c_uint64)(self.code.address("host_cycles"))
        self._calibration = time.monotonic_ns(), self._cycles()
        self._cycles_per_second = 0
        self._last_ticks = 0
        #: what a device's callback raised, until native code is left
        self.error: BaseException | None = None
        self._remap()
        bus.on_ram_change(self._remap)
        self._count_blocks()

    # ------------------------------------------------------------ the accelerator's protocol

    def make_vcpu(self, index: int) -> MachineVcpu:
        """The next processor."""
        vcpu = MachineVcpu(self, index)
        self.vcpus.append(vcpu)
        self._by_env[vcpu.address] = vcpu
        self.cache.set_threaded(self.accelerator.threaded and len(self.vcpus) > 1)
        return vcpu

    def set_line(self, line: int, level: int) -> None:
        """There is no interrupt controller in here: boards bring theirs."""
        raise ValueError("TCG has no interrupt controller of its own")

    def send_message(self, address: int, data: int) -> None:
        """The same."""
        raise ValueError("TCG has no interrupt controller of its own")

    def watch_store(self, address: int, size: int, value: int | None, event: int, on: bool = True) -> bool:
        """A store has left native code already when it could be noticed: nothing would be gained."""
        return False

    def memory_changed(self, address: int, size: int) -> None:
        """A device wrote RAM behind the vCPUs' back: translated code there is stale."""
        for start, end in self.ram.places(address, size):
            self.cache.invalidate_places(start, end)

    def reset(self) -> None:
        """There is nothing but the processors."""

    def save(self) -> bytes:
        return b""

    def load(self, state: bytes) -> None:
        if state:
            raise ValueError("it is of an accelerator with devices of its own")

    def close(self) -> None:
        """Free it."""
        for vcpu in self.vcpus:
            vcpu.close()
        self.vcpus.clear()
        if self.cache.tier is not None:
            self.cache.tier.close()
        self.cache.close()
        self.code.close()
        self.ram.close()
        self._breakpoints.close()

    # ------------------------------------------------------------ memory

    def _remap(self) -> None:
        """The bus has other RAM: called at the start, and by devices from any thread."""
        # Nobody is stopped: who stops the world waits for vCPUs, and one of them may be who has called this device.
        with self._mapping:
            self.ram.set_runs(self.bus.ram())
            self.cache.set_ram(*self.ram.records)
        for vcpu in self.vcpus:
            if vcpu.is_mine:
                self._flush(vcpu.address, _ALL_ONES)
            else:
                vcpu.request(REQUEST_FLUSH)

    def read_physical(self, address: int, size: int) -> bytes | None:
        """Bytes of RAM; None if it is not all RAM."""
        host = self.ram.host(address, size)
        return string_at(host, size) if host else None

    def set_breakpoints(self, addresses: Iterable[int]) -> None:
        """Have `run` return before instructions at these virtual addresses are executed."""
        wanted = sorted(set(addresses))
        if len(wanted) > MOST_BREAKPOINTS:
            raise ValueError(f"{len(wanted)} breakpoints, more than {MOST_BREAKPOINTS}")
        with self.world.stopped():
            with memoryview(self._breakpoints.memory).cast("Q") as table:
                table[: len(wanted)] = memoryview(b"".join(a.to_bytes(8, "little") for a in wanted)).cast("Q")
            self.cache.set_breakpoints(self._breakpoints.address, len(wanted))
            self._any_breakpoint = bool(wanted)
            self._begin_anew()

    def set_watchpoints(self, ranges: Iterable[Watched]) -> None:
        """Have `run` return behind instructions that touch this RAM."""
        with self.world.stopped():
            self.watched.set(ranges)
            for vcpu in self.vcpus:
                vcpu.request(REQUEST_FLUSH)

    def trace(self, tracer: MachineTracer | None) -> None:
        """Show what the processors run, or no more; they stand still."""
        with self.world.stopped():
            self._one_by_one = tracer is not None and tracer.one_by_one
            for vcpu in self.vcpus:
                vcpu.trace(tracer)
            self._begin_anew()

    def _begin_anew(self) -> None:
        """Translate everything again: what was made before does not stop where it should, or was not told of."""
        if self.cache.tier is not None:  # regions stop nowhere
            self.cache.tier.drop_all()
        self._count_blocks(not self._any_breakpoint and not self._one_by_one)
        self.cache.flush_all()
        for vcpu in self.vcpus:
            vcpu.request(REQUEST_FLUSH)

    # ------------------------------------------------------------ the second tier

    def _count_blocks(self, wanted: bool = True) -> None:
        """Have new blocks count how often they are entered, or not any more."""
        options = self.tier_options
        if options.threshold:
            first = first_threshold(self.isa, self.code, options) if wanted else 0
            self.cache.count_blocks(first, not options.workers)

    def attend(self) -> None:
        """Look after hot blocks: native code has been left anyway."""
        cache = self.cache
        if cache.tier is None:
            if not cache.hot_count:
                return
            from runtime.tcg.tier import Tier

            if self.tier_options.workers and not self._tier_is_near:
                self._tier_is_near = True  # the import alone is pause enough for the guest
                return
            with self.world.lock:
                if cache.tier is None:
                    cache.tier = Tier(self, len(self.vcpus))
        cache.tier.attend()

    def guard(self) -> None:
        """Regions of machines leave no checks to the host."""

    def statistics(self) -> dict[str, int]:
        """What the translator did since the start: blocks, and compiled regions."""
        found = self.cache.statistics()
        tier = self.cache.tier
        if tier is not None:
            told = tier.statistics
            found |= {
                "regions_compiled": told.compiled,
                "regions_from_disk": told.cached,
                "regions_failed": told.failed,
                "regions_dropped": told.dropped,
                "instructions_compiled": told.instructions,
                "milliseconds_compiling": round(1000 * told.seconds),
                "bytes_compiled": tier.regions.bytes,
            }
        return found

    # ------------------------------------------------------------ devices: called from native code

    def _read(self, env: int, address: int, size: int, what: int) -> int:
        try:
            if not size:  # no device is meant: a change of watched memory, or a translation is told of
                vcpu = self._by_env[env]
                if what & WATCH_UPDATE:
                    return vcpu.touch(address, what ^ WATCH_UPDATE, True)
                if vcpu.tracer is not None:
                    vcpu.tracer.walked(vcpu, address, what)
                return BUS_DONE
            if address >> PAGE_BITS in self.watched.pages and (data := self.read_physical(address, size)) is not None:
                self._by_env[env].words[_BUS_VALUE] = int.from_bytes(data, "little")
                return self._by_env[env].touch(address, size, False)
            self._by_env[env].words[_BUS_VALUE] = self.bus.read(address, size) & (1 << 8 * size) - 1
        except BusError:
            return BUS_NOBODY
        except BaseException as error:
            return self._failed(env, error)
        return BUS_DONE

    def _write(self, env: int, address: int, size: int, value: int) -> int:
        try:
            if address >> PAGE_BITS in self.watched.pages and (host := self.ram.host(address, size, store=True)):
                answer = self._by_env[env].touch(address, size, True)
                if answer == BUS_DONE:
                    memmove(host, value.to_bytes(8, "little"), size)
                return answer
            self.bus.write(address, size, value)
        except BusError:
            return BUS_NOBODY
        except BaseException as error:
            return self._failed(env, error)
        return BUS_DONE

    def _failed(self, env: int, error: BaseException) -> int:
        """Kept until native code has been left, through which it cannot pass."""
        self.error = error
        self._by_env[env].words[_HOST_ERROR] = 1
        return BUS_FAILED

    # ------------------------------------------------------------ time

    def clock_terms(self, executed: int) -> tuple[int, int, int]:
        """TIME now, where the clock's source stands now, and ticks for each unit of it times 2^32."""
        if self.icount is not None:
            ticks = self.clock.now() * self.frequency // _SECOND
            return ticks, executed, ((self.frequency << self.icount) << 32) // _SECOND
        if not self._cycles_per_second:
            self._calibrate()
        # TIME never goes back: not by what the two clocks drift apart, either.
        ticks = max(self.clock.now() * self.frequency // _SECOND, self._last_ticks)
        return ticks, self._cycles(), (self.frequency << 32) // self._cycles_per_second

    def time_was(self, ticks: int) -> None:
        """A vCPU may have seen this TIME."""
        self._last_ticks = max(self._last_ticks, ticks)

    def to_nanoseconds(self, ticks: int) -> int:
        """The moment, by the machine's clock, when TIME is `ticks`."""
        return -(-ticks * _SECOND // self.frequency)

    def _calibrate(self) -> None:
        start, cycles = self._calibration
        while time.monotonic_ns() - start < _CALIBRATION:
            time.sleep(_CALIBRATION / _SECOND)
        now = time.monotonic_ns()
        self._cycles_per_second = (self._cycles() - cycles) * _SECOND // (now - start)
