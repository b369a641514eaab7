; The native engine of tier 0: look-up, generation, chaining and invalidation of translation blocks, and the slow path
; of memory accesses.  Text of string.Template: engine.py fills in the offsets from runtime/core/env.py and tb.py.
;
; There are two engines from these files.  In that of user programs guest memory is a reservation of host memory
; (reservation.ll, mem_slow.ll), and a block's key is its address; in that of machines addresses are translated
; (machine_memory.ll, soft_tlb.ll, soft_mmu.ll), and a block is known by its address and by its *place*: where in RAM its code is.
;
; Everything one vCPU has hangs off %env, everything vCPUs share off its TcgContext; there are no globals, so any number
; of machines live side by side.  vCPUs of one machine may run at the same time, each on a host thread: see threads.ll.  "Handler convention" is that of op records:
;     preserve_nonecc void (ptr op, ptr env, ptr mem, ptr perm, i64 budget), left by a tail call or by an exit.

; -------------------------------------------------------------------------------------- generated for the ISA
declare hidden i64 @decode_insn(ptr, i64, i64, ptr, ptr, i64)
declare hidden i64 @decode_goto(i64, ptr, ptr, i64)
declare hidden i64 @decode_after(i64, ptr, ptr, i64, i64, i64)
declare hidden i64 @next_flags(i64)
declare hidden ptr @fused_handler(i64, i64)
declare hidden void @fetch_fault(ptr, i64)

declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

; -------------------------------------------------------------------------------------- from block to block

; Run the block at env.pc, by way of the jump cache (handler convention; %op is not looked at).
define hidden preserve_nonecc void @tb_lookup(ptr %op, ptr %env, ptr %mem, ptr %perm, i64 %budget) nounwind {
  %env.budget = getelementptr i8, ptr %env, i64 $env_budget
  store i64 %budget, ptr %env.budget
  %env.pc = getelementptr i8, ptr %env, i64 $env_pc
  %pc = load i64, ptr %env.pc
  %env.flags = getelementptr i8, ptr %env, i64 $env_flags
  %flags = load i64, ptr %env.flags
  %env.jump_cache = getelementptr i8, ptr %env, i64 $env_jump_cache
  %cache = load ptr, ptr %env.jump_cache
  %here = call ptr @memory_of(ptr %env, ptr %mem, i64 %flags)
  %entry = call ptr @jump_cache_entry(ptr %cache, i64 %pc)
  %entry.pc = load i64, ptr %entry
  %entry.flags.at = getelementptr i8, ptr %entry, i64 8
  %entry.flags = load i64, ptr %entry.flags.at
  %entry.op.at = getelementptr i8, ptr %entry, i64 16
  %same.pc = icmp eq i64 %entry.pc, %pc
  %same.flags = icmp eq i64 %entry.flags, %flags
  %same.key = and i1 %same.pc, %same.flags
  %fresh = call i1 @jump_cache_fresh(ptr %env, ptr %entry)
  %same = and i1 %same.key, %fresh
  br i1 %same, label %fast, label %slow

fast: ; tb_find_fast
  %found = load ptr, ptr %entry.op.at
  call void @tb_touch(ptr %env, ptr %found)
  %found.handler = load ptr, ptr %found
  musttail call preserve_nonecc void %found.handler(ptr %found, ptr %env, ptr %here, ptr %perm, i64 %budget)
  ret void

slow:
  %tb = call ptr @tb_find(ptr %env)
  %none = icmp eq ptr %tb, null
  br i1 %none, label %exit, label %remember

remember:
  %tc_ptr.at = getelementptr i8, ptr %tb, i64 $tb_tc_ptr
  %code = load ptr, ptr %tc_ptr.at
  %cflags.at = getelementptr i8, ptr %tb, i64 $tb_cflags
  %cflags = load i64, ptr %cflags.at
  %plain = icmp eq i64 %cflags, 0
  br i1 %plain, label %insert, label %run

insert: ; only what every later probe of this pc may run
  store atomic i64 %pc, ptr %entry monotonic, align 8
  store atomic i64 %flags, ptr %entry.flags.at monotonic, align 8
  call void @jump_cache_stamp(ptr %env, ptr %entry)
  store atomic ptr %code, ptr %entry.op.at release, align 8
  %env.tcg = getelementptr i8, ptr %env, i64 $env_tcg
  %tcg = load ptr, ptr %env.tcg
  %vcpu_count.at = getelementptr i8, ptr %tcg, i64 $tcg_vcpu_count
  %vcpu_count = load i64, ptr %vcpu_count.at
  %alone = icmp ule i64 %vcpu_count, 1
  br i1 %alone, label %run, label %recheck

recheck: ; who frees a block clears `alive` first and looks into the jump caches then: one of us sees the other
  fence seq_cst
  %alive.at = getelementptr i8, ptr %tb, i64 $tb_alive
  %alive = load atomic i64, ptr %alive.at monotonic, align 8
  %dead = icmp eq i64 %alive, 0
  br i1 %dead, label %forget, label %run

forget:
  store atomic i64 -1, ptr %entry.flags.at monotonic, align 8
  br label %run

run:
  %handler = load ptr, ptr %code
  musttail call preserve_nonecc void %handler(ptr %code, ptr %env, ptr %here, ptr %perm, i64 %budget)
  ret void

exit:
  ret void
}

