"""The runtime's own part of a vCPU's native state (`env`): fields before the guest's registers, and exit reasons.

The single source of these offsets: the lowering, the native engine and Python's view all read them here.
"""

from __future__ import annotations

from runtime.core.light import IntEnum, MappingProxyType


class Exit(IntEnum):
    """Why native code returned to Python (`env.exit_reason`)."""

    NONE = 0
    BUDGET = 1  # the instruction budget ran out; env.pc is the next instruction
    EXCEPTION = 2  # the guest raised env.exception with env.arg0..; env.pc is the raising instruction
    CACHE_FULL = 3  # tb_gen_code found no room; evict and go on at env.pc
    CODE_WRITE = 4  # a store to env.fault_address hit a page holding translated code; re-run env.pc after invalidating
    WAIT = 5  # wfi: sleep until an interrupt; env.pc is the next instruction
    TRANSLATED = 6  # trace mode: env.tb is new; go on at env.pc
    HOOK = 7  # env.pc is an address that Python wants to see before it runs (runtime/core/watch.py)
    HOT = 8  # the block at env.pc has become hot, and TcgContext.hot_exit asks to be told at once
    CODE_PAGE = 9  # a block of a page that other vCPUs may be storing to: generate it with the world stopped
    POLL = 10  # state that `on interrupt` reads has changed: poll, then go on at env.pc
    HOST_ERROR = 11  # a device's Python raised an exception; the instruction at env.pc has not happened
    TRAPPED = 12  # trace mode: an exception or an interrupt was entered; go on at env.pc


class FaultKind(IntEnum):
    """What stands behind an exception that a memory access or a fetch raised (`env.fault_kind`)."""

    NONE = 0  # no access did
    DENIED = 1  # the page does not exist or does not allow it
    HOOKED = 2  # the access is fine, but Python wants to see it first; the exception is not the guest's


# Bits of `env.hook_pass`: what runs on all the same.
PASS_CODE = 1  # blocks at hooked addresses
PASS_MEMORY = 2  # accesses to hooked pages
PASS_DENIED = 4  # accesses to pages that do not allow them: to find out what they would do (undone afterwards)


