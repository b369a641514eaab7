; Running a machine's vCPU: from one reason to leave its code to the next, without Python.  A part of the engine: see
; engine.ll.  What the processor does at an exception or an interrupt is the spec's: its hooks, compiled.

declare hidden void @hook_exception(ptr)
declare hidden i64 @hook_interrupt(ptr)
declare hidden i64 @hook_wake(ptr)
declare hidden i64 @hook_deadline(ptr)

; Ticks of the platform's clock, for a vCPU that has executed so many instructions.
define hidden i64 @clock_read(ptr %env, i64 %executed) nounwind {
  %exact.at = getelementptr i8, ptr %env, i64 $env_exact
  %exact = load i64, ptr %exact.at
  %counts = icmp ne i64 %exact, 0
  br i1 %counts, label %virtual, label %host

virtual:
  br label %ticks.of

host:
  %cycles = call i64 @llvm.readcyclecounter()
  br label %ticks.of

ticks.of:
  %source = phi i64 [ %executed, %virtual ], [ %cycles, %host ]
  %start.at = getelementptr i8, ptr %env, i64 $env_clock_start
  %start = load i64, ptr %start.at
  %passed = sub i64 %source, %start
  %scale.at = getelementptr i8, ptr %env, i64 $env_clock_scale
  %scale = load i64, ptr %scale.at
  %passed.wide = sext i64 %passed to i128
  %scale.wide = zext i64 %scale to i128
  %product = mul i128 %passed.wide, %scale.wide
  %shifted = ashr i128 %product, 32
  %ticks = trunc i128 %shifted to i64
  %base.at = getelementptr i8, ptr %env, i64 $env_clock_base
  %base = load i64, ptr %base.at
  %now = add i64 %base, %ticks
  ret i64 %now
}

declare i64 @llvm.readcyclecounter()

; The clock now, and when a vCPU's own timer will interrupt it: for Python.
define hidden i64 @clock_now(ptr %env) nounwind {
  %executed = call i64 @executed(ptr %env)
  %now = call i64 @clock_read(ptr %env, i64 %executed)
  ret i64 %now
}

define hidden i64 @clock_deadline(ptr %env) nounwind {
  %deadline = call i64 @hook_deadline(ptr %env)
  ret i64 %deadline
}

define hidden i64 @host_cycles() nounwind {
  %cycles = call i64 @llvm.readcyclecounter()
  ret i64 %cycles
}

; Instructions executed so far.
define internal i64 @executed(ptr %env) alwaysinline nounwind {
  %base.at = getelementptr i8, ptr %env, i64 $env_budget_base
  %base = load i64, ptr %base.at
  %budget.at = getelementptr i8, ptr %env, i64 $env_budget
  %budget = load i64, ptr %budget.at
  %executed = sub i64 %base, %budget
  ret i64 %executed
}

; Let the budget be %count; as many instructions count as executed as before.
define internal void @set_budget(ptr %env, i64 %count) alwaysinline nounwind {
  %base.at = getelementptr i8, ptr %env, i64 $env_budget_base
  %base = load i64, ptr %base.at
  %budget.at = getelementptr i8, ptr %env, i64 $env_budget
  %budget = load i64, ptr %budget.at
  %more = sub i64 %count, %budget
  %base.new = add i64 %base, %more
  store i64 %base.new, ptr %base.at
  store i64 %count, ptr %budget.at
  ret void
}

; Instructions until the clock, which counts them, comes to what hook_deadline says; %most at most.
define internal i64 @until_deadline(ptr %env, i64 %executed, i64 %most) noinline nounwind {
entry:
  %deadline = call i64 @hook_deadline(ptr %env)
  %never = icmp eq i64 %deadline, -1
  br i1 %never, label %far, label %look

look:
  %now = call i64 @clock_read(ptr %env, i64 %executed)
  %due = icmp uge i64 %now, %deadline
  br i1 %due, label %far, label %ahead ; an interrupt that is masked: nothing comes of waiting

ahead:
  %base.at = getelementptr i8, ptr %env, i64 $env_clock_base
  %base = load i64, ptr %base.at
  %ticks = sub i64 %deadline, %base
  %very.far = icmp uge i64 %ticks, 2147483648
  br i1 %very.far, label %later, label %scaled

later: ; look again
  %soon = call i64 @llvm.umin.i64(i64 %most, i64 1048576)
  ret i64 %soon

scaled:
  %scale.at = getelementptr i8, ptr %env, i64 $env_clock_scale
  %scale = load i64, ptr %scale.at
  %none = icmp eq i64 %scale, 0
  br i1 %none, label %far, label %divide

divide: ; the first count at which @clock_read says so, wherever it is asked from
  %fraction = shl i64 %ticks, 32
  %scale.less = sub i64 %scale, 1
  %fraction.up = add i64 %fraction, %scale.less
  %counts = udiv i64 %fraction.up, %scale
  %start.at = getelementptr i8, ptr %env, i64 $env_clock_start
  %start = load i64, ptr %start.at
  %end = add i64 %start, %counts
  %instructions = sub i64 %end, %executed
  %nearest = call i64 @llvm.umin.i64(i64 %instructions, i64 %most)
  ret i64 %nearest

far:
  ret i64 %most
}

