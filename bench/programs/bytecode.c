/* An interpreter's dispatch loop: indirect jumps through a table. */
#include <stdio.h>
enum { PUSH, ADD, SUB, MUL, DUP, SWAP, LOAD, STORE, LESS, JUMP_IF, JUMP, HALT };
static long run(const int *code) {
    long stack[64], variables[8] = {0};
    int sp = 0, pc = 0;
    for (;;)
        switch (code[pc++]) {
        case PUSH: stack[sp++] = code[pc++]; break;
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
        case DUP:
            stack[sp] = stack[sp - 1];
            sp++;
            break;
        case SWAP: {
            long t = stack[sp - 1];
            stack[sp - 1] = stack[sp - 2];
            stack[sp - 2] = t;
            break;
        }
        case LOAD: stack[sp++] = variables[code[pc++]]; break;
        case STORE: variables[code[pc++]] = stack[--sp]; break;
        case LESS:
            sp--;
            stack[sp - 1] = stack[sp - 1] < stack[sp];
            break;
        case JUMP_IF:
            if (stack[--sp])
                pc = code[pc];
            else
                pc++;
            break;
        case JUMP: pc = code[pc]; break;
        case HALT: return variables[1];
        }
}
int main(void) {
    const int code[] = {PUSH,          0,   STORE, 0,       PUSH, 1,       STORE, 1,
                        /* 8: */ LOAD, 1,   PUSH,  3,       MUL,  LOAD,    0,     ADD, PUSH, 65535,
                        SWAP,          SUB, STORE, 1,       LOAD, 0,       PUSH,  1,   ADD,  DUP,
                        STORE,         0,   PUSH,  3000000, LESS, JUMP_IF, 8,     HALT};
    printf("%x\n", (unsigned)run(code)); /* as wide as any guest's long */
}
