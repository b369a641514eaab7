; What the engine of machines answers about memory where reservation.ll does for user programs.  A part of the engine: see
; engine.ll.

; -------------------------------------------------------------------------------------- from block to block

; The TLB for these modes, which becomes the current one.  Whoever runs with modes was looked up with them, by way of here,
; so that what is selected by an instruction is ready, too.
define internal ptr @memory_of(ptr %env, ptr %mem, i64 %flags) alwaysinline nounwind {
entry:
  %number = call i64 @tlb_number(i64 %flags)
  %distance = mul i64 %number, $tlb_bytes
  %tlbs.at = getelementptr i8, ptr %env, i64 $env_tlbs
  %tlbs = load ptr, ptr %tlbs.at
  %tlb = getelementptr i8, ptr %tlbs, i64 %distance
  %tlb.at = getelementptr i8, ptr %env, i64 $env_tlb
  store ptr %tlb, ptr %tlb.at
  %ready.at = getelementptr i8, ptr %tlb, i64 $tlb_ready
  %ready = load i64, ptr %ready.at
  %new = icmp eq i64 %ready, 0
  br i1 %new, label %prepare, label %done

prepare:
  call void @fill_words(ptr %tlb, i64 $tlb_words, i64 -1)
  store i64 1, ptr %ready.at
  br label %done

done:
  ret ptr %tlb
}

; Whether a jump cache entry is not older than what is mapped.
define internal i1 @jump_cache_fresh(ptr %env, ptr %entry) alwaysinline nounwind {
  %then.at = getelementptr i8, ptr %entry, i64 24
  %then = load i64, ptr %then.at
  %now.at = getelementptr i8, ptr %env, i64 $env_jump_generation
  %now = load i64, ptr %now.at
  %fresh = icmp eq i64 %then, %now
  ret i1 %fresh
}

define internal void @jump_cache_stamp(ptr %env, ptr %entry) alwaysinline nounwind {
  %now.at = getelementptr i8, ptr %env, i64 $env_jump_generation
  %now = load i64, ptr %now.at
  %then.at = getelementptr i8, ptr %entry, i64 24
  store atomic i64 %now, ptr %then.at monotonic, align 8
  %pc = load i64, ptr %entry
  %byte.at = call ptr @jump_page(ptr %env, i64 %pc)
  store i8 1, ptr %byte.at
  ret void
}

; The byte that says whether the jump cache may hold blocks of a page, which it has in common with others.
define internal ptr @jump_page(ptr %env, i64 %pc) alwaysinline nounwind {
  %low = lshr i64 %pc, $page_bits
  %high = lshr i64 %pc, $jump_page_shift
  %mixed = xor i64 %low, %high
  %index = and i64 %mixed, $jump_page_mask
  %offset = add i64 %index, $jump_pages
  %tlbs.at = getelementptr i8, ptr %env, i64 $env_tlbs
  %tlbs = load ptr, ptr %tlbs.at
  %byte.at = getelementptr i8, ptr %tlbs, i64 %offset
  ret ptr %byte.at
}

; Whether the target of a jump slot is sure to be the same code whenever the slot is come to: within the block's page,
; for whoever found the block found the page.
define internal i1 @slot_stays_near(ptr %slot, i64 %pc) alwaysinline nounwind {
  %owner.at = getelementptr i8, ptr %slot, i64 $slot_owner
  %owner = load ptr, ptr %owner.at
  %owner.pc.at = getelementptr i8, ptr %owner, i64 $tb_pc
  %owner.pc = load i64, ptr %owner.pc.at
  %across = xor i64 %owner.pc, %pc
  %near = icmp ult i64 %across, $page_size
  ret i1 %near
}

; A jump that leaves the page was made: like an indirect one's, its target is noted behind the block, for regions.
define internal void @note_far(ptr %slot, i64 %pc) alwaysinline nounwind {
  %owner.at = getelementptr i8, ptr %slot, i64 $slot_owner
  %owner = load ptr, ptr %owner.at
  %seen.at = getelementptr i8, ptr %owner, i64 $tb_seen
  %seen = load i64, ptr %seen.at
  %mixed = mul i64 %pc, $seen_factor
  %number = lshr i64 %mixed, $seen_shift
  %targets = getelementptr i8, ptr %owner, i64 %seen
  call preserve_mostcc void @note_target(ptr %targets, i64 %pc, i64 %number)
  ret void
}