; Run a vCPU until env.run_end instructions are executed or Python is needed: env.exit_reason is BUDGET in the first case,
; and when env.requests asked to leave.
define hidden void @system_run(ptr %env) nounwind {
entry:
  %env.tcg = getelementptr i8, ptr %env, i64 $env_tcg
  %tcg = load ptr, ptr %env.tcg
  %kick.at = getelementptr i8, ptr %env, i64 $env_kick
  %requests.at = getelementptr i8, ptr %env, i64 $env_requests
  %reason.at = getelementptr i8, ptr %env, i64 $env_exit_reason
  %run_end.at = getelementptr i8, ptr %env, i64 $env_run_end
  %exact.at = getelementptr i8, ptr %env, i64 $env_exact
  %every.at = getelementptr i8, ptr %env, i64 $env_poll_every
  %step.at = getelementptr i8, ptr %env, i64 $env_single_step
  %cache.at = getelementptr i8, ptr %env, i64 $env_jump_cache
  %plain.at = getelementptr i8, ptr %env, i64 $env_plain_jump_cache
  %empty.at = getelementptr i8, ptr %env, i64 $env_empty_jump_cache
  %budget.at = getelementptr i8, ptr %env, i64 $env_budget
  %raised.at = getelementptr i8, ptr %env, i64 $env_raised
  %raised.first = load i64, ptr %raised.at
  %interrupts.at = getelementptr i8, ptr %env, i64 $env_interrupts
  %stepped.by.python = load i64, ptr %step.at
  %stopped.at = getelementptr i8, ptr %tcg, i64 $tcg_stopped
  %trace.at = getelementptr i8, ptr %env, i64 $env_trace
  %trace = load i64, ptr %trace.at
  %traps = and i64 %trace, $trace_traps
  %tells = icmp ne i64 %traps, 0
  call void @world_enter(ptr %env)
  call void @host_fp_enter(ptr %env)
  br label %look

look: ; what others want
  %kicked = atomicrmw xchg ptr %kick.at, i64 0 seq_cst
  %requests = atomicrmw xchg ptr %requests.at, i64 0 seq_cst
  %flush.bit = and i64 %requests, $request_flush
  %flush = icmp ne i64 %flush.bit, 0
  br i1 %flush, label %forget, label %gate

forget:
  call void @tlb_flush(ptr %env, i64 -1)
  br label %gate

gate:
  %stopped = load atomic i32, ptr %stopped.at monotonic, align 4
  %open = icmp eq i32 %stopped, 0
  br i1 %open, label %stay, label %let.by

let.by: ; somebody wants all vCPUs to stand still
  call void @world_leave(ptr %env)
  call void @world_enter(ptr %env)
  br label %stay

stay:
  %leave.bit = and i64 %requests, $request_leave
  %leave = icmp ne i64 %leave.bit, 0
  br i1 %leave, label %over, label %poll

poll:
  %taken = call i64 @hook_interrupt(ptr %env)
  %interrupts = load i64, ptr %interrupts.at
  %interrupts.more = add i64 %interrupts, %taken
  store i64 %interrupts.more, ptr %interrupts.at
  %interrupted = icmp ne i64 %taken, 0
  %tells.it = and i1 %interrupted, %tells
  br i1 %tells.it, label %trapped, label %measure.left

measure.left:
  %executed = call i64 @executed(ptr %env)
  %end = load i64, ptr %run_end.at
  %left.all = sub i64 %end, %executed
  %some = icmp sgt i64 %left.all, 0
  br i1 %some, label %plan.any, label %over

plan.any: ; one instruction, if Python steps
  %by.steps = icmp ne i64 %stepped.by.python, 0
  br i1 %by.steps, label %code.again, label %plan

plan:
  %exact = load i64, ptr %exact.at
  %counts = icmp ne i64 %exact, 0
  br i1 %counts, label %plan.exact, label %plan.free

plan.free: ; the clock runs by itself: look at it now and then
  %every = load i64, ptr %every.at
  %free = call i64 @llvm.umin.i64(i64 %left.all, i64 %every)
  br label %run.free

plan.exact: ; the end of the run, or the next timer, to the instruction
  %left = call i64 @until_deadline(ptr %env, i64 %executed, i64 %left.all)
  %short = icmp ule i64 %left, $tb_max_instructions
  br i1 %short, label %run.step, label %plan.long

plan.long: ; native code leaves at the end of the block in which the budget is overdrawn
  %room = sub i64 %left, $tb_max_instructions
  br label %run.free

run.step: ; block by block, as long as they fit, then instruction by instruction
  store i64 $exit_none, ptr %reason.at
  %next = call ptr @tb_find(ptr %env)
  %none = icmp eq ptr %next, null
  br i1 %none, label %left.native, label %measure

measure:
  %icount.at = getelementptr i8, ptr %next, i64 $tb_icount
  %icount = load i64, ptr %icount.at
  %long = icmp ugt i64 %icount, %left
  %one.by.one = zext i1 %long to i64
  br label %run

run.free:
  %free.budget = phi i64 [ %free, %plan.free ], [ %room, %plan.long ]
  br label %run

run:
  %count = phi i64 [ 0, %measure ], [ %free.budget, %run.free ], [ 0, %code.again ]
  %steps = phi i64 [ %one.by.one, %measure ], [ 0, %run.free ], [ 1, %code.again ]
  call void @set_budget(ptr %env, i64 %count)
  store i64 %steps, ptr %step.at
  %plain = load ptr, ptr %plain.at
  %empty = load ptr, ptr %empty.at
  %stepping = icmp ne i64 %steps, 0
  %cache = select i1 %stepping, ptr %empty, ptr %plain
  store ptr %cache, ptr %cache.at
  call preserve_nonecc void @tb_lookup(ptr null, ptr %env, ptr null, ptr null, i64 %count)
  store i64 %stepped.by.python, ptr %step.at
  br label %left.native

left.native:
  %reason = load i64, ptr %reason.at
  switch i64 %reason, label %out [ i64 $exit_budget, label %look
                                   i64 $exit_poll, label %look
                                   i64 $exit_exception, label %exception
                                   i64 $exit_wait, label %wait
                                   i64 $exit_code_write, label %code ]

exception:
  %host_error.at = getelementptr i8, ptr %env, i64 $env_host_error
  %host_error = load i64, ptr %host_error.at
  switch i64 %host_error, label %host.failed [ i64 0, label %raise
                                               i64 $device_waits, label %alone ]

alone: ; a device's register: again as a block of its own
  store i64 0, ptr %host_error.at
  br label %code.again

host.failed:
  store i64 $exit_host_error, ptr %reason.at
  br label %out

raise:
  %raised = load i64, ptr %raised.at
  %raised.more = add i64 %raised, 1
  store i64 %raised.more, ptr %raised.at
  call void @hook_exception(ptr %env)
  br i1 %tells, label %trapped, label %quiet

trapped:
  store i64 $exit_trapped, ptr %reason.at
  br label %out

quiet:
  ; Exceptions execute nothing: a guest that does nothing else shall not keep Python out for ever.
  %many.since = sub i64 %raised.more, %raised.first
  %many = icmp ugt i64 %many.since, 65536
  br i1 %many, label %over, label %look

wait:
  %wakes = call i64 @hook_wake(ptr %env)
  %awake = icmp ne i64 %wakes, 0
  br i1 %awake, label %look, label %out

code: ; a store into translated code: free the page's blocks, and make it again as a block of its own
  %threaded.at = getelementptr i8, ptr %tcg, i64 $tcg_threaded
  %threaded = load i64, ptr %threaded.at
  %own = icmp eq i64 %threaded, 0
  br i1 %own, label %code.free, label %out ; other vCPUs are Python's to stop

code.free:
  %place.at = getelementptr i8, ptr %env, i64 $env_fault_address
  %place = load i64, ptr %place.at
  %page = lshr i64 %place, $page_bits
  call void @tb_invalidate_page(ptr %tcg, i64 %page)
  br label %code.again

code.again:
  br label %run

over:
  store i64 $exit_budget, ptr %reason.at
  br label %out

out:
  %plain.last = load ptr, ptr %plain.at
  store ptr %plain.last, ptr %cache.at
  call void @host_fp_leave(ptr %env)
  call void @world_leave(ptr %env)
  ret void
}
