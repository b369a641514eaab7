"""The native engine's LLVM IR for one ISA: engine.ll and its parts, with every offset and constant filled in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from string import Template

from runtime.core import env
from runtime.core.env import ENV, Exit
from runtime.core.layout import Layout
from runtime.tcg import soft_tlb, tb

#: parts of one module
_COMMON = ("engine.ll", "generate.ll", "invalidate.ll", "regions.ll", "threads.ll", "entry_x86_64.ll")
#: and what is behind guest addresses: in a user program, in a machine
_USER = ("reservation.ll", "mem_slow.ll")
_MACHINE = ("machine_memory.ll", "soft_tlb.ll", "soft_mmu.ll", "physical.ll", "machine_regions.ll", "system.ll")

#: functions of the engine that Python calls by their address in the blob: name -> (argument count, whether it returns)
ENTRY_POINTS: dict[str, tuple[int, bool]] = {
    "cpu_exec_native": (1, False),  # env
    "tb_find": (1, True),  # env -> block or 0
    "tb_invalidate_page": (2, False),  # tcg, page
    "tb_invalidate_range": (3, False),  # tcg, start, end
    "tb_flush_segment": (2, False),  # tcg, index
    "tb_discard": (2, False),  # tcg, block
    "world_add": (3, False),  # tcg, env, jump cache
    "world_remove": (3, False),  # tcg, env, jump cache
    "world_stop": (2, False),  # tcg, env that may run on or 0
    "world_go": (1, False),  # tcg
    "region_guard": (3, False),  # tcg, guard, page
    "region_unguard": (2, False),  # tcg, guard
    "spawn_detached": (6, True),  # path, argv, envp, descriptors for 0, 1 and 2 -> less than 0 when it failed
}
#: functions of a machine's engine that Python calls
MACHINE_ENTRY_POINTS: dict[str, tuple[int, bool]] = {
    "system_run": (1, False),  # env
    "tlb_flush": (2, False),  # env, virtual address or all ones
    "clock_now": (1, True),  # env -> ticks
    "clock_deadline": (1, True),  # env -> ticks, all ones for never
    "host_cycles": (0, True),
    "hook_reset": (1, False),  # env
    "hook_wake": (1, True),  # env -> 1: it does not sleep
    "translate_debug": (3, True),  # env, virtual address, access -> physical address or all ones
}

# What decode_insn and decode_goto return besides the instruction's length (bits 0-7) and its records' bytes (8-23).
DECODED_ENDS_TB = 1 << 24
DECODED_NEW_FLAGS = 1 << 29
# The number of jump slots in the record.
DECODED_SLOTS_SHIFT, DECODED_SLOTS_MASK = 25, 7
# From this bit on: the number of the handler as @fused_handler knows it, 0 for one that is never fused.
DECODED_FUSIBLE_SHIFT = 32

#: a spec without `on wake`: an interrupt that is taken wakes
_WAKE = """define hidden i64 @hook_wake(ptr %env) nounwind {
  %taken = call i64 @hook_interrupt(ptr %env)
  ret i64 %taken
}
"""


def _names(layout: Layout) -> Iterator[tuple[str, int]]:
    """Every $name of the templates and its value."""
    for prefix, offsets in (
        ("env", ENV),
        ("tb", tb.TB),
        ("page_link", tb.PAGE_LINK),
        ("slot", tb.JUMP_SLOT),
        ("segment", tb.SEGMENT),
        ("tcg", tb.TCG_CONTEXT),
        ("access", tb.ACCESS),
        ("count", tb.COUNT_RECORD),
        ("guard", tb.GUARD),
        ("region", tb.REGION_TABLE),
        ("region_page", tb.REGION_PAGE),
        ("ram", tb.RAM_RECORD),
        ("entry", soft_tlb.TLB_ENTRY),
        ("full", soft_tlb.TLB_FULL),
        ("tlb", soft_tlb.TLB),
    ):
        for name, offset in offsets.items():
            yield f"{prefix}_{name}", offset
    for reason in Exit:
        yield f"exit_{reason.name.lower()}", reason
    for kind in env.FaultKind:
        yield f"kind_{kind.name.lower()}", kind
    yield "kicked", env.KICKED
    yield "request_leave", env.REQUEST_LEAVE
    yield "request_flush", env.REQUEST_FLUSH
    yield "bus_nobody", tb.BUS_NOBODY
    yield "entry_bits", soft_tlb.ENTRY_BITS
    yield "tlb_index_shift", soft_tlb.INDEX_SHIFT
    yield "tlb_index_mask", soft_tlb.INDEX_MASK
    yield "tlb_count", soft_tlb.tlb_count(layout)
    after = soft_tlb.after_tlbs(layout)
    yield "jump_pages", after["jump_pages"]
    yield "jump_page_mask", soft_tlb.JUMP_PAGES - 1
    yield "jump_page_words", soft_tlb.JUMP_PAGES // 8
    yield "jump_page_shift", env.PAGE_BITS + soft_tlb.JUMP_PAGES.bit_length() - 1
    yield "large_ranges", after["large_ranges"]
    yield "large_count", soft_tlb.LARGE_RANGES
    yield "large_words", 2 * soft_tlb.LARGE_RANGES
    yield "tlb_whole", soft_tlb.TLB_ENTRIES + soft_tlb.TLB_VICTIMS
    yield "tlb_words", soft_tlb.TLB["full"] // 8
    yield "tlb_victim_count", soft_tlb.TLB_VICTIMS
    yield "tlb_victim_mask", soft_tlb.TLB_VICTIMS - 1
    yield "tag_unused", soft_tlb.TAG_UNUSED
    yield "tag_bus", soft_tlb.TAG_BUS
    yield "tag_code", soft_tlb.TAG_CODE
    yield "tag_watch", soft_tlb.TAG_WATCH
    yield "tag_watched", soft_tlb.TAG_WATCH | soft_tlb.TAG_BUS
    yield "watch_update", soft_tlb.WATCH_UPDATE
    yield "not_tag_code", ~soft_tlb.TAG_CODE
    # A tag without flags, but for the one that says it is in nobody's use.
    yield "tag_key", -(1 << env.PAGE_BITS) | soft_tlb.TAG_UNUSED
    yield "fetch_bytes", tb.FETCH_BYTES
    yield "not_page_mask", -(1 << env.PAGE_BITS)
    address_width = layout.memories[0].address_width if layout.memories else 64
    yield "address_mask", (1 << address_width) - 1 if address_width < 64 else -1
    yield "tb_outgoing_count", tb.TB_OUTGOING
    # One more instruction has two jump slots at most, and the jump that cuts a block has one.
    yield "tb_last_outgoing", tb.TB_OUTGOING - 3
    yield "seen_bytes", 8 * tb.SEEN_TARGETS
    yield "seen_mask", tb.SEEN_TARGETS - 1
    yield "seen_tries", tb.SEEN_TRIES
    yield "seen_factor", tb.SEEN_FACTOR
    yield "seen_shift", 64 - tb.SEEN_BITS
    yield "decoded_slots_shift", DECODED_SLOTS_SHIFT
    yield "decoded_slots_mask", DECODED_SLOTS_MASK
    yield "tb_max_instructions", tb.TB_MAX_INSTRUCTIONS
    yield "hot_ring_mask", tb.HOT_RING - 1
    yield "device_waits", env.DEVICE_WAITS
    yield "listed_shift", tb.LISTED_BITS.bit_length() - 1
    yield "listed_mask", tb.LISTED_BITS - 1
    yield "fetch_bits", tb.FETCH_BYTES * 8
    yield "cf_single_step", tb.CF_SINGLE_STEP
    yield "cf_hooked", tb.CF_HOOKED
    yield "cf_guard", tb.CF_GUARD
    yield "region_elsewhere", tb.REGION_ELSEWHERE - (1 << 64)
    yield "tag_slow", soft_tlb.TAG_UNUSED | soft_tlb.TAG_BUS | soft_tlb.TAG_CODE
    yield "tag_elsewhere", soft_tlb.TAG_UNUSED | soft_tlb.TAG_BUS
    yield "access_log_bytes", tb.ACCESS_LOG_BYTES
    yield "trace_translation", tb.TRACE_TRANSLATION
    yield "trace_nochain", tb.TRACE_NOCHAIN
    yield "trace_traps", tb.TRACE_TRAPS
    yield "trace_walks", tb.TRACE_WALKS
    yield "decoded_ends_tb", DECODED_ENDS_TB
    yield "decoded_new_flags", DECODED_NEW_FLAGS
    yield "decoded_fusible_shift", DECODED_FUSIBLE_SHIFT
    yield "jump_cache_mask", env.JUMP_CACHE_ENTRIES - 1
    yield "jump_cache_entry_bytes", env.JUMP_CACHE_ENTRY_BYTES
    yield "page_bits", env.PAGE_BITS
    yield "page_size", 1 << env.PAGE_BITS
    yield "page_mask", (1 << env.PAGE_BITS) - 1
    yield "page_read", env.PAGE_READ
    yield "page_write", env.PAGE_WRITE
    yield "page_exec", env.PAGE_EXEC
    yield "page_code", env.PAGE_CODE
    yield "page_writable", env.PAGE_WRITABLE
    yield "page_code_writable", env.PAGE_CODE | env.PAGE_WRITABLE
    yield "page_write_or_writable", env.PAGE_WRITE | env.PAGE_WRITABLE
    yield "page_read_or_readable", env.PAGE_READ | env.PAGE_READABLE
    yield "page_watched", env.PAGE_WATCHED
    yield "page_readable", env.PAGE_READABLE
    yield "page_hooked", env.PAGE_HOOKED
    yield "pass_code", env.PASS_CODE
    yield "pass_memory", env.PASS_MEMORY
    yield "pass_denied", env.PASS_DENIED
    yield "not_page_write", ~env.PAGE_WRITE
    yield "not_page_code", ~env.PAGE_CODE
    yield "not_page_code_writable", ~(env.PAGE_CODE | env.PAGE_WRITABLE)
    yield "max_bytes", layout.max_bytes
    yield "fetch_bytes", tb.FETCH_BYTES
    yield "tb_reach", tb.TB_MAX_INSTRUCTIONS * layout.max_bytes
    yield "pc_mask", (1 << layout.pc_width) - 1 if layout.pc_width < 64 else -1


def engine_ir(layout: Layout) -> str:
    """The module text: defines ENTRY_POINTS, @tb_lookup, @tb_link and @mem_slow; wants the ISA's own decoder.

    Wanted: @decode_insn, @decode_goto, @decode_after, @next_flags, @fused_handler, @fetch_fault and @sync_state;
    for a machine also its hooks, and it defines what those call.
    """
    if layout.max_bytes > tb.FETCH_BYTES:
        raise ValueError(f"{layout.isa}: instructions of {layout.max_bytes} bytes, more than {tb.FETCH_BYTES}")
    if not layout.machine:
        return _filled(layout, (*_COMMON, *_USER))
    parts = [_filled(layout, (*_COMMON, *_MACHINE)), _tlb_number(layout)]
    if "wake" not in layout.hooks:
        parts.append(_WAKE)
    return "\n".join(parts)


def _filled(layout: Layout, files: tuple[str, ...]) -> str:
    names = dict(_names(layout))
    folder = Path(__file__).parent
    parts = [Template((folder / name).read_text(encoding="ascii")).substitute(names) for name in files]
    return "\n".join(parts)


def _tlb_number(layout: Layout) -> str:
    """`@tlb_number(flags)`: which TLB is the one for these modes."""
    lines, number = [], "0"
    for index, (shift, width, at) in enumerate(soft_tlb.index_parts(layout)):
        lines += [
            f"  %moved.{index} = lshr i64 %flags, {shift}",
            f"  %part.{index} = and i64 %moved.{index}, {(1 << width) - 1}",
            f"  %placed.{index} = shl i64 %part.{index}, {at}",
            f"  %number.{index} = or i64 {number}, %placed.{index}",
        ]
        number = f"%number.{index}"
    body = "\n".join([*lines, f"  ret i64 {number}"])
    return f"define internal i64 @tlb_number(i64 %flags) alwaysinline nounwind {{\n{body}\n}}\n"