; Whether a block may be chained to: one whose last instruction lies in two pages is looked up each time.
define internal i1 @tb_stays(ptr %tb) alwaysinline nounwind {
  %page1 = getelementptr i8, ptr %tb, i64 $tb_page1
  %second.at = getelementptr i8, ptr %page1, i64 $page_link_tb
  %second = load ptr, ptr %second.at
  %single = icmp eq ptr %second, null
  ret i1 %single
}

; Where the code at %pc is, as blocks are entered, and env.fetch_addend; or whether it cannot be fetched (env holds the
; exception then).
define internal { i64, i1 } @fetch_place(ptr %env, i64 %pc) nounwind {
entry:
  %flags.at = getelementptr i8, ptr %env, i64 $env_flags
  %flags = load i64, ptr %flags.at
  %tlb = call ptr @memory_of(ptr %env, ptr null, i64 %flags)
  %e = call ptr @tlb_entry(ptr %env, ptr %tlb, i64 %pc, i64 2)
  %none = icmp eq ptr %e, null
  br i1 %none, label %refused, label %found

found:
  %tag.at = getelementptr i8, ptr %e, i64 $entry_fetch
  %tag = load i64, ptr %tag.at
  %bus.bit = and i64 %tag, $tag_bus
  %bus = icmp ne i64 %bus.bit, 0
  br i1 %bus, label %no.ram, label %ram

no.ram: ; code in a device's registers
  call void @fetch_fault(ptr %env, i64 %pc)
  br label %refused

ram:
  %addend.at = getelementptr i8, ptr %e, i64 $entry_addend
  %addend = load i64, ptr %addend.at
  %fetch.at = getelementptr i8, ptr %env, i64 $env_fetch_addend
  store i64 %addend, ptr %fetch.at
  %full = call ptr @tlb_full(ptr %tlb, ptr %e)
  %page.at = getelementptr i8, ptr %full, i64 $full_place
  %page = load i64, ptr %page.at
  %offset = and i64 %pc, $page_mask
  %place = or i64 %page, %offset
  %yes = insertvalue { i64, i1 } { i64 undef, i1 false }, i64 %place, 0
  ret { i64, i1 } %yes

refused:
  ret { i64, i1 } { i64 0, i1 true }
}

; Whether a block for address %pc was made from %place, and from the page that now is the next one if it reaches there.
define internal i1 @tb_is_from(ptr %env, ptr %tb, i64 %pc, i64 %place) nounwind {
entry:
  %tb.place.at = getelementptr i8, ptr %tb, i64 $tb_place
  %tb.place = load i64, ptr %tb.place.at
  %same = icmp eq i64 %tb.place, %place
  br i1 %same, label %first, label %no

first:
  %single = call i1 @tb_stays(ptr %tb)
  br i1 %single, label %yes, label %second

second:
  %addend.at = getelementptr i8, ptr %env, i64 $env_fetch_addend
  %addend = load i64, ptr %addend.at
  %page = and i64 %pc, $not_page_mask
  %next.full = add i64 %page, $page_size
  %next = and i64 %next.full, $pc_mask
  %found = call { i64, i1 } @fetch_place(ptr %env, i64 %next)
  store i64 %addend, ptr %addend.at
  %second.place = extractvalue { i64, i1 } %found, 0
  %refused = extractvalue { i64, i1 } %found, 1
  %second.page = lshr i64 %second.place, $page_bits
  %page1 = getelementptr i8, ptr %tb, i64 $tb_page1
  %tb.page.at = getelementptr i8, ptr %page1, i64 $page_link_page
  %tb.page = load i64, ptr %tb.page.at
  %same.second = icmp eq i64 %tb.page, %second.page
  %readable = xor i1 %refused, true
  %both = and i1 %same.second, %readable
  ret i1 %both

yes:
  ret i1 true

no:
  ret i1 false
}

; -------------------------------------------------------------------------------------- making blocks

; Whoever has a place could fetch from there.
define internal i1 @page_executable(ptr %tcg, i64 %page) alwaysinline nounwind {
  ret i1 true
}

define internal i1 @next_page_executable(ptr %tcg, i64 %page) alwaysinline nounwind {
  ret i1 false
}

define internal i1 @next_page_elsewhere() alwaysinline nounwind {
  ret i1 true
}

define internal i1 @next_page_stable(ptr %env, ptr %tcg, i64 %page) alwaysinline nounwind {
  ret i1 true
}

