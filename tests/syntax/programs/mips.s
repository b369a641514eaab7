# MIPS: o32's registers, pseudo-instructions, both halves of an address: prints, and exits with 42.
        .set    noreorder                       # the slots are filled by hand
        .globl  _start
_start: li      $v0, 4004
        li      $a0, 1
        la      $a1, text
        li      $a2, length
        syscall
        lw      $t0, counter
        nop
        addiu   $t0, $t0, 41
        sw      $t0, counter
        lui     $t1, %hi(counter)
        lw      $a0, %lo(counter)($t1)
        li      $v0, 4001
        move    $t3, $zero
        beqz    $t3, 1f
        nop
        break
1:      syscall
        .data
counter: .word  1
        .section .rodata
text:   .ascii  "hello from MIPS\n"
        .equ    length, . - text
