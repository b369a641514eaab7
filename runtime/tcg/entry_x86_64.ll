; Entry to and exit from native code on an x86-64 host: all that the engine knows of this host.

declare hidden void @sync_state(ptr)
declare void @llvm.x86.sse.stmxcsr(ptr)
declare void @llvm.x86.sse.ldmxcsr(ptr)

; Run a vCPU from env.pc until an exit.  While guest code runs, MXCSR has all exceptions masked, rounds to nearest and
; collects the guest's floating-point flags; @sync_state folds them into the guest's register.
define hidden void @cpu_exec_native(ptr %env) nounwind {
  %host_mxcsr = getelementptr i8, ptr %env, i64 $env_host_mxcsr
  %guest_mxcsr = getelementptr i8, ptr %env, i64 $env_scratch
  call void @llvm.x86.sse.stmxcsr(ptr %host_mxcsr)
  store i32 8064, ptr %guest_mxcsr ; 0x1F80
  call void @llvm.x86.sse.ldmxcsr(ptr %guest_mxcsr)
  %env.memory_base = getelementptr i8, ptr %env, i64 $env_memory_base
  %mem = load ptr, ptr %env.memory_base
  %env.permissions = getelementptr i8, ptr %env, i64 $env_permissions
  %perm = load ptr, ptr %env.permissions
  %env.budget = getelementptr i8, ptr %env, i64 $env_budget
  %budget = load i64, ptr %env.budget
  call preserve_nonecc void @tb_lookup(ptr null, ptr %env, ptr %mem, ptr %perm, i64 %budget)
  call void @sync_state(ptr %env)
  call void @llvm.x86.sse.ldmxcsr(ptr %host_mxcsr)
  ret void
}