; Put %bytes, of which the last %before in a page are known, and the next page's, which begins at %pc, into %fetch.
; False with the exit's reason set when that cannot be.
define internal i1 @fetch_second(ptr %env, ptr %tcg, i64 %pc, ptr %fetch, i64 %before, i$fetch_bits %bytes) noinline nounwind {
entry:
  %found = call { i64, i1 } @fetch_place(ptr %env, i64 %pc)
  %place = extractvalue { i64, i1 } %found, 0
  %refused = extractvalue { i64, i1 } %found, 1
  br i1 %refused, label %fault, label %check

fault:
  call void @exit_with(ptr %env, i64 $exit_exception)
  ret i1 false

check:
  %page = lshr i64 %place, $page_bits
  %stable = call i1 @page_stable(ptr %env, ptr %tcg, i64 %page)
  br i1 %stable, label %join, label %unstable

unstable:
  call void @exit_with(ptr %env, i64 $exit_code_page)
  ret i1 false

join:
  %second.at = getelementptr i8, ptr %env, i64 $env_second_place
  store i64 %place, ptr %second.at
  %memory = call ptr @code_memory(ptr %env, ptr %tcg)
  %at = getelementptr i8, ptr %memory, i64 %pc
  %more = load i$fetch_bits, ptr %at, align 1
  %bits = shl i64 %before, 3
  %bits.wide = zext i64 %bits to i$fetch_bits
  %shifted = shl i$fetch_bits %more, %bits.wide
  %whole = or i$fetch_bits %shifted, %bytes
  store i$fetch_bits %whole, ptr %fetch, align 8
  ret i1 true
}

; How much further on than the page behind the first one's place the second page is.
define internal i64 @second_page_distance(ptr %env, i64 %page) alwaysinline nounwind {
  %second.at = getelementptr i8, ptr %env, i64 $env_second_place
  %second = load i64, ptr %second.at
  %next = shl i64 %page, $page_bits
  %away = sub i64 %second, %next
  ret i64 %away
}

; What makes a host address of the address that @fetch_place was last asked for.
define internal ptr @code_memory(ptr %env, ptr %tcg) alwaysinline nounwind {
  %addend.at = getelementptr i8, ptr %env, i64 $env_fetch_addend
  %addend = load i64, ptr %addend.at
  %memory = inttoptr i64 %addend to ptr
  ret ptr %memory
}

; The bytes at %at, of which %count are the page's; nothing behind the page is touched.
define internal i$fetch_bits @code_tail(ptr %at, i64 %count) alwaysinline nounwind {
  %less = sub i64 %count, $fetch_bytes
  %from = getelementptr i8, ptr %at, i64 %less
  %whole = load i$fetch_bits, ptr %from, align 1
  %absent = sub i64 0, %less
  %bits = shl i64 %absent, 3
  %bits.wide = zext i64 %bits to i$fetch_bits
  %bytes = lshr i$fetch_bits %whole, %bits.wide
  ret i$fetch_bits %bytes
}

; Blocks that run once do not go into the cache: whoever stops at exact instruction counts makes many.
define internal ptr @step_block(ptr %env, i64 %cflags) alwaysinline nounwind {
  %step = and i64 %cflags, $cf_single_step
  %once = icmp ne i64 %step, 0
  %room.at = getelementptr i8, ptr %env, i64 $env_step_block
  %room = load ptr, ptr %room.at
  %block = select i1 %once, ptr %room, ptr null
  ret ptr %block
}

declare i64 @llvm.umin.i64(i64, i64)

; Never asked for: see @page_executable.
define internal void @fetch_denied(ptr %env, i64 %address) alwaysinline nounwind {
  call void @fetch_fault(ptr %env, i64 %address)
  ret void
}

; Whether Python wants to see guest address %pc before it runs.
define internal i1 @pc_hooked(ptr %tcg, i64 %pc) alwaysinline nounwind {
entry:
  %count.at = getelementptr i8, ptr %tcg, i64 $tcg_breakpoint_count
  %count = load i64, ptr %count.at
  %list.at = getelementptr i8, ptr %tcg, i64 $tcg_breakpoints
  %list = load ptr, ptr %list.at
  br label %next

next:
  %index = phi i64 [ 0, %entry ], [ %index.next, %other ]
  %end = icmp uge i64 %index, %count
  br i1 %end, label %done, label %look

look:
  %at = getelementptr i64, ptr %list, i64 %index
  %address = load i64, ptr %at
  %hit = icmp eq i64 %address, %pc
  br i1 %hit, label %done, label %other

other:
  %index.next = add i64 %index, 1
  br label %next

done:
  %result = phi i1 [ false, %next ], [ true, %look ]
  ret i1 %result
}

