; Which guest pages blocks come from, and what frees blocks.  A part of the engine: see engine.ll.

; -------------------------------------------------------------------------------------- pages

; Enter a block under a page for [%start, %end).  Stores into the page then take the slow path, which finds the block.
define internal void @tb_link_page(ptr %tcg, ptr %tb, ptr %link, i64 %page, i64 %start, i64 %end) nounwind {
  %pages.at = getelementptr i8, ptr %tcg, i64 $tcg_pages
  %pages = load ptr, ptr %pages.at
  %head = getelementptr ptr, ptr %pages, i64 %page
  call void @list_insert(ptr %head, ptr %link, i64 $page_link_next, i64 $page_link_prev)
  %link.tb = getelementptr i8, ptr %link, i64 $page_link_tb
  store ptr %tb, ptr %link.tb
  %link.page = getelementptr i8, ptr %link, i64 $page_link_page
  store i64 %page, ptr %link.page
  %link.start = getelementptr i8, ptr %link, i64 $page_link_start
  store i64 %start, ptr %link.start
  %link.end = getelementptr i8, ptr %link, i64 $page_link_end
  store i64 %end, ptr %link.end
  %permissions.at = getelementptr i8, ptr %tcg, i64 $tcg_permissions
  %permissions = load ptr, ptr %permissions.at
  %byte.at = getelementptr i8, ptr %permissions, i64 %page
  %byte = load i8, ptr %byte.at
  %write = and i8 %byte, $page_write
  %writable = icmp ne i8 %write, 0
  %without = and i8 %byte, $not_page_write
  %remember = or i8 %without, $page_writable
  %kept = select i1 %writable, i8 %remember, i8 %byte
  %marked = or i8 %kept, $page_code
  store i8 %marked, ptr %byte.at
  br i1 %writable, label %taken, label %done

taken:
  call void @page_guard(ptr %tcg, i64 %page, i64 1) ; PROT_READ
  br label %done

done:
  ret void
}

; Take a block out of a page's list; a page whose last block goes is as writable as before.
define internal void @tb_unlink_page(ptr %tcg, ptr %link) nounwind {
  %link.tb = getelementptr i8, ptr %link, i64 $page_link_tb
  %tb = load ptr, ptr %link.tb
  %unused = icmp eq ptr %tb, null
  br i1 %unused, label %done, label %remove

remove:
  store ptr null, ptr %link.tb
  call void @list_remove(ptr %link, i64 $page_link_next, i64 $page_link_prev)
  %link.page = getelementptr i8, ptr %link, i64 $page_link_page
  %page = load i64, ptr %link.page
  %pages.at = getelementptr i8, ptr %tcg, i64 $tcg_pages
  %pages = load ptr, ptr %pages.at
  %head = getelementptr ptr, ptr %pages, i64 %page
  %first = load ptr, ptr %head
  %empty = icmp eq ptr %first, null
  br i1 %empty, label %unmark, label %done

unmark:
  %permissions.at = getelementptr i8, ptr %tcg, i64 $tcg_permissions
  %permissions = load ptr, ptr %permissions.at
  %byte.at = getelementptr i8, ptr %permissions, i64 %page
  %byte = load i8, ptr %byte.at
  %was = and i8 %byte, $page_writable
  %writable = icmp ne i8 %was, 0
  %plain = and i8 %byte, $not_page_code_writable
  %restored = or i8 %plain, $page_write
  %new.plain = select i1 %writable, i8 %restored, i8 %plain
  %watched.bit = and i8 %byte, $page_watched
  %watched = icmp ne i8 %watched.bit, 0
  %without.code = and i8 %byte, $not_page_code
  %new = select i1 %watched, i8 %without.code, i8 %new.plain
  store i8 %new, ptr %byte.at
  %given.bit = and i8 %new, $page_write
  %given = icmp ne i8 %given.bit, 0
  br i1 %given, label %give, label %done

give:
  call void @page_guard(ptr %tcg, i64 %page, i64 3) ; PROT_READ | PROT_WRITE
  br label %done

done:
  ret void
}

