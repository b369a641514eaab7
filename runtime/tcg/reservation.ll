; Guest memory of a user program: a reservation of host memory, and a byte of permissions for each page.  What the rest
; of the engine asks about memory, as machine_memory.ll answers it for machines.  A part of the engine: see engine.ll.

; -------------------------------------------------------------------------------------- from block to block

; The `mem` argument of handlers that run with these modes.
define internal ptr @memory_of(ptr %env, ptr %mem, i64 %flags) alwaysinline nounwind {
  ret ptr %mem
}

; Whether a jump cache entry is not older than what is mapped.
define internal i1 @jump_cache_fresh(ptr %env, ptr %entry) alwaysinline nounwind {
  ret i1 true
}

define internal void @jump_cache_stamp(ptr %env, ptr %entry) alwaysinline nounwind {
  ret void
}

; Whether the target of a jump slot is sure to be the same code whenever the slot is come to.
define internal i1 @slot_stays_near(ptr %slot, i64 %pc) alwaysinline nounwind {
  ret i1 true
}

; Such a jump was made: there are none.
define internal void @note_far(ptr %slot, i64 %pc) alwaysinline nounwind {
  ret void
}

; Whether a block may be chained to: what it was made from is not to be looked up anew.
define internal i1 @tb_stays(ptr %tb) alwaysinline nounwind {
  ret i1 true
}

; Where the code at %pc is, as blocks are entered; and whether it cannot be fetched (env holds the exception then).
define internal { i64, i1 } @fetch_place(ptr %env, i64 %pc) alwaysinline nounwind {
  %place = insertvalue { i64, i1 } { i64 undef, i1 false }, i64 %pc, 0
  ret { i64, i1 } %place
}

; Whether a block for address %pc was made from %place.
define internal i1 @tb_is_from(ptr %env, ptr %tb, i64 %pc, i64 %place) alwaysinline nounwind {
  ret i1 true
}

; Have all stores to a page take the slow path without stopping anybody: that cannot be found out here.
define internal i1 @page_close(ptr %env, ptr %tcg, i64 %page) alwaysinline nounwind {
  ret i1 false
}

; -------------------------------------------------------------------------------------- making blocks

; Whether guest page %page exists and may be executed.
define internal i1 @page_executable(ptr %tcg, i64 %page) alwaysinline nounwind {
entry:
  %count.at = getelementptr i8, ptr %tcg, i64 $tcg_page_count
  %count = load i64, ptr %count.at
  %exists = icmp ult i64 %page, %count
  br i1 %exists, label %look, label %done

look:
  %permissions.at = getelementptr i8, ptr %tcg, i64 $tcg_permissions
  %permissions = load ptr, ptr %permissions.at
  %byte.at = getelementptr i8, ptr %permissions, i64 %page
  %byte = load i8, ptr %byte.at
  %bit = and i8 %byte, $page_exec
  %executable = icmp ne i8 %bit, 0
  br label %done

done:
  %result = phi i1 [ false, %entry ], [ %executable, %look ]
  ret i1 %result
}

; Whether the page behind %page can be fetched from by going on, and whether it is elsewhere instead.
define internal i1 @next_page_executable(ptr %tcg, i64 %page) alwaysinline nounwind {
  %next = add i64 %page, 1
  %executable = call i1 @page_executable(ptr %tcg, i64 %next)
  ret i1 %executable
}

define internal i1 @next_page_elsewhere() alwaysinline nounwind {
  ret i1 false
}

define internal i1 @next_page_stable(ptr %env, ptr %tcg, i64 %page) alwaysinline nounwind {
  %next = add i64 %page, 1
  %stable = call i1 @page_stable(ptr %env, ptr %tcg, i64 %next)
  ret i1 %stable
}

; Never asked for: the next page is not elsewhere.
define internal i1 @fetch_second(ptr %env, ptr %tcg, i64 %pc, ptr %fetch, i64 %before, i$fetch_bits %bytes) alwaysinline nounwind {
  ret i1 false
}

