"""Tier 1 as the run process sees it: finds out what is hot, has it compiled, installs it, and takes it out again.

Nothing here is on the guest's way.  `attend` is called when native code is left anyway, about once a million
instructions: it looks at the blocks that became hot since, at what the compilers have answered, and goes back.
"""

from __future__ import annotations

from time import perf_counter

from runtime.core.env import PAGE_BITS, PAGE_CODE, PAGE_EXEC, PAGE_HOOKED
from runtime.core.record import replace
from runtime.tcg.code_memory import CodeMemory
from runtime.tcg.installed import InstalledRegions, Region, spans_of
from runtime.tcg.region_formation import COMPILED, Former, Node, heat
from runtime.tcg.tb import TB
from runtime.tcg.tier_options import CACHED_THRESHOLD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Protocol

    from runtime.core.cpu import Isa
    from runtime.tcg.blobs import Blob
    from runtime.tcg.code_cache import CodeCache
    from runtime.tcg.code_cache import CodeMemory as Memory
    from runtime.tcg.compilers import Compilers
    from runtime.tcg.perf_map import PerfMap
    from runtime.tcg.region import RegionAnswer, RegionRequest
    from runtime.tcg.region_cache import RegionCache
    from runtime.tcg.region_formation import Key
    from runtime.tcg.tier_options import TierOptions

    class Host(Protocol):
        """What a tier asks of the engine whose blocks it compiles."""

        tier_options: TierOptions
        on_region: Callable[[RegionRequest, str], None] | None

        @property
        def isa(self) -> Isa: ...
        @property
        def cache(self) -> CodeCache: ...
        @property
        def memory(self) -> Memory: ...
        @property
        def code(self) -> Blob: ...
        def guard(self) -> None:
            """Compiled code is about to come that leaves checks of memory accesses to the host."""
            ...


#: a page whose compiled code was written to so often is left to tier 0
_MOST_WRITES = 8
#: blocks that wait to be compiled; when there are more those that come are counted anew
_MOST_WAITING = 1000
_ALL_ONES = (1 << 64) - 1
#: bytes of guest code that are compiled within any run that is worth it
_SMALL = 400
#: what was begun so often waits for its turn like all else: perhaps compilers die of it
_MOST_BEGUN = 8
#: seconds between two looks at what the workers have answered
_POLL = 0.002
#: seconds spent on blocks that became hot before the guest goes on
_MOST_PAUSE = 0.0008
#: regions taken out while others may run in them: more than these are worth stopping everybody for
_MOST_RETIRED = 64


class TierStatistics:
    """What tier 1 did."""

    __slots__ = ("cached", "compiled", "dropped", "failed", "instructions", "seconds")

    def __init__(self) -> None:
        self.compiled = 0  # regions compiled
        self.cached = 0  # found on disk
        self.failed = 0  # that could not be compiled
        self.dropped = 0  # taken out because the guest's code changed
        self.instructions = 0  # guest instructions in the compiled ones
        self.seconds = 0.0  # spent compiling them, in the workers


