# Prints the primes below LIMIT and how many there are, by the sieve of Eratosthenes: one byte for each number.

        .equ    write, 64
        .equ    exit, 93
        .equ    LIMIT, 1000
        .equ    COLUMNS, 16             # primes in a line
        .equ    WIDTH, 5                # characters for each

        .text
        .globl  _start
_start:
        la      s0, sieve               # sieve[n] is 1 when n is a multiple of something smaller
        li      s1, LIMIT
        li      s2, 2                   # the number looked at
        li      s3, 0                   # primes so far

next:
        add     t0, s0, s2
        lbu     t1, 0(t0)
        bnez    t1, composite
        addi    s3, s3, 1
        mv      a0, s2
        jal     print_number
        li      t0, COLUMNS
        remu    t1, s3, t0
        bnez    t1, 1f
        jal     end_line
1:      mul     t0, s2, s2              # smaller multiples have smaller factors, and are crossed out already
cross_out:
        bgeu    t0, s1, composite
        add     t1, s0, t0
        li      t2, 1
        sb      t2, 0(t1)
        add     t0, t0, s2
        j       cross_out
composite:
        addi    s2, s2, 1
        bltu    s2, s1, next

        jal     end_line
        mv      a0, s3
        jal     print_number
        la      a1, summary
        li      a2, summary_length
        jal     print
        li      a0, 0
        li      a7, exit
        ecall

# Prints a0 in decimal, right-aligned in WIDTH characters.
print_number:
        mv      s11, ra
        la      t0, buffer + WIDTH
        la      t1, buffer
        li      t2, 10
1:      addi    t0, t0, -1
        remu    t3, a0, t2
        addi    t3, t3, '0'
        sb      t3, 0(t0)
        divu    a0, a0, t2
        bnez    a0, 1b
        li      t3, ' '
2:      bgeu    t1, t0, 3f
        addi    t0, t0, -1
        sb      t3, 0(t0)
        j       2b
3:      la      a1, buffer
        li      a2, WIDTH
        jal     print
        jr      s11

end_line:
        la      a1, newline
        li      a2, 1
# Writes a2 bytes at a1.
print:
        li      a0, 1
        li      a7, write
        ecall
        ret

        .rodata
newline:
        .ascii  "\n"
summary:
        .ascii  " primes below 1000\n"
        .equ    summary_length, . - summary

        .bss
sieve:  .space  LIMIT
buffer: .space  WIDTH