; The stub of a jump slot that is not linked: find where it goes, link it, run (handler convention; %op is slot + stub).
define hidden preserve_nonecc void @tb_link(ptr %op, ptr %env, ptr %mem, ptr %perm, i64 %budget) nounwind {
  %env.budget = getelementptr i8, ptr %env, i64 $env_budget
  store i64 %budget, ptr %env.budget
  %slot = getelementptr i8, ptr %op, i64 -$slot_stub
  %slot.pc = getelementptr i8, ptr %slot, i64 $slot_pc
  %pc = load i64, ptr %slot.pc
  %env.pc = getelementptr i8, ptr %env, i64 $env_pc
  store i64 %pc, ptr %env.pc
  %near = call i1 @slot_stays_near(ptr %slot, i64 %pc)
  br i1 %near, label %find, label %far

far: ; what is there depends on more than the address
  call void @note_far(ptr %slot, i64 %pc)
  musttail call preserve_nonecc void @tb_lookup(ptr %op, ptr %env, ptr %mem, ptr %perm, i64 %budget)
  ret void

find:
  ; Nothing is freed in here, however full the cache: the slot, and so the block it lies in, must outlive the call.
  %tb = call ptr @tb_find(ptr %env)
  %none = icmp eq ptr %tb, null
  br i1 %none, label %exit, label %found

found:
  %env.trace = getelementptr i8, ptr %env, i64 $env_trace
  %trace = load i64, ptr %env.trace
  %nochain = and i64 %trace, $trace_nochain
  %env.single_step = getelementptr i8, ptr %env, i64 $env_single_step
  %single_step = load i64, ptr %env.single_step
  %env.hook_pass = getelementptr i8, ptr %env, i64 $env_hook_pass
  %hook_pass = load i64, ptr %env.hook_pass
  %apart.step = or i64 %nochain, %single_step
  %apart = or i64 %apart.step, %hook_pass
  %together = icmp eq i64 %apart, 0
  %fixed = call i1 @tb_stays(ptr %tb)
  %chain = and i1 %together, %fixed
  br i1 %chain, label %link, label %run

link:
  call void @tb_add_jump(ptr %env, ptr %slot, ptr %tb)
  br label %run

run:
  %tc_ptr.at = getelementptr i8, ptr %tb, i64 $tb_tc_ptr
  %code = load ptr, ptr %tc_ptr.at
  %handler = load ptr, ptr %code
  musttail call preserve_nonecc void %handler(ptr %code, ptr %env, ptr %mem, ptr %perm, i64 %budget)
  ret void

exit:
  ret void
}

; -------------------------------------------------------------------------------------- finding blocks

; The jump cache entry where a block for `pc` belongs: {pc, flags, op}.  goto_ptr probes the same one inline.
define internal ptr @jump_cache_entry(ptr %cache, i64 %pc) alwaysinline nounwind {
  %low = lshr i64 %pc, 1
  %high = lshr i64 %pc, 13
  %mixed = xor i64 %low, %high
  %index = and i64 %mixed, $jump_cache_mask
  %offset = mul i64 %index, $jump_cache_entry_bytes
  %entry = getelementptr i8, ptr %cache, i64 %offset
  ret ptr %entry
}

