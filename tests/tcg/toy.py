"""A toy accumulator machine with hand-written handlers and decoder, to test the engine without a generated ISA.

An instruction is 4 bytes: opcode, register a, signed 16-bit immediate; one byte with bit 7 set, and any second byte,
is a 2-byte no-op, so that instructions can straddle pages.  R[7] is the base of memory accesses.
"""

from __future__ import annotations

import struct
from pathlib import Path
from string import Template
from types import ModuleType

from runtime.core.cpu import Isa
from runtime.core.env import ENV, GUEST_STATE, JUMP_CACHE_ENTRIES, Exit
from runtime.core.layout import Layout, MemoryLayout, ModeLayout, RegisterLayout
from runtime.core.views import Bits, File, StateView
from runtime.tcg.blobs import Blob, map_blob
from runtime.tcg.engine import engine_ir
from runtime.tcg.link import link, write_blob
from runtime.tcg.llvm import compile_ir

REGISTERS = RegisterLayout("R", 64, GUEST_STATE, 8, 8, None, tuple((f"r{i}",) for i in range(8)), is_file=True)
LAYOUT = Layout(
    isa="toy",
    pc_name="pc",
    pc_width=64,
    registers=(REGISTERS,),
    modes=(ModeLayout("double", 1, 0, 0),),
    memories=(MemoryLayout("M", 64, 0),),
    inputs=(),
    exceptions=(("Illegal", 0), ("BadAddress", 1), ("Trap", 2)),
    sticky=None,
    unit_bytes=2,
    max_bytes=4,
    size=GUEST_STATE + 64,
)
ILLEGAL, BAD_ADDRESS, TRAP = 0, 1, 2

ADDI, BNEZ, JMP, JR, TRAP_OP, LD, ST, WAIT, LI, MODE, SHL = range(1, 12)
NOP2 = b"\x80\x00"


def insn(opcode: int, a: int = 0, imm: int = 0) -> bytes:
    """One instruction; branch offsets are in units of 2 bytes."""
    return struct.pack("<BBh", opcode, a, imm)


class ToyState(StateView):
    """What gen would generate."""

    pc = Bits(ENV["pc"], 64)
    R = File(REGISTERS)


