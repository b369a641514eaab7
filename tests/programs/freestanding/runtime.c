/* The few lines between a bare main and Linux: start, exit, print. */
typedef unsigned int u32;
typedef unsigned long long u64;

#if defined(__x86_64__)
enum { WRITE = 1, EXIT = 60 };
static long system_call(long number, long a, long b, long c) {
    __asm__ volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return number;
}
__asm__(".globl _start\n_start:\nand rsp, -16\ncall start\n");
#elif defined(__i386__)
enum { WRITE = 4, EXIT = 1 };
static long system_call(long number, long a, long b, long c) {
    __asm__ volatile("int 0x80" : "+a"(number) : "b"(a), "c"(b), "d"(c) : "memory");
    return number;
}
__asm__(".globl _start\n_start:\nand esp, -16\ncall start\n");
#elif defined(__arm__)
enum { WRITE = 4, EXIT = 1 };
static long system_call(long number, long a, long b, long c) {
    register long r7 __asm__("r7") = number, r0 __asm__("r0") = a, r1 __asm__("r1") = b, r2 __asm__("r2") = c;
    __asm__ volatile("svc #0" : "+r"(r0) : "r"(r7), "r"(r1), "r"(r2) : "memory");
    return r0;
}
#ifdef __thumb__
__asm__(".thumb\n.thumb_func\n");
#endif
__asm__(".globl _start\n_start:\nbl start\n");
#elif defined(__mips__)
enum { WRITE = 4004, EXIT = 4001 };
static long system_call(long number, long a, long b, long c) {
    register long v0 __asm__("$2") = number, a0 __asm__("$4") = a, a1 __asm__("$5") = b, a2 __asm__("$6") = c;
    __asm__ volatile("syscall" : "+r"(v0) : "r"(a0), "r"(a1), "r"(a2) : "$7", "memory");
    return v0;
}
__asm__(".globl _start\n_start:\njal start\n");
#else
enum { WRITE = 64, EXIT = 94 };
static long system_call(long number, long a, long b, long c) {
    register long a7 __asm__("a7") = number, a0 __asm__("a0") = a, a1 __asm__("a1") = b, a2 __asm__("a2") = c;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2) : "memory");
    return a0;
}
__asm__(".globl _start\n_start:\n.option push\n.option norelax\nla gp, __global_pointer$\n.option pop\n"
        "andi sp, sp, -16\nj start\n");
#endif

void put(const char *text) {
    long length = 0;
    while (text[length])
        length++;
    system_call(WRITE, 1, (long)text, length);
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

__attribute__((used)) static void start(void) { system_call(EXIT, main(), 0, 0); }
