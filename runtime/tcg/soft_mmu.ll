; Guest memory of a machine: the software TLB, physical memory, and what the rest of the engine asks about memory.
; A part of the engine: see engine.ll; soft_tlb.py has the layouts.
;
; A vCPU's TLBs are its own: only it fills them.  Another one may set TAG_CODE in a store's tag, with the world stopped.

; From the ISA: `on translate`, 0 when it found env.walk_*, 1 when it raised; and `on badaddr`.
declare hidden i64 @hook_translate(ptr, i64, i64)
declare hidden void @bad_address(ptr, i64, i64)

; -------------------------------------------------------------------------------------- from block to block

; The TLB for these modes, which becomes the current one.
define internal ptr @memory_of(ptr %env, ptr %mem, i64 %flags) alwaysinline nounwind {
  %number = call i64 @tlb_number(i64 %flags)
  %distance = mul i64 %number, $tlb_bytes
  %tlbs.at = getelementptr i8, ptr %env, i64 $env_tlbs
  %tlbs = load ptr, ptr %tlbs.at
  %tlb = getelementptr i8, ptr %tlbs, i64 %distance
  %tlb.at = getelementptr i8, ptr %env, i64 $env_tlb
  store ptr %tlb, ptr %tlb.at
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
  ret void
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

; And they are as long as the budget allows.
define internal i64 @step_length(ptr %env) alwaysinline nounwind {
  %budget.at = getelementptr i8, ptr %env, i64 $env_budget
  %budget = load i64, ptr %budget.at
  %least = call i64 @llvm.smax.i64(i64 %budget, i64 0)
  %less = call i64 @llvm.smin.i64(i64 %least, i64 $tb_max_less)
  %length = add i64 %less, 1
  ret i64 %length
}

declare i64 @llvm.smax.i64(i64, i64)
declare i64 @llvm.smin.i64(i64, i64)
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
  %number = phi i64 [ 0, %vcpus ], [ %number.next, %vcpu.done ]
  %vcpus.end = icmp uge i64 %number, %count
  br i1 %vcpus.end, label %done, label %vcpu.look

vcpu.look:
  %vcpu.at = getelementptr ptr, ptr %list, i64 %number
  %vcpu = load ptr, ptr %vcpu.at
  %tlbs.at = getelementptr i8, ptr %vcpu, i64 $env_tlbs
  %tlbs = load ptr, ptr %tlbs.at
  br label %tlb.next

tlb.next:
  %tlb.number = phi i64 [ 0, %vcpu.look ], [ %tlb.number.next, %tlb.done ]
  %tlbs.end = icmp uge i64 %tlb.number, $tlb_count
  br i1 %tlbs.end, label %vcpu.done, label %tlb.look

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

vcpu.done:
  %number.next = add i64 %number, 1
  br label %vcpu.next

done:
  ret void
}

; Whether no other vCPU can be running.
define internal i1 @world_alone(ptr %tcg) alwaysinline nounwind {
  %threaded.at = getelementptr i8, ptr %tcg, i64 $tcg_threaded
  %threaded = load i64, ptr %threaded.at
  %alone = icmp eq i64 %threaded, 0
  ret i1 %alone
}

; -------------------------------------------------------------------------------------- the TLB

; What else is known of an entry.
define internal ptr @tlb_full(ptr %tlb, ptr %e) alwaysinline nounwind {
  %start = ptrtoint ptr %tlb to i64
  %at = ptrtoint ptr %e to i64
  %distance = sub i64 %at, %start
  %index = lshr i64 %distance, $entry_bits
  %offset = mul i64 %index, $full_bytes
  %behind = add i64 %offset, $tlb_full
  %full = getelementptr i8, ptr %tlb, i64 %behind
  ret ptr %full
}

; Whether a tag is the page's, whatever its flags.
define internal i1 @tag_is(i64 %tag, i64 %page) alwaysinline nounwind {
  %bare = and i64 %tag, $tag_key
  %same = icmp eq i64 %bare, %page
  ret i1 %same
}

; The entry that allows the access to %va, found, brought back from the victims or made; null when the guest faults.
define internal ptr @tlb_entry(ptr %env, ptr %tlb, i64 %va, i64 %access) noinline nounwind {
entry:
  %shifted = lshr i64 %va, $tlb_index_shift
  %offset = and i64 %shifted, $tlb_index_mask
  %e = getelementptr i8, ptr %tlb, i64 %offset
  %page = and i64 %va, $not_page_mask
  %tag.offset = shl i64 %access, 3
  %tag.at = getelementptr i8, ptr %e, i64 %tag.offset
  %tag = load i64, ptr %tag.at
  %hit = call i1 @tag_is(i64 %tag, i64 %page)
  br i1 %hit, label %found, label %victims

victims:
  %victims.at = getelementptr i8, ptr %tlb, i64 $tlb_victims
  br label %victim

victim:
  %number = phi i64 [ 0, %victims ], [ %number.next, %victim.other ]
  %end = icmp uge i64 %number, $tlb_victim_count
  br i1 %end, label %miss, label %victim.look

victim.look:
  %victim.offset = mul i64 %number, $entry_bytes
  %v = getelementptr i8, ptr %victims.at, i64 %victim.offset
  %v.tag.at = getelementptr i8, ptr %v, i64 %tag.offset
  %v.tag = load i64, ptr %v.tag.at
  %v.hit = call i1 @tag_is(i64 %v.tag, i64 %page)
  br i1 %v.hit, label %swap, label %victim.other

victim.other:
  %number.next = add i64 %number, 1
  br label %victim

swap:
  %e.old = load <4 x i64>, ptr %e, align 8
  %v.old = load <4 x i64>, ptr %v, align 8
  store <4 x i64> %v.old, ptr %e, align 8
  store <4 x i64> %e.old, ptr %v, align 8
  %e.full = call ptr @tlb_full(ptr %tlb, ptr %e)
  %v.full = call ptr @tlb_full(ptr %tlb, ptr %v)
  %e.full.old = load <2 x i64>, ptr %e.full, align 8
  %v.full.old = load <2 x i64>, ptr %v.full, align 8
  store <2 x i64> %v.full.old, ptr %e.full, align 8
  store <2 x i64> %e.full.old, ptr %v.full, align 8
  br label %found

miss:
  %misses.at = getelementptr i8, ptr %env, i64 $env_tlb_misses
  %misses = load i64, ptr %misses.at
  %misses.more = add i64 %misses, 1
  store i64 %misses.more, ptr %misses.at
  %answer = call i64 @hook_translate(ptr %env, i64 %va, i64 %access)
  %raised = icmp ne i64 %answer, 0
  br i1 %raised, label %fault, label %fill

fill:
  call void @tlb_fill(ptr %env, ptr %tlb, ptr %e, i64 %va, i64 %access)
  br label %found

found:
  ret ptr %e

fault:
  ret ptr null
}