; Stamp the segment that address %at lies in as just used.
define internal void @tb_touch(ptr %env, ptr %at) alwaysinline nounwind {
  %env.tcg = getelementptr i8, ptr %env, i64 $env_tcg
  %tcg = load ptr, ptr %env.tcg
  %clock.at = getelementptr i8, ptr %tcg, i64 $tcg_clock
  %clock = load atomic i64, ptr %clock.at monotonic, align 8
  %now = add i64 %clock, 1
  store atomic i64 %now, ptr %clock.at monotonic, align 8 ; two that come at once may count as one
  %buffer.at = getelementptr i8, ptr %tcg, i64 $tcg_code_buffer
  %buffer = load i64, ptr %buffer.at
  %address = ptrtoint ptr %at to i64
  %offset = sub i64 %address, %buffer
  %shift.at = getelementptr i8, ptr %tcg, i64 $tcg_segment_shift
  %shift = load i64, ptr %shift.at
  %index = lshr i64 %offset, %shift
  %segments.at = getelementptr i8, ptr %tcg, i64 $tcg_segments
  %segments = load ptr, ptr %segments.at
  %place = mul i64 %index, $segment_bytes
  %segment = getelementptr i8, ptr %segments, i64 %place
  %stamp.at = getelementptr i8, ptr %segment, i64 $segment_stamp
  store atomic i64 %now, ptr %stamp.at monotonic, align 8
  ret void
}

; Hold the engine's lock while a block is sought or made.
define internal void @tb_lock(ptr %env, ptr %tcg) alwaysinline nounwind {
  call void @engine_lock(ptr %tcg)
  %locked = getelementptr i8, ptr %env, i64 $env_locked
  store i64 1, ptr %locked
  ret void
}

define internal void @tb_unlock(ptr %env, ptr %tcg) alwaysinline nounwind {
  %locked = getelementptr i8, ptr %env, i64 $env_locked
  store i64 0, ptr %locked
  call void @engine_unlock(ptr %tcg)
  ret void
}

; The block to run at env.pc, generated if need be and left in env.tb; null when native code must be left instead
; (env.exit_reason says why).  Callable from Python.  When single-stepping, a block of one instruction that nothing
; else will find: it runs once and is forgotten.
define hidden ptr @tb_find(ptr %env) noinline nounwind {
  %env.pc = getelementptr i8, ptr %env, i64 $env_pc
  %pc = load i64, ptr %env.pc
  %env.cs_base = getelementptr i8, ptr %env, i64 $env_cs_base
  %cs_base = load i64, ptr %env.cs_base
  %env.flags = getelementptr i8, ptr %env, i64 $env_flags
  %flags = load i64, ptr %env.flags
  %env.single_step = getelementptr i8, ptr %env, i64 $env_single_step
  %single_step = load i64, ptr %env.single_step
  %stepping = icmp ne i64 %single_step, 0
  %env.tcg = getelementptr i8, ptr %env, i64 $env_tcg
  %tcg = load ptr, ptr %env.tcg
  %env.tb = getelementptr i8, ptr %env, i64 $env_tb
  ; Is it an address that Python wants to see first?
  %env.hook_pass = getelementptr i8, ptr %env, i64 $env_hook_pass
  %hook_pass = load i64, ptr %env.hook_pass
  %hook_pass.code = and i64 %hook_pass, $pass_code
  %passed = icmp ne i64 %hook_pass.code, 0
  %cflags = select i1 %passed, i64 $cf_hooked, i64 0
  %hooked = call i1 @pc_hooked(ptr %tcg, i64 %pc)
  %not.passed = xor i1 %passed, true
  %show = and i1 %hooked, %not.passed
  br i1 %show, label %hook, label %seen

hook:
  call void @exit_with(ptr %env, i64 $exit_hook)
  br label %leave

seen:
  %fetched = call { i64, i1 } @fetch_place(ptr %env, i64 %pc)
  %place = extractvalue { i64, i1 } %fetched, 0
  %refused = extractvalue { i64, i1 } %fetched, 1
  br i1 %refused, label %fault, label %fetch

fault:
  call void @exit_with(ptr %env, i64 $exit_exception)
  br label %leave

fetch:
  br i1 %stepping, label %step, label %search

step:
  call void @tb_lock(ptr %env, ptr %tcg)
  %one = call ptr @tb_gen_code(ptr %env, ptr %tcg, i64 %pc, i64 %cs_base, i64 %flags, i64 $cf_single_step, i64 %place)
  call void @tb_unlock(ptr %env, ptr %tcg)
  store ptr %one, ptr %env.tb
  ret ptr %one

search:
  %old = call ptr @tb_find_slow(ptr %env, ptr %tcg, i64 %pc, i64 %cs_base, i64 %flags, i64 %place)
  %known = icmp ne ptr %old, null
  br i1 %known, label %found, label %unknown

found:
  %there = phi ptr [ %old, %search ], [ %late, %too.late ]
  call void @tb_touch(ptr %env, ptr %there)
  store ptr %there, ptr %env.tb
  ret ptr %there

unknown: ; at least without the lock
  call void @tb_lock(ptr %env, ptr %tcg)
  %late = call ptr @tb_hash_search(ptr %env, ptr %tcg, i64 %pc, i64 %cs_base, i64 %flags, i64 %place)
  %made = icmp ne ptr %late, null
  br i1 %made, label %too.late, label %make

too.late:
  call void @tb_unlock(ptr %env, ptr %tcg)
  br label %found

make:
  %new = call ptr @tb_gen_code(ptr %env, ptr %tcg, i64 %pc, i64 %cs_base, i64 %flags, i64 %cflags, i64 %place)
  call void @tb_unlock(ptr %env, ptr %tcg)
  %failed = icmp eq ptr %new, null
  br i1 %failed, label %leave, label %generated

generated:
  call void @tb_touch(ptr %env, ptr %new)
  store ptr %new, ptr %env.tb
  %env.trace = getelementptr i8, ptr %env, i64 $env_trace
  %trace = load i64, ptr %env.trace
  %traced = and i64 %trace, $trace_translation
  %report = icmp ne i64 %traced, 0
  br i1 %report, label %translated, label %fresh

translated:
  call void @exit_with(ptr %env, i64 $exit_translated)
  br label %leave

fresh:
  ret ptr %new

leave:
  ret ptr null
}

