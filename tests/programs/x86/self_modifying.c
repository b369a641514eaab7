/* Stores into code that is running: into the very next instruction, behind a jump, into a loop's own body, byte by byte. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

typedef unsigned (*function)(unsigned char *);
static unsigned char *code;

static unsigned run(const char *bytes, unsigned size) {
    memcpy(code, bytes, size);
    return ((function)code)(code);
}
#ifdef __x86_64__
#define AT(offset) "\xc6\x47" offset /* movb $.., offset(%rdi) */
#else
#define TAKE "\x8b\x54\x24\x04"        /* mov 4(%esp), %edx */
#define AT(offset) "\xc6\x42" offset   /* movb $.., offset(%edx) */
#endif

int main(void) {
    code = mmap(0, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
#ifdef __x86_64__
    /* movb $7, 5(%rdi); mov $1, %eax; ret */
    static const char next[] = AT("\x05") "\x07" "\xb8\x01\x00\x00\x00" "\xc3";
    /* xor eax, eax; mov $100, ecx; 1: incb 10(%rdi); add $0, eax; dec ecx; jne 1b; ret */
    static const char loop[] = "\x31\xc0" "\xb9\x64\x00\x00\x00" "\xfe\x47\x0c" "\x83\xc0\x00" "\xff\xc9" "\x75\xf6" "\xc3";
    /* jmp over; the store hits what was jumped over's target: movb $9, 8(%rdi); jmp +1; nop; mov $3, eax; ret */
    static const char jump[] = AT("\x08") "\x09" "\xeb\x01" "\x90" "\xb8\x03\x00\x00\x00" "\xc3";
#else
    static const char next[] = TAKE AT("\x09") "\x07" "\xb8\x01\x00\x00\x00" "\xc3";
    static const char loop[] = TAKE "\x31\xc0" "\xb9\x64\x00\x00\x00" "\xfe\x42\x10" "\x83\xc0\x00" "\xff\xc9" "\x75\xf6" "\xc3";
    static const char jump[] = TAKE AT("\x0c") "\x09" "\xeb\x01" "\x90" "\xb8\x03\x00\x00\x00" "\xc3";
#endif
    for (int i = 0; i < 50; i++) {
        unsigned a = run(next, sizeof next - 1), b = run(loop, sizeof loop - 1), c = run(jump, sizeof jump - 1);
        printf("%u %u %u\n", a, b, c);
    }
    return 0;
}
