; Making translation blocks, and the linked lists that blocks are in.  A part of the engine: see engine.ll.

; -------------------------------------------------------------------------------------- making blocks

; Translate the block at `pc`, whose code is at `place`; null with env.exit_reason set when its first instruction cannot
; be fetched or the segment is full.  The block ends after an instruction that ends it (one that may jump and may go on does not), at the
; end of its page, or at a size limit.  The caller holds the engine's lock.
define internal ptr @tb_gen_code(ptr %env, ptr %tcg, i64 %pc, i64 %cs_base, i64 %flags, i64 %cflags, i64 %place) nounwind {
entry:
  %page = lshr i64 %place, $page_bits
  %pc.page = lshr i64 %pc, $page_bits
  %executable = call i1 @page_executable(ptr %tcg, i64 %page)
  br i1 %executable, label %check, label %fault

check: ; a block that runs once need not be noticed when its code changes
  %once = and i64 %cflags, $cf_single_step
  %kept = icmp eq i64 %once, 0
  br i1 %kept, label %check.first, label %allocate

check.first:
  %stable.first = call i1 @page_stable(ptr %env, ptr %tcg, i64 %page)
  br i1 %stable.first, label %check.reach, label %unstable

check.reach: ; it may go on a little way into the next page
  %pc.offset = and i64 %pc, $page_mask
  %reach = add i64 %pc.offset, $tb_reach
  %beyond.page = icmp ugt i64 %reach, $page_size
  br i1 %beyond.page, label %check.second, label %allocate

check.second:
  %stable.second = call i1 @next_page_stable(ptr %env, ptr %tcg, i64 %page)
  br i1 %stable.second, label %allocate, label %unstable

unstable:
  call void @exit_with(ptr %env, i64 $exit_code_page)
  ret ptr null

allocate:
  %cursor.at = getelementptr i8, ptr %tcg, i64 $tcg_cursor
  %cursor.next = load ptr, ptr %cursor.at
  %limit.at = getelementptr i8, ptr %tcg, i64 $tcg_limit
  %limit = load i64, ptr %limit.at
  %cursor.address = ptrtoint ptr %cursor.next to i64
  %room = sub i64 %limit, %cursor.address
  %reserve.at = getelementptr i8, ptr %tcg, i64 $tcg_tb_reserve
  %reserve = load i64, ptr %reserve.at
  %not.full = icmp uge i64 %room, %reserve
  %apart = call ptr @step_block(ptr %env, i64 %cflags)
  %is.apart = icmp ne ptr %apart, null
  %tb = select i1 %is.apart, ptr %apart, ptr %cursor.next
  %cursor = ptrtoint ptr %tb to i64
  %place.found = or i1 %is.apart, %not.full
  br i1 %place.found, label %begin, label %cache.full

cache.full:
  call void @exit_with(ptr %env, i64 $exit_cache_full)
  ret ptr null

begin:
  call void @llvm.memset.p0.i64(ptr %tb, i8 0, i64 $tb_bytes, i1 false)
  %code = getelementptr i8, ptr %tb, i64 $tb_bytes
  %tb.pc = getelementptr i8, ptr %tb, i64 $tb_pc
  store i64 %pc, ptr %tb.pc
  %tb.cs_base = getelementptr i8, ptr %tb, i64 $tb_cs_base
  store i64 %cs_base, ptr %tb.cs_base
  %tb.flags = getelementptr i8, ptr %tb, i64 $tb_flags
  store i64 %flags, ptr %tb.flags
  %tb.place = getelementptr i8, ptr %tb, i64 $tb_place
  store i64 %place, ptr %tb.place
  %tb.cflags = getelementptr i8, ptr %tb, i64 $tb_cflags
  store i64 %cflags, ptr %tb.cflags
  %tb.tc_ptr = getelementptr i8, ptr %tb, i64 $tb_tc_ptr
  store ptr %code, ptr %tb.tc_ptr
  %step = and i64 %cflags, $cf_single_step
  %stepping = icmp ne i64 %step, 0
  %most = select i1 %stepping, i64 1, i64 $tb_max_instructions
  %max_bytes.at = getelementptr i8, ptr %tcg, i64 $tcg_tb_max_bytes
  %max_bytes = load i64, ptr %max_bytes.at
  %records = call ptr @tb_count_record(ptr %tcg, ptr %tb, ptr %code, i64 %cflags)
  %code.end = getelementptr i8, ptr %records, i64 %max_bytes
  %memory = call ptr @code_memory(ptr %env, ptr %tcg)
  %fetch = getelementptr i8, ptr %tcg, i64 $tcg_fetch
  br label %instruction

instruction:
  %at = phi i64 [ %pc, %begin ], [ %next, %more ]
  %size = phi i64 [ 0, %begin ], [ %size.next, %more ]
  %index = phi i64 [ 0, %begin ], [ %count, %more ]
  %slots = phi i64 [ 0, %begin ], [ %slots.next, %more ]
  %out = phi ptr [ %records, %begin ], [ %out.next, %more ]
  %modes = phi i64 [ %flags, %begin ], [ %modes.next, %more ] ; env.flags as this instruction will find them
  %waiting = phi i64 [ 0, %begin ], [ %waiting.next, %more ] ; the handler of the record before, if it may be fused
  %out.before = phi ptr [ %records, %begin ], [ %out, %more ]
  %in_page.offset = and i64 %at, $page_mask
  %in_page = sub i64 $page_size, %in_page.offset
  %direct = getelementptr i8, ptr %memory, i64 %at
  %enough = icmp uge i64 %in_page, $fetch_bytes ; behind prefixes the decoder looks past the longest instruction
  br i1 %enough, label %decode, label %near.end

near.end: ; the instruction may run into the next page
  %executable.next = call i1 @next_page_executable(ptr %tcg, i64 %page)
  br i1 %executable.next, label %decode, label %cut.short

cut.short: ; which holds no code, or is elsewhere: the decoder sees zeros there
  %bytes = call i$fetch_bits @code_tail(ptr %direct, i64 %in_page)
  %kept.bits = shl i64 %in_page, 3
  %cut.bits = sub i64 $fetch_bits, %kept.bits
  %cut.wide = zext i64 %cut.bits to i$fetch_bits
  %kept.mask = lshr i$fetch_bits -1, %cut.wide
  %kept.cut = and i$fetch_bits %bytes, %kept.mask
  store i$fetch_bits %kept.cut, ptr %fetch, align 8
  br label %decode

decode:
  %source = phi ptr [ %direct, %instruction ], [ %direct, %near.end ], [ %fetch, %cut.short ]
  %available = phi i64 [ $max_bytes, %instruction ], [ $max_bytes, %near.end ], [ %in_page, %cut.short ]
  %kept.bytes = phi i$fetch_bits [ 0, %instruction ], [ 0, %near.end ], [ %kept.cut, %cut.short ]
  %tried = call i64 @decode_insn(ptr %source, i64 %at, i64 %modes, ptr %out, ptr %tb, i64 %index)
  %length.tried = and i64 %tried, 255
  %straddles = icmp ugt i64 %length.tried, %available
  br i1 %straddles, label %unfetched, label %fetched

unfetched:
  %is.first = icmp eq i64 %index, 0
  %elsewhere = call i1 @next_page_elsewhere()
  %alone = and i1 %is.first, %elsewhere
  br i1 %alone, label %straddle, label %unfetched.here

unfetched.here:
  br i1 %is.first, label %fault.straddle, label %end.before

straddle: ; a block of its own, from two pages
  %second = add i64 %at, %in_page
  %second.pc = and i64 %second, $pc_mask
  %second.found = call i1 @fetch_second(ptr %env, ptr %tcg, i64 %second.pc, ptr %fetch, i64 %in_page, i$fetch_bits %kept.bytes)
  br i1 %second.found, label %straddle.decode, label %refused

straddle.decode:
  %straddled = call i64 @decode_insn(ptr %fetch, i64 %at, i64 %modes, ptr %out, ptr %tb, i64 %index)
  br label %fetched

end.before: ; the next block begins with it, and faults
  %index.last = sub i64 %index, 1
  br label %jump

fetched:
  %decoded = phi i64 [ %tried, %decode ], [ %straddled, %straddle.decode ]
  %last.forced = phi i1 [ false, %decode ], [ true, %straddle.decode ]
  %length = and i64 %decoded, 255
  %fusible = lshr i64 %decoded, $decoded_fusible_shift
  %fused = call ptr @fused_handler(i64 %waiting, i64 %fusible)
  %fuses = icmp ne ptr %fused, null
  br i1 %fuses, label %fuse, label %placed

fuse: ; the record before does this one's work as well
  store ptr %fused, ptr %out.before
  br label %placed

placed:
  %fusible.next = phi i64 [ %fusible, %fetched ], [ 0, %fuse ]
  %record.shifted = lshr i64 %decoded, 8
  %record.bytes = and i64 %record.shifted, 65535
  %out.placed = getelementptr i8, ptr %out, i64 %record.bytes
  %size.next = add i64 %size, %length
  %count = add i64 %index, 1
  %next.full = add i64 %at, %length
  %next = and i64 %next.full, $pc_mask
  %slots.shifted = lshr i64 %decoded, $decoded_slots_shift
  %slots.own = and i64 %slots.shifted, $decoded_slots_mask
  %slots.placed = add i64 %slots, %slots.own
  %ends.bit = and i64 %decoded, $decoded_ends_tb
  %ends = icmp ne i64 %ends.bit, 0
  br i1 %ends, label %finish, label %modes.change

modes.change: ; did the instruction set modes itself, or are there one-shot modes to end?
  %flags.bit = and i64 %decoded, $decoded_new_flags
  %flags.told = icmp ne i64 %flags.bit, 0
  br i1 %flags.told, label %told, label %untold

told:
  ; Behind the record, where the next one overwrites it: the modes, and of a delayed instruction where it goes.
  %modes.told = load i64, ptr %out.placed
  %delayed.kind.at = getelementptr i8, ptr %out.placed, i64 8
  %delayed.kind = load i64, ptr %delayed.kind.at
  %delayed.target.at = getelementptr i8, ptr %out.placed, i64 16
  %delayed.target = load i64, ptr %delayed.target.at
  %tb.delayed_kind = getelementptr i8, ptr %tb, i64 $tb_delayed_kind
  store i64 %delayed.kind, ptr %tb.delayed_kind
  %tb.delayed_target = getelementptr i8, ptr %tb, i64 $tb_delayed_target
  store i64 %delayed.target, ptr %tb.delayed_target
  br label %limits

untold:
  %modes.after = call i64 @next_flags(i64 %modes)
  %modes.same = icmp eq i64 %modes.after, %modes
  br i1 %modes.same, label %limits, label %behind

behind: ; a record that sets the modes back, and takes the branch whose delay slot this was
  %behind.decoded = call i64 @decode_after(i64 %next, ptr %out.placed, ptr %tb, i64 %index, i64 %modes, i64 %modes.after)
  %behind.shifted = lshr i64 %behind.decoded, 8
  %behind.bytes = and i64 %behind.shifted, 65535
  %out.behind = getelementptr i8, ptr %out.placed, i64 %behind.bytes
  %behind.slots.shifted = lshr i64 %behind.decoded, $decoded_slots_shift
  %behind.slots = and i64 %behind.slots.shifted, $decoded_slots_mask
  %slots.behind = add i64 %slots.placed, %behind.slots
  %behind.ends.bit = and i64 %behind.decoded, $decoded_ends_tb
  %behind.ends = icmp ne i64 %behind.ends.bit, 0
  br i1 %behind.ends, label %finish, label %limits

limits:
  %modes.next = phi i64 [ %modes.told, %told ], [ %modes.after, %untold ], [ %modes.after, %behind ]
  %out.next = phi ptr [ %out.placed, %told ], [ %out.placed, %untold ], [ %out.behind, %behind ]
  %slots.next = phi i64 [ %slots.placed, %told ], [ %slots.placed, %untold ], [ %slots.behind, %behind ]
  %waiting.next = phi i64 [ %fusible.next, %told ], [ %fusible.next, %untold ], [ 0, %behind ]
  %most.reached = icmp uge i64 %count, %most
  %bytes.reached = icmp ugt ptr %out.next, %code.end
  %page.of.next = lshr i64 %next, $page_bits
  %page.left = icmp ne i64 %page.of.next, %pc.page
  %slots.reached = icmp ugt i64 %slots.next, $tb_last_outgoing
  %stop.0 = or i1 %most.reached, %slots.reached
  %stop.2 = or i1 %stop.0, %last.forced
  %stop.1 = or i1 %stop.2, %bytes.reached
  %hooked = call i1 @pc_hooked(ptr %tcg, i64 %next)
  %free = icmp eq i64 %cflags, 0
  %stop.3 = and i1 %hooked, %free
  %jumps = icmp ne i64 %slots.next, %slots
  %shown = icmp ne i64 %cflags, 0
  %stop.4 = and i1 %jumps, %shown ; hooks are shown blocks up to the first jump, taken or not
  %stop.5 = or i1 %stop.1, %page.left
  %stop.6 = or i1 %stop.3, %stop.4
  %stop = or i1 %stop.5, %stop.6
  br i1 %stop, label %jump, label %more

more:
  br label %instruction

jump: ; the block is cut here: a jump to what follows
  %jump.pc = phi i64 [ %at, %end.before ], [ %next, %limits ]
  %jump.size = phi i64 [ %size, %end.before ], [ %size.next, %limits ]
  %jump.index = phi i64 [ %index.last, %end.before ], [ %index, %limits ]
  %jump.out = phi ptr [ %out, %end.before ], [ %out.next, %limits ]
  %jump.decoded = call i64 @decode_goto(i64 %jump.pc, ptr %jump.out, ptr %tb, i64 %jump.index)
  %jump.shifted = lshr i64 %jump.decoded, 8
  %jump.bytes = and i64 %jump.shifted, 65535
  %jump.count = add i64 %jump.index, 1
  %jump.end = getelementptr i8, ptr %jump.out, i64 %jump.bytes
  br label %finish

finish:
  %tb.end = phi ptr [ %out.placed, %placed ], [ %out.behind, %behind ], [ %jump.end, %jump ]
  %tb.size = phi i64 [ %size.next, %placed ], [ %size.next, %behind ], [ %jump.size, %jump ]
  %tb.icount = phi i64 [ %count, %placed ], [ %count, %behind ], [ %jump.count, %jump ]
  %tb.size.at = getelementptr i8, ptr %tb, i64 $tb_size
  store i64 %tb.size, ptr %tb.size.at
  %tb.icount.at = getelementptr i8, ptr %tb, i64 $tb_icount
  store i64 %tb.icount, ptr %tb.icount.at
  call void @llvm.memset.p0.i64(ptr %tb.end, i8 0, i64 $seen_bytes, i1 false)
  %seen.address = ptrtoint ptr %tb.end to i64
  %seen = sub i64 %seen.address, %cursor
  %tb.seen.at = getelementptr i8, ptr %tb, i64 $tb_seen
  store i64 %seen, ptr %tb.seen.at
  %used = add i64 %seen, $seen_bytes
  %used.padded = add i64 %used, 31
  %allocated = and i64 %used.padded, -32
  %tb.allocated.at = getelementptr i8, ptr %tb, i64 $tb_allocated
  store i64 %allocated, ptr %tb.allocated.at
  %cursor.new = getelementptr i8, ptr %tb, i64 %allocated
  %cursor.kept = select i1 %is.apart, ptr %cursor.next, ptr %cursor.new
  store ptr %cursor.kept, ptr %cursor.at
  br i1 %stepping, label %done, label %enter

enter:
  %tb.alive.at = getelementptr i8, ptr %tb, i64 $tb_alive
  store i64 1, ptr %tb.alive.at
  call void @count(ptr %tcg, i64 $tcg_generated, i64 1)
  call void @count(ptr %tcg, i64 $tcg_tb_count, i64 1)
  %tb.page0 = getelementptr i8, ptr %tb, i64 $tb_page0
  %place.end = add i64 %place, %tb.size
  call void @tb_link_page(ptr %tcg, ptr %tb, ptr %tb.page0, i64 %page, i64 %place, i64 %place.end)
  %place.last = sub i64 %place.end, 1
  %last.page = lshr i64 %place.last, $page_bits
  %two = icmp ne i64 %last.page, %page
  br i1 %two, label %second.page, label %publish

second.page:
  %tb.page1 = getelementptr i8, ptr %tb, i64 $tb_page1
  %away = call i64 @second_page_distance(ptr %env, i64 %last.page)
  %second.start = add i64 %place, %away
  %second.end = add i64 %place.end, %away
  %second.number.start = sub i64 %second.end, 1
  %second.number = lshr i64 %second.number.start, $page_bits
  call void @tb_link_page(ptr %tcg, ptr %tb, ptr %tb.page1, i64 %second.number, i64 %second.start, i64 %second.end)
  br label %publish

publish: ; last, for from now on other vCPUs find it
  %head = call ptr @tb_hash_head(ptr %tcg, i64 %pc, i64 %flags)
  call void @list_insert(ptr %head, ptr %tb, i64 $tb_hash_next, i64 $tb_hash_prev)
  br label %done

done:
  ret ptr %tb

fault.straddle:
  %beyond = add i64 %at, %available
  br label %fault

fault:
  %address = phi i64 [ %pc, %entry ], [ %beyond, %fault.straddle ]
  call void @fetch_denied(ptr %env, i64 %address)
  call void @exit_with(ptr %env, i64 $exit_exception)
  ret ptr null

refused: ; the exception is known, or the second page is not stable
  ret ptr null
}