; Make entry %e of what hook_translate found for %va; what was there goes to the victims.
define internal void @tlb_fill(ptr %env, ptr %tlb, ptr %e, i64 %va, i64 %access) noinline nounwind {
entry:
  %env.tcg = getelementptr i8, ptr %env, i64 $env_tcg
  %tcg = load ptr, ptr %env.tcg
  %page = and i64 %va, $not_page_mask
  %full = call ptr @tlb_full(ptr %tlb, ptr %e)
  %read.at = getelementptr i8, ptr %e, i64 $entry_read
  %write.at = getelementptr i8, ptr %e, i64 $entry_write
  %fetch.at = getelementptr i8, ptr %e, i64 $entry_fetch
  %addend.at = getelementptr i8, ptr %e, i64 $entry_addend
  %old.read = load i64, ptr %read.at
  %old.write = load i64, ptr %write.at
  %old.fetch = load i64, ptr %fetch.at
  %old.both = and i64 %old.read, %old.write
  %old.all = and i64 %old.both, %old.fetch
  %old.unused = and i64 %old.all, $tag_unused
  %empty = icmp ne i64 %old.unused, 0
  %same.read = call i1 @tag_is(i64 %old.read, i64 %page)
  %same.write = call i1 @tag_is(i64 %old.write, i64 %page)
  %same.fetch = call i1 @tag_is(i64 %old.fetch, i64 %page)
  %same.1 = or i1 %same.read, %same.write
  %same = or i1 %same.1, %same.fetch
  %useless = or i1 %empty, %same
  br i1 %useless, label %walked, label %evict

evict:
  %next.at = getelementptr i8, ptr %tlb, i64 $tlb_next_victim
  %next = load i64, ptr %next.at
  %next.more = add i64 %next, 1
  %next.number = and i64 %next.more, $tlb_victim_mask
  store i64 %next.number, ptr %next.at
  %victim.offset = mul i64 %next, $entry_bytes
  %victim.place = add i64 %victim.offset, $tlb_victims
  %v = getelementptr i8, ptr %tlb, i64 %victim.place
  %v.full = call ptr @tlb_full(ptr %tlb, ptr %v)
  %old = load <4 x i64>, ptr %e, align 8
  store <4 x i64> %old, ptr %v, align 8
  %old.full = load <2 x i64>, ptr %full, align 8
  store <2 x i64> %old.full, ptr %v.full, align 8
  br label %walked

walked:
  %walk.page.at = getelementptr i8, ptr %env, i64 $env_walk_page
  %walk.page = load i64, ptr %walk.page.at
  %walk.bits.at = getelementptr i8, ptr %env, i64 $env_walk_bits
  %walk.bits = load i64, ptr %walk.bits.at
  %permissions.at = getelementptr i8, ptr %env, i64 $env_walk_permissions
  %permissions.walk = load i64, ptr %permissions.at
  %asked = shl i64 1, %access
  %permissions = or i64 %permissions.walk, %asked
  %everything = icmp uge i64 %walk.bits, 64
  %bits = call i64 @llvm.umin.i64(i64 %walk.bits, i64 63)
  %size = shl i64 1, %bits
  %size.less = sub i64 %size, 1
  %inside.mask = select i1 %everything, i64 -1, i64 %size.less
  %outside.mask = xor i64 %inside.mask, -1
  %above = and i64 %walk.page, %outside.mask
  %inside = and i64 %va, %inside.mask
  %pa = or i64 %above, %inside
  %physical = and i64 %pa, $not_page_mask
  %small = icmp ult i64 %bits, $page_bits
  %once = select i1 %small, i64 $tag_unused, i64 0
  %large = icmp ugt i64 %bits, $page_bits
  br i1 %large, label %large.page, label %memory

large.page: ; flushing one address must find all entries of its page
  %large.base.at = getelementptr i8, ptr %env, i64 $env_large_page
  %large.base = load i64, ptr %large.base.at
  %large.mask.at = getelementptr i8, ptr %env, i64 $env_large_mask
  %large.mask = load i64, ptr %large.mask.at
  %none.yet = icmp eq i64 %large.base, -1
  %va.first = and i64 %va, %outside.mask
  %mask.both = and i64 %large.mask, %outside.mask
  br i1 %none.yet, label %large.store, label %large.join

large.join: ; what both have in common
  %mask.joined = phi i64 [ %mask.both, %large.page ], [ %mask.less, %large.join.more ]
  %base.cut = and i64 %large.base, %mask.joined
  %va.cut = and i64 %va.first, %mask.joined
  %joined = icmp eq i64 %base.cut, %va.cut
  br i1 %joined, label %large.store, label %large.join.more

large.join.more:
  %mask.less = shl i64 %mask.joined, 1
  br label %large.join

large.store:
  %mask.new = phi i64 [ %outside.mask, %large.page ], [ %mask.joined, %large.join ]
  %base.new = and i64 %va.first, %mask.new
  store i64 %base.new, ptr %large.base.at
  store i64 %mask.new, ptr %large.mask.at
  br label %memory

memory:
  %ram = call ptr @ram_find(ptr %tcg, i64 %physical)
  %device = icmp eq ptr %ram, null
  br i1 %device, label %store, label %is.ram

is.ram:
  %start.at = getelementptr i8, ptr %ram, i64 $ram_start
  %start = load i64, ptr %start.at
  %host.at = getelementptr i8, ptr %ram, i64 $ram_host
  %host.start = load i64, ptr %host.at
  %place.at = getelementptr i8, ptr %ram, i64 $ram_place
  %place.start = load i64, ptr %place.at
  %writable.at = getelementptr i8, ptr %ram, i64 $ram_writable
  %writable = load i64, ptr %writable.at
  %distance = sub i64 %physical, %start
  %host = add i64 %host.start, %distance
  %addend.ram = sub i64 %host, %page
  %place.ram = add i64 %place.start, %distance
  %ram.page = lshr i64 %place.ram, $page_bits
  %bytes.at = getelementptr i8, ptr %tcg, i64 $tcg_permissions
  %bytes = load ptr, ptr %bytes.at
  %byte.at = getelementptr i8, ptr %bytes, i64 %ram.page
  %byte = load i8, ptr %byte.at
  %write.bit = and i8 %byte, $page_write
  %inline = icmp ne i8 %write.bit, 0
  %code = select i1 %inline, i64 0, i64 $tag_code
  %rom = icmp eq i64 %writable, 0
  %write.ram = select i1 %rom, i64 $tag_bus, i64 %code
  br label %store

store:
  %flags = phi i64 [ $tag_bus, %memory ], [ 0, %is.ram ]
  %write.flags = phi i64 [ $tag_bus, %memory ], [ %write.ram, %is.ram ]
  %addend = phi i64 [ 0, %memory ], [ %addend.ram, %is.ram ]
  %place = phi i64 [ -1, %memory ], [ %place.ram, %is.ram ]
  %tag.plain = or i64 %page, %once
  %tag = or i64 %tag.plain, %flags
  %tag.write = or i64 %tag.plain, %write.flags
  %read.bit = and i64 %permissions, 1
  %write.allowed.bit = and i64 %permissions, 2
  %fetch.bit = and i64 %permissions, 4
  %reads = icmp ne i64 %read.bit, 0
  %writes = icmp ne i64 %write.allowed.bit, 0
  %fetches = icmp ne i64 %fetch.bit, 0
  %new.read = select i1 %reads, i64 %tag, i64 -1
  %new.write = select i1 %writes, i64 %tag.write, i64 -1
  %new.fetch = select i1 %fetches, i64 %tag, i64 -1
  store i64 %new.read, ptr %read.at
  store i64 %new.write, ptr %write.at
  store i64 %new.fetch, ptr %fetch.at
  store i64 %addend, ptr %addend.at
  %full.physical.at = getelementptr i8, ptr %full, i64 $full_physical
  store i64 %physical, ptr %full.physical.at
  %full.place.at = getelementptr i8, ptr %full, i64 $full_place
  store i64 %place, ptr %full.place.at
  %used.at = getelementptr i8, ptr %tlb, i64 $tlb_used
  store i64 1, ptr %used.at
  ret void
}

