; Accesses to guest memory that the inline check does not let through.  A part of the engine: see engine.ll.

; An access of %n bytes (at most a page) at guest address %a that failed the inline check: unaligned, out of range, not
; allowed or to be shown to Python.  0: go ahead plainly; 1: the guest faults, or Python is to look first (what of them
; is env.fault_kind; either way the instruction has done nothing yet); 2: a store into translated code
; (env.fault_address is its page), to be made again once the blocks are gone.  %access is 0 for a load, 1 for a store.
define hidden i64 @mem_slow(ptr %env, i64 %a, i64 %n, i64 %access) noinline nounwind {
entry:
  %env.tcg = getelementptr i8, ptr %env, i64 $env_tcg
  %tcg = load ptr, ptr %env.tcg
  %env.hook_pass = getelementptr i8, ptr %env, i64 $env_hook_pass
  %hook_pass = load i64, ptr %env.hook_pass
  %n.less = sub i64 %n, 1
  %end = add i64 %a, %n
  %last = add i64 %a, %n.less
  %wraps = icmp ult i64 %last, %a
  %page.first = lshr i64 %a, $page_bits
  %page.last = lshr i64 %last, $page_bits
  %count.at = getelementptr i8, ptr %tcg, i64 $tcg_page_count
  %count = load i64, ptr %count.at
  %outside = icmp uge i64 %page.last, %count
  %nowhere = or i1 %wraps, %outside
  br i1 %nowhere, label %bad, label %look

look:
  %permissions.at = getelementptr i8, ptr %tcg, i64 $tcg_permissions
  %permissions = load ptr, ptr %permissions.at
  %byte.first.at = getelementptr i8, ptr %permissions, i64 %page.first
  %byte.first = load i8, ptr %byte.first.at
  %byte.last.at = getelementptr i8, ptr %permissions, i64 %page.last
  %byte.last = load i8, ptr %byte.last.at
  %is.load = icmp eq i64 %access, 0
  %need = select i1 %is.load, i8 $page_read_or_readable, i8 $page_write_or_writable
  %grant.first = and i8 %byte.first, %need
  %grant.last = and i8 %byte.last, %need
  %no.first = icmp eq i8 %grant.first, 0
  %no.last = icmp eq i8 %grant.last, 0
  %denied = or i1 %no.first, %no.last
  br i1 %denied, label %denied.pass, label %allowed

denied.pass:
  %pass.denied = and i64 %hook_pass, $pass_denied
  %forced = icmp ne i64 %pass.denied, 0
  br i1 %forced, label %allowed, label %bad

allowed:
  br i1 %is.load, label %watch, label %store

store:
  %code.first.bit = and i8 %byte.first, $page_code
  %code.first = icmp ne i8 %code.first.bit, 0
  br i1 %code.first, label %lock.first, label %second

lock.first: ; while this store may still be to come no block shall be made of its page: see @page_stable
  call void @engine_lock(ptr %tcg)
  %store.page.first = getelementptr i8, ptr %env, i64 $env_store_page
  store atomic i64 %page.first, ptr %store.page.first monotonic, align 8
  %hit.first = call i1 @page_code_overlaps(ptr %tcg, i64 %page.first, i64 %a, i64 %end)
  call void @engine_unlock(ptr %tcg)
  br i1 %hit.first, label %code, label %second

second:
  %one = icmp eq i64 %page.first, %page.last
  br i1 %one, label %watch, label %second.look

second.look:
  %code.last.bit = and i8 %byte.last, $page_code
  %code.last = icmp ne i8 %code.last.bit, 0
  br i1 %code.last, label %second.code, label %watch

second.code:
  call void @engine_lock(ptr %tcg)
  %store.page.last = getelementptr i8, ptr %env, i64 $env_store_page
  store atomic i64 %page.first, ptr %store.page.last monotonic, align 8
  %hit.last = call i1 @page_code_overlaps(ptr %tcg, i64 %page.last, i64 %a, i64 %end)
  call void @engine_unlock(ptr %tcg)
  br i1 %hit.last, label %code, label %watch

watch:
  %watch.bit = select i1 %is.load, i8 $page_readable, i8 $page_watched
  %either = or i8 %byte.first, %byte.last
  %watched.bits = and i8 %either, %watch.bit
  %watched = icmp ne i8 %watched.bits, 0
  br i1 %watched, label %watch.pass, label %log

watch.pass:
  %pass.memory = and i64 %hook_pass, $pass_memory
  %shown = icmp ne i64 %pass.memory, 0
  br i1 %shown, label %log, label %hook

hook:
  call void @fault(ptr %env, i64 %a, i64 %n, i64 %access, i64 $kind_hooked)
  ret i64 1

log:
  %env.access_log = getelementptr i8, ptr %env, i64 $env_access_log
  %access_log = load ptr, ptr %env.access_log
  %logging = icmp ne ptr %access_log, null
  br i1 %logging, label %logged, label %fine

logged:
  call void @log_access(ptr %env, ptr %access_log, i64 %a, i64 %n, i64 %access)
  br label %fine

code:
  %page.hit = phi i64 [ %page.first, %lock.first ], [ %page.last, %second.code ]
  %page.address = shl i64 %page.hit, $page_bits
  %env.fault_address = getelementptr i8, ptr %env, i64 $env_fault_address
  store i64 %page.address, ptr %env.fault_address
  ret i64 2

bad:
  call void @fault(ptr %env, i64 %a, i64 %n, i64 %access, i64 $kind_denied)
  ret i64 1

fine:
  ret i64 0
}