class Tier:
    """Hot blocks and compiled regions of one program or machine.

    vcpus  of a machine; 0 for a program
    """

    def __init__(self, tcg: Host, vcpus: int = 0) -> None:
        options, isa, cache, memory, code = tcg.tier_options, tcg.isa, tcg.cache, tcg.memory, tcg.code
        self.options = options
        self.statistics = TierStatistics()
        self._listen = tcg.on_region
        self._tcg = tcg
        self._perf_map: PerfMap | None = None
        if options.perf_map:
            from runtime.tcg.perf_map import PerfMap

            self._perf_map = PerfMap(code)
        self._isa = isa
        self._is_machine = vcpus > 0
        self._dead = 0
        self._memory = memory
        self._cache = cache
        self._blob = code
        self._disk: RegionCache | None = None
        if options.cache is not None:
            from runtime.tcg.region_cache import RegionCache
            from runtime.tcg.tier_options import isa_folder

            self._disk = RegionCache(isa_folder(options.cache, isa, code))
        #: whether the cache knows which blocks may have a region on disk
        self._listed = False
        self.regions = InstalledRegions(cache, code, options.memory, self._retire, vcpus)
        self._retired: list[CodeMemory] = []
        regions = self.regions
        self._former = Former(
            cache, memory, self._is_compiled, regions.code_in, self._allowed, options.size, regions.first_large
        )
        self._compilers: Compilers | None = None
        self._generation = 0
        self._seen = 0
        self._next_poll = 0.0
        #: whether last time was for new blocks alone, for the guest had waited enough
        self._put_off = False
        #: whether the last look found regions on disk; where some are there are more
        self._fetching = self._disk is not None
        #: host addresses of blocks that became hot and were not looked at yet
        self._found: list[int] = []
        #: host addresses of hot blocks to be compiled
        self._waiting: dict[Key, int] = {}
        #: what earlier runs began to compile for some of these
        self._begun: dict[Key, tuple[RegionRequest, tuple[int, ...]]] = {}
        self._pending: dict[Key, Region] = {}
        self._hopeless: set[Key] = set()
        self._writes: dict[int, int] = {}

    def close(self) -> None:
        """Free compiled code; no vCPU may run."""
        self._pending.clear()
        if self._perf_map is not None:
            self._perf_map.close()
        self.regions.close()
        self._free_retired()

    # ------------------------------------------------------------ the slow path

    @property
    def behind(self) -> bool:
        """Whether to look again soon: the guest had waited enough, or regions come from the disk."""
        return bool(self._found) or self._put_off or self._fetching

    def attend(self) -> None:
        """Look after hot blocks and answers; the guest waits meanwhile, so not for long."""
        lock = self._cache.world.lock
        if lock.acquire(blocking=False):  # else another vCPU's thread is at it
            try:
                self._attend()
            finally:
                lock.release()

    def _attend(self) -> None:
        compilers = self._compilers
        if self._cache.dead_regions != self._dead:
            self._dead = self._cache.dead_regions
            for region in self.regions.dead():
                self._note_writes(self.regions.changed_pages(region))
                self._drop(region)
        if compilers is not None and compilers.generation != self._generation:
            self._begin_again(compilers)
        if self._cache.hot_count != self._seen:
            self._seen = self._cache.hot_count
            self._found += self._cache.take_hot()
        if self._put_off:
            self._put_off = False  # this time is for the rest
        elif self._look(self._found) and self.options.workers:
            self._put_off = True
            return
        if self._pending and compilers is not None and perf_counter() >= self._next_poll:
            pending = len(self._pending)
            compilers.poll()
            self._next_poll = perf_counter() + _POLL
            if compilers.dead:
                self._give_up()
            elif len(self._pending) < pending and self.options.workers:
                self._put_off = True  # installing was pause enough: the next request is for the next time
                return
        if self._waiting:
            self._ask()

    def _look(self, found: list[int]) -> bool:
        """See what is to be done about blocks that became hot, as many as there is time for; whether it took long."""
        began = now = perf_counter()
        fetched = self.statistics.cached
        while found:
            self._hot(found.pop(0))
            now = perf_counter()
            if now >= began + _MOST_PAUSE and self.options.workers:
                break
        self._fetching = self.statistics.cached != fetched
        return now >= began + _MOST_PAUSE / 4

    def _give_up(self) -> None:
        """Nobody compiles any more: what is installed stays, new blocks are not counted."""
        self._waiting.clear()
        self._cache.count_blocks(0)

    def _begin_again(self, compilers: Compilers) -> None:
        """This is a copy that fork made, and what it waits for goes to the other one."""
        self._generation = compilers.generation
        for region in self._pending.values():
            self.regions.forget(region)
            address = self._cache.find(*region.key)
            if address:
                self._count_on(Node(self._cache, address), self.options.threshold)
        self._pending.clear()

    def _hot(self, address: int) -> None:
        """A block came to its threshold."""
        node = Node(self._cache, address)
        if not node.alive or not node.counted or node.armed:  # armed: a region that has it came meanwhile
            return
        key = node.key
        region = self.regions.ready.get(key) or self._from_disk(key)
        if region is not None:
            self.regions.install(region, address)
        elif key in self._pending or key in self._hopeless:
            pass
        elif not self._was_begun(key) and node.heat < self.options.threshold:  # so far only the disk was asked
            self._count_on(node, self.options.threshold - node.heat)
        elif (
            any((node.pc, node.place) in other.points for other in self._pending.values())
            or len(self._waiting) >= _MOST_WAITING
        ):
            self._count_on(node, 16 * self.options.threshold)
        else:
            self._waiting[key] = address

    def _was_begun(self, key: Key) -> bool:
        """Whether an earlier run ended while it had a region for this block compiled: then that one is to be asked for.

        What is never finished in the time that runs take is asked for in smaller pieces."""
        disk = self._disk
        found = None if disk is None else disk.unfinished(key[0], key[1], lambda request: self._present(key, request))
        if disk is None or found is None or found[1] > _MOST_BEGUN:
            return False
        request, times, places = found
        if times > 1 and len(places) > 1 and sum(len(block.code) for block in request.blocks) > _SMALL:
            disk.end(request)
            half = (len(places) + 1) // 2
            request, places = replace(request, blocks=request.blocks[:half]), places[:half]
        self._begun[key] = request, places
        return True

    def _count_on(self, node: Node, remaining: int) -> None:
        self.regions.count(node.address + TB["bytes"], max(1, remaining))

    # ------------------------------------------------------------ compiling

    def _ask(self) -> None:
        """Have the hottest blocks compiled as far as somebody is free to do it."""
        compilers = self._compilers
        if compilers is None:
            compilers = self._compilers = self._make_compilers()
            self._generation = compilers.generation
            if self.options.workers:
                return  # starting one is for the next time, and the first request for the one after: no long pauses
        if not compilers.start():
            return
        while self._waiting and compilers.slots() > 0:
            key, hottest = max(self._waiting.items(), key=self._urgency)
            del self._waiting[key]
            formed = self._begun.pop(key, None) or self._former.form(hottest)
            if formed is None:
                self._hopeless.add(key)
                continue
            request, places = formed
            region = Region(request, places)
            self._pending[key] = region
            self.regions.watch(region)
            for other in [
                other for other in self._waiting if (other[0], other[2]) in region.points and other[1] == key[1]
            ]:
                self._count_on(Node(self._cache, self._waiting.pop(other)), 16 * self.options.threshold)
            compilers.submit(request, self._receiver(region), self._listen is not None)
            if self.options.workers:
                break  # choosing a region takes a millisecond: another one next time

    def _urgency(self, waiting: tuple[Key, int]) -> int:
        """How hot a waiting block is, or was when it was asked for before."""
        begun = self._begun.get(waiting[0])
        return heat(self._cache, waiting[1]) if begun is None else begun[0].blocks[0].count

    def _make_compilers(self) -> Compilers:
        from runtime.tcg.compilers import InlineCompiler, worker_pool

        if self.options.workers:
            folder = None if self._disk is None else self._disk.folder
            return worker_pool(self._isa.path, folder, self.options.workers, self._blob, self._is_machine)
        from runtime.tcg.worker import Service

        return InlineCompiler(Service(self._isa.path, self._disk, self._blob.checksum, self._is_machine))

    def _receiver(self, region: Region) -> Callable[[RegionAnswer | None], None]:
        return lambda answer: self._answered(region, answer)

    def _answered(self, region: Region, answer: RegionAnswer | None) -> None:
        """A compiler is done with a region, or there is nobody any more who would do it."""
        if self._pending.get(region.key) is not region:
            return  # what it was made from has changed
        del self._pending[region.key]
        if answer is None or not answer.code:
            self.statistics.failed += 1
            self.regions.forget(region)
            self._hopeless.add(region.key)
            return
        self.statistics.compiled += 1
        self.statistics.instructions += answer.instructions
        self.statistics.seconds += answer.seconds
        if self._listen is not None:
            self._listen(region.request, answer.text)
        if not self._put(region, answer):
            return
        block = self._cache.find(*region.key)
        if block:
            self.regions.install(region, block)

    def _put(self, region: Region, answer: RegionAnswer, compared: bool = False) -> bool:
        """Have a compiled region ready, if the guest's code is what it was made from (compared: it has just been).

        Other vCPUs must not store to it while that is found out and guarded: a page that holds no code yet lets them.
        """
        if compared and not self._cache.world.is_shared and not self._is_machine:
            return self._guard_and_add(region, answer)
        if self._cache.world.is_shared and not all(
            self._memory.table[start >> PAGE_BITS] & PAGE_CODE for start, _ in region.spans
        ):
            with self._cache.world.stopped():
                return self._put_now(region, answer)
        return self._put_now(region, answer)

    def _put_now(self, region: Region, answer: RegionAnswer) -> bool:
        if not self._is_machine and not self._is_current(region.request, region.places, region.spans):
            self.regions.forget(region)
            return False
        return self._guard_and_add(region, answer)

    def _guard_and_add(self, region: Region, answer: RegionAnswer) -> bool:
        if answer.accesses:
            self._tcg.guard()
        self.regions.add(region, answer)
        # In a machine, a device may store there until it is guarded: what was found before would say little.
        if self._is_machine and not self._is_current(region.request, region.places, region.spans):
            self.regions.remove(region)
            return False
        if self._perf_map is not None and region.memory is not None:
            self._perf_map.add(region.memory.address, region.memory.size, f"region {region.request.entry:#x}")
        flags, find, ready, again = region.request.flags, self._cache.find, self.regions.ready, self.options.threshold
        for block, place in zip(region.request.blocks[1:], region.places[1:], strict=True):
            # Blocks inside it that are entered from outside have to become hot anew.
            inside = block.pc, flags, place
            if inside not in ready and (address := find(*inside)) and self.regions.recount(address, again):
                self._waiting.pop(inside, None)
        return region.function != 0

    def _from_disk(self, key: Key) -> Region | None:
        """The region an earlier run has compiled."""
        if self._disk is None or key in self._pending:
            return None
        if not self._listed:
            self._listed, threshold = True, self.options.threshold
            sooner = min(CACHED_THRESHOLD, threshold)
            self._cache.list_blocks(self._disk.entries(), sooner, threshold, not self._is_machine)
        found = self._disk.find(key[0], key[1], lambda request: self._present(key, request))
        if found is None:
            return None
        request, answer, places = found
        region = Region(request, places)
        self.regions.watch(region)
        if not self._put(region, answer, True):
            return None
        self.statistics.cached += 1
        return region

    # ------------------------------------------------------------ what may be compiled

    def _is_compiled(self, node: Node) -> bool:
        return node.heat >= COMPILED or self.regions.covers(node.key)

    def _is_current(self, request: RegionRequest, places: tuple[int, ...], spans: Iterable[tuple[int, int]]) -> bool:
        """Whether the guest's code is what the region was made from; `spans` are all its places."""
        for start, end in spans:
            if not self._allowed(start, end):
                return False
        read = self._memory.read
        for block, place in zip(request.blocks, places, strict=True):
            size = len(block.code)
            if self._is_machine and (place ^ place + size - 1) >> PAGE_BITS:
                return False  # its second page may be anywhere
            if read(place, size, 0) != block.code:
                return False
        return True

    def _present(self, key: Key, request: RegionRequest) -> tuple[int, ...] | None:
        """Where the code of a region that begins with the block of `key` is; None if it is not there."""
        places = self._places(key, request)
        return places if self._is_current(request, places, spans_of(request, places)) else None

    def _places(self, key: Key, request: RegionRequest) -> tuple[int, ...]:
        """Where the code of its blocks may be: in the pages of blocks of these addresses, or as far from the entry as
        they are.

        It may be elsewhere: a machine finds out when the region is entered."""
        near = key[2] - key[0]
        distances = {key[0] >> PAGE_BITS: near}
        for block in request.blocks if self._is_machine else ():
            page = block.pc >> PAGE_BITS
            if page not in distances and (address := self._cache.find(block.pc, key[1])):
                distances[page] = self._cache.place(address) - block.pc
        return tuple(block.pc + distances.get(block.pc >> PAGE_BITS, near) & _ALL_ONES for block in request.blocks)

    def _allowed(self, start: int, end: int) -> bool:
        """Whether code in these places may be compiled: it is executable, nobody wants to see it run, and it seldom
        changes."""
        if self._memory.check(start, end - start, PAGE_EXEC) is not None:
            return False
        for page in range(start >> PAGE_BITS, (end - 1 >> PAGE_BITS) + 1):
            if self._writes.get(page, 0) > _MOST_WRITES:
                return False
            if self._memory.table[page] & PAGE_HOOKED and self._cache.is_hooked(start, end):
                return False
        return True

    # ------------------------------------------------------------ changes

    def invalidate(self, start: int, end: int) -> None:
        """The code in [start, end) is about to change, or to be hooked: no region made from it may run again."""
        for region in self.regions.touching(start, end):
            self._note_writes({first >> PAGE_BITS for first, last in region.spans if first < end and start < last})
            self._drop(region)
        first, last = start >> PAGE_BITS, end - 1 >> PAGE_BITS
        for key in [key for key in (*self._waiting, *self._hopeless) if first <= key[2] >> PAGE_BITS <= last]:
            self._waiting.pop(key, None)
            self._hopeless.discard(key)

    def _note_writes(self, pages: Iterable[int]) -> None:
        """Compiled code in these pages was written to."""
        for page in pages:
            self._writes[page] = self._writes.get(page, 0) + 1

    def _drop(self, region: Region) -> None:
        self._pending.pop(region.key, None)
        self.regions.remove(region)
        self.statistics.dropped += 1

    def drop_all(self) -> None:
        """No region may run again until blocks become hot anew; no vCPU may run."""
        for region in [*self.regions.ready.values(), *self._pending.values()]:
            self._drop(region)
        self._waiting.clear()

    def _retire(self, memory: CodeMemory) -> None:
        """Free compiled code that is not installed any more, once no vCPU can be in it."""
        self._retired.append(memory)
        world = self._cache.world
        if not world.is_shared:
            self._free_retired()
        elif len(self._retired) >= _MOST_RETIRED:
            with world.stopped():
                self._free_retired()

    def _free_retired(self) -> None:
        for memory in self._retired:
            memory.close()
        self._retired.clear()

    def forget(self, start: int, end: int) -> None:
        """The blocks at host addresses [start, end) are about to be freed; regions made from them stay."""
        self.regions.forget_heads(start, end)
        self._found[:] = [address for address in self._found if not start <= address < end]
        for key in [key for key, address in self._waiting.items() if start <= address < end]:
            del self._waiting[key]