; Make %count words, a multiple of four, at %at all ones.
define internal void @fill_ones(ptr %at, i64 %count) noinline nounwind "no-builtins" {
entry:
  br label %loop

loop:
  %index = phi i64 [ 0, %entry ], [ %index.next, %loop ]
  %place = getelementptr i64, ptr %at, i64 %index
  store volatile <4 x i64> splat (i64 -1), ptr %place, align 8
  %index.next = add i64 %index, 4
  %end = icmp uge i64 %index.next, %count
  br i1 %end, label %done, label %loop

done:
  ret void
}

; Forget the translation of %va, or all if that is all ones.
define hidden void @tlb_flush(ptr %env, i64 %va) noinline nounwind {
entry:
  %flushes.at = getelementptr i8, ptr %env, i64 $env_tlb_flushes
  %flushes = load i64, ptr %flushes.at
  %flushes.more = add i64 %flushes, 1
  store i64 %flushes.more, ptr %flushes.at
  %generation.at = getelementptr i8, ptr %env, i64 $env_jump_generation
  %generation = load i64, ptr %generation.at
  %generation.more = add i64 %generation, 1
  store i64 %generation.more, ptr %generation.at
  %large.base.at = getelementptr i8, ptr %env, i64 $env_large_page
  %large.base = load i64, ptr %large.base.at
  %large.mask.at = getelementptr i8, ptr %env, i64 $env_large_mask
  %large.mask = load i64, ptr %large.mask.at
  %va.cut = and i64 %va, %large.mask
  %in.large = icmp eq i64 %va.cut, %large.base
  %all.asked = icmp eq i64 %va, -1
  %all = or i1 %all.asked, %in.large
  %page = and i64 %va, $not_page_mask
  %shifted = lshr i64 %va, $tlb_index_shift
  %offset = and i64 %shifted, $tlb_index_mask
  %tlbs.at = getelementptr i8, ptr %env, i64 $env_tlbs
  %tlbs = load ptr, ptr %tlbs.at
  br i1 %all, label %no.large, label %tlb.next.first

no.large:
  store i64 -1, ptr %large.base.at
  store i64 0, ptr %large.mask.at
  br label %tlb.next.first

tlb.next.first:
  br label %tlb.next

tlb.next:
  %number = phi i64 [ 0, %tlb.next.first ], [ %number.next, %tlb.done ]
  %end = icmp uge i64 %number, $tlb_count
  br i1 %end, label %done, label %tlb.look

tlb.look:
  %distance = mul i64 %number, $tlb_bytes
  %tlb = getelementptr i8, ptr %tlbs, i64 %distance
  %used.at = getelementptr i8, ptr %tlb, i64 $tlb_used
  %used = load i64, ptr %used.at
  %unused = icmp eq i64 %used, 0
  br i1 %unused, label %tlb.done, label %tlb.used

tlb.used:
  br i1 %all, label %whole, label %one

whole:
  call void @fill_ones(ptr %tlb, i64 $tlb_words)
  store i64 0, ptr %used.at
  br label %tlb.done

one:
  %e = getelementptr i8, ptr %tlb, i64 %offset
  call void @entry_forget(ptr %e, i64 %page)
  %victims = getelementptr i8, ptr %tlb, i64 $tlb_victims
  br label %victim

victim:
  %victim.number = phi i64 [ 0, %one ], [ %victim.number.next, %victim ]
  %victim.offset = mul i64 %victim.number, $entry_bytes
  %v = getelementptr i8, ptr %victims, i64 %victim.offset
  call void @entry_forget(ptr %v, i64 %page)
  %victim.number.next = add i64 %victim.number, 1
  %victims.end = icmp uge i64 %victim.number.next, $tlb_victim_count
  br i1 %victims.end, label %tlb.done, label %victim

tlb.done:
  %number.next = add i64 %number, 1
  br label %tlb.next

done:
  ret void
}

