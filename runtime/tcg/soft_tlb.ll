; The software TLB: finding, filling, flushing.  A part of the engine: see engine.ll; soft_tlb.py has the layouts.
;
; A vCPU's TLBs are its own: only it fills them.  Another one may set TAG_CODE in a store's tag, with the world stopped.

; From the ISA: `on translate`, 0 when it found env.walk_*, 1 when it raised.
declare hidden i64 @hook_translate(ptr, i64, i64)

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

; Before and behind a change of entries' places: see @page_close.
define internal void @tlb_move(ptr %env) alwaysinline nounwind {
  fence release
  %moves.at = getelementptr i8, ptr %env, i64 $env_tlb_moves
  %moves = load i64, ptr %moves.at
  %moves.more = add i64 %moves, 1
  store atomic i64 %moves.more, ptr %moves.at monotonic, align 8
  fence release
  ret void
}

; The entry that allows the access to %va, if there is one, perhaps brought back from the victims; else null.
define internal ptr @tlb_known(ptr %env, ptr %tlb, i64 %va, i64 %access) alwaysinline nounwind {
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
  br i1 %end, label %none, label %victim.look

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
  call void @tlb_move(ptr %env)
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
  call void @tlb_move(ptr %env)
  br label %found

found:
  ret ptr %e

none:
  ret ptr null
}

; The same, but made if it is not there; null when the guest faults.
define internal ptr @tlb_entry(ptr %env, ptr %tlb, i64 %va, i64 %access) noinline nounwind {
entry:
  %known = call ptr @tlb_known(ptr %env, ptr %tlb, i64 %va, i64 %access)
  %unknown = icmp eq ptr %known, null
  br i1 %unknown, label %miss, label %found

miss:
  %misses.at = getelementptr i8, ptr %env, i64 $env_tlb_misses
  %misses = load i64, ptr %misses.at
  %misses.more = add i64 %misses, 1
  store i64 %misses.more, ptr %misses.at
  %answer = call i64 @hook_translate(ptr %env, i64 %va, i64 %access)
  %trace.at = getelementptr i8, ptr %env, i64 $env_trace
  %trace = load i64, ptr %trace.at
  %walks = and i64 %trace, $trace_walks
  %tells = icmp ne i64 %walks, 0
  br i1 %tells, label %tell, label %walked

tell:
  %env.tcg = getelementptr i8, ptr %env, i64 $env_tcg
  %tcg = load ptr, ptr %env.tcg
  %function.at = getelementptr i8, ptr %tcg, i64 $tcg_bus_read
  %function = load ptr, ptr %function.at
  %answer.high = shl i64 %answer, 8
  %what = or i64 %access, %answer.high
  %told = call i64 @host_call(ptr %env, ptr %function, i64 %va, i64 0, i64 %what)
  br label %walked

walked:
  %raised = icmp ne i64 %answer, 0
  br i1 %raised, label %fault, label %fill

fill:
  %shifted = lshr i64 %va, $tlb_index_shift
  %offset = and i64 %shifted, $tlb_index_mask
  %e = getelementptr i8, ptr %tlb, i64 %offset
  call void @tlb_fill(ptr %env, ptr %tlb, ptr %e, i64 %va, i64 %access)
  br label %found

found:
  %result = phi ptr [ %known, %entry ], [ %e, %fill ]
  ret ptr %result

fault:
  ret ptr null
}

