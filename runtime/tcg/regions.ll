; What connects tier 0 with compiled regions: count records, the way back, and guarded code.  A part of the engine: see
; engine.ll.

; -------------------------------------------------------------------------------------- counting
; A block that may become hot begins with a count record: {handler, remaining, base}.  It was entered base - remaining
; times (modulo 2^64).  A compiled region is installed by storing its address as the handler of its first block's record.

; Count down, and run the block (handler convention).
define hidden preserve_nonecc void @h_count(ptr %op, ptr %env, ptr %mem, ptr %perm, i64 %budget) nounwind align 32 {
  %remaining.at = getelementptr i8, ptr %op, i64 $count_remaining
  %remaining = load i64, ptr %remaining.at
  %less = sub i64 %remaining, 1
  store i64 %less, ptr %remaining.at
  %spent = icmp eq i64 %less, 0
  br i1 %spent, label %hot, label %go, !prof !0

go:
  %first = getelementptr i8, ptr %op, i64 $count_bytes
  %handler = load ptr, ptr %first
  musttail call preserve_nonecc void %handler(ptr %first, ptr %env, ptr %mem, ptr %perm, i64 %budget)
  ret void

hot:
  musttail call preserve_nonecc void @h_hot(ptr %op, ptr %env, ptr %mem, ptr %perm, i64 %budget)
  ret void
}

; Run the block, counting no more (handler convention).
define hidden preserve_nonecc void @h_skip(ptr %op, ptr %env, ptr %mem, ptr %perm, i64 %budget) nounwind align 32 {
  %first = getelementptr i8, ptr %op, i64 $count_bytes
  %handler = load ptr, ptr %first
  musttail call preserve_nonecc void %handler(ptr %first, ptr %env, ptr %mem, ptr %perm, i64 %budget)
  ret void
}

; A count has come down to 0: tell Python by way of the ring, and run the block, or leave at once if it wants that of
; blocks that were entered so seldom.
; A ring that is full has it tried again next time.  Several threads may be here.
define internal preserve_nonecc void @h_hot(ptr %op, ptr %env, ptr %mem, ptr %perm, i64 %budget) nounwind {
entry:
  %env.tcg = getelementptr i8, ptr %env, i64 $env_tcg
  %tcg = load ptr, ptr %env.tcg
  %next.at = getelementptr i8, ptr %tcg, i64 $tcg_hot_next
  %index = atomicrmw add ptr %next.at, i64 1 monotonic
  %place = and i64 %index, $hot_ring_mask
  %ring.at = getelementptr i8, ptr %tcg, i64 $tcg_hot_ring
  %ring = load ptr, ptr %ring.at
  %slot = getelementptr ptr, ptr %ring, i64 %place
  %tb = getelementptr i8, ptr %op, i64 -$tb_bytes
  %base.at = getelementptr i8, ptr %op, i64 $count_base
  %outcome = cmpxchg ptr %slot, ptr null, ptr %tb release monotonic
  %stored = extractvalue { ptr, i1 } %outcome, 1
  br i1 %stored, label %told, label %full

told:
  %leave.at = getelementptr i8, ptr %tcg, i64 $tcg_hot_exit
  %leave = load i64, ptr %leave.at
  %entered = load i64, ptr %base.at
  %leaves = icmp ule i64 %entered, %leave
  br i1 %leaves, label %exit, label %go

full:
  %remaining.at = getelementptr i8, ptr %op, i64 $count_remaining
  store i64 1, ptr %remaining.at
  %base = load i64, ptr %base.at
  %base.more = add i64 %base, 1
  store i64 %base.more, ptr %base.at
  br label %go

go:
  %first = getelementptr i8, ptr %op, i64 $count_bytes
  %handler = load ptr, ptr %first
  musttail call preserve_nonecc void %handler(ptr %first, ptr %env, ptr %mem, ptr %perm, i64 %budget)
  ret void

exit:
  %tb.pc = getelementptr i8, ptr %tb, i64 $tb_pc
  %pc = load i64, ptr %tb.pc
  %env.pc = getelementptr i8, ptr %env, i64 $env_pc
  store i64 %pc, ptr %env.pc
  %env.budget = getelementptr i8, ptr %env, i64 $env_budget
  store i64 %budget, ptr %env.budget
  call void @exit_with(ptr %env, i64 $exit_hot)
  ret void
}

; How often a new block at %pc is to be entered before it is hot, when others are at %threshold: less if what was
; compiled of it earlier may be at hand.
define internal i64 @tb_threshold(ptr %tcg, i64 %pc, i64 %threshold) alwaysinline nounwind {
entry:
  %listed.at = getelementptr i8, ptr %tcg, i64 $tcg_listed
  %listed = load ptr, ptr %listed.at
  %none = icmp eq ptr %listed, null
  br i1 %none, label %usual, label %look

look:
  %high = lshr i64 %pc, $listed_shift
  %folded = xor i64 %pc, %high
  %number = and i64 %folded, $listed_mask
  %offset = lshr i64 %number, 3
  %byte.at = getelementptr i8, ptr %listed, i64 %offset
  %byte = load i8, ptr %byte.at
  %wide = zext i8 %byte to i64
  %place = and i64 %number, 7
  %moved = lshr i64 %wide, %place
  %bit = and i64 %moved, 1
  %known = icmp ne i64 %bit, 0
  br i1 %known, label %sooner, label %usual

sooner:
  %first.at = getelementptr i8, ptr %tcg, i64 $tcg_listed_threshold
  %first = load i64, ptr %first.at
  ret i64 %first

usual:
  ret i64 %threshold
}