; -------------------------------------------------------------------------------------- pages of code

; Blocks were made from a page for the first time (%protection 1): inline stores to it must fail from now on.  That
; there are none any more is found out by the next store.
define internal void @page_guard(ptr %tcg, i64 %page, i64 %protection) noinline nounwind {
entry:
  %place = shl i64 %page, $page_bits
  %closes = icmp eq i64 %protection, 1
  br i1 %closes, label %vcpus, label %done

vcpus:
  %vcpus.at = getelementptr i8, ptr %tcg, i64 $tcg_vcpus
  %list = load ptr, ptr %vcpus.at
  %count.at = getelementptr i8, ptr %tcg, i64 $tcg_vcpu_count
  %count = load i64, ptr %count.at
  br label %vcpu.next

vcpu.next:
  %number = phi i64 [ 0, %vcpus ], [ %number.next, %vcpu.look ]
  %vcpus.end = icmp uge i64 %number, %count
  br i1 %vcpus.end, label %done, label %vcpu.look

vcpu.look:
  %vcpu.at = getelementptr ptr, ptr %list, i64 %number
  %vcpu = load ptr, ptr %vcpu.at
  call void @tlb_close(ptr %vcpu, i64 %place)
  %number.next = add i64 %number, 1
  br label %vcpu.next

done:
  ret void
}

; Have inline stores of a vCPU, the caller's or one that stands still, to the page at %place fail.
define internal void @tlb_close(ptr %vcpu, i64 %place) noinline nounwind {
entry:
  %tlbs.at = getelementptr i8, ptr %vcpu, i64 $env_tlbs
  %tlbs = load ptr, ptr %tlbs.at
  br label %tlb.next

tlb.next:
  %tlb.number = phi i64 [ 0, %entry ], [ %tlb.number.next, %tlb.done ]
  %tlbs.end = icmp uge i64 %tlb.number, $tlb_count
  br i1 %tlbs.end, label %done, label %tlb.look

tlb.look:
  %distance = mul i64 %tlb.number, $tlb_bytes
  %tlb = getelementptr i8, ptr %tlbs, i64 %distance
  %used.at = getelementptr i8, ptr %tlb, i64 $tlb_used
  %used = load i64, ptr %used.at
  %unused = icmp eq i64 %used, 0
  br i1 %unused, label %tlb.done, label %entry.next

entry.next:
  %index = phi i64 [ 0, %tlb.look ], [ %index.next, %entry.done ]
  %full.number = mul i64 %index, $full_bytes
  %full.offset = add i64 %full.number, $tlb_full
  %full = getelementptr i8, ptr %tlb, i64 %full.offset
  %full.place.at = getelementptr i8, ptr %full, i64 $full_place
  %full.place = load i64, ptr %full.place.at
  %same = icmp eq i64 %full.place, %place
  br i1 %same, label %close, label %entry.done

close:
  %entry.offset = mul i64 %index, $entry_bytes
  %e = getelementptr i8, ptr %tlb, i64 %entry.offset
  %tag.at = getelementptr i8, ptr %e, i64 $entry_write
  %tag = load i64, ptr %tag.at
  %closed = or i64 %tag, $tag_code
  store i64 %closed, ptr %tag.at
  br label %entry.done

entry.done:
  %index.next = add i64 %index, 1
  %last = icmp uge i64 %index.next, $tlb_whole
  br i1 %last, label %tlb.done, label %entry.next

tlb.done:
  %tlb.number.next = add i64 %tlb.number, 1
  br label %tlb.next

done:
  ret void
}

