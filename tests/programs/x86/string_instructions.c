/* Repeated string instructions of all sizes, ways and distances, some of which fault at the end of what is mapped: a line for
   each has a checksum of memory, registers and flags behind all of them. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { PAGE = 4096, SIZE = 3 * PAGE, COUNT = 150 };
static unsigned char *memory;                                   /* nothing is mapped on either side */
static uint64_t seed = 88172645463325252u, sum;
static sigjmp_buf back;
static uintptr_t faulted[3];

static uint64_t next(void) {
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return seed;
}
static void note(const void *bytes, size_t size) {
    const unsigned char *at = bytes;
    while (size--)
        sum = (sum ^ *at++) * 0x100000001b3u;
}
static void handler(int number, siginfo_t *information, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
#ifdef __x86_64__
    faulted[0] = registers[REG_RDI], faulted[1] = registers[REG_RSI], faulted[2] = registers[REG_RCX];
#else
    faulted[0] = registers[REG_EDI], faulted[1] = registers[REG_ESI], faulted[2] = registers[REG_ECX];
#endif
    siglongjmp(back, number);
}
static unsigned char *somewhere(void) {
    switch (next() % 4) {
    case 0: return memory + next() % SIZE;
    case 1: return memory + SIZE - next() % 80;
    case 2: return memory + next() % 80;
    default: return memory + PAGE - next() % 40;
    }
}
static void made(unsigned char *target, unsigned char *source, uintptr_t count) {
    uintptr_t places[4] = {target - memory, source - memory, count, 0};
    note(places, sizeof places);
    note(memory, SIZE);
}

#define EACH(instruction) { \
    sum = 14695981039346656037u; \
    for (int i = 0; i < COUNT; i++) { \
        unsigned char *target = somewhere(), *source = next() % 3 ? somewhere() : target + (intptr_t)(next() % 64) - 32; \
        uintptr_t count = next() % 4 ? next() % 100 : next() % 5000, flags = 0, value = next() & 0x01010101; \
        if (next() % 4 == 0 && target < memory + PAGE && source < memory + PAGE && source >= memory) \
            memcpy(memory + 2 * PAGE, memory + PAGE, PAGE), memmove(target, source, next() % 200); \
        memory[next() % SIZE] = (unsigned char)next(); \
        if (sigsetjmp(back, 1) == 0) { \
            __asm__ volatile(instruction "\n\tcld\n\tpushf\n\tpop %3" \
                : "+D"(target), "+S"(source), "+c"(count), "=r"(flags), "+a"(value) : : "memory", "cc"); \
            flags &= 0x8d5; \
            note(&flags, sizeof flags); \
            made(target, source, count); \
        } else { \
            __asm__ volatile("cld"); \
            made((unsigned char *)faulted[0], (unsigned char *)faulted[1], faulted[2]); \
        } \
    } \
    printf("%s %016llx\n", instruction, (unsigned long long)sum); }
#define BOTH_WAYS(instruction) EACH(instruction) EACH("std\n\t" instruction)
#define ALL_SIZES(name) BOTH_WAYS(name "b") BOTH_WAYS(name "w") BOTH_WAYS(name "l")

int main(void) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    unsigned char *all = mmap(NULL, SIZE + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memory = all + PAGE;
    mprotect(memory, SIZE, PROT_READ | PROT_WRITE);
    for (int i = 0; i < SIZE; i++)
        memory[i] = next() & 1;
    ALL_SIZES("rep movs")
    ALL_SIZES("rep stos")
    memset(memory, 1, SIZE);
    ALL_SIZES("repe cmps")
    ALL_SIZES("repne cmps")
    memset(memory, 1, SIZE);
    ALL_SIZES("repe scas")
    ALL_SIZES("repne scas")
    ALL_SIZES("rep lods")
    return 0;
}