; Whether a block was translated from any byte of [%start, %end), which lies in page %page.
define internal i1 @page_code_overlaps(ptr %tcg, i64 %page, i64 %start, i64 %end) nounwind {
entry:
  %pages.at = getelementptr i8, ptr %tcg, i64 $tcg_pages
  %pages = load ptr, ptr %pages.at
  %head = getelementptr ptr, ptr %pages, i64 %page
  %first = load ptr, ptr %head
  br label %walk

walk:
  %link = phi ptr [ %first, %entry ], [ %next, %other ]
  %none = icmp eq ptr %link, null
  br i1 %none, label %done, label %compare

compare:
  %hit = call i1 @link_overlaps(ptr %link, i64 %start, i64 %end)
  br i1 %hit, label %done, label %other

other:
  %next.at = getelementptr i8, ptr %link, i64 $page_link_next
  %next = load ptr, ptr %next.at
  br label %walk

done:
  %result = phi i1 [ false, %walk ], [ true, %compare ]
  ret i1 %result
}

; Whether the block of a page link was translated from any byte of [%start, %end).
define internal i1 @link_overlaps(ptr %link, i64 %start, i64 %end) alwaysinline nounwind {
  %link.start.at = getelementptr i8, ptr %link, i64 $page_link_start
  %link.start = load i64, ptr %link.start.at
  %link.end.at = getelementptr i8, ptr %link, i64 $page_link_end
  %link.end = load i64, ptr %link.end.at
  %before = icmp ult i64 %link.start, %end
  %behind = icmp ult i64 %start, %link.end
  %both = and i1 %before, %behind
  ret i1 %both
}

; -------------------------------------------------------------------------------------- freeing blocks
; Called from Python.  Other vCPUs may run: whoever is in a freed block comes to its end and looks for the next.

; Forget a block: nothing finds it or jumps to it any more; or a guard, and with it the region.  The caller holds the
; engine's lock.
define internal void @tb_free(ptr %tcg, ptr %tb) nounwind {
entry:
  %cflags.at = getelementptr i8, ptr %tb, i64 $tb_cflags
  %cflags = load i64, ptr %cflags.at
  %guard.bit = and i64 %cflags, $cf_guard
  %guard = icmp ne i64 %guard.bit, 0
  br i1 %guard, label %region, label %block

region:
  call void @region_kill(ptr %tcg, ptr %tb)
  ret void

block:
  %tb.alive = getelementptr i8, ptr %tb, i64 $tb_alive
  %was.alive = atomicrmw xchg ptr %tb.alive, i64 0 seq_cst ; before the jump caches are looked at: see @tb_lookup
  call void @count(ptr %tcg, i64 $tcg_tb_count, i64 -1)
  call void @count(ptr %tcg, i64 $tcg_invalidated, i64 1)
  call void @list_remove(ptr %tb, i64 $tb_hash_next, i64 $tb_hash_prev)
  %page0 = getelementptr i8, ptr %tb, i64 $tb_page0
  call void @tb_unlink_page(ptr %tcg, ptr %page0)
  %page1 = getelementptr i8, ptr %tb, i64 $tb_page1
  call void @tb_unlink_page(ptr %tcg, ptr %page1)
  %incoming = getelementptr i8, ptr %tb, i64 $tb_incoming
  br label %incoming.next

incoming.next: ; each reset takes the first one out
  %slot = load ptr, ptr %incoming
  %incoming.done = icmp eq ptr %slot, null
  br i1 %incoming.done, label %outgoing.first, label %incoming.reset

incoming.reset:
  call void @tb_reset_jump(ptr %slot)
  br label %incoming.next

outgoing.first:
  %outgoing = getelementptr i8, ptr %tb, i64 $tb_outgoing
  br label %outgoing.next

outgoing.next:
  %index = phi i64 [ 0, %outgoing.first ], [ %index.next, %outgoing.more ]
  %place = getelementptr ptr, ptr %outgoing, i64 %index
  %mine = load ptr, ptr %place
  %unlinked = icmp eq ptr %mine, null
  br i1 %unlinked, label %outgoing.more, label %outgoing.reset

outgoing.reset:
  call void @tb_reset_jump(ptr %mine)
  br label %outgoing.more

outgoing.more:
  %index.next = add i64 %index, 1
  %outgoing.done = icmp uge i64 %index.next, $tb_outgoing_count
  br i1 %outgoing.done, label %caches, label %outgoing.next

caches:
  %tb.pc.at = getelementptr i8, ptr %tb, i64 $tb_pc
  %pc = load i64, ptr %tb.pc.at
  %tc_ptr.at = getelementptr i8, ptr %tb, i64 $tb_tc_ptr
  %code = load ptr, ptr %tc_ptr.at
  %caches.at = getelementptr i8, ptr %tcg, i64 $tcg_jump_caches
  %caches.list = load ptr, ptr %caches.at
  %caches.count.at = getelementptr i8, ptr %tcg, i64 $tcg_vcpu_count
  %caches.count = load i64, ptr %caches.count.at
  br label %cache.next

cache.next:
  %number = phi i64 [ 0, %caches ], [ %number.next, %cache.more ]
  %caches.done = icmp uge i64 %number, %caches.count
  br i1 %caches.done, label %done, label %cache.look

cache.look:
  %cache.at = getelementptr ptr, ptr %caches.list, i64 %number
  %cache = load ptr, ptr %cache.at
  %entry.at = call ptr @jump_cache_entry(ptr %cache, i64 %pc)
  %op.at = getelementptr i8, ptr %entry.at, i64 16
  %op = load atomic ptr, ptr %op.at acquire, align 8
  %names.it = icmp eq ptr %op, %code
  br i1 %names.it, label %cache.forget, label %cache.more

cache.forget: ; flags that no guest state has; the cache's vCPU may be about to jump to `op`, which must stay a block
  %entry.flags = getelementptr i8, ptr %entry.at, i64 8
  store atomic i64 -1, ptr %entry.flags monotonic, align 8
  br label %cache.more

cache.more:
  %number.next = add i64 %number, 1
  br label %cache.next

done:
  ret void
}