; Empty an entry if it is the page's.
define internal void @entry_forget(ptr %e, i64 %page) alwaysinline nounwind {
entry:
  %read.at = getelementptr i8, ptr %e, i64 $entry_read
  %write.at = getelementptr i8, ptr %e, i64 $entry_write
  %fetch.at = getelementptr i8, ptr %e, i64 $entry_fetch
  %read = load i64, ptr %read.at
  %write = load i64, ptr %write.at
  %fetch = load i64, ptr %fetch.at
  %same.read = call i1 @tag_is(i64 %read, i64 %page)
  %same.write = call i1 @tag_is(i64 %write, i64 %page)
  %same.fetch = call i1 @tag_is(i64 %fetch, i64 %page)
  %same.1 = or i1 %same.read, %same.write
  %same = or i1 %same.1, %same.fetch
  br i1 %same, label %forget, label %done

forget:
  store i64 -1, ptr %read.at
  store i64 -1, ptr %write.at
  store i64 -1, ptr %fetch.at
  br label %done

done:
  ret void
}

; -------------------------------------------------------------------------------------- slow paths of accesses

; A load of %n bytes at %va that the inline probe did not let through: the host address of the bytes, perhaps of a copy
; in env; or 1, with the exception in env.
define hidden i64 @tlb_load(ptr %env, ptr %tlb, i64 %va, i64 %n) noinline nounwind {
entry:
  %slow = getelementptr i8, ptr %env, i64 $env_slow
  %offset = and i64 %va, $page_mask
  %end = add i64 %offset, %n
  %crosses = icmp ugt i64 %end, $page_size
  br i1 %crosses, label %two, label %one

one:
  %e = call ptr @tlb_entry(ptr %env, ptr %tlb, i64 %va, i64 0)
  %fault = icmp eq ptr %e, null
  br i1 %fault, label %refused, label %found

found:
  %tag.at = getelementptr i8, ptr %e, i64 $entry_read
  %tag = load i64, ptr %tag.at
  %bus.bit = and i64 %tag, $tag_bus
  %bus = icmp ne i64 %bus.bit, 0
  br i1 %bus, label %device, label %ram

ram:
  %addend.at = getelementptr i8, ptr %e, i64 $entry_addend
  %addend = load i64, ptr %addend.at
  %host = add i64 %addend, %va
  ret i64 %host

device:
  %full = call ptr @tlb_full(ptr %tlb, ptr %e)
  %physical.at = getelementptr i8, ptr %full, i64 $full_physical
  %physical = load i64, ptr %physical.at
  %pa = or i64 %physical, %offset
  %status = call i64 @bus_load(ptr %env, i64 %pa, i64 %n, ptr %slow)
  %done = icmp eq i64 %status, 0
  br i1 %done, label %copied, label %nobody

nobody:
  %is.nobody = icmp eq i64 %status, $bus_nobody
  br i1 %is.nobody, label %bad, label %refused

bad:
  call void @bad_address(ptr %env, i64 0, i64 %va)
  br label %refused

two:
  %more = sub i64 %end, $page_size
  %less = sub i64 %n, %more
  %second.full = add i64 %va, %less
  %second = and i64 %second.full, $address_mask
  %status.first = call i64 @load_part(ptr %env, ptr %tlb, i64 %va, i64 %less, ptr %slow)
  %fine.first = icmp eq i64 %status.first, 0
  br i1 %fine.first, label %part.second, label %refused

part.second:
  %rest = getelementptr i8, ptr %slow, i64 %less
  %status.second = call i64 @load_part(ptr %env, ptr %tlb, i64 %second, i64 %more, ptr %rest)
  %fine.second = icmp eq i64 %status.second, 0
  br i1 %fine.second, label %copied, label %refused

copied:
  %copy = ptrtoint ptr %slow to i64
  ret i64 %copy

refused:
  ret i64 1
}

; Copy %n bytes of one page at %va to %to; 1 with the exception in env when that cannot be.
define internal i64 @load_part(ptr %env, ptr %tlb, i64 %va, i64 %n, ptr %to) noinline nounwind {
entry:
  %e = call ptr @tlb_entry(ptr %env, ptr %tlb, i64 %va, i64 0)
  %fault = icmp eq ptr %e, null
  br i1 %fault, label %refused, label %found

found:
  %tag.at = getelementptr i8, ptr %e, i64 $entry_read
  %tag = load i64, ptr %tag.at
  %bus.bit = and i64 %tag, $tag_bus
  %bus = icmp ne i64 %bus.bit, 0
  br i1 %bus, label %device, label %ram

ram:
  %addend.at = getelementptr i8, ptr %e, i64 $entry_addend
  %addend = load i64, ptr %addend.at
  %host = add i64 %addend, %va
  %from = inttoptr i64 %host to ptr
  call void @copy_bytes(ptr %to, ptr %from, i64 %n)
  ret i64 0

device:
  %full = call ptr @tlb_full(ptr %tlb, ptr %e)
  %physical.at = getelementptr i8, ptr %full, i64 $full_physical
  %physical = load i64, ptr %physical.at
  %offset = and i64 %va, $page_mask
  %pa = or i64 %physical, %offset
  %status = call i64 @bus_load(ptr %env, i64 %pa, i64 %n, ptr %to)
  %done = icmp eq i64 %status, 0
  br i1 %done, label %copied, label %nobody

nobody:
  %is.nobody = icmp eq i64 %status, $bus_nobody
  br i1 %is.nobody, label %bad, label %refused

bad:
  call void @bad_address(ptr %env, i64 0, i64 %va)
  br label %refused

copied:
  ret i64 0

refused:
  ret i64 1
}

