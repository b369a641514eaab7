/* A byte-code machine with a switch, running a sieve. */
#include <stdio.h>
#include <stdlib.h>

enum { PUSH, LOAD, STORE, ADD, SUB, MUL, MOD, LT, JZ, JMP, PRINT, HALT, GET, SET, DIV, EQ };
static long vars[26], memory[5000];

static long execute(const int *code) {
    long stack[64], steps = 0;
    int sp = 0, pc = 0;
    for (;;) {
        steps++;
        switch (code[pc++]) {
        case PUSH:
            stack[sp++] = code[pc++];
            break;
        case LOAD:
            stack[sp++] = vars[code[pc++]];
            break;
        case STORE:
            vars[code[pc++]] = stack[--sp];
            break;
        case ADD:
            sp--;
            stack[sp - 1] += stack[sp];
            break;
        case SUB:
            sp--;
            stack[sp - 1] -= stack[sp];
            break;
        case MUL:
            sp--;
            stack[sp - 1] *= stack[sp];
            break;
        case DIV:
            sp--;
            stack[sp - 1] /= stack[sp];
            break;
        case MOD:
            sp--;
            stack[sp - 1] %= stack[sp];
            break;
        case LT:
            sp--;
            stack[sp - 1] = stack[sp - 1] < stack[sp];
            break;
        case EQ:
            sp--;
            stack[sp - 1] = stack[sp - 1] == stack[sp];
            break;
        case JZ:
            if (!stack[--sp])
                pc = code[pc];
            else
                pc++;
            break;
        case JMP:
            pc = code[pc];
            break;
        case GET:
            stack[sp - 1] = memory[stack[sp - 1]];
            break;
        case SET:
            sp -= 2;
            memory[stack[sp]] = stack[sp + 1];
            break;
        case PRINT:
            printf("%ld\n", stack[--sp]);
            break;
        case HALT:
            return steps;
        }
    }
}

int main(void) {
    int sieve[200], n = 0;
    int head, inner, out, skip, next;
#define E(x) sieve[n++] = (x)
    E(PUSH);
    E(2);
    E(STORE);
    E(0);
    head = n;
    E(LOAD);
    E(0);
    E(PUSH);
    E(4000);
    E(LT);
    E(JZ);
    out = n;
    E(0);
    E(LOAD);
    E(0);
    E(GET);
    E(PUSH);
    E(0);
    E(EQ);
    E(JZ);
    skip = n;
    E(0);
    E(LOAD);
    E(2);
    E(PUSH);
    E(1);
    E(ADD);
    E(STORE);
    E(2);
    E(LOAD);
    E(0);
    E(LOAD);
    E(0);
    E(MUL);
    E(STORE);
    E(1);
    inner = n;
    E(LOAD);
    E(1);
    E(PUSH);
    E(4000);
    E(LT);
    E(JZ);
    next = n;
    E(0);
    E(LOAD);
    E(1);
    E(PUSH);
    E(1);
    E(SET);
    E(LOAD);
    E(1);
    E(LOAD);
    E(0);
    E(ADD);
    E(STORE);
    E(1);
    E(JMP);
    E(inner);
    sieve[skip] = sieve[next] = n;
    E(LOAD);
    E(0);
    E(PUSH);
    E(1);
    E(ADD);
    E(STORE);
    E(0);
    E(JMP);
    E(head);
    sieve[out] = n;
    E(LOAD);
    E(2);
    E(PRINT);
    E(HALT);
    printf("%ld\n", execute(sieve));
    for (int i = 2; i < 4000; i++)
        if (!memory[i])
            printf("%d ", i);
    puts("");
    return (int)vars[2] & 0x7f;
}
