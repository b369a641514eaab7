/* A branch that is always taken, with something in its slot. */
#include <stdio.h>

extern void branch(void), slot(void), behind(void), taken(void);

int main(void)
{
    const char *where;
    __asm__ volatile(".set push; .set noreorder\n"
                     ".globl branch\nbranch:\tb taken\n"
                     ".globl slot\nslot:\tnop\n"
                     ".globl behind\nbehind:\tb 1f\n\t"
                     "move %0, %1\n"
                     ".globl taken\ntaken:\tmove %0, %2\n"
                     "1:\t.set pop"
                     : "=&r"(where)
                     : "r"("behind"), "r"("taken"));
    puts(where);
    return 0;
}