; Copy bytes that do not overlap: at once where the host can, for other vCPUs shall not see half of an access.
define internal void @copy_bytes(ptr %to, ptr %from, i64 %n) nounwind "no-builtins" {
entry:
  switch i64 %n, label %loop.first [ i64 1, label %one
                                     i64 2, label %two
                                     i64 4, label %four
                                     i64 8, label %eight ]

one:
  %v1 = load i8, ptr %from
  store i8 %v1, ptr %to
  ret void

two:
  %v2 = load i16, ptr %from, align 1
  store i16 %v2, ptr %to, align 1
  ret void

four:
  %v4 = load i32, ptr %from, align 1
  store i32 %v4, ptr %to, align 1
  ret void

eight:
  %v8 = load i64, ptr %from, align 1
  store i64 %v8, ptr %to, align 1
  ret void

loop.first:
  %none = icmp eq i64 %n, 0
  br i1 %none, label %done, label %loop

loop:
  %index = phi i64 [ 0, %loop.first ], [ %index.next, %loop ]
  %source = getelementptr i8, ptr %from, i64 %index
  %target = getelementptr i8, ptr %to, i64 %index
  %byte = load i8, ptr %source
  store i8 %byte, ptr %target
  %index.next = add i64 %index, 1
  %end = icmp uge i64 %index.next, %n
  br i1 %end, label %done, label %loop

done:
  ret void
}

; Whether a store of %n bytes to the page of code of entry %e, at %va, changes what blocks were made from
; (env.fault_address is that place then).
define internal i1 @store_hits_code(ptr %env, ptr %tlb, ptr %e, i64 %va, i64 %n) noinline nounwind {
entry:
  %env.tcg = getelementptr i8, ptr %env, i64 $env_tcg
  %tcg = load ptr, ptr %env.tcg
  %tag.at = getelementptr i8, ptr %e, i64 $entry_write
  %tag = load i64, ptr %tag.at
  %code.bit = and i64 %tag, $tag_code
  %plain = icmp eq i64 %code.bit, 0
  br i1 %plain, label %no, label %look

look:
  %full = call ptr @tlb_full(ptr %tlb, ptr %e)
  %page.at = getelementptr i8, ptr %full, i64 $full_place
  %page = load i64, ptr %page.at
  %offset = and i64 %va, $page_mask
  %place = or i64 %page, %offset
  %place.end = add i64 %place, %n
  %number = lshr i64 %place, $page_bits
  %bytes.at = getelementptr i8, ptr %tcg, i64 $tcg_permissions
  %bytes = load ptr, ptr %bytes.at
  %byte.at = getelementptr i8, ptr %bytes, i64 %number
  %byte = load i8, ptr %byte.at
  %write.bit = and i8 %byte, $page_write
  %open = icmp ne i8 %write.bit, 0
  br i1 %open, label %reopen, label %search

reopen: ; no code any more
  %opened = and i64 %tag, $not_tag_code
  store i64 %opened, ptr %tag.at
  br label %no

search: ; while this store may still be to come no block shall be made of its page: see @page_stable
  call void @engine_lock(ptr %tcg)
  %store.page.at = getelementptr i8, ptr %env, i64 $env_store_page
  store atomic i64 %number, ptr %store.page.at monotonic, align 8
  %hit = call i1 @page_code_overlaps(ptr %tcg, i64 %number, i64 %place, i64 %place.end)
  call void @engine_unlock(ptr %tcg)
  br i1 %hit, label %yes, label %no

yes:
  %fault.at = getelementptr i8, ptr %env, i64 $env_fault_address
  store i64 %place, ptr %fault.at
  ret i1 true

no:
  ret i1 false
}

; A store of the %n bytes in env.slow to %va that the inline probe did not let through.  0: it is made; 1: the exception
; is in env; 2: it would change translated code (env.fault_address) and is to be made again once the blocks are gone.
define hidden i64 @tlb_store(ptr %env, ptr %tlb, i64 %va, i64 %n) noinline nounwind {
entry:
  %slow = getelementptr i8, ptr %env, i64 $env_slow
  %offset = and i64 %va, $page_mask
  %end = add i64 %offset, %n
  %crosses = icmp ugt i64 %end, $page_size
  br i1 %crosses, label %two, label %one

one:
  %e = call ptr @tlb_entry(ptr %env, ptr %tlb, i64 %va, i64 1)
  %fault = icmp eq ptr %e, null
  br i1 %fault, label %refused, label %one.code

one.code:
  %hits = call i1 @store_hits_code(ptr %env, ptr %tlb, ptr %e, i64 %va, i64 %n)
  br i1 %hits, label %code, label %one.store

one.store:
  %status = call i64 @store_part(ptr %env, ptr %tlb, ptr %e, i64 %va, i64 %n, ptr %slow)
  ret i64 %status

two: ; nothing is stored before both pages are known to allow it
  %more = sub i64 %end, $page_size
  %less = sub i64 %n, %more
  %second.full = add i64 %va, %less
  %second = and i64 %second.full, $address_mask
  %rest = getelementptr i8, ptr %slow, i64 %less
  %first.tried = call ptr @tlb_entry(ptr %env, ptr %tlb, i64 %va, i64 1)
  %first.fault = icmp eq ptr %first.tried, null
  br i1 %first.fault, label %refused, label %two.second

two.second:
  %e2 = call ptr @tlb_entry(ptr %env, ptr %tlb, i64 %second, i64 1)
  %second.fault = icmp eq ptr %e2, null
  br i1 %second.fault, label %refused, label %two.first

two.first: ; once more, for it may have been pushed out, or hold for one access only
  %e1 = call ptr @tlb_entry(ptr %env, ptr %tlb, i64 %va, i64 1)
  %again.fault = icmp eq ptr %e1, null
  br i1 %again.fault, label %refused, label %two.code

two.code:
  %hits.1 = call i1 @store_hits_code(ptr %env, ptr %tlb, ptr %e1, i64 %va, i64 %less)
  br i1 %hits.1, label %code, label %two.code.second

two.code.second:
  %hits.2 = call i1 @store_hits_code(ptr %env, ptr %tlb, ptr %e2, i64 %second, i64 %more)
  br i1 %hits.2, label %code, label %two.order

two.order: ; what can fail first
  %tag2.at = getelementptr i8, ptr %e2, i64 $entry_write
  %tag2 = load i64, ptr %tag2.at
  %bus2.bit = and i64 %tag2, $tag_bus
  %bus2 = icmp ne i64 %bus2.bit, 0
  br i1 %bus2, label %second.first, label %first.first

second.first:
  %status.21 = call i64 @store_part(ptr %env, ptr %tlb, ptr %e2, i64 %second, i64 %more, ptr %rest)
  %fine.21 = icmp eq i64 %status.21, 0
  br i1 %fine.21, label %second.then, label %refused

second.then:
  %status.22 = call i64 @store_part(ptr %env, ptr %tlb, ptr %e1, i64 %va, i64 %less, ptr %slow)
  ret i64 %status.22

first.first:
  %status.11 = call i64 @store_part(ptr %env, ptr %tlb, ptr %e1, i64 %va, i64 %less, ptr %slow)
  %fine.11 = icmp eq i64 %status.11, 0
  br i1 %fine.11, label %first.then, label %refused

first.then:
  %status.12 = call i64 @store_part(ptr %env, ptr %tlb, ptr %e2, i64 %second, i64 %more, ptr %rest)
  ret i64 %status.12

code:
  ret i64 2

refused:
  ret i64 1
}

