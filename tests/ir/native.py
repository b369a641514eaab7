"""Compiles TCG functions and calls them, for tests: a toy machine's layout, and the native code around handlers."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from pathlib import Path

from runtime.core.env import ENV, GUEST_STATE, JUMP_CACHE_ENTRIES, JUMP_CACHE_ENTRY_BYTES
from runtime.core.layout import Layout, MemoryLayout, ModeLayout, RegisterLayout, StickyLayout
from runtime.tcg import llvm
from runtime.tcg.blobs import Blob, map_blob
from runtime.tcg.ir import Function
from runtime.tcg.link import link, write_blob
from runtime.tcg.lower import lower_module

G = GUEST_STATE
#: a machine of no particular kind: 16 registers with entry 0 hard-wired, a status register with sticky bits, a mode
LAYOUT = Layout(
    isa="toy",
    pc_name="PC",
    pc_width=64,
    registers=(
        RegisterLayout("R", 64, G, 8, 16, 0, is_file=True),
        RegisterLayout("S", 32, G + 128, 4),
        RegisterLayout("W", 128, G + 144, 16, 4, is_file=True),
        RegisterLayout("C", 1, G + 208, 1),
    ),
    modes=(ModeLayout("T", 1, 0, 0), ModeLayout("K", 3, 1, 0)),
    memories=(MemoryLayout("M", 64, 0), MemoryLayout("N", 32, 0)),
    inputs=(("WIRE", 1, G + 209),),
    exceptions=(("Bad", 5),),
    sticky=StickyLayout("S", 0, 5),
    unit_bytes=4,
    max_bytes=4,
    size=GUEST_STATE + 256,
)

MEMORY_BYTES = 1 << 14
PERMISSIONS = bytes([3, 1, 2, 0])

#: mem_slow as in the engine, on four pages: pages 0 and 1 readable, 0 and 2 writable; page 1 holds translated code.
SUPPORT = f"""
define hidden void @enter(ptr %op, ptr %env, ptr %mem, ptr %perm, i64 %budget) nounwind {{
  %handler = load ptr, ptr %op
  call preserve_nonecc void %handler(ptr %op, ptr %env, ptr %mem, ptr %perm, i64 %budget)
  ret void
}}
define hidden preserve_nonecc void @stop(ptr %op, ptr %env, ptr %mem, ptr %perm, i64 %budget) nounwind {{
  %where = getelementptr i8, ptr %env, i64 {ENV["scratch"]}
  store ptr %op, ptr %where
  %left = getelementptr i8, ptr %env, i64 {ENV["budget"]}
  store i64 %budget, ptr %left
  ret void
}}
define hidden preserve_nonecc void @tb_lookup(ptr %op, ptr %env, ptr %mem, ptr %perm, i64 %budget) nounwind {{
  %where = getelementptr i8, ptr %env, i64 {ENV["scratch"]}
  store i64 -1, ptr %where
  %left = getelementptr i8, ptr %env, i64 {ENV["budget"]}
  store i64 %budget, ptr %left
  ret void
}}
define hidden i64 @mem_slow(ptr %env, i64 %a, i64 %n, i64 %access) noinline nounwind {{
entry:
  %less = sub i64 %n, 1
  %last = add i64 %a, %less
  %wraps = icmp ult i64 %last, %a
  %outside = icmp uge i64 %last, {MEMORY_BYTES}
  %nowhere = or i1 %wraps, %outside
  br i1 %nowhere, label %bad, label %inside
inside:
  %place = getelementptr i8, ptr %env, i64 {ENV["permissions"]}
  %perm = load ptr, ptr %place
  %first = lshr i64 %a, 12
  %end = lshr i64 %last, 12
  %p0 = getelementptr i8, ptr %perm, i64 %first
  %p1 = getelementptr i8, ptr %perm, i64 %end
  %b0 = load i8, ptr %p0
  %b1 = load i8, ptr %p1
  %both = and i8 %b0, %b1
  %write = icmp ne i64 %access, 0
  %need = select i1 %write, i8 2, i8 1
  %granted = and i8 %both, %need
  %good = icmp ne i8 %granted, 0
  br i1 %good, label %fine, label %denied
denied:
  %code0 = icmp eq i64 %first, 1
  %code1 = icmp eq i64 %end, 1
  %code = or i1 %code0, %code1
  %write.code = and i1 %code, %write
  br i1 %write.code, label %translated, label %bad
fine:
  ret i64 0
bad:
  ret i64 1
translated:
  ret i64 2
}}
"""


class Program:
    """Compiled functions, ready to call."""

    def __init__(self, functions: Iterable[Function], path: Path, opt: int = 1, text: str = SUPPORT) -> None:
        code, symbols = link([llvm.compile_ir(lower_module(functions, text), opt)])
        write_blob(path, code, symbols)
        self.blob: Blob = map_blob(path)

    def call(self, name: str, *arguments: int) -> int:
        """Call a plain function of 64-bit arguments and result."""
        kind = ctypes.CFUNCTYPE(ctypes.c_uint64, *[ctypes.c_uint64] * len(arguments))
        return int(kind(self.blob.address(name))(*arguments))


class Machine:
    """Buffers for env, memory and one op record; runs a handler on them."""

    def __init__(self, env: bytes, memory: bytes, record: bytes = b"") -> None:
        self.env = ctypes.create_string_buffer(bytes(env), LAYOUT.size)
        self.memory = ctypes.create_string_buffer(bytes(memory), MEMORY_BYTES + 64)
        self.permissions = ctypes.create_string_buffer(PERMISSIONS, len(PERMISSIONS))
        self.jump_cache = ctypes.create_string_buffer(b"\xff" * (JUMP_CACHE_ENTRIES * JUMP_CACHE_ENTRY_BYTES))
        self.records = ctypes.create_string_buffer(record, 1024)
        self.set_env("permissions", ctypes.addressof(self.permissions))
        self.set_env("jump_cache", ctypes.addressof(self.jump_cache))

    def set_env(self, name: str, value: int) -> None:
        """Write a 64-bit field of the runtime's part of env."""
        ctypes.c_uint64.from_buffer(self.env, ENV[name]).value = value & (1 << 64) - 1

    def get_env(self, name: str) -> int:
        """Read one."""
        return ctypes.c_uint64.from_buffer(self.env, ENV[name]).value

    def set_memory(self, data: bytes) -> None:
        """Replace the first bytes of guest memory."""
        ctypes.memmove(self.memory, data, len(data))

    def set_record(self, offset: int, value: int) -> None:
        """Write 8 bytes of the op record."""
        ctypes.c_uint64.from_buffer(self.records, offset).value = value & (1 << 64) - 1

    @property
    def record_address(self) -> int:
        """Where the op record stands."""
        return ctypes.addressof(self.records)

    def run(self, program: Program, handler: str, budget: int) -> None:
        """Enter native code at the record, whose handler this is."""
        self.set_record(0, program.blob.address(handler))
        enter = ctypes.CFUNCTYPE(None, *[ctypes.c_uint64] * 5)(program.blob.address("enter"))
        enter(
            self.record_address,
            ctypes.addressof(self.env),
            ctypes.addressof(self.memory),
            ctypes.addressof(self.permissions),
            budget & (1 << 64) - 1,
        )
