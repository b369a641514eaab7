/* setjmp/longjmp, recursion, function pointers, switch tables. */
#include <setjmp.h>
#include <stdio.h>

static jmp_buf env[10];
static int depth;
static void dive(int n, int target) {
    depth++;
    if (n == 0)
        longjmp(env[target], target + 1);
    dive(n - 1, target);
    depth--;
}
static int ackermann(int m, int n) {
    return m == 0 ? n + 1 : n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}
static int add(int a, int b) {
    return a + b;
}
static int sub(int a, int b) {
    return a - b;
}
static int mul(int a, int b) {
    return a * b;
}
static int (*const table[])(int, int) = {add, sub, mul};

static const char *name(int n) {
    switch (n) {
    case 0:
        return "zero";
    case 1:
        return "one";
    case 2:
        return "two";
    case 3:
        return "three";
    case 4:
        return "four";
    case 5:
        return "five";
    case 6:
        return "six";
    case 7:
        return "seven";
    case 100:
        return "hundred";
    case 1000:
        return "thousand";
    default:
        return "many";
    }
}
static int run(const unsigned char *code) {
    int stack[32], sp = 0;
    static const void *const labels[] = {&&push, &&plus, &&times, &&dup, &&jnz, &&dec, &&halt, &&swap};
    goto *labels[*code++];
push:
    stack[sp++] = *code++;
    goto *labels[*code++];
plus:
    sp--;
    stack[sp - 1] += stack[sp];
    goto *labels[*code++];
times:
    sp--;
    stack[sp - 1] *= stack[sp];
    goto *labels[*code++];
dup:
    stack[sp] = stack[sp - 1];
    sp++;
    goto *labels[*code++];
jnz:
    {
        signed char off = (signed char)*code++;
        if (stack[sp - 1])
            code += off;
        goto *labels[*code++];
    }
dec:
    stack[sp - 1]--;
    goto *labels[*code++];
swap:
    {
        int t = stack[sp - 1];
        stack[sp - 1] = stack[sp - 2];
        stack[sp - 2] = t;
        goto *labels[*code++];
    }
halt:
    return stack[sp - 2];
}

int main(void) {
    for (volatile int i = 0; i < 10; i++) {
        depth = 0;
        int value = setjmp(env[i]);
        if (value == 0)
            dive(i * 13, i);
        printf("%d %d\n", value, depth);
    }
    printf("%d\n", ackermann(2, 9));
    for (int i = 0; i < 12; i++)
        printf("%d ", table[i % 3](i, i + 2));
    puts("");
    for (int i = -1; i < 9; i++)
        printf("%s ", name(i));
    printf("%s %s\n", name(100), name(1000));
    unsigned char program[] = {0, 0, 0, 100, 7, 0, 3, 1, 7, 5, 4, (unsigned char)-8, 6};
    printf("%d\n", run(program));
    return 0;
}