; Free every block translated from guest page %page.
define hidden void @tb_invalidate_page(ptr %tcg, i64 %page) nounwind {
entry:
  call void @engine_lock(ptr %tcg)
  %count.at = getelementptr i8, ptr %tcg, i64 $tcg_page_count
  %count = load i64, ptr %count.at
  %exists = icmp ult i64 %page, %count
  br i1 %exists, label %look, label %done

look:
  %pages.at = getelementptr i8, ptr %tcg, i64 $tcg_pages
  %pages = load ptr, ptr %pages.at
  %head = getelementptr ptr, ptr %pages, i64 %page
  br label %walk

walk:
  %link = load ptr, ptr %head
  %none = icmp eq ptr %link, null
  br i1 %none, label %done, label %free

free:
  %link.tb = getelementptr i8, ptr %link, i64 $page_link_tb
  %tb = load ptr, ptr %link.tb
  call void @tb_free(ptr %tcg, ptr %tb)
  br label %walk

done:
  call void @engine_unlock(ptr %tcg)
  ret void
}

; Free every block translated from any byte of [%start, %end).
define hidden void @tb_invalidate_range(ptr %tcg, i64 %start, i64 %end) nounwind {
  call void @engine_lock(ptr %tcg)
  call void @tb_free_range(ptr %tcg, i64 %start, i64 %end)
  call void @engine_unlock(ptr %tcg)
  ret void
}