HANDLERS = r"""
define internal void @leave(ptr %env, i64 %reason, i64 %pc, i64 %budget) alwaysinline {
  %reason.at = getelementptr i8, ptr %env, i64 $exit_reason
  store i64 %reason, ptr %reason.at
  %pc.at = getelementptr i8, ptr %env, i64 $pc
  store i64 %pc, ptr %pc.at
  %budget.at = getelementptr i8, ptr %env, i64 $budget
  store i64 %budget, ptr %budget.at
  ret void
}
define internal void @raise(ptr %env, i64 %code, i64 %arg0, i64 %arg1) {
  %code.at = getelementptr i8, ptr %env, i64 $exception
  store i64 %code, ptr %code.at
  %arg0.at = getelementptr i8, ptr %env, i64 $arg0
  store i64 %arg0, ptr %arg0.at
  %arg1.at = getelementptr i8, ptr %env, i64 $arg1
  store i64 %arg1, ptr %arg1.at
  ret void
}
define hidden void @fetch_fault(ptr %env, i64 %address) {
  call void @raise(ptr %env, i64 1, i64 2, i64 %address)
  ret void
}
define hidden void @sync_state(ptr %env) {
  ret void
}

; records with no jump: {handler, u32 register offset, i32 immediate, u64 pc, u32 index}
define internal ptr @reg(ptr %op, ptr %env) alwaysinline {
  %o.at = getelementptr i8, ptr %op, i64 8
  %o = load i32, ptr %o.at
  %o64 = zext i32 %o to i64
  %r = getelementptr i8, ptr %env, i64 %o64
  ret ptr %r
}
define internal i64 @imm(ptr %op) alwaysinline {
  %i.at = getelementptr i8, ptr %op, i64 12
  %i = load i32, ptr %i.at
  %i64 = sext i32 %i to i64
  ret i64 %i64
}
define internal i64 @op_pc(ptr %op) alwaysinline {
  %p.at = getelementptr i8, ptr %op, i64 16
  %p = load i64, ptr %p.at
  ret i64 %p
}
define internal i64 @op_index(ptr %op) alwaysinline {
  %p.at = getelementptr i8, ptr %op, i64 24
  %p = load i64, ptr %p.at
  ret i64 %p
}

define hidden preserve_nonecc void @h_addi($args) {
  %r = call ptr @reg(ptr %op, ptr %env)
  %i = call i64 @imm(ptr %op)
  %old = load i64, ptr %r
  %new = add i64 %old, %i
  store i64 %new, ptr %r
  $next
}
define hidden preserve_nonecc void @h_li($args) {
  %r = call ptr @reg(ptr %op, ptr %env)
  %i = call i64 @imm(ptr %op)
  store i64 %i, ptr %r
  $next
}
define hidden preserve_nonecc void @h_shl($args) {
  %r = call ptr @reg(ptr %op, ptr %env)
  %i = call i64 @imm(ptr %op)
  %old = load i64, ptr %r
  %amount = and i64 %i, 63
  %new = shl i64 %old, %amount
  store i64 %new, ptr %r
  $next
}
define hidden preserve_nonecc void @h_nop($args) {
  $next
}
define hidden preserve_nonecc void @h_trap($args) {
  %pc = call i64 @op_pc(ptr %op)
  %index = call i64 @op_index(ptr %op)
  %left = sub i64 %budget, %index
  call void @raise(ptr %env, i64 2, i64 0, i64 0)
  call void @leave(ptr %env, i64 $exit_exception, i64 %pc, i64 %left)
  ret void
}
define hidden preserve_nonecc void @h_illegal($args) {
  %pc = call i64 @op_pc(ptr %op)
  %index = call i64 @op_index(ptr %op)
  %left = sub i64 %budget, %index
  call void @raise(ptr %env, i64 0, i64 0, i64 0)
  call void @leave(ptr %env, i64 $exit_exception, i64 %pc, i64 %left)
  ret void
}
define hidden preserve_nonecc void @h_wait($args) {
  %pc = call i64 @op_pc(ptr %op)
  %next = add i64 %pc, 4
  %index = call i64 @op_index(ptr %op)
  %left.1 = sub i64 %budget, %index
  %left = sub i64 %left.1, 1
  call void @leave(ptr %env, i64 $exit_wait, i64 %next, i64 %left)
  ret void
}
define hidden preserve_nonecc void @h_ld($args) {
  %r = call ptr @reg(ptr %op, ptr %env)
  %i = call i64 @imm(ptr %op)
  %b = getelementptr i8, ptr %env, i64 $r7
  %base = load i64, ptr %b
  %a = add i64 %base, %i
  %rot = call i64 @llvm.fshr.i64(i64 %a, i64 %a, i64 3)
  %high = lshr i64 %rot, 35
  %plain = icmp eq i64 %high, 0
  br i1 %plain, label %check, label %slow
check:
  %page = lshr i64 %a, 12
  %byte.at = getelementptr i8, ptr %perm, i64 %page
  %byte = load i8, ptr %byte.at
  %bit = and i8 %byte, 1
  %ok = icmp ne i8 %bit, 0
  br i1 %ok, label %go, label %slow
slow:
  %answer = call i64 @mem_slow(ptr %env, i64 %a, i64 8, i64 0)
  %fine = icmp eq i64 %answer, 0
  br i1 %fine, label %go, label %bad
bad:
  %pc = call i64 @op_pc(ptr %op)
  %index = call i64 @op_index(ptr %op)
  %left = sub i64 %budget, %index
  call void @raise(ptr %env, i64 1, i64 0, i64 %a)
  call void @leave(ptr %env, i64 $exit_exception, i64 %pc, i64 %left)
  ret void
go:
  %host = getelementptr i8, ptr %mem, i64 %a
  %value = load i64, ptr %host, align 1
  store i64 %value, ptr %r
  $next
}
define hidden preserve_nonecc void @h_st($args) {
  %r = call ptr @reg(ptr %op, ptr %env)
  %i = call i64 @imm(ptr %op)
  %b = getelementptr i8, ptr %env, i64 $r7
  %base = load i64, ptr %b
  %a = add i64 %base, %i
  %rot = call i64 @llvm.fshr.i64(i64 %a, i64 %a, i64 2)
  %high = lshr i64 %rot, 36
  %plain = icmp eq i64 %high, 0
  br i1 %plain, label %check, label %slow
check:
  %page = lshr i64 %a, 12
  %byte.at = getelementptr i8, ptr %perm, i64 %page
  %byte = load i8, ptr %byte.at
  %bit = and i8 %byte, 2
  %ok = icmp ne i8 %bit, 0
  br i1 %ok, label %go, label %slow
slow:
  %answer = call i64 @mem_slow(ptr %env, i64 %a, i64 4, i64 1)
  %fine = icmp eq i64 %answer, 0
  br i1 %fine, label %go, label %bad
bad:
  %pc = call i64 @op_pc(ptr %op)
  %index = call i64 @op_index(ptr %op)
  %left = sub i64 %budget, %index
  %is.code = icmp eq i64 %answer, 2
  %reason = select i1 %is.code, i64 $exit_code_write, i64 $exit_exception
  call void @raise(ptr %env, i64 1, i64 1, i64 %a)
  call void @leave(ptr %env, i64 %reason, i64 %pc, i64 %left)
  ret void
go:
  %host = getelementptr i8, ptr %mem, i64 %a
  %value = load i64, ptr %r
  %low = trunc i64 %value to i32
  store i32 %low, ptr %host, align 1
  $next
}

; goto_ptr: continue at %pc through the jump cache
define internal preserve_nonecc void @goto_ptr(ptr %op, ptr %env, ptr %mem, ptr %perm, i64 %budget) {
  ; %op is the target pc here
  %pc = ptrtoint ptr %op to i64
  %pc.at = getelementptr i8, ptr %env, i64 $pc
  %over = icmp slt i64 %budget, 0
  br i1 %over, label %stop, label %probe
stop:
  call void @leave(ptr %env, i64 $exit_budget, i64 %pc, i64 %budget)
  ret void
probe:
  %flags.at = getelementptr i8, ptr %env, i64 $flags
  %flags = load i64, ptr %flags.at
  %cache.at = getelementptr i8, ptr %env, i64 $jump_cache
  %cache = load ptr, ptr %cache.at
  %low = lshr i64 %pc, 1
  %high = lshr i64 %pc, 13
  %mix = xor i64 %low, %high
  %number = and i64 %mix, $mask
  %place = mul i64 %number, 32
  %entry = getelementptr i8, ptr %cache, i64 %place
  %e.pc = load i64, ptr %entry
  %e.flags.at = getelementptr i8, ptr %entry, i64 8
  %e.flags = load i64, ptr %e.flags.at
  %same.1 = icmp eq i64 %e.pc, %pc
  %same.2 = icmp eq i64 %e.flags, %flags
  %same = and i1 %same.1, %same.2
  br i1 %same, label %hit, label %miss
hit:
  %code.at = getelementptr i8, ptr %entry, i64 16
  %code = load ptr, ptr %code.at
  %handler = load ptr, ptr %code
  musttail call preserve_nonecc void %handler(ptr %code, ptr %env, ptr %mem, ptr %perm, i64 %budget)
  ret void
miss:
  store i64 %pc, ptr %pc.at
  musttail call preserve_nonecc void @tb_lookup(ptr %op, ptr %env, ptr %mem, ptr %perm, i64 %budget)
  ret void
}
define hidden preserve_nonecc void @h_jr($args) {
  %r = call ptr @reg(ptr %op, ptr %env)
  %index = call i64 @op_index(ptr %op)
  %left.1 = sub i64 %budget, %index
  %left = sub i64 %left.1, 1
  %target = load ptr, ptr %r
  musttail call preserve_nonecc void @goto_ptr(ptr %target, ptr %env, ptr %mem, ptr %perm, i64 %left)
  ret void
}
define hidden preserve_nonecc void @h_mode($args) {
  %i = call i64 @imm(ptr %op)
  %flags.at = getelementptr i8, ptr %env, i64 $flags
  %mode = and i64 %i, 1
  store i64 %mode, ptr %flags.at
  %index = call i64 @op_index(ptr %op)
  %left.1 = sub i64 %budget, %index
  %left = sub i64 %left.1, 1
  %pc = call i64 @op_pc(ptr %op)
  %next = add i64 %pc, 4
  %target = inttoptr i64 %next to ptr
  musttail call preserve_nonecc void @goto_ptr(ptr %target, ptr %env, ptr %mem, ptr %perm, i64 %left)
  ret void
}

; jumps: {handler, u32 register offset, -, u64 index, JumpSlot taken, JumpSlot not taken}
define internal preserve_nonecc void @goto_tb(ptr %op, ptr %env, ptr %mem, ptr %perm, i64 %budget) {
  ; %op is the slot here
  %over = icmp slt i64 %budget, 0
  br i1 %over, label %stop, label %go
stop:
  %pc.at = getelementptr i8, ptr %op, i64 16
  %pc = load i64, ptr %pc.at
  call void @leave(ptr %env, i64 $exit_budget, i64 %pc, i64 %budget)
  ret void
go:
  %code = load ptr, ptr %op
  %handler = load ptr, ptr %code
  musttail call preserve_nonecc void %handler(ptr %code, ptr %env, ptr %mem, ptr %perm, i64 %budget)
  ret void
}
define hidden preserve_nonecc void @h_jmp($args) {
  %index.at = getelementptr i8, ptr %op, i64 16
  %index = load i64, ptr %index.at
  %left.1 = sub i64 %budget, %index
  %left = sub i64 %left.1, 1
  %slot = getelementptr i8, ptr %op, i64 24
  musttail call preserve_nonecc void @goto_tb(ptr %slot, ptr %env, ptr %mem, ptr %perm, i64 %left)
  ret void
}
define hidden preserve_nonecc void @h_bnez($args) {
  %r = call ptr @reg(ptr %op, ptr %env)
  %index.at = getelementptr i8, ptr %op, i64 16
  %index = load i64, ptr %index.at
  %left.1 = sub i64 %budget, %index
  %left = sub i64 %left.1, 1
  %v = load i64, ptr %r
  %zero = icmp eq i64 %v, 0
  %which = select i1 %zero, i64 72, i64 24
  %slot = getelementptr i8, ptr %op, i64 %which
  musttail call preserve_nonecc void @goto_tb(ptr %slot, ptr %env, ptr %mem, ptr %perm, i64 %left)
  ret void
}

; ---------------------------------------------------------------- decoder
define internal void @slot(ptr %slot, i64 %pc, ptr %tb) {
  %stub = getelementptr i8, ptr %slot, i64 8
  store ptr %stub, ptr %slot
  store ptr @tb_link, ptr %stub
  %pc.at = getelementptr i8, ptr %slot, i64 16
  store i64 %pc, ptr %pc.at
  %owner = getelementptr i8, ptr %slot, i64 24
  store ptr %tb, ptr %owner
  %next = getelementptr i8, ptr %slot, i64 32
  store ptr null, ptr %next
  %prev = getelementptr i8, ptr %slot, i64 40
  store ptr null, ptr %prev
  ret void
}
define hidden ptr @fused_handler(i64 %first, i64 %second) {
  ret ptr null
}
define hidden i64 @next_flags(i64 %flags) {
  ret i64 %flags
}
define hidden i64 @decode_after(i64 %pc, ptr %out, ptr %tb, i64 %index, i64 %flags, i64 %new) {
  ret i64 0
}
define hidden i64 @decode_goto(i64 %pc, ptr %out, ptr %tb, i64 %index) {
  store ptr @h_jmp, ptr %out
  %index.at = getelementptr i8, ptr %out, i64 16
  store i64 %index, ptr %index.at
  %slot = getelementptr i8, ptr %out, i64 24
  call void @slot(ptr %slot, i64 %pc, ptr %tb)
  ret i64 50350080 ; 72 bytes of record, ends_tb, one slot
}
define hidden i64 @decode_insn(ptr %code, i64 %pc, i64 %flags, ptr %out, ptr %tb, i64 %index) {
  %word = load i32, ptr %code, align 1
  %opcode = and i32 %word, 255
  %a.shifted = lshr i32 %word, 8
  %a = and i32 %a.shifted, 7
  %imm32 = ashr i32 %word, 16
  %imm = sext i32 %imm32 to i64
  %imm2 = mul i64 %imm, 2
  %target = add i64 %pc, %imm2
  %following = add i64 %pc, 4
  %offset.1 = mul i32 %a, 8
  %offset = add i32 %offset.1, $r0
  %offset.at = getelementptr i8, ptr %out, i64 8
  store i32 %offset, ptr %offset.at
  %imm.at = getelementptr i8, ptr %out, i64 12
  store i32 %imm32, ptr %imm.at
  %short = icmp uge i32 %opcode, 128
  br i1 %short, label %nop, label %long
nop:
  store ptr @h_nop, ptr %out
  br label %plain.2
long:
  %at.16 = getelementptr i8, ptr %out, i64 16
  store i64 %pc, ptr %at.16
  %at.24 = getelementptr i8, ptr %out, i64 24
  store i64 %index, ptr %at.24
  switch i32 %opcode, label %illegal [
    i32 1, label %addi
    i32 2, label %bnez
    i32 3, label %jmp
    i32 4, label %jr
    i32 5, label %trap
    i32 6, label %ld
    i32 7, label %st
    i32 8, label %wait
    i32 9, label %li
    i32 10, label %mode
    i32 11, label %shl
  ]
plain.2:
  ret i64 8194 ; 32 << 8 | 2
addi:
  %double = trunc i64 %flags to i32
  %imm.twice = shl i32 %imm32, %double
  store i32 %imm.twice, ptr %imm.at
  store ptr @h_addi, ptr %out
  ret i64 8196
li:
  store ptr @h_li, ptr %out
  ret i64 8196
shl:
  store ptr @h_shl, ptr %out
  ret i64 8196
ld:
  store ptr @h_ld, ptr %out
  ret i64 8196
st:
  store ptr @h_st, ptr %out
  ret i64 8196
jr:
  store ptr @h_jr, ptr %out
  ret i64 16785412 ; ends_tb
mode:
  store ptr @h_mode, ptr %out
  ret i64 16785412
trap:
  store ptr @h_trap, ptr %out
  ret i64 16785412
wait:
  store ptr @h_wait, ptr %out
  ret i64 16785412
illegal:
  store ptr @h_illegal, ptr %out
  ret i64 285220868 ; illegal, ends_tb
jmp:
  store ptr @h_jmp, ptr %out
  store i64 %index, ptr %at.16
  call void @slot(ptr %at.24, i64 %target, ptr %tb)
  ret i64 50350084
bnez:
  store ptr @h_bnez, ptr %out
  store i64 %index, ptr %at.16
  call void @slot(ptr %at.24, i64 %target, ptr %tb)
  %second = getelementptr i8, ptr %out, i64 72
  call void @slot(ptr %second, i64 %following, ptr %tb)
  ret i64 83916804 ; 120 bytes, ends_tb, two slots
}
declare i64 @llvm.fshr.i64(i64, i64, i64)
declare hidden i64 @mem_slow(ptr, i64, i64, i64)
declare hidden preserve_nonecc void @tb_lookup(ptr, ptr, ptr, ptr, i64)
declare hidden preserve_nonecc void @tb_link(ptr, ptr, ptr, ptr, i64)
"""

