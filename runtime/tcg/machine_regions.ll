; What compiled regions of a machine's code ask the engine.  A part of the engine: see engine.ll.
;
; A region is made from blocks of several pages and is entered by a block of the first.  Where its pages are is looked up
; once for each generation of the jump cache, which a flush of any of them ends.

; Whether the pages of a region (%table) are where they were when it was compiled: 1, and remembered for as long as the
; jump cache's generation lasts; or 0.
define hidden i64 @region_check(ptr %env, ptr %table) noinline nounwind {
entry:
  %generations = getelementptr i8, ptr %table, i64 $region_generations
  %number.at = getelementptr i8, ptr %env, i64 $env_number
  %number = load i64, ptr %number.at
  %mine = getelementptr i64, ptr %generations, i64 %number
  %now.at = getelementptr i8, ptr %env, i64 $env_jump_generation
  %now = load i64, ptr %now.at
  %elsewhere.then = or i64 %now, $region_elsewhere
  %then = load atomic i64, ptr %mine monotonic, align 8
  %known = icmp eq i64 %then, %elsewhere.then
  br i1 %known, label %no, label %pages

pages:
  %count.at = getelementptr i8, ptr %table, i64 $region_pages
  %count = load atomic i64, ptr %count.at monotonic, align 8
  %dead = icmp eq i64 %count, 0
  br i1 %dead, label %no, label %first

first:
  %vcpus.at = getelementptr i8, ptr %table, i64 $region_vcpus
  %vcpus = load i64, ptr %vcpus.at
  %list = getelementptr i64, ptr %generations, i64 %vcpus
  %tlb.at = getelementptr i8, ptr %env, i64 $env_tlb
  %tlb = load ptr, ptr %tlb.at
  br label %page

page:
  %index = phi i64 [ 0, %first ], [ %index.next, %same ]
  %offset = mul i64 %index, $region_page_bytes
  %record = getelementptr i8, ptr %list, i64 %offset
  %address.at = getelementptr i8, ptr %record, i64 $region_page_address
  %address = load i64, ptr %address.at
  %place.at = getelementptr i8, ptr %record, i64 $region_page_place
  %place = load i64, ptr %place.at
  %known.e = call ptr @tlb_known(ptr %env, ptr %tlb, i64 %address, i64 2)
  %unknown = icmp eq ptr %known.e, null
  br i1 %unknown, label %ask, label %look

ask: ; not where time is counted: a page walk that tier 0 would not do now may be seen in the guest's page tables
  %exact.at = getelementptr i8, ptr %env, i64 $env_exact
  %exact = load i64, ptr %exact.at
  %counts = icmp ne i64 %exact, 0
  br i1 %counts, label %no, label %walk

walk:
  %walked.e = call ptr @tlb_entry(ptr %env, ptr %tlb, i64 %address, i64 2)
  %refused = icmp eq ptr %walked.e, null
  br i1 %refused, label %elsewhere, label %look

look: ; an entry that holds for one access only says nothing of the page
  %e = phi ptr [ %known.e, %page ], [ %walked.e, %walk ]
  %tag.at = getelementptr i8, ptr %e, i64 $entry_fetch
  %tag = load i64, ptr %tag.at
  %special = and i64 %tag, $tag_elsewhere
  %plain = icmp eq i64 %special, 0
  %full = call ptr @tlb_full(ptr %tlb, ptr %e)
  %found.at = getelementptr i8, ptr %full, i64 $full_place
  %found = load i64, ptr %found.at
  %there = icmp eq i64 %found, %place
  %good = and i1 %plain, %there
  br i1 %good, label %same, label %elsewhere

same: ; a flush of this page is to end the generation
  %mark.at = call ptr @jump_page(ptr %env, i64 %address)
  store i8 1, ptr %mark.at
  %index.next = add i64 %index, 1
  %more = icmp ult i64 %index.next, %count
  br i1 %more, label %page, label %found.all

found.all:
  %before = atomicrmw xchg ptr %mine, i64 %now seq_cst
  %count.now = load atomic i64, ptr %count.at seq_cst, align 8
  %killed = icmp eq i64 %count.now, 0
  br i1 %killed, label %late, label %yes

late: ; its code was changed meanwhile: see @region_kill
  store atomic i64 0, ptr %mine seq_cst, align 8
  br label %no

elsewhere:
  store atomic i64 %elsewhere.then, ptr %mine monotonic, align 8
  br label %no

yes:
  ret i64 1

no:
  ret i64 0
}

; Where the host has the %n bytes at %va, of one page of RAM, that may be accessed as they are; 0 if there is more to it:
; then the block does the instruction.
define hidden i64 @tlb_plain(ptr %env, ptr %tlb, i64 %va, i64 %n, i64 %access) noinline nounwind {
entry:
  %offset = and i64 %va, $page_mask
  %end = add i64 %offset, %n
  %crosses = icmp ugt i64 %end, $page_size
  br i1 %crosses, label %no, label %one

one:
  %e = call ptr @tlb_entry(ptr %env, ptr %tlb, i64 %va, i64 %access)
  %fault = icmp eq ptr %e, null
  br i1 %fault, label %no, label %found

found:
  %tag.offset = shl i64 %access, 3
  %tag.at = getelementptr i8, ptr %e, i64 %tag.offset
  %tag = load i64, ptr %tag.at
  %bus.bit = and i64 %tag, $tag_bus
  %bus = icmp ne i64 %bus.bit, 0
  br i1 %bus, label %no, label %ram

ram:
  %loads = icmp eq i64 %access, 0
  br i1 %loads, label %yes, label %store

store:
  %hits = call i1 @store_hits_code(ptr %env, ptr %tlb, ptr %e, i64 %va, i64 %n)
  br i1 %hits, label %no, label %yes

yes:
  %addend.at = getelementptr i8, ptr %e, i64 $entry_addend
  %addend = load i64, ptr %addend.at
  %host = add i64 %addend, %va
  ret i64 %host

no:
  ret i64 0
}

; The same two for regions, which keep everything in registers.
define hidden preserve_mostcc i64 @region_check_kept(ptr %env, ptr %table) noinline nounwind {
  %answer = call i64 @region_check(ptr %env, ptr %table)
  ret i64 %answer
}

define hidden preserve_mostcc i64 @tlb_plain_kept(ptr %env, ptr %tlb, i64 %va, i64 %n, i64 %access) noinline nounwind {
  %answer = call i64 @tlb_plain(ptr %env, ptr %tlb, i64 %va, i64 %n, i64 %access)
  ret i64 %answer
}