; Put the count record of a new block at %code, if blocks are counted; where the other records begin.
define internal ptr @tb_count_record(ptr %tcg, ptr %tb, ptr %code, i64 %cflags) alwaysinline nounwind {
entry:
  %threshold.at = getelementptr i8, ptr %tcg, i64 $tcg_hot_threshold
  %others = load i64, ptr %threshold.at
  %off = icmp eq i64 %others, 0
  %special = icmp ne i64 %cflags, 0 ; never chained to, so never worth compiling
  %without = or i1 %off, %special
  br i1 %without, label %done, label %write

write:
  %tb.pc = getelementptr i8, ptr %tb, i64 $tb_pc
  %pc = load i64, ptr %tb.pc
  %threshold = call i64 @tb_threshold(ptr %tcg, i64 %pc, i64 %others)
  store ptr @h_count, ptr %code
  %remaining.at = getelementptr i8, ptr %code, i64 $count_remaining
  store i64 %threshold, ptr %remaining.at
  %base.at = getelementptr i8, ptr %code, i64 $count_base
  store i64 %threshold, ptr %base.at
  %counted.at = getelementptr i8, ptr %tb, i64 $tb_counted
  store i64 $count_bytes, ptr %counted.at
  %behind = getelementptr i8, ptr %code, i64 $count_bytes
  br label %done

done:
  %first = phi ptr [ %code, %entry ], [ %behind, %write ]
  ret ptr %first
}

; -------------------------------------------------------------------------------------- the way back

; Have tier 0 do the instruction at env.pc, which a region could not: run the block there behind its count record, so
; that a region which begins there is not entered again (handler convention; %op is not looked at).
define hidden preserve_nonecc void @tb_deopt(ptr %op, ptr %env, ptr %mem, ptr %perm, i64 %budget) nounwind {
  %env.budget = getelementptr i8, ptr %env, i64 $env_budget
  store i64 %budget, ptr %env.budget
  %tb = call ptr @tb_find(ptr %env)
  %none = icmp eq ptr %tb, null
  br i1 %none, label %exit, label %found

found:
  %tc_ptr.at = getelementptr i8, ptr %tb, i64 $tb_tc_ptr
  %code = load ptr, ptr %tc_ptr.at
  %counted.at = getelementptr i8, ptr %tb, i64 $tb_counted
  %counted = load i64, ptr %counted.at
  %first = getelementptr i8, ptr %code, i64 %counted
  %handler = load ptr, ptr %first
  musttail call preserve_nonecc void %handler(ptr %first, ptr %env, ptr %mem, ptr %perm, i64 %budget)
  ret void

exit:
  ret void
}

; -------------------------------------------------------------------------------------- guarded code
; A guard stands in the list of a guest page for code that a region was compiled from, as if it were a block, so that
; stores there are noticed although the blocks may be gone.  Python takes a region's guards out before it frees the blocks
; of their pages; who frees them without Python, as devices of a machine do, forbids that the region be entered again.

define hidden void @region_guard(ptr %tcg, ptr %guard, i64 %page) nounwind {
  call void @engine_lock(ptr %tcg)
  %link = getelementptr i8, ptr %guard, i64 $guard_link
  %start.at = getelementptr i8, ptr %guard, i64 $guard_pc
  %start = load i64, ptr %start.at
  %size.at = getelementptr i8, ptr %guard, i64 $guard_size
  %size = load i64, ptr %size.at
  %end = add i64 %start, %size
  call void @tb_link_page(ptr %tcg, ptr %guard, ptr %link, i64 %page, i64 %start, i64 %end)
  call void @engine_unlock(ptr %tcg)
  ret void
}

define hidden void @region_unguard(ptr %tcg, ptr %guard) nounwind {
  call void @engine_lock(ptr %tcg)
  %link = getelementptr i8, ptr %guard, i64 $guard_link
  call void @tb_unlink_page(ptr %tcg, ptr %link)
  call void @engine_unlock(ptr %tcg)
  ret void
}

; The code of a guard has changed: take it out of its page, and see to it that its region is not entered any more.  Who
; is about to find the region's pages in their place (@region_check) looks at `pages` after it has said so.  The caller
; holds the engine's lock.
define internal void @region_kill(ptr %tcg, ptr %guard) noinline nounwind {
entry:
  %link = getelementptr i8, ptr %guard, i64 $guard_link
  call void @tb_unlink_page(ptr %tcg, ptr %link)
  %table.at = getelementptr i8, ptr %guard, i64 $guard_table
  %table = load ptr, ptr %table.at
  %none = icmp eq ptr %table, null
  br i1 %none, label %done, label %kill

kill:
  %pages.at = getelementptr i8, ptr %table, i64 $region_pages
  %pages = atomicrmw xchg ptr %pages.at, i64 0 seq_cst
  %known = icmp eq i64 %pages, 0
  br i1 %known, label %done, label %count

count:
  %vcpus.at = getelementptr i8, ptr %table, i64 $region_vcpus
  %vcpus = load i64, ptr %vcpus.at
  call void @count(ptr %tcg, i64 $tcg_regions_dead, i64 1)
  br label %next

next:
  %number = phi i64 [ 0, %count ], [ %number.next, %forget ]
  %end = icmp uge i64 %number, %vcpus
  br i1 %end, label %done, label %forget

forget:
  %generations = getelementptr i8, ptr %table, i64 $region_generations
  %generation.at = getelementptr i64, ptr %generations, i64 %number
  store atomic i64 0, ptr %generation.at seq_cst, align 8
  %number.next = add i64 %number, 1
  br label %next

done:
  ret void
}

!0 = !{!"branch_weights", i32 1, i32 4000}