; The same for who holds the engine's lock.
define internal void @tb_free_range(ptr %tcg, i64 %start, i64 %end) nounwind {
entry:
  %pages.at = getelementptr i8, ptr %tcg, i64 $tcg_pages
  %pages = load ptr, ptr %pages.at
  %count.at = getelementptr i8, ptr %tcg, i64 $tcg_page_count
  %count = load i64, ptr %count.at
  %first = lshr i64 %start, $page_bits
  br label %page.next

page.next:
  %page = phi i64 [ %first, %entry ], [ %page.following, %page.done ]
  %page.start = shl i64 %page, $page_bits
  %inside = icmp ult i64 %page.start, %end
  %exists = icmp ult i64 %page, %count
  %go.on = and i1 %inside, %exists
  br i1 %go.on, label %page.look, label %done

page.look:
  %head = getelementptr ptr, ptr %pages, i64 %page
  %first.link = load ptr, ptr %head
  br label %walk

walk:
  %link = phi ptr [ %first.link, %page.look ], [ %next, %walk.on ]
  %none = icmp eq ptr %link, null
  br i1 %none, label %page.done, label %compare

compare:
  %next.at = getelementptr i8, ptr %link, i64 $page_link_next
  %next = load ptr, ptr %next.at
  %hit = call i1 @link_overlaps(ptr %link, i64 %start, i64 %end)
  br i1 %hit, label %free, label %walk.on

free:
  %link.tb = getelementptr i8, ptr %link, i64 $page_link_tb
  %tb = load ptr, ptr %link.tb
  call void @tb_free(ptr %tcg, ptr %tb)
  br label %walk.on

walk.on:
  br label %walk

page.done:
  %page.following = add i64 %page, 1
  br label %page.next

done:
  ret void
}

; Free every block of a segment, whose space is then all free again: only while no vCPU is in native code.
define hidden void @tb_flush_segment(ptr %tcg, i64 %index) nounwind {
entry:
  call void @engine_lock(ptr %tcg)
  %shift.at = getelementptr i8, ptr %tcg, i64 $tcg_segment_shift
  %shift = load i64, ptr %shift.at
  %offset = shl i64 %index, %shift
  %buffer.at = getelementptr i8, ptr %tcg, i64 $tcg_code_buffer
  %buffer = load ptr, ptr %buffer.at
  %base = getelementptr i8, ptr %buffer, i64 %offset
  %segments.at = getelementptr i8, ptr %tcg, i64 $tcg_segments
  %segments = load ptr, ptr %segments.at
  %place = mul i64 %index, $segment_bytes
  %segment = getelementptr i8, ptr %segments, i64 %place
  %used.at = getelementptr i8, ptr %segment, i64 $segment_used
  %used.stored = load i64, ptr %used.at
  %cursor.at = getelementptr i8, ptr %tcg, i64 $tcg_cursor
  %cursor = load i64, ptr %cursor.at
  %base.address = ptrtoint ptr %base to i64
  %used.now = sub i64 %cursor, %base.address
  %current.at = getelementptr i8, ptr %tcg, i64 $tcg_current
  %current = load i64, ptr %current.at
  %is.current = icmp eq i64 %current, %index
  %used = select i1 %is.current, i64 %used.now, i64 %used.stored
  %end = getelementptr i8, ptr %base, i64 %used
  br label %walk

walk:
  %tb = phi ptr [ %base, %entry ], [ %tb.next, %next ]
  %more = icmp ult ptr %tb, %end
  br i1 %more, label %look, label %flushed

look:
  %tb.alive.at = getelementptr i8, ptr %tb, i64 $tb_alive
  %alive = load i64, ptr %tb.alive.at
  %dead = icmp eq i64 %alive, 0
  br i1 %dead, label %next, label %free

free:
  call void @tb_free(ptr %tcg, ptr %tb)
  br label %next

next:
  %tb.allocated.at = getelementptr i8, ptr %tb, i64 $tb_allocated
  %allocated = load i64, ptr %tb.allocated.at
  %tb.next = getelementptr i8, ptr %tb, i64 %allocated
  br label %walk

flushed:
  store i64 0, ptr %used.at
  %flushes.at = getelementptr i8, ptr %segment, i64 $segment_flushes
  %flushes = load i64, ptr %flushes.at
  %flushes.more = add i64 %flushes, 1
  store i64 %flushes.more, ptr %flushes.at
  br i1 %is.current, label %rewind, label %done

rewind:
  store ptr %base, ptr %cursor.at
  br label %done

done:
  call void @engine_unlock(ptr %tcg)
  ret void
}