_NEXT = """%following = getelementptr i8, ptr %op, i64 32
  %following.handler = load ptr, ptr %following
  musttail call preserve_nonecc void %following.handler(ptr %following, ptr %env, ptr %mem, ptr %perm, i64 %budget)
  ret void"""


def toy_ir() -> str:
    """Handlers and decoder."""
    names: dict[str, object] = dict(ENV)
    names |= {f"exit_{reason.name.lower()}": int(reason) for reason in Exit}
    names |= {
        "args": "ptr %op, ptr %env, ptr %mem, ptr %perm, i64 %budget",
        "next": _NEXT,
        "r0": GUEST_STATE,
        "r7": GUEST_STATE + 56,
        "mask": JUMP_CACHE_ENTRIES - 1,
    }
    return Template(HANDLERS).substitute(names)


def toy_blob(folder: Path) -> Blob:
    """The toy's native code, compiled, linked and mapped as a generated ISA's is."""
    code, symbols = link([compile_ir(engine_ir(LAYOUT)), compile_ir(toy_ir())])
    write_blob(folder / "native.blob", code, symbols)
    return map_blob(folder / "native.blob")


def toy_isa() -> Isa:
    state = ModuleType("toy_state")
    state.__dict__.update(LAYOUT=LAYOUT, CPUState=ToyState)
    return Isa("toy", "toy", LAYOUT, state)