; Make entry %e of what hook_translate found for %va; what was there goes to the victims.
define internal void @tlb_fill(ptr %env, ptr %tlb, ptr %e, i64 %va, i64 %access) noinline nounwind {
entry:
  call void @tlb_move(ptr %env)
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
  call void @large_add(ptr %env, i64 %va, i64 %outside.mask)
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
  %hook.bit = and i8 %byte, $page_hooked
  %hooked = icmp ne i8 %hook.bit, 0
  %watched = select i1 %hooked, i64 $tag_watched, i64 0
  %rom = icmp eq i64 %writable, 0
  %code.watched = or i64 %code, %watched
  %write.ram = select i1 %rom, i64 $tag_bus, i64 %code.watched
  br label %store

store:
  %read.flags = phi i64 [ $tag_bus, %memory ], [ %watched, %is.ram ]
  %fetch.flags = phi i64 [ $tag_bus, %memory ], [ 0, %is.ram ]
  %write.flags = phi i64 [ $tag_bus, %memory ], [ %write.ram, %is.ram ]
  %addend = phi i64 [ 0, %memory ], [ %addend.ram, %is.ram ]
  %place = phi i64 [ -1, %memory ], [ %place.ram, %is.ram ]
  %tag.plain = or i64 %page, %once
  %tag.read = or i64 %tag.plain, %read.flags
  %tag.fetch = or i64 %tag.plain, %fetch.flags
  %tag.write = or i64 %tag.plain, %write.flags
  %read.bit = and i64 %permissions, 1
  %write.allowed.bit = and i64 %permissions, 2
  %fetch.bit = and i64 %permissions, 4
  %reads = icmp ne i64 %read.bit, 0
  %writes = icmp ne i64 %write.allowed.bit, 0
  %fetches = icmp ne i64 %fetch.bit, 0
  %new.read = select i1 %reads, i64 %tag.read, i64 -1
  %new.write = select i1 %writes, i64 %tag.write, i64 -1
  %new.fetch = select i1 %fetches, i64 %tag.fetch, i64 -1
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
  call void @tlb_move(ptr %env)
  %threaded.at = getelementptr i8, ptr %tcg, i64 $tcg_threaded
  %threaded = load i64, ptr %threaded.at
  %in.company = icmp ne i64 %threaded, 0
  %is.inline = icmp eq i64 %write.flags, 0
  %look.again = and i1 %in.company, %is.inline
  br i1 %look.again, label %again, label %done

again: ; did somebody make the first block of this page meanwhile?  See @page_close
  fence seq_cst
  %again.bytes.at = getelementptr i8, ptr %tcg, i64 $tcg_permissions
  %again.bytes = load ptr, ptr %again.bytes.at
  %again.page = lshr i64 %place, $page_bits
  %again.byte.at = getelementptr i8, ptr %again.bytes, i64 %again.page
  %again.byte = load atomic i8, ptr %again.byte.at monotonic, align 1
  %again.write = and i8 %again.byte, $page_write
  %again.closed = icmp eq i8 %again.write, 0
  br i1 %again.closed, label %close, label %done

close:
  %closed.write = or i64 %new.write, $tag_code
  store i64 %closed.write, ptr %write.at
  br label %done

done:
  ret void
}

; Make %count words, a multiple of four, at %at all alike.
define internal void @fill_words(ptr %at, i64 %count, i64 %word) noinline nounwind "no-builtins" {
entry:
  %first = insertelement <4 x i64> poison, i64 %word, i64 0
  %four = shufflevector <4 x i64> %first, <4 x i64> poison, <4 x i32> zeroinitializer
  br label %loop

loop:
  %index = phi i64 [ 0, %entry ], [ %index.next, %loop ]
  %place = getelementptr i64, ptr %at, i64 %index
  store volatile <4 x i64> %four, ptr %place, align 8
  %index.next = add i64 %index, 4
  %end = icmp uge i64 %index.next, %count
  br i1 %end, label %done, label %loop

done:
  ret void
}

; Ranges in which pages larger than an entry's were found: an address is in one if it is `base` in the bits of `mask`.
; There are few: when they do not suffice, the nearest one grows.

; The range number %index.
define internal ptr @large_range(ptr %env, i64 %index) alwaysinline nounwind {
  %offset = mul i64 %index, 16
  %place = add i64 %offset, $large_ranges
  %tlbs.at = getelementptr i8, ptr %env, i64 $env_tlbs
  %tlbs = load ptr, ptr %tlbs.at
  %range = getelementptr i8, ptr %tlbs, i64 %place
  ret ptr %range
}

