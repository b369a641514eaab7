; What the code of a machine asks of its surroundings, by way of the table that env.machine points to.
; runtime/tcg/tb.py has the table's layout (MACHINE).

define hidden i64 @phys_load(ptr %env, i64 %address, i64 %size) nounwind {
  %at = getelementptr i8, ptr %env, i64 $env_machine
  %table = load ptr, ptr %at
  %place = getelementptr i8, ptr %table, i64 $machine_load
  %function = load ptr, ptr %place
  %value = call i64 %function(ptr %env, i64 %address, i64 %size)
  ret i64 %value
}

define hidden void @phys_store(ptr %env, i64 %address, i64 %size, i64 %value) nounwind {
  %at = getelementptr i8, ptr %env, i64 $env_machine
  %table = load ptr, ptr %at
  %place = getelementptr i8, ptr %table, i64 $machine_store
  %function = load ptr, ptr %place
  call void %function(ptr %env, i64 %address, i64 %size, i64 %value)
  ret void
}

define hidden i64 @phys_cmpxchg(ptr %env, i64 %address, i64 %size, i64 %expected, i64 %new) nounwind {
  %at = getelementptr i8, ptr %env, i64 $env_machine
  %table = load ptr, ptr %at
  %place = getelementptr i8, ptr %table, i64 $machine_compare_exchange
  %function = load ptr, ptr %place
  %value = call i64 %function(ptr %env, i64 %address, i64 %size, i64 %expected, i64 %new)
  ret i64 %value
}

define hidden void @tlb_flush(ptr %env, i64 %address) nounwind {
  %at = getelementptr i8, ptr %env, i64 $env_machine
  %table = load ptr, ptr %at
  %place = getelementptr i8, ptr %table, i64 $machine_flush
  %function = load ptr, ptr %place
  call void %function(ptr %env, i64 %address)
  ret void
}

; The machine's clock after so many instructions.
define hidden i64 @clock_read(ptr %env, i64 %instructions) nounwind {
  %at = getelementptr i8, ptr %env, i64 $env_machine
  %table = load ptr, ptr %at
  %place = getelementptr i8, ptr %table, i64 $machine_clock
  %function = load ptr, ptr %place
  %value = call i64 %function(ptr %env, i64 %instructions)
  ret i64 %value
}