define internal void @exit_with(ptr %env, i64 %reason) alwaysinline nounwind {
  %env.exit_reason = getelementptr i8, ptr %env, i64 $env_exit_reason
  store i64 %reason, ptr %env.exit_reason
  ret void
}

; The head of the hash list where a block for `pc` and `flags` belongs.
define internal ptr @tb_hash_head(ptr %tcg, i64 %pc, i64 %flags) alwaysinline nounwind {
  %spread = mul i64 %flags, -7046029288634856825
  %mixed = xor i64 %pc, %spread
  %hashed = mul i64 %mixed, -7046029254386353131
  %high = lshr i64 %hashed, 32
  %mask.at = getelementptr i8, ptr %tcg, i64 $tcg_hash_mask
  %mask = load i64, ptr %mask.at
  %index = and i64 %high, %mask
  %hash.at = getelementptr i8, ptr %tcg, i64 $tcg_hash
  %hash = load ptr, ptr %hash.at
  %head = getelementptr ptr, ptr %hash, i64 %index
  ret ptr %head
}

; The block translated for this key, null when there is none.
define internal ptr @tb_find_slow(ptr %env, ptr %tcg, i64 %pc, i64 %cs_base, i64 %flags, i64 %place) nounwind {
  %lookups.at = getelementptr i8, ptr %tcg, i64 $tcg_slow_lookups
  %before = atomicrmw add ptr %lookups.at, i64 1 monotonic
  %tb = call ptr @tb_hash_search(ptr %env, ptr %tcg, i64 %pc, i64 %cs_base, i64 %flags, i64 %place)
  ret ptr %tb
}

; Lock-free: a list that changes meanwhile may seem to end too soon, but never holds what is not there.
define internal ptr @tb_hash_search(ptr %env, ptr %tcg, i64 %pc, i64 %cs_base, i64 %flags, i64 %place) nounwind {
entry:
  %head = call ptr @tb_hash_head(ptr %tcg, i64 %pc, i64 %flags)
  %first = load atomic ptr, ptr %head acquire, align 8
  br label %walk

walk:
  %tb = phi ptr [ %first, %entry ], [ %next, %other ]
  %end = icmp eq ptr %tb, null
  br i1 %end, label %done, label %compare

compare:
  %tb.pc.at = getelementptr i8, ptr %tb, i64 $tb_pc
  %tb.pc = load i64, ptr %tb.pc.at
  %tb.cs_base.at = getelementptr i8, ptr %tb, i64 $tb_cs_base
  %tb.cs_base = load i64, ptr %tb.cs_base.at
  %tb.flags.at = getelementptr i8, ptr %tb, i64 $tb_flags
  %tb.flags = load i64, ptr %tb.flags.at
  %same.pc = icmp eq i64 %tb.pc, %pc
  %same.cs_base = icmp eq i64 %tb.cs_base, %cs_base
  %same.flags = icmp eq i64 %tb.flags, %flags
  %same.1 = and i1 %same.pc, %same.cs_base
  %same.key = and i1 %same.1, %same.flags
  br i1 %same.key, label %alike, label %other

alike:
  %same = call i1 @tb_is_from(ptr %env, ptr %tb, i64 %pc, i64 %place)
  br i1 %same, label %done, label %other

other:
  %next.at = getelementptr i8, ptr %tb, i64 $tb_hash_next
  %next = load atomic ptr, ptr %next.at acquire, align 8
  br label %walk

done:
  ret ptr %tb
}

; -------------------------------------------------------------------------------------- chaining

