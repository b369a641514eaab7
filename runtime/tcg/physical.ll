; A machine's physical memory: RAM, the bus, and what hooks do with both.  A part of the engine: see engine.ll.

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
