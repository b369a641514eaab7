/* The few lines between a bare main and Linux: start, exit, print. */
typedef unsigned int u32;
typedef unsigned long long u64;

static long system_call(long number, long a, long b, long c) {
    register long a7 __asm__("a7") = number, a0 __asm__("a0") = a, a1 __asm__("a1") = b, a2 __asm__("a2") = c;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2) : "memory");
    return a0;
}

void put(const char *text) {
    long length = 0;
    while (text[length])
        length++;
    system_call(64, 1, (long)text, length);
}

void put_hex(u64 value, int digits) {
    char text[18];
    text[digits] = ' ';
    text[digits + 1] = 0;
    for (int i = digits - 1; i >= 0; i--, value >>= 4)
        text[i] = "0123456789abcdef"[value & 15];
    put(text);
}

void *memset(void *to, int value, unsigned long count) {
    for (unsigned long i = 0; i < count; i++)
        ((volatile char *)to)[i] = (char)value;
    return to;
}

void *memcpy(void *to, const void *from, unsigned long count) {
    for (unsigned long i = 0; i < count; i++)
        ((volatile char *)to)[i] = ((const char *)from)[i];
    return to;
}

int main(void);

__attribute__((used)) static void start(void) { system_call(94, main(), 0, 0); }

__asm__(".globl _start\n_start:\n.option push\n.option norelax\nla gp, __global_pointer$\n.option pop\n"
        "andi sp, sp, -16\nj start\n");