; Add %n to a counter of the TcgContext; the caller holds the engine's lock.
define internal void @count(ptr %tcg, i64 %offset, i64 %n) alwaysinline nounwind {
  %at = getelementptr i8, ptr %tcg, i64 %offset
  %old = load i64, ptr %at
  %new = add i64 %old, %n
  store i64 %new, ptr %at
  ret void
}

; -------------------------------------------------------------------------------------- lists
; A list's links lie at %next and %prev of its members; `prev` is the address of the pointer that points to the member.
; Who changes one holds the engine's lock.  Others may walk forward all the same: a member is complete before it can be
; found, and one that is taken out leads nowhere.

define internal void @list_insert(ptr %head, ptr %member, i64 %next, i64 %prev) alwaysinline nounwind {
  %first = load ptr, ptr %head
  %member.next = getelementptr i8, ptr %member, i64 %next
  %member.prev = getelementptr i8, ptr %member, i64 %prev
  store ptr %first, ptr %member.next
  store ptr %head, ptr %member.prev
  store atomic ptr %member, ptr %head release, align 8
  %empty = icmp eq ptr %first, null
  br i1 %empty, label %done, label %behind

behind:
  %first.prev = getelementptr i8, ptr %first, i64 %prev
  store ptr %member.next, ptr %first.prev
  br label %done

done:
  ret void
}

define internal void @list_remove(ptr %member, i64 %next, i64 %prev) alwaysinline nounwind {
  %member.next = getelementptr i8, ptr %member, i64 %next
  %member.prev = getelementptr i8, ptr %member, i64 %prev
  %follower = load ptr, ptr %member.next
  %pointer = load ptr, ptr %member.prev
  store atomic ptr %follower, ptr %pointer release, align 8
  store atomic ptr null, ptr %member.next release, align 8
  store ptr null, ptr %member.prev
  %last = icmp eq ptr %follower, null
  br i1 %last, label %done, label %behind

behind:
  %follower.prev = getelementptr i8, ptr %follower, i64 %prev
  store ptr %pointer, ptr %follower.prev
  br label %done

done:
  ret void
}
