; Entry to and exit from native code on an x86-64 host: all that the engine knows of this host.

declare hidden void @sync_state(ptr)
declare void @llvm.x86.sse.stmxcsr(ptr)
declare void @llvm.x86.sse.ldmxcsr(ptr)

; While guest code runs, MXCSR has all exceptions masked, rounds to nearest and collects the guest's floating-point flags;
; @sync_state folds them into the guest's register.
define internal void @host_fp_enter(ptr %env) alwaysinline nounwind {
  %host_mxcsr = getelementptr i8, ptr %env, i64 $env_host_mxcsr
  %guest_mxcsr = getelementptr i8, ptr %env, i64 $env_scratch
  call void @llvm.x86.sse.stmxcsr(ptr %host_mxcsr)
  store i32 8064, ptr %guest_mxcsr ; 0x1F80
  call void @llvm.x86.sse.ldmxcsr(ptr %guest_mxcsr)
  ret void
}

define internal void @host_fp_leave(ptr %env) alwaysinline nounwind {
  %host_mxcsr = getelementptr i8, ptr %env, i64 $env_host_mxcsr
  call void @sync_state(ptr %env)
  call void @llvm.x86.sse.ldmxcsr(ptr %host_mxcsr)
  ret void
}

; Call a function of Python's in the midst of guest code, whose floating-point flags it must not touch.
define internal i64 @host_call(ptr %env, ptr %function, i64 %a, i64 %b, i64 %c) noinline nounwind {
  %host_mxcsr = getelementptr i8, ptr %env, i64 $env_host_mxcsr
  %guest_mxcsr = getelementptr i8, ptr %env, i64 $env_guest_mxcsr
  call void @llvm.x86.sse.stmxcsr(ptr %guest_mxcsr)
  call void @llvm.x86.sse.ldmxcsr(ptr %host_mxcsr)
  %result = call i64 %function(ptr %env, i64 %a, i64 %b, i64 %c)
  call void @llvm.x86.sse.ldmxcsr(ptr %guest_mxcsr)
  ret i64 %result
}

; Run a vCPU from env.pc until an exit.
define hidden void @cpu_exec_native(ptr %env) nounwind {
  call void @world_enter(ptr %env)
  call void @host_fp_enter(ptr %env)
  %env.memory_base = getelementptr i8, ptr %env, i64 $env_memory_base
  %mem = load ptr, ptr %env.memory_base
  %env.permissions = getelementptr i8, ptr %env, i64 $env_permissions
  %perm = load ptr, ptr %env.permissions
  %env.budget = getelementptr i8, ptr %env, i64 $env_budget
  %budget = load i64, ptr %env.budget
  call preserve_nonecc void @tb_lookup(ptr null, ptr %env, ptr %mem, ptr %perm, i64 %budget)
  call void @host_fp_leave(ptr %env)
  call void @world_leave(ptr %env)
  ret void
}

; Sleep until somebody wakes this word, unless it is not %expected any more; may also return for no reason.
; futex(word, FUTEX_WAIT_PRIVATE, expected, no timeout)
define internal void @host_wait(ptr %word, i32 %expected) noinline cold nounwind {
  %expected.wide = zext i32 %expected to i64
  %result = call i64 asm sideeffect "syscall",
    "={rax},{rax},{rdi},{rsi},{rdx},{r10},~{rcx},~{r11},~{memory},~{flags}"(i64 202, ptr %word, i64 128, i64 %expected.wide, i64 0)
  ret void
}

; Wake up to %count sleepers: futex(word, FUTEX_WAKE_PRIVATE, count)
define internal void @host_wake(ptr %word, i32 %count) noinline cold nounwind {
  %count.wide = zext i32 %count to i64
  %result = call i64 asm sideeffect "syscall",
    "={rax},{rax},{rdi},{rsi},{rdx},~{rcx},~{r11},~{memory},~{flags}"(i64 202, ptr %word, i64 129, i64 %count.wide)
  ret void
}

; mprotect(start, size, protection).  It can fail only for want of the host's memory: a page that stays writable would
; hide stores to code, so the process ends.
define internal void @host_protect(ptr %start, i64 %size, i64 %protection) noinline cold nounwind {
  %result = call i64 asm sideeffect "syscall",
    "={rax},{rax},{rdi},{rsi},{rdx},~{rcx},~{r11},~{memory},~{flags}"(i64 10, ptr %start, i64 %size, i64 %protection)
  %failed = icmp ne i64 %result, 0
  br i1 %failed, label %stop, label %done

stop:
  call void @llvm.trap()
  unreachable

done:
  ret void
}

declare void @llvm.trap()

define internal void @host_pause() alwaysinline nounwind {
  call void asm sideeffect "pause", "~{memory}"()
  ret void
}

; Start a program that is nobody's child, without a word to libc: the compiler's worker must be invisible to a guest that
; waits for its own children or counts its signals.  A first child, which sends no signal when it ends and which only
; this function waits for (__WALL), starts the second in its own session and ends; both run in our memory until then
; (CLONE_VM | CLONE_VFORK), so the caller blocks all signals.  The second gets three descriptors, none below 3, as 0,
; 1 and 2, and no other.  Less than 0 when there was no first child.
define hidden i64 @spawn_detached(ptr %path, ptr %arguments, ptr %environment, i64 %in, i64 %out, i64 %errors) nounwind {
  %result = call i64 asm sideeffect inteldialect "
    mov edi, 0x4100
    xor esi, esi
    xor edx, edx
    xor r10d, r10d
    mov eax, 56
    syscall
    test rax, rax
    js 4f
    jnz 3f
    mov edi, 0x4100
    mov eax, 56
    syscall
    test rax, rax
    jnz 2f
    mov eax, 112
    syscall
    mov rdi, r8
    xor esi, esi
    mov eax, 292
    syscall
    mov rdi, r9
    mov esi, 1
    mov eax, 292
    syscall
    mov rdi, rbx
    mov esi, 2
    mov eax, 292
    syscall
    mov edi, 3
    mov esi, -1
    mov eax, 436
    syscall
    mov rdi, r12
    mov rsi, r13
    mov rdx, r14
    mov eax, 59
    syscall
    2:
    xor edi, edi
    mov eax, 60
    syscall
    3:
    mov r12, rax
    5:
    mov rdi, r12
    xor esi, esi
    mov edx, 0x40000000
    xor r10d, r10d
    mov eax, 61
    syscall
    cmp rax, -4
    je 5b
    mov rax, r12
    4:
    ", "={rax},{r12},{r13},{r14},{r8},{r9},{rbx},~{rcx},~{rdx},~{rsi},~{rdi},~{r10},~{r11},~{r12},~{memory},~{cc}"(ptr %path, ptr %arguments, ptr %environment, i64 %in, i64 %out, i64 %errors)
  ret i64 %result
}
