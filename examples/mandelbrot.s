# Draws the Mandelbrot set: for each character, how soon z = z*z + c leaves the circle of radius 2.

        .equ    write, 64
        .equ    exit, 93
        .equ    COLUMNS, 78
        .equ    ROWS, 32
        .equ    ROUNDS, 96              # points that stay inside for so long belong to the set

        .text
        .globl  _start
_start:
        la      t0, numbers
        fld     fs0, 0(t0)
        fld     fs1, 8(t0)
        fld     fs2, 16(t0)
        fld     fs3, 24(t0)
        fld     fs4, 32(t0)
        la      s0, shades
        li      s1, 0                   # row

row:    la      s2, line
        li      s3, 0                   # column
        fcvt.d.w ft0, s1
        fmul.d  ft0, ft0, fs3
        fsub.d  fa1, fs1, ft0           # imaginary part of c
column:
        fcvt.d.w ft0, s3
        fmadd.d fa0, ft0, fs2, fs0      # real part of c
        fmv.d   fa2, fa0                # z begins as c
        fmv.d   fa3, fa1
        li      t0, 0
iterate:
        fmul.d  ft0, fa2, fa2
        fmul.d  ft1, fa3, fa3
        fadd.d  ft2, ft0, ft1
        flt.d   t1, fs4, ft2
        bnez    t1, outside
        fadd.d  ft3, fa2, fa2
        fsub.d  ft0, ft0, ft1
        fadd.d  fa2, ft0, fa0           # x*x - y*y + cx
        fmadd.d fa3, ft3, fa3, fa1      # 2*x*y + cy
        addi    t0, t0, 1
        li      t1, ROUNDS
        bltu    t0, t1, iterate
        li      t1, ' '                 # inside
        j       store
outside:
        li      t1, shade_count
        remu    t0, t0, t1
        add     t0, t0, s0
        lbu     t1, 0(t0)
store:  add     t0, s2, s3
        sb      t1, 0(t0)
        addi    s3, s3, 1
        li      t0, COLUMNS
        bltu    s3, t0, column

        add     t0, s2, s3
        li      t1, '\n'
        sb      t1, 0(t0)
        li      a0, 1
        mv      a1, s2
        li      a2, COLUMNS + 1
        li      a7, write
        ecall
        addi    s1, s1, 1
        li      t0, ROWS
        bltu    s1, t0, row

        li      a0, 0
        li      a7, exit
        ecall

        .rodata
        .balign 8
numbers:
        .double -2.125, 1.25            # left and top edge
        .double 0.0408, 0.078125        # distance of columns and of rows
        .double 4                       # the radius, squared
shades: .ascii  ".,:;-+=*o%#@"
        .equ    shade_count, . - shades

        .bss
line:   .space  COLUMNS + 1