; Store %n bytes to one page, by its entry; 1 with the exception in env when nobody takes them.
define internal i64 @store_part(ptr %env, ptr %tlb, ptr %e, i64 %va, i64 %n, ptr %from) noinline nounwind {
entry:
  %tag.at = getelementptr i8, ptr %e, i64 $entry_write
  %tag = load i64, ptr %tag.at
  %bus.bit = and i64 %tag, $tag_bus
  %bus = icmp ne i64 %bus.bit, 0
  br i1 %bus, label %device, label %ram

ram:
  %addend.at = getelementptr i8, ptr %e, i64 $entry_addend
  %addend = load i64, ptr %addend.at
  %host = add i64 %addend, %va
  %to = inttoptr i64 %host to ptr
  call void @copy_bytes(ptr %to, ptr %from, i64 %n)
  ret i64 0

device:
  %full = call ptr @tlb_full(ptr %tlb, ptr %e)
  %physical.at = getelementptr i8, ptr %full, i64 $full_physical
  %physical = load i64, ptr %physical.at
  %offset = and i64 %va, $page_mask
  %pa = or i64 %physical, %offset
  %status = call i64 @bus_store(ptr %env, i64 %pa, i64 %n, ptr %from)
  %done = icmp eq i64 %status, 0
  br i1 %done, label %stored, label %nobody

nobody:
  %is.nobody = icmp eq i64 %status, $bus_nobody
  br i1 %is.nobody, label %bad, label %refused

bad:
  call void @bad_address(ptr %env, i64 1, i64 %va)
  br label %refused

stored:
  ret i64 0

refused:
  ret i64 1
}

; Where the host can read and write the %n bytes at %va at once; 1 with the exception in env if it cannot, for they are
; in two pages or no RAM; 2 as @tlb_store.
define hidden i64 @tlb_update(ptr %env, ptr %tlb, i64 %va, i64 %n) noinline nounwind {
entry:
  %offset = and i64 %va, $page_mask
  %end = add i64 %offset, %n
  %crosses = icmp ugt i64 %end, $page_size
  br i1 %crosses, label %bad, label %one

one:
  %e = call ptr @tlb_entry(ptr %env, ptr %tlb, i64 %va, i64 1)
  %fault = icmp eq ptr %e, null
  br i1 %fault, label %refused, label %found

found:
  %tag.at = getelementptr i8, ptr %e, i64 $entry_write
  %tag = load i64, ptr %tag.at
  %bus.bit = and i64 %tag, $tag_bus
  %bus = icmp ne i64 %bus.bit, 0
  br i1 %bus, label %bad, label %ram

ram:
  %hits = call i1 @store_hits_code(ptr %env, ptr %tlb, ptr %e, i64 %va, i64 %n)
  br i1 %hits, label %code, label %fine

fine:
  %addend.at = getelementptr i8, ptr %e, i64 $entry_addend
  %addend = load i64, ptr %addend.at
  %host = add i64 %addend, %va
  ret i64 %host

bad:
  call void @bad_address(ptr %env, i64 1, i64 %va)
  br label %refused

code:
  ret i64 2

refused:
  ret i64 1
}

; Whether an access could be made: 0, or as @tlb_store.
define hidden i64 @tlb_check(ptr %env, ptr %tlb, i64 %va, i64 %n, i64 %access) noinline nounwind {
entry:
  %n.less = sub i64 %n, 1
  %last.full = add i64 %va, %n.less
  %last = and i64 %last.full, $address_mask
  %first = call ptr @tlb_entry(ptr %env, ptr %tlb, i64 %va, i64 %access)
  %first.fault = icmp eq ptr %first, null
  br i1 %first.fault, label %refused, label %then

then:
  %second = call ptr @tlb_entry(ptr %env, ptr %tlb, i64 %last, i64 %access)
  %second.fault = icmp eq ptr %second, null
  br i1 %second.fault, label %refused, label %fine

fine:
  ret i64 0

refused:
  ret i64 1
}

; -------------------------------------------------------------------------------------- physical memory

