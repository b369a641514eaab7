; Several vCPUs on several host threads: the engine's lock, and the gate at which all of them can be stopped.
; A part of the engine: see engine.ll.
;
; Looking blocks up takes no lock: hash lists, jump slots and jump caches are read by acquiring loads and changed by
; releasing stores, and a block that was freed stays as it is, for somebody may be in it, until its segment is flushed.
; Whatever changes the TcgContext holds its lock.  Nothing is flushed but at a safe point: all vCPUs outside native code.

; -------------------------------------------------------------------------------------- the lock
; 0: free; 1: held; 2: held, and somebody sleeps until it is not (a futex, after U. Drepper's "Futexes are tricky")

define internal void @engine_lock(ptr %tcg) alwaysinline nounwind {
  %lock = getelementptr i8, ptr %tcg, i64 $tcg_lock
  %pair = cmpxchg ptr %lock, i32 0, i32 1 acquire monotonic
  %mine = extractvalue { i32, i1 } %pair, 1
  br i1 %mine, label %done, label %contended

contended:
  call void @engine_lock_slow(ptr %lock)
  br label %done

done:
  ret void
}

define internal void @engine_lock_slow(ptr %lock) noinline cold nounwind {
entry:
  br label %spin

spin: ; it is never held for long
  %turn = phi i64 [ 0, %entry ], [ %turn.next, %busy ]
  call void @host_pause()
  %now = load atomic i32, ptr %lock monotonic, align 4
  %free = icmp eq i32 %now, 0
  br i1 %free, label %try, label %busy

busy:
  %turn.next = add i64 %turn, 1
  %enough = icmp uge i64 %turn.next, 200
  br i1 %enough, label %sleep, label %spin

try:
  %pair = cmpxchg ptr %lock, i32 0, i32 1 acquire monotonic
  %mine = extractvalue { i32, i1 } %pair, 1
  br i1 %mine, label %done, label %sleep

sleep:
  %was = atomicrmw xchg ptr %lock, i32 2 acquire
  %got = icmp eq i32 %was, 0
  br i1 %got, label %done, label %wait

wait:
  call void @host_wait(ptr %lock, i32 2)
  br label %sleep

done:
  ret void
}

define internal void @engine_unlock(ptr %tcg) alwaysinline nounwind {
  %lock = getelementptr i8, ptr %tcg, i64 $tcg_lock
  %was = atomicrmw xchg ptr %lock, i32 0 release
  %waited = icmp eq i32 %was, 2
  br i1 %waited, label %wake, label %done

wake:
  call void @host_wake(ptr %lock, i32 1)
  br label %done

done:
  ret void
}

; -------------------------------------------------------------------------------------- the gate
; A vCPU sets its `running` before it looks whether the world is stopped, and whoever stops the world sets `stopped`
; before it looks at each `running`: so one of the two sees the other.

; Enter native code, but not while somebody else has stopped the world.
define internal void @world_enter(ptr %env) nounwind {
entry:
  %running = getelementptr i8, ptr %env, i64 $env_running
  %env.tcg = getelementptr i8, ptr %env, i64 $env_tcg
  %tcg = load ptr, ptr %env.tcg
  %stopped = getelementptr i8, ptr %tcg, i64 $tcg_stopped
  %owner.at = getelementptr i8, ptr %tcg, i64 $tcg_stopper
  br label %again

again:
  %old = atomicrmw xchg ptr %running, i32 1 seq_cst
  %now = load atomic i32, ptr %stopped seq_cst, align 4
  %open = icmp eq i32 %now, 0
  br i1 %open, label %done, label %closed

closed:
  %owner = load atomic ptr, ptr %owner.at monotonic, align 8
  %mine = icmp eq ptr %owner, %env
  br i1 %mine, label %done, label %wait

wait:
  call void @world_leave(ptr %env)
  call void @host_wait(ptr %stopped, i32 %now)
  br label %again

done:
  ret void
}

; Leave native code.
define internal void @world_leave(ptr %env) nounwind {
  %running = getelementptr i8, ptr %env, i64 $env_running
  %store.page = getelementptr i8, ptr %env, i64 $env_store_page
  store i64 -1, ptr %store.page
  %old = atomicrmw xchg ptr %running, i32 0 seq_cst
  %env.tcg = getelementptr i8, ptr %env, i64 $env_tcg
  %tcg = load ptr, ptr %env.tcg
  %stopped = getelementptr i8, ptr %tcg, i64 $tcg_stopped
  %now = load atomic i32, ptr %stopped seq_cst, align 4
  %open = icmp eq i32 %now, 0
  br i1 %open, label %done, label %tell

tell:
  call void @host_wake(ptr %running, i32 1)
  br label %done

done:
  ret void
}

; Wait until no vCPU but %env (null: none at all) is in native code, and let none in until @world_go.  Called from
; Python, which sees to it that only one asks at a time.
define hidden void @world_stop(ptr %tcg, ptr %env) nounwind {
entry:
  %owner.at = getelementptr i8, ptr %tcg, i64 $tcg_stopper
  store atomic ptr %env, ptr %owner.at monotonic, align 8
  %stopped = getelementptr i8, ptr %tcg, i64 $tcg_stopped
  %old = atomicrmw xchg ptr %stopped, i32 1 seq_cst
  %vcpus.at = getelementptr i8, ptr %tcg, i64 $tcg_vcpus
  %vcpus = load ptr, ptr %vcpus.at
  %count.at = getelementptr i8, ptr %tcg, i64 $tcg_vcpu_count
  %count = load i64, ptr %count.at
  br label %next

next:
  %number = phi i64 [ 0, %entry ], [ %number.next, %out ]
  %last = icmp uge i64 %number, %count
  br i1 %last, label %done, label %look

look:
  %place = getelementptr ptr, ptr %vcpus, i64 %number
  %other = load ptr, ptr %place
  %own = icmp eq ptr %other, %env
  br i1 %own, label %out, label %check

check: ; have it look up at the end of its block (one that runs a program does so at the end of its slice)
  %running = getelementptr i8, ptr %other, i64 $env_running
  %kick = getelementptr i8, ptr %other, i64 $env_kick
  store atomic i64 $kicked, ptr %kick seq_cst, align 8
  br label %again

again:
  %now = load atomic i32, ptr %running seq_cst, align 4
  %outside = icmp eq i32 %now, 0
  br i1 %outside, label %out, label %wait

wait:
  call void @host_wait(ptr %running, i32 %now)
  br label %again

out:
  %number.next = add i64 %number, 1
  br label %next

done:
  ret void
}

define hidden void @world_go(ptr %tcg) nounwind {
  %owner.at = getelementptr i8, ptr %tcg, i64 $tcg_stopper
  store atomic ptr null, ptr %owner.at monotonic, align 8
  %stopped = getelementptr i8, ptr %tcg, i64 $tcg_stopped
  store atomic i32 0, ptr %stopped release, align 4
  call void @host_wake(ptr %stopped, i32 2147483647)
  ret void
}

; Whether a block of page %page may be made although the guest can store there: another thread could be between the
; check of its store and the store itself, and then nobody would notice that it changed the block's code.  Not if the
; page had no code up to now, for then stores are checked inline, unless @page_close sees to it that nobody's is; and if
; it had, not while another vCPU's last store that came to @mem_slow was to that page.  Then it is done with the world
; stopped.
define internal i1 @page_stable(ptr %env, ptr %tcg, i64 %page) noinline nounwind {
entry:
  %vcpus.at = getelementptr i8, ptr %tcg, i64 $tcg_vcpus
  %vcpus = load ptr, ptr %vcpus.at
  %count.at = getelementptr i8, ptr %tcg, i64 $tcg_vcpu_count
  %count = load i64, ptr %count.at
  %alone = call i1 @world_alone(ptr %tcg)
  br i1 %alone, label %yes, label %shared

shared:
  %owner.at = getelementptr i8, ptr %tcg, i64 $tcg_stopper
  %owner = load atomic ptr, ptr %owner.at monotonic, align 8
  %mine = icmp eq ptr %owner, %env
  br i1 %mine, label %yes, label %exists

exists:
  %pages.at = getelementptr i8, ptr %tcg, i64 $tcg_page_count
  %pages = load i64, ptr %pages.at
  %inside = icmp ult i64 %page, %pages
  br i1 %inside, label %look, label %yes

look:
  %permissions.at = getelementptr i8, ptr %tcg, i64 $tcg_permissions
  %permissions = load ptr, ptr %permissions.at
  %byte.at = getelementptr i8, ptr %permissions, i64 %page
  %byte = load i8, ptr %byte.at
  %write = and i8 %byte, $page_write
  %inline = icmp ne i8 %write, 0
  br i1 %inline, label %close, label %remembered

close:
  %closed = call i1 @page_close(ptr %env, ptr %tcg, i64 %page)
  br i1 %closed, label %next.first, label %no

remembered:
  %writable = and i8 %byte, $page_writable
  %slow = icmp ne i8 %writable, 0
  br i1 %slow, label %next.first, label %yes

next.first:
  br label %next

next:
  %number = phi i64 [ 0, %next.first ], [ %number.next, %other ]
  %last = icmp uge i64 %number, %count
  br i1 %last, label %yes, label %compare

compare:
  %place = getelementptr ptr, ptr %vcpus, i64 %number
  %vcpu = load ptr, ptr %place
  %store.page.at = getelementptr i8, ptr %vcpu, i64 $env_store_page
  %first = load atomic i64, ptr %store.page.at monotonic, align 8
  %second = add i64 %first, 1 ; a store may reach into the next page
  %hits.first = icmp eq i64 %first, %page
  %hits.second = icmp eq i64 %second, %page
  %hits = or i1 %hits.first, %hits.second
  %self = icmp eq ptr %vcpu, %env
  %harmless = xor i1 %self, true
  %conflict = and i1 %hits, %harmless
  br i1 %conflict, label %no, label %other

other:
  %number.next = add i64 %number, 1
  br label %next

yes:
  ret i1 true

no:
  ret i1 false
}

; Forget a vCPU: @world_stop waits for it, and freed blocks are sought in its jump cache, no more.
define hidden void @world_remove(ptr %tcg, ptr %env, ptr %cache) nounwind {
  call void @engine_lock(ptr %tcg)
  %vcpus.at = getelementptr i8, ptr %tcg, i64 $tcg_vcpus
  %vcpus = load ptr, ptr %vcpus.at
  %caches.at = getelementptr i8, ptr %tcg, i64 $tcg_jump_caches
  %caches = load ptr, ptr %caches.at
  %count.at = getelementptr i8, ptr %tcg, i64 $tcg_vcpu_count
  %count = load i64, ptr %count.at
  %last = sub i64 %count, 1
  br label %next

next:
  %number = phi i64 [ 0, %0 ], [ %number.next, %other ]
  %end = icmp uge i64 %number, %count
  br i1 %end, label %done, label %look

look:
  %place = getelementptr ptr, ptr %vcpus, i64 %number
  %vcpu = load ptr, ptr %place
  %found = icmp eq ptr %vcpu, %env
  br i1 %found, label %remove, label %other

other:
  %number.next = add i64 %number, 1
  br label %next

remove: ; the last one takes its place
  %last.vcpu.at = getelementptr ptr, ptr %vcpus, i64 %last
  %last.vcpu = load ptr, ptr %last.vcpu.at
  store ptr %last.vcpu, ptr %place
  %cache.at = getelementptr ptr, ptr %caches, i64 %number
  %last.cache.at = getelementptr ptr, ptr %caches, i64 %last
  %last.cache = load ptr, ptr %last.cache.at
  store ptr %last.cache, ptr %cache.at
  store i64 %last, ptr %count.at
  br label %done

done:
  call void @engine_unlock(ptr %tcg)
  ret void
}

; Make a vCPU known.  Nothing when there is room for no more: Python counts them.
define hidden void @world_add(ptr %tcg, ptr %env, ptr %cache) nounwind {
  call void @engine_lock(ptr %tcg)
  %store.page = getelementptr i8, ptr %env, i64 $env_store_page
  store i64 -1, ptr %store.page
  %vcpus.at = getelementptr i8, ptr %tcg, i64 $tcg_vcpus
  %vcpus = load ptr, ptr %vcpus.at
  %caches.at = getelementptr i8, ptr %tcg, i64 $tcg_jump_caches
  %caches = load ptr, ptr %caches.at
  %count.at = getelementptr i8, ptr %tcg, i64 $tcg_vcpu_count
  %count = load i64, ptr %count.at
  %place = getelementptr ptr, ptr %vcpus, i64 %count
  store ptr %env, ptr %place
  %cache.at = getelementptr ptr, ptr %caches, i64 %count
  store ptr %cache, ptr %cache.at
  %more = add i64 %count, 1
  store atomic i64 %more, ptr %count.at release, align 8
  call void @engine_unlock(ptr %tcg)
  ret void
}

; Give the room of a single-stepped block back, if nothing was made after it.
define hidden void @tb_discard(ptr %tcg, ptr %tb) nounwind {
  call void @engine_lock(ptr %tcg)
  %cflags.at = getelementptr i8, ptr %tb, i64 $tb_cflags
  %cflags = load i64, ptr %cflags.at
  %step = and i64 %cflags, $cf_single_step
  %stepped = icmp ne i64 %step, 0
  %allocated.at = getelementptr i8, ptr %tb, i64 $tb_allocated
  %allocated = load i64, ptr %allocated.at
  %end = getelementptr i8, ptr %tb, i64 %allocated
  %cursor.at = getelementptr i8, ptr %tcg, i64 $tcg_cursor
  %cursor = load ptr, ptr %cursor.at
  %last = icmp eq ptr %cursor, %end
  %both = and i1 %stepped, %last
  %kept = select i1 %both, ptr %tb, ptr %cursor
  store ptr %kept, ptr %cursor.at
  call void @engine_unlock(ptr %tcg)
  ret void
}