#: name -> bytes, in order; every field is naturally aligned because the large ones come first.
RUNTIME_FIELDS: tuple[tuple[str, int], ...] = (
    ("pc", 8),  # guest pc: valid whenever native code is not running
    ("flags", 8),  # packed modes: the TB key beside pc
    ("npc", 8),  # in a delay slot: where the branch before it goes; all ones if it is not taken
    ("cs_base", 8),  # the other TB key of QEMU's; 0 unless an ISA needs it
    ("budget", 8),  # instructions left to run (signed)
    ("budget_base", 8),  # INSTRET = budget_base - budget
    ("exit_reason", 8),
    ("exception", 8),  # exception code (Spec.exceptions)
    ("arg0", 8),  # its arguments
    ("arg1", 8),
    ("arg2", 8),
    ("fault_address", 8),
    ("fault_access", 8),  # 0 load, 1 store, 2 fetch
    ("memory_base", 8),  # host address of guest address 0
    ("permissions", 8),  # host address of the byte-per-page permission table
    ("jump_cache", 8),  # host address of tb_jmp_cache: JUMP_CACHE_ENTRIES of {pc, flags, op, generation}
    ("tcg", 8),  # host address of the shared TcgContext (runtime/tcg/tb.py)
    ("tb", 8),  # last TB generated or looked up by the slow path
    ("exclusive_address", 8),  # load_exclusive's reservation; all ones when none
    ("exclusive_value", 8),
    ("trace", 8),  # bits of runtime/tcg/tb.py: return to Python after each translation, link no jump slots
    ("single_step", 8),  # non-zero: TBs of one instruction, not chained
    ("host_mxcsr", 8),  # scratch of the entry stub
    ("scratch", 8),
    ("fault_size", 8),  # bytes of the access at fault_address
    ("fault_kind", 8),  # FaultKind, set when an access is refused; whoever looks at it sets it back to NONE
    ("hook_pass", 8),  # PASS_* bits
    ("access_log", 8),  # host address of an access log (runtime/tcg/tb.py), 0: accesses are not logged
    ("native", 8),  # host address of the ISA's native code: regions find its functions by their offsets in it
    ("running", 8),  # 1 while native code runs with this env (runtime/tcg/threads.ll)
    ("store_page", 8),  # the last page of code that native code stored to since it was entered; all ones: none
    ("operand0", 8),  # values that records before an instruction's own have worked out for it
    ("operand1", 8),
    # What the hooks of a machine tell the engine (gen/native_hooks.py):
    ("walk_page", 8),  # physical address of the page that hook_translate found
    ("walk_bits", 8),  # log2 of its size
    ("walk_permissions", 8),  # 1 to load, 2 to store, 4 to fetch
    ("phys_failed", 8),  # set by the engine when phys_load, phys_store or phys_cmpxchg reached nothing
    ("sink", 64),  # where writes to hard-wired registers go
    # From here on: machines only (runtime/tcg/soft_mmu.ll, system.ll).
    ("kick", 8),  # blocks end in an exit when less of the budget is left than this: 0, or KICKED
    ("requests", 8),  # REQUEST_* bits that other threads set, before they set `kick`
    ("tlbs", 8),  # host address of the vCPU's TLBs, one for each value of the modes that translation depends on
    ("tlb", 8),  # host address of the one for the modes as they are
    ("jump_generation", 8),  # jump cache entries of another generation are stale
    ("fetch_addend", 8),  # what makes a host address of the virtual one that instructions are fetched from
    ("second_place", 8),  # where in RAM the second page of an instruction that straddles two begins
    ("host_error", 8),  # 1: the bus callback failed, Python has an exception to raise; or DEVICE_WAITS
    ("locked", 8),  # 1 while this vCPU holds the engine's lock
    ("step_block", 8),  # host address of room for blocks that run once
    ("plain_jump_cache", 8),  # the jump cache that is used when not single-stepping
    ("empty_jump_cache", 8),  # and the one that is never filled, when it is
    ("run_end", 8),  # instructions executed at which the slice is over
    ("poll_every", 8),  # instructions between two looks at the clock
    ("exact", 8),  # non-zero: stop exactly at run_end, and the clock counts instructions
    ("clock_base", 8),  # TIME when the clock's source was `clock_start`
    ("clock_start", 8),
    ("clock_scale", 8),  # ticks of TIME for each unit of the source, as a fraction of 2^32
    ("raised", 8),  # exceptions entered natively
    ("interrupts", 8),  # interrupts taken
    ("tlb_misses", 8),  # runs of hook_translate
    ("tlb_flushes", 8),
    ("tlb_full_flushes", 8),  # of everything
    ("bus_accesses", 8),
    ("guest_mxcsr", 8),  # while Python is called from guest code
    ("bus_value", 8),  # of a bus access
    ("hook_value", 8),  # of a hook's access to physical memory
    ("slow", 64),  # bytes of an access that takes the slow path
    ("number", 8),  # which one of the machine's vCPUs it is
    ("tlb_moves", 8),  # odd while entries of its TLBs change their places: others cannot tell then what is in there
)


def _offsets() -> dict[str, int]:
    offsets, at = {}, 0
    for name, size in RUNTIME_FIELDS:
        offsets[name] = at
        at += size
    return offsets


#: byte offset of each runtime field in `env`
ENV: MappingProxyType[str, int] = MappingProxyType(_offsets())
#: where the guest's registers begin (a multiple of 64)
GUEST_STATE: int = -(-sum(size for _, size in RUNTIME_FIELDS) // 64) * 64

#: env.kick of a vCPU that shall look up at the end of its block: more than any budget
KICKED = 1 << 62
# Bits of env.requests.
REQUEST_LEAVE = 1  # leave native code
REQUEST_FLUSH = 2  # forget all translations

#: env.host_error: the instruction at env.pc, which accesses a device, is to be made as a block of its own
DEVICE_WAITS = 2

JUMP_CACHE_ENTRIES = 4096
JUMP_CACHE_ENTRY_BYTES = 32

# The permission byte of a guest page.
PAGE_BITS = 12
PAGE_READ, PAGE_WRITE, PAGE_EXEC = 1, 2, 4
PAGE_CODE = 8  # holds translated code: PAGE_WRITE is cleared meanwhile and PAGE_WRITABLE says what it was
PAGE_WRITABLE = 16
PAGE_WATCHED = 32  # stores are shown to Python first: PAGE_WRITE is cleared meanwhile, PAGE_WRITABLE remembers it
PAGE_READABLE = 64  # loads are shown to Python first: PAGE_READ is cleared meanwhile, and this says that it was set
PAGE_HOOKED = 128  # some addresses of the page are in TcgContext.hooked: Python is asked before code there runs
#: guest addresses of more bits than this do not exist in user mode (one reservation of 2**38 bytes)
ADDRESS_BITS = 38
#: host bytes below and above the guest's that are nobody's: compiled code compares the base of an address with the end
#: of the address space, not what a displacement of less than this makes of it
ADDRESS_MARGIN = 1 << 30