; The RAM that a physical address lies in, null if none.
define internal ptr @ram_find(ptr %tcg, i64 %pa) nounwind {
entry:
  %count.at = getelementptr i8, ptr %tcg, i64 $tcg_ram_count
  %count = load i64, ptr %count.at
  %list.at = getelementptr i8, ptr %tcg, i64 $tcg_ram
  %list = load ptr, ptr %list.at
  br label %next

next:
  %index = phi i64 [ 0, %entry ], [ %index.next, %other ]
  %end = icmp uge i64 %index, %count
  br i1 %end, label %none, label %look

look:
  %offset = mul i64 %index, $ram_bytes
  %ram = getelementptr i8, ptr %list, i64 %offset
  %start.at = getelementptr i8, ptr %ram, i64 $ram_start
  %start = load i64, ptr %start.at
  %stop.at = getelementptr i8, ptr %ram, i64 $ram_end
  %stop = load i64, ptr %stop.at
  %behind = icmp uge i64 %pa, %start
  %before = icmp ult i64 %pa, %stop
  %inside = and i1 %behind, %before
  br i1 %inside, label %found, label %other

other:
  %index.next = add i64 %index, 1
  br label %next

found:
  ret ptr %ram

none:
  ret ptr null
}

; Bytes of the next access to the bus, of %n still to be made at %pa: 1, 2, 4 or 8, aligned.
define internal i64 @bus_piece(i64 %pa, i64 %n) alwaysinline nounwind {
  %bounded = or i64 %pa, 8
  %minus = sub i64 0, %bounded
  %aligned = and i64 %bounded, %minus
  %seven = icmp uge i64 %n, 8
  %three = icmp uge i64 %n, 4
  %one = icmp uge i64 %n, 2
  %most.1 = select i1 %one, i64 2, i64 1
  %most.2 = select i1 %three, i64 4, i64 %most.1
  %most = select i1 %seven, i64 8, i64 %most.2
  %piece = call i64 @llvm.umin.i64(i64 %aligned, i64 %most)
  ret i64 %piece
}

define internal void @count_bus(ptr %env) alwaysinline nounwind {
  %count.at = getelementptr i8, ptr %env, i64 $env_bus_accesses
  %count = load i64, ptr %count.at
  %more = add i64 %count, 1
  store i64 %more, ptr %count.at
  ret void
}

; Read %n bytes at a physical address that is no RAM; what the callback says.
define internal i64 @bus_load(ptr %env, i64 %pa, i64 %n, ptr %to) noinline nounwind {
entry:
  %env.tcg = getelementptr i8, ptr %env, i64 $env_tcg
  %tcg = load ptr, ptr %env.tcg
  %function.at = getelementptr i8, ptr %tcg, i64 $tcg_bus_read
  %function = load ptr, ptr %function.at
  %value.at = getelementptr i8, ptr %env, i64 $env_bus_value
  br label %next

next:
  %done = phi i64 [ 0, %entry ], [ %done.next, %good ]
  %left = sub i64 %n, %done
  %end = icmp eq i64 %left, 0
  br i1 %end, label %finished, label %piece

piece:
  %at = add i64 %pa, %done
  %size = call i64 @bus_piece(i64 %at, i64 %left)
  call void @count_bus(ptr %env)
  %status = call i64 @host_call(ptr %env, ptr %function, i64 %at, i64 %size, i64 0)
  %fine = icmp eq i64 %status, 0
  br i1 %fine, label %good, label %failed

good:
  %place = getelementptr i8, ptr %to, i64 %done
  call void @copy_bytes(ptr %place, ptr %value.at, i64 %size)
  %done.next = add i64 %done, %size
  br label %next

failed:
  ret i64 %status

finished:
  ret i64 0
}

; The same for a store.
define internal i64 @bus_store(ptr %env, i64 %pa, i64 %n, ptr %from) noinline nounwind {
entry:
  %env.tcg = getelementptr i8, ptr %env, i64 $env_tcg
  %tcg = load ptr, ptr %env.tcg
  %function.at = getelementptr i8, ptr %tcg, i64 $tcg_bus_write
  %function = load ptr, ptr %function.at
  %value.at = getelementptr i8, ptr %env, i64 $env_bus_value
  br label %next

next:
  %done = phi i64 [ 0, %entry ], [ %done.next, %good ]
  %left = sub i64 %n, %done
  %end = icmp eq i64 %left, 0
  br i1 %end, label %finished, label %piece

piece:
  %at = add i64 %pa, %done
  %size = call i64 @bus_piece(i64 %at, i64 %left)
  %place = getelementptr i8, ptr %from, i64 %done
  store i64 0, ptr %value.at
  call void @copy_bytes(ptr %value.at, ptr %place, i64 %size)
  %value = load i64, ptr %value.at
  call void @count_bus(ptr %env)
  %status = call i64 @host_call(ptr %env, ptr %function, i64 %at, i64 %size, i64 %value)
  %fine = icmp eq i64 %status, 0
  br i1 %fine, label %good, label %failed

good:
  %done.next = add i64 %done, %size
  br label %next

failed:
  ret i64 %status

finished:
  ret i64 0
}

