/* Two numbers on the x87 unit's stack, and what is made of them after gdb was there. */
#include <stdio.h>

extern char last[];

int main(void)
{
    double sum;
    unsigned short control;
    __asm__ volatile("movsd %2, %%xmm7; unpcklpd %%xmm7, %%xmm7\n\t"
                     "fld1; fld1\n\t"
                     ".globl last\nlast:\tfadd %%st(1), %%st\n"
                     ".globl stopped\nstopped:\tnop\n\t"
                     "faddp\n\t"
                     "fnstcw %1\n\t"
                     "fstpl %0"
                     : "=m"(sum), "=m"(control)
                     : "m"((double){1.0})); /* and xmm7, which compilers for i386 know nothing of */
    printf("%g %x\n", sum, control);
    return 0;
}