; Have all vCPUs' stores to a page, which has no code yet, take the slow path; false if one may be about to store
; there by an entry of its TLB.  From now on no such entry is made: who fills one looks at the page's byte behind it, and
; this looks at the TLBs behind the byte.  The caller holds the engine's lock.
define internal i1 @page_close(ptr %env, ptr %tcg, i64 %page) noinline nounwind {
entry:
  %place = shl i64 %page, $page_bits
  %permissions.at = getelementptr i8, ptr %tcg, i64 $tcg_permissions
  %permissions = load ptr, ptr %permissions.at
  %byte.at = getelementptr i8, ptr %permissions, i64 %page
  %byte = load i8, ptr %byte.at
  %without = and i8 %byte, $not_page_write
  %marked = or i8 %without, $page_code_writable
  store atomic i8 %marked, ptr %byte.at seq_cst, align 1
  fence seq_cst
  %vcpus.at = getelementptr i8, ptr %tcg, i64 $tcg_vcpus
  %list = load ptr, ptr %vcpus.at
  %count.at = getelementptr i8, ptr %tcg, i64 $tcg_vcpu_count
  %count = load i64, ptr %count.at
  br label %vcpu.next

vcpu.next:
  %number = phi i64 [ 0, %entry ], [ %number.next, %vcpu.done ]
  %vcpus.end = icmp uge i64 %number, %count
  br i1 %vcpus.end, label %own, label %vcpu.look

vcpu.look:
  %vcpu.at = getelementptr ptr, ptr %list, i64 %number
  %vcpu = load ptr, ptr %vcpu.at
  %self = icmp eq ptr %vcpu, %env
  br i1 %self, label %vcpu.done, label %vcpu.other

vcpu.other:
  %stores = call i1 @tlb_stores(ptr %vcpu, i64 %place)
  br i1 %stores, label %undo, label %vcpu.done

vcpu.done:
  %number.next = add i64 %number, 1
  br label %vcpu.next

undo:
  store atomic i8 %byte, ptr %byte.at seq_cst, align 1
  ret i1 false

own:
  call void @tlb_close(ptr %env, i64 %place)
  ret i1 true
}

; Whether another vCPU, which may be running, has an entry by which it stores inline to the page at %place; true, too,
; if its entries change their places meanwhile.
define internal i1 @tlb_stores(ptr %vcpu, i64 %place) noinline nounwind {
entry:
  %moves.at = getelementptr i8, ptr %vcpu, i64 $env_tlb_moves
  %moves = load atomic i64, ptr %moves.at acquire, align 8
  %odd = trunc i64 %moves to i1
  %tlbs.at = getelementptr i8, ptr %vcpu, i64 $env_tlbs
  %tlbs = load ptr, ptr %tlbs.at
  br i1 %odd, label %yes, label %tlb.next

tlb.next:
  %tlb.number = phi i64 [ 0, %entry ], [ %tlb.number.next, %tlb.done ]
  %tlbs.end = icmp uge i64 %tlb.number, $tlb_count
  br i1 %tlbs.end, label %checked, label %tlb.look

tlb.look:
  %distance = mul i64 %tlb.number, $tlb_bytes
  %tlb = getelementptr i8, ptr %tlbs, i64 %distance
  %used.at = getelementptr i8, ptr %tlb, i64 $tlb_used
  %used = load atomic i64, ptr %used.at monotonic, align 8
  %unused = icmp eq i64 %used, 0
  br i1 %unused, label %tlb.done, label %entry.next

entry.next:
  %index = phi i64 [ 0, %tlb.look ], [ %index.next, %entry.done ]
  %full.number = mul i64 %index, $full_bytes
  %full.offset = add i64 %full.number, $tlb_full
  %full = getelementptr i8, ptr %tlb, i64 %full.offset
  %full.place.at = getelementptr i8, ptr %full, i64 $full_place
  %full.place = load atomic i64, ptr %full.place.at monotonic, align 8
  %same = icmp eq i64 %full.place, %place
  br i1 %same, label %tag, label %entry.done

tag:
  %entry.offset = mul i64 %index, $entry_bytes
  %e = getelementptr i8, ptr %tlb, i64 %entry.offset
  %tag.at = getelementptr i8, ptr %e, i64 $entry_write
  %tag.now = load atomic i64, ptr %tag.at monotonic, align 8
  %special = and i64 %tag.now, $tag_slow
  %inline = icmp eq i64 %special, 0
  br i1 %inline, label %yes, label %entry.done

entry.done:
  %index.next = add i64 %index, 1
  %last = icmp uge i64 %index.next, $tlb_whole
  br i1 %last, label %tlb.done, label %entry.next

tlb.done:
  %tlb.number.next = add i64 %tlb.number, 1
  br label %tlb.next

checked:
  fence acquire
  %moves.now = load atomic i64, ptr %moves.at monotonic, align 8
  %moved = icmp ne i64 %moves.now, %moves
  ret i1 %moved

yes:
  ret i1 true
}

; Whether no other vCPU can be running.
define internal i1 @world_alone(ptr %tcg) alwaysinline nounwind {
  %threaded.at = getelementptr i8, ptr %tcg, i64 $tcg_threaded
  %threaded = load i64, ptr %threaded.at
  %alone = icmp eq i64 %threaded, 0
  ret i1 %alone
}