; Note an access that is refused.
define internal void @fault(ptr %env, i64 %a, i64 %n, i64 %access, i64 %kind) alwaysinline nounwind {
  %env.fault_address = getelementptr i8, ptr %env, i64 $env_fault_address
  store i64 %a, ptr %env.fault_address
  %env.fault_size = getelementptr i8, ptr %env, i64 $env_fault_size
  store i64 %n, ptr %env.fault_size
  %env.fault_access = getelementptr i8, ptr %env, i64 $env_fault_access
  store i64 %access, ptr %env.fault_access
  %env.fault_kind = getelementptr i8, ptr %env, i64 $env_fault_kind
  store i64 %kind, ptr %env.fault_kind
  ret void
}

; Append an access, and the bytes it finds, to the access log; one that has no room is left out.
define internal void @log_access(ptr %env, ptr %log, i64 %a, i64 %n, i64 %access) noinline nounwind "no-builtins" {
begin:
  %used = load i64, ptr %log
  %n.padded = add i64 %n, 7
  %n.words = and i64 %n.padded, -8
  %size = add i64 %n.words, $access_bytes
  %used.then = add i64 %used, %size
  %end = add i64 %used.then, 8
  %room = icmp ule i64 %end, $access_log_bytes
  br i1 %room, label %append, label %done

append:
  store i64 %used.then, ptr %log
  %at = add i64 %used, 8
  %entry = getelementptr i8, ptr %log, i64 %at
  %entry.address = getelementptr i8, ptr %entry, i64 $access_address
  store i64 %a, ptr %entry.address
  %entry.size = getelementptr i8, ptr %entry, i64 $access_size
  store i64 %n, ptr %entry.size
  %entry.access = getelementptr i8, ptr %entry, i64 $access_access
  store i64 %access, ptr %entry.access
  %found = getelementptr i8, ptr %entry, i64 $access_bytes
  %env.memory_base = getelementptr i8, ptr %env, i64 $env_memory_base
  %memory = load ptr, ptr %env.memory_base
  %place = getelementptr i8, ptr %memory, i64 %a
  br label %copy

copy: ; few bytes, and no call: not every blob brings a memcpy
  %index = phi i64 [ 0, %append ], [ %index.next, %copy ]
  %from = getelementptr i8, ptr %place, i64 %index
  %to = getelementptr i8, ptr %found, i64 %index
  %byte = load i8, ptr %from
  store i8 %byte, ptr %to
  %index.next = add i64 %index, 1
  %copied = icmp uge i64 %index.next, %n
  br i1 %copied, label %done, label %copy

done:
  ret void
}