; Let a jump slot go straight to %tb.  A block with more linked slots than it has room to remember leaves one unlinked.
; Nothing either when somebody else was faster, or has freed one of the two blocks.
define internal void @tb_add_jump(ptr %env, ptr %slot, ptr %tb) nounwind {
entry:
  %env.tcg = getelementptr i8, ptr %env, i64 $env_tcg
  %tcg = load ptr, ptr %env.tcg
  call void @engine_lock(ptr %tcg)
  %owner.at = getelementptr i8, ptr %slot, i64 $slot_owner
  %owner = load ptr, ptr %owner.at
  %outgoing = getelementptr i8, ptr %owner, i64 $tb_outgoing
  %target.at = getelementptr i8, ptr %slot, i64 $slot_target
  %target = load ptr, ptr %target.at
  %stub = getelementptr i8, ptr %slot, i64 $slot_stub
  %linked = icmp ne ptr %target, %stub
  %owner.alive.at = getelementptr i8, ptr %owner, i64 $tb_alive
  %owner.alive = load i64, ptr %owner.alive.at
  %tb.alive.at = getelementptr i8, ptr %tb, i64 $tb_alive
  %tb.alive = load i64, ptr %tb.alive.at
  %alive = and i64 %owner.alive, %tb.alive
  %dead = icmp eq i64 %alive, 0
  %nothing = or i1 %linked, %dead
  br i1 %nothing, label %done, label %search

search:
  %index = phi i64 [ 0, %entry ], [ %index.next, %taken ]
  %place = getelementptr ptr, ptr %outgoing, i64 %index
  %other = load ptr, ptr %place
  %free = icmp eq ptr %other, null
  br i1 %free, label %link, label %taken

taken:
  %index.next = add i64 %index, 1
  %none = icmp uge i64 %index.next, $tb_outgoing_count
  br i1 %none, label %done, label %search

link:
  store ptr %slot, ptr %place
  %incoming = getelementptr i8, ptr %tb, i64 $tb_incoming
  call void @list_insert(ptr %incoming, ptr %slot, i64 $slot_next, i64 $slot_prev)
  %tc_ptr.at = getelementptr i8, ptr %tb, i64 $tb_tc_ptr
  %code = load ptr, ptr %tc_ptr.at
  store atomic ptr %code, ptr %target.at release, align 8
  call void @count(ptr %tcg, i64 $tcg_linked, i64 1)
  br label %done

done:
  call void @engine_unlock(ptr %tcg)
  ret void
}

; Undo tb_add_jump: the slot looks its target up again.
define internal void @tb_reset_jump(ptr %slot) nounwind {
entry:
  call void @list_remove(ptr %slot, i64 $slot_next, i64 $slot_prev)
  %stub = getelementptr i8, ptr %slot, i64 $slot_stub
  %target.at = getelementptr i8, ptr %slot, i64 $slot_target
  store atomic ptr %stub, ptr %target.at release, align 8
  %owner.at = getelementptr i8, ptr %slot, i64 $slot_owner
  %owner = load ptr, ptr %owner.at
  %outgoing = getelementptr i8, ptr %owner, i64 $tb_outgoing
  br label %search

search:
  %index = phi i64 [ 0, %entry ], [ %index.next, %other ]
  %place = getelementptr ptr, ptr %outgoing, i64 %index
  %there = load ptr, ptr %place
  %mine = icmp eq ptr %there, %slot
  br i1 %mine, label %forget, label %other

other:
  %index.next = add i64 %index, 1
  %none = icmp uge i64 %index.next, $tb_outgoing_count
  br i1 %none, label %done, label %search

forget:
  store ptr null, ptr %place
  br label %done

done:
  ret void
}

; A target of a block's indirect jump is not where it would be among those noted behind the block, number %n: it goes to
; the first free place from there on, of a few.
define hidden preserve_mostcc void @note_target(ptr %seen, i64 %pc, i64 %n) noinline nounwind {
entry:
  br label %look

look:
  %tried = phi i64 [ 0, %entry ], [ %tried.next, %other ]
  %place = add i64 %n, %tried
  %number = and i64 %place, $seen_mask
  %at = getelementptr i64, ptr %seen, i64 %number
  %known = load atomic i64, ptr %at monotonic, align 8
  %free = icmp eq i64 %known, 0
  br i1 %free, label %store, label %taken

store:
  store atomic i64 %pc, ptr %at monotonic, align 8
  ret void

taken:
  %same = icmp eq i64 %known, %pc
  br i1 %same, label %done, label %other

other:
  %tried.next = add i64 %tried, 1
  %on = icmp ult i64 %tried.next, $seen_tries
  br i1 %on, label %look, label %done

done:
  ret void
}