; A page that holds %va and is as large as the zeros of %page.mask say was put into a TLB.
define internal void @large_add(ptr %env, i64 %va, i64 %page.mask) noinline nounwind {
entry:
  %page = and i64 %va, %page.mask
  br label %next

next:
  %index = phi i64 [ 0, %entry ], [ %index.next, %other ]
  %best = phi i64 [ 0, %entry ], [ %best.new, %other ]
  %least = phi i64 [ -1, %entry ], [ %least.new, %other ]
  %end = icmp uge i64 %index, $large_count
  br i1 %end, label %grow, label %look

look:
  %range = call ptr @large_range(ptr %env, i64 %index)
  %base = load i64, ptr %range
  %mask.at = getelementptr i8, ptr %range, i64 8
  %mask = load i64, ptr %mask.at
  %free = icmp eq i64 %base, -1
  br i1 %free, label %take, label %compare

take:
  store i64 %page, ptr %range
  store i64 %page.mask, ptr %mask.at
  ret void

compare: ; it is in there if it lies there wholly
  %cut = and i64 %page, %mask
  %inside = icmp eq i64 %cut, %base
  %common = and i64 %mask, %page.mask
  %whole = icmp eq i64 %common, %mask
  %known = and i1 %inside, %whole
  br i1 %known, label %done, label %other

other:
  %distance = xor i64 %page, %base
  %nearer = icmp ult i64 %distance, %least
  %least.new = select i1 %nearer, i64 %distance, i64 %least
  %best.new = select i1 %nearer, i64 %index, i64 %best
  %index.next = add i64 %index, 1
  br label %next

grow:
  %chosen = call ptr @large_range(ptr %env, i64 %best)
  %chosen.base = load i64, ptr %chosen
  %chosen.mask.at = getelementptr i8, ptr %chosen, i64 8
  %chosen.mask = load i64, ptr %chosen.mask.at
  %both = and i64 %chosen.mask, %page.mask
  br label %join

join: ; what both have in common
  %joined = phi i64 [ %both, %grow ], [ %less, %join.more ]
  %one = and i64 %chosen.base, %joined
  %two = and i64 %page, %joined
  %same = icmp eq i64 %one, %two
  br i1 %same, label %store, label %join.more

join.more:
  %less = shl i64 %joined, 1
  br label %join

store:
  store i64 %one, ptr %chosen
  store i64 %joined, ptr %chosen.mask.at
  br label %done

done:
  ret void
}

; Whether a page that holds %va may have more than one entry.
define internal i1 @large_holds(ptr %env, i64 %va) noinline nounwind {
entry:
  br label %next

next:
  %index = phi i64 [ 0, %entry ], [ %index.next, %other ]
  %end = icmp uge i64 %index, $large_count
  br i1 %end, label %done, label %look

look:
  %range = call ptr @large_range(ptr %env, i64 %index)
  %base = load i64, ptr %range
  %mask.at = getelementptr i8, ptr %range, i64 8
  %mask = load i64, ptr %mask.at
  %cut = and i64 %va, %mask
  %inside = icmp eq i64 %cut, %base
  br i1 %inside, label %done, label %other

other:
  %index.next = add i64 %index, 1
  br label %next

done:
  %result = phi i1 [ false, %next ], [ true, %look ]
  ret i1 %result
}

; Forget the translation of %va, or all if that is all ones.
define hidden void @tlb_flush(ptr %env, i64 %va) noinline nounwind {
entry:
  %flushes.at = getelementptr i8, ptr %env, i64 $env_tlb_flushes
  %flushes = load i64, ptr %flushes.at
  %flushes.more = add i64 %flushes, 1
  store i64 %flushes.more, ptr %flushes.at
  %tlbs.at = getelementptr i8, ptr %env, i64 $env_tlbs
  %tlbs = load ptr, ptr %tlbs.at
  %page = and i64 %va, $not_page_mask
  %shifted = lshr i64 %va, $tlb_index_shift
  %offset = and i64 %shifted, $tlb_index_mask
  %in.large = call i1 @large_holds(ptr %env, i64 %va)
  %all.asked = icmp eq i64 %va, -1
  %all = or i1 %all.asked, %in.large
  br i1 %all, label %no.large, label %jumps

no.large:
  %whole.at = getelementptr i8, ptr %env, i64 $env_tlb_full_flushes
  %whole.flushes = load i64, ptr %whole.at
  %whole.more = add i64 %whole.flushes, 1
  store i64 %whole.more, ptr %whole.at
  %ranges = call ptr @large_range(ptr %env, i64 0)
  call void @fill_words(ptr %ranges, i64 $large_words, i64 -1)
  br label %jumps.old

jumps: ; does the jump cache hold blocks of the page?
  %byte.at = call ptr @jump_page(ptr %env, i64 %va)
  %byte = load i8, ptr %byte.at
  %jumped = icmp ne i8 %byte, 0
  br i1 %jumped, label %jumps.old, label %tlb.next.first

jumps.old:
  %generation.at = getelementptr i8, ptr %env, i64 $env_jump_generation
  %generation = load i64, ptr %generation.at
  %generation.more = add i64 %generation, 1
  store i64 %generation.more, ptr %generation.at
  %marks = getelementptr i8, ptr %tlbs, i64 $jump_pages
  call void @fill_words(ptr %marks, i64 $jump_page_words, i64 0)
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
  call void @fill_words(ptr %tlb, i64 $tlb_words, i64 -1)
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
