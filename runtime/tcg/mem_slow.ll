; Accesses to guest memory that the inline check does not let through.  A part of the engine: see engine.ll.

; An access of %n bytes (at most a page) at guest address %a that failed the inline check: unaligned, out of range or
; not allowed.  0: go ahead plainly; 1: the guest faults; 2: a store into translated code (env.fault_address is its
; page), to be made again once the blocks are gone.  %access is 0 for a load, 1 for a store.
define hidden i64 @mem_slow(ptr %env, i64 %a, i64 %n, i64 %access) noinline nounwind {
entry:
  %env.tcg = getelementptr i8, ptr %env, i64 $env_tcg
  %tcg = load ptr, ptr %env.tcg
  %env.fault_address = getelementptr i8, ptr %env, i64 $env_fault_address
  store i64 %a, ptr %env.fault_address
  %env.fault_access = getelementptr i8, ptr %env, i64 $env_fault_access
  store i64 %access, ptr %env.fault_access
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
  %need = select i1 %is.load, i8 $page_read, i8 $page_write_or_writable
  %grant.first = and i8 %byte.first, %need
  %grant.last = and i8 %byte.last, %need
  %no.first = icmp eq i8 %grant.first, 0
  %no.last = icmp eq i8 %grant.last, 0
  %denied = or i1 %no.first, %no.last
  br i1 %denied, label %bad, label %allowed

allowed:
  br i1 %is.load, label %fine, label %store

store:
  %code.first.bit = and i8 %byte.first, $page_code
  %code.first = icmp ne i8 %code.first.bit, 0
  br i1 %code.first, label %first, label %second

first:
  %hit.first = call i1 @page_code_overlaps(ptr %tcg, i64 %page.first, i64 %a, i64 %end)
  br i1 %hit.first, label %code, label %second

second:
  %one = icmp eq i64 %page.first, %page.last
  br i1 %one, label %fine, label %second.look

second.look:
  %code.last.bit = and i8 %byte.last, $page_code
  %code.last = icmp ne i8 %code.last.bit, 0
  br i1 %code.last, label %second.code, label %fine

second.code:
  %hit.last = call i1 @page_code_overlaps(ptr %tcg, i64 %page.last, i64 %a, i64 %end)
  br i1 %hit.last, label %code, label %fine

code:
  %page.hit = phi i64 [ %page.first, %first ], [ %page.last, %second.code ]
  %page.address = shl i64 %page.hit, $page_bits
  store i64 %page.address, ptr %env.fault_address
  ret i64 2

bad:
  ret i64 1

fine:
  ret i64 0
}