; Where the host has %n bytes (at most 8, aligned) of RAM at a physical address, null if there is none; to be written to
; if %write is 1.
define internal ptr @physical_host(ptr %env, i64 %pa, i64 %n, i64 %write) noinline nounwind {
entry:
  %env.tcg = getelementptr i8, ptr %env, i64 $env_tcg
  %tcg = load ptr, ptr %env.tcg
  %ram = call ptr @ram_find(ptr %tcg, i64 %pa)
  %none = icmp eq ptr %ram, null
  br i1 %none, label %nothing, label %found

found:
  %start.at = getelementptr i8, ptr %ram, i64 $ram_start
  %start = load i64, ptr %start.at
  %stop.at = getelementptr i8, ptr %ram, i64 $ram_end
  %stop = load i64, ptr %stop.at
  %room = sub i64 %stop, %pa
  %fits = icmp uge i64 %room, %n
  %writable.at = getelementptr i8, ptr %ram, i64 $ram_writable
  %writable = load i64, ptr %writable.at
  %enough = icmp uge i64 %writable, %write
  %both = and i1 %fits, %enough
  br i1 %both, label %good, label %nothing

good:
  %distance = sub i64 %pa, %start
  %host.at = getelementptr i8, ptr %ram, i64 $ram_host
  %host.start = load ptr, ptr %host.at
  %host = getelementptr i8, ptr %host.start, i64 %distance
  %writes = icmp ne i64 %write, 0
  br i1 %writes, label %code, label %done

code: ; a hook's store into translated code: the blocks go at once, for a hook cannot be made to run again
  %place.at = getelementptr i8, ptr %ram, i64 $ram_place
  %place.start = load i64, ptr %place.at
  %place = add i64 %place.start, %distance
  %place.end = add i64 %place, %n
  %page = lshr i64 %place, $page_bits
  %bytes.at = getelementptr i8, ptr %tcg, i64 $tcg_permissions
  %bytes = load ptr, ptr %bytes.at
  %byte.at = getelementptr i8, ptr %bytes, i64 %page
  %byte = load i8, ptr %byte.at
  %bit = and i8 %byte, $page_code
  %some = icmp ne i8 %bit, 0
  br i1 %some, label %free, label %done

free:
  %locked.at = getelementptr i8, ptr %env, i64 $env_locked
  %locked = load i64, ptr %locked.at
  %mine = icmp ne i64 %locked, 0
  br i1 %mine, label %free.here, label %free.locked

free.here:
  call void @tb_free_range(ptr %tcg, i64 %place, i64 %place.end)
  br label %done

free.locked:
  call void @tb_invalidate_range(ptr %tcg, i64 %place, i64 %place.end)
  br label %done

done:
  ret ptr %host

nothing:
  ret ptr null
}

define internal void @physical_failed(ptr %env) alwaysinline nounwind {
  %error.at = getelementptr i8, ptr %env, i64 $env_phys_failed
  store i64 1, ptr %error.at
  ret void
}

; What hooks do with physical memory.  Nothing there: 0, and env.phys_failed is 1.
define hidden i64 @phys_load(ptr %env, i64 %pa, i64 %n) noinline nounwind {
entry:
  %host = call ptr @physical_host(ptr %env, i64 %pa, i64 %n, i64 0)
  %value.at = getelementptr i8, ptr %env, i64 $env_hook_value
  store i64 0, ptr %value.at
  %none = icmp eq ptr %host, null
  br i1 %none, label %device, label %ram

ram:
  call void @copy_bytes(ptr %value.at, ptr %host, i64 %n)
  br label %done

device:
  %status = call i64 @bus_load(ptr %env, i64 %pa, i64 %n, ptr %value.at)
  %fine = icmp eq i64 %status, 0
  br i1 %fine, label %done, label %failed

failed:
  call void @physical_failed(ptr %env)
  ret i64 0

done:
  %value = load i64, ptr %value.at
  ret i64 %value
}

define hidden void @phys_store(ptr %env, i64 %pa, i64 %n, i64 %value) noinline nounwind {
entry:
  %host = call ptr @physical_host(ptr %env, i64 %pa, i64 %n, i64 1)
  %value.at = getelementptr i8, ptr %env, i64 $env_hook_value
  store i64 %value, ptr %value.at
  %none = icmp eq ptr %host, null
  br i1 %none, label %device, label %ram

ram:
  call void @copy_bytes(ptr %host, ptr %value.at, i64 %n)
  br label %done

device:
  %status = call i64 @bus_store(ptr %env, i64 %pa, i64 %n, ptr %value.at)
  %fine = icmp eq i64 %status, 0
  br i1 %fine, label %done, label %failed

failed:
  call void @physical_failed(ptr %env)
  br label %done

done:
  ret void
}

; The old value, which was replaced by %new if it was %expected.
define hidden i64 @phys_cmpxchg(ptr %env, i64 %pa, i64 %n, i64 %expected, i64 %new) noinline nounwind {
entry:
  %host = call ptr @physical_host(ptr %env, i64 %pa, i64 %n, i64 1)
  %none = icmp eq ptr %host, null
  br i1 %none, label %failed, label %ram

ram:
  switch i64 %n, label %failed [ i64 4, label %four
                                 i64 8, label %eight ]

four:
  %expected.4 = trunc i64 %expected to i32
  %new.4 = trunc i64 %new to i32
  %pair.4 = cmpxchg ptr %host, i32 %expected.4, i32 %new.4 seq_cst seq_cst
  %seen.4 = extractvalue { i32, i1 } %pair.4, 0
  %old.4 = zext i32 %seen.4 to i64
  ret i64 %old.4

eight:
  %pair.8 = cmpxchg ptr %host, i64 %expected, i64 %new seq_cst seq_cst
  %old.8 = extractvalue { i64, i1 } %pair.8, 0
  ret i64 %old.8

failed:
  call void @physical_failed(ptr %env)
  ret i64 %expected
}

; The physical address that %va has for an access, for debuggers: all ones when it would fault.  The TLB stays as it is;
; env.exception and its arguments do not.
define hidden i64 @translate_debug(ptr %env, i64 %va, i64 %access) nounwind {
entry:
  %answer = call i64 @hook_translate(ptr %env, i64 %va, i64 %access)
  %raised = icmp ne i64 %answer, 0
  br i1 %raised, label %fault, label %found

found:
  %page.at = getelementptr i8, ptr %env, i64 $env_walk_page
  %page = load i64, ptr %page.at
  %bits.at = getelementptr i8, ptr %env, i64 $env_walk_bits
  %bits.walk = load i64, ptr %bits.at
  %everything = icmp uge i64 %bits.walk, 64
  %bits = call i64 @llvm.umin.i64(i64 %bits.walk, i64 63)
  %size = shl i64 1, %bits
  %size.less = sub i64 %size, 1
  %inside.mask = select i1 %everything, i64 -1, i64 %size.less
  %outside.mask = xor i64 %inside.mask, -1
  %above = and i64 %page, %outside.mask
  %inside = and i64 %va, %inside.mask
  %pa = or i64 %above, %inside
  ret i64 %pa

fault:
  ret i64 -1
}