; How much further on than the first page's end the second page's code is.
define internal i64 @second_page_distance(ptr %env, i64 %page) alwaysinline nounwind {
  ret i64 0
}

; What makes a host address of a guest's.
define internal ptr @code_memory(ptr %env, ptr %tcg) alwaysinline nounwind {
  %memory.at = getelementptr i8, ptr %tcg, i64 $tcg_memory_base
  %memory = load ptr, ptr %memory.at
  ret ptr %memory
}

; The bytes at %at, of which %count are the page's (the host's memory goes on, whatever the guest's does).
define internal i$fetch_bits @code_tail(ptr %at, i64 %count) alwaysinline nounwind {
  %bytes = load i$fetch_bits, ptr %at, align 1
  ret i$fetch_bits %bytes
}

; Room for a block outside the code cache, null if there is none.
define internal ptr @step_block(ptr %env, i64 %cflags) alwaysinline nounwind {
  ret ptr null
}

; Code cannot be fetched from %address.
define internal void @fetch_denied(ptr %env, i64 %address) alwaysinline nounwind {
  call void @fault(ptr %env, i64 %address, i64 1, i64 2, i64 $kind_denied)
  call void @fetch_fault(ptr %env, i64 %address)
  ret void
}

; Whether Python wants to see guest address %pc before it runs.
define internal i1 @pc_hooked(ptr %tcg, i64 %pc) alwaysinline nounwind {
entry:
  %page = lshr i64 %pc, $page_bits
  %count.at = getelementptr i8, ptr %tcg, i64 $tcg_page_count
  %count = load i64, ptr %count.at
  %exists = icmp ult i64 %page, %count
  br i1 %exists, label %look, label %done

look:
  %permissions.at = getelementptr i8, ptr %tcg, i64 $tcg_permissions
  %permissions = load ptr, ptr %permissions.at
  %byte.at = getelementptr i8, ptr %permissions, i64 %page
  %byte = load i8, ptr %byte.at
  %page.bit = and i8 %byte, $page_hooked
  %some = icmp ne i8 %page.bit, 0
  br i1 %some, label %address, label %done

address:
  %hooked.at = getelementptr i8, ptr %tcg, i64 $tcg_hooked
  %hooked = load ptr, ptr %hooked.at
  %index = lshr i64 %pc, 3
  %eight.at = getelementptr i8, ptr %hooked, i64 %index
  %eight = load i8, ptr %eight.at
  %number = trunc i64 %pc to i8
  %position = and i8 %number, 7
  %shifted = lshr i8 %eight, %position
  %bit = trunc i8 %shifted to i1
  br label %done

done:
  %result = phi i1 [ false, %entry ], [ false, %look ], [ %bit, %address ]
  ret i1 %result
}

; -------------------------------------------------------------------------------------- pages of code

; Let the host's protection of a page be %protection, too, if this memory is guarded.
define internal void @page_guard(ptr %tcg, i64 %page, i64 %protection) nounwind {
  %guarded.at = getelementptr i8, ptr %tcg, i64 $tcg_guarded
  %guarded = load i64, ptr %guarded.at
  %some = icmp ne i64 %guarded, 0
  br i1 %some, label %protect, label %done

protect:
  %memory.at = getelementptr i8, ptr %tcg, i64 $tcg_memory_base
  %memory = load ptr, ptr %memory.at
  %offset = shl i64 %page, $page_bits
  %start = getelementptr i8, ptr %memory, i64 %offset
  call void @host_protect(ptr %start, i64 $page_size, i64 %protection)
  br label %done

done:
  ret void
}

; Whether no other vCPU can be running.
define internal i1 @world_alone(ptr %tcg) alwaysinline nounwind {
  %count.at = getelementptr i8, ptr %tcg, i64 $tcg_vcpu_count
  %count = load i64, ptr %count.at
  %alone = icmp ule i64 %count, 1
  ret i1 %alone
}
