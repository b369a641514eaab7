; Accesses to a machine's memory that the inline probe of the TLB does not let through.  A part of the engine: see
; engine.ll.

; From the ISA: `on badaddr`.
declare hidden void @bad_address(ptr, i64, i64)

; Whether an access of a device is to wait until it is made by a block of one instruction (@system_run sees to that): where
; time is counted an interrupt that comes of it is to be taken right behind it, whatever block or region it is in.
define internal i1 @device_waits(ptr %env) noinline nounwind {
  %exact.at = getelementptr i8, ptr %env, i64 $env_exact
  %exact = load i64, ptr %exact.at
  %counts = icmp ne i64 %exact, 0
  %step.at = getelementptr i8, ptr %env, i64 $env_single_step
  %step = load i64, ptr %step.at
  %in.block = icmp eq i64 %step, 0
  %waits = and i1 %counts, %in.block
  br i1 %waits, label %wait, label %go

wait:
  %host_error.at = getelementptr i8, ptr %env, i64 $env_host_error
  store i64 $device_waits, ptr %host_error.at
  ret i1 true

go:
  ret i1 false
}

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
  %waits = call i1 @device_waits(ptr %env)
  br i1 %waits, label %refused, label %device.now

device.now:
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
  %e1 = call ptr @tlb_entry(ptr %env, ptr %tlb, i64 %va, i64 0)
  %fault.1 = icmp eq ptr %e1, null
  br i1 %fault.1, label %refused, label %two.second

two.second: ; no device is read from before both pages are known to allow it
  %e2 = call ptr @tlb_entry(ptr %env, ptr %tlb, i64 %second, i64 0)
  %fault.2 = icmp eq ptr %e2, null
  br i1 %fault.2, label %refused, label %two.load

two.load:
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
  %waits = call i1 @device_waits(ptr %env)
  br i1 %waits, label %refused, label %device.now

device.now:
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
  %threaded.at = getelementptr i8, ptr %tcg, i64 $tcg_threaded
  %threaded = load i64, ptr %threaded.at
  %in.company = icmp ne i64 %threaded, 0
  br i1 %in.company, label %again, label %no

again: ; unless somebody has made the first block of this page meanwhile: see @page_close
  fence seq_cst
  %byte.again = load atomic i8, ptr %byte.at monotonic, align 1
  %write.again = and i8 %byte.again, $page_write
  %open.still = icmp ne i8 %write.again, 0
  br i1 %open.still, label %no, label %close

close:
  store i64 %tag, ptr %tag.at
  br label %search

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
  %waits = call i1 @device_waits(ptr %env)
  br i1 %waits, label %refused, label %device.now

device.now:
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
  br i1 %bus, label %no.ram, label %ram

no.ram:
  %watch.bit = and i64 %tag, $tag_watch
  %watched = icmp ne i64 %watch.bit, 0
  br i1 %watched, label %tell, label %bad

tell: ; somebody watches the page: a bus read of no bytes says how many are to be changed
  %env.tcg = getelementptr i8, ptr %env, i64 $env_tcg
  %tcg = load ptr, ptr %env.tcg
  %function.at = getelementptr i8, ptr %tcg, i64 $tcg_bus_read
  %function = load ptr, ptr %function.at
  %full = call ptr @tlb_full(ptr %tlb, ptr %e)
  %physical.at = getelementptr i8, ptr %full, i64 $full_physical
  %physical = load i64, ptr %physical.at
  %pa = or i64 %physical, %offset
  %what = or i64 %n, $watch_update
  %told = call i64 @host_call(ptr %env, ptr %function, i64 %pa, i64 0, i64 %what)
  %goes.on = icmp eq i64 %told, 0
  br i1 %goes.on, label %ram, label %refused

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
