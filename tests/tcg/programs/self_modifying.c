/* Code written, run, overwritten and run again: instruction words of RV64I, in pages that also hold data. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

typedef long (*function)(long);
enum { RET = 0x00008067, SIZE = 1 << 16, PAGE = 4096 };

static uint32_t addi_a0(int constant) { return (uint32_t)constant << 20 | 10 << 15 | 10 << 7 | 0x13; }

static void write_function(uint32_t *at, int constant)
{
    at[0] = addi_a0(constant);
    at[1] = RET;
    __builtin___clear_cache((char *)at, (char *)(at + 2));
}

/* a0 times: add a2 to the word at a1 + 24, which is the instruction `addi a3, a3, ...` of this same block */
static const uint32_t own_block[] = {
    0x0185a283, /* lw   t0, 24(a1) */
    0x00c282b3, /* add  t0, t0, a2 */
    0x0055ac23, /* sw   t0, 24(a1) */
    0x0000100f, /* fence.i */
    0x00000013, /* nop */
    0x00000013, /* nop */
    0x00068693, /* addi a3, a3, 0 */
    0xfff50513, /* addi a0, a0, -1 */
    0xfe0510e3, /* bnez a0, -32 */
    0x00068513, /* mv   a0, a3 */
    RET,
};

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 3000;
    int all = PROT_READ | PROT_WRITE | PROT_EXEC;
    unsigned char *area = mmap(0, SIZE, all, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    long sum = 0;
    for (int i = 0; i < rounds; i++) {
        uint32_t *at = (uint32_t *)(area + PAGE - 8 + i % 5 * 8); /* around a page boundary */
        write_function(at, i & 0x7ff);
        sum += ((function)at)(i);
        ((uint32_t *)area)[i % 1000] = i;
    }
    printf("%ld\n", sum);

    uint32_t *block = (uint32_t *)(area + 2 * PAGE);
    memcpy(block, own_block, sizeof own_block);
    __builtin___clear_cache((char *)block, (char *)block + sizeof own_block);
    printf("%ld\n", ((long (*)(long, void *, long, long))block)(200, block, 1 << 20, 0));

    mprotect(area, SIZE, PROT_READ | PROT_EXEC);
    printf("%ld\n", ((function)(area + PAGE))(5));
    munmap(area, SIZE);
    mmap(area, SIZE, all, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    write_function((uint32_t *)(area + PAGE), 77);
    printf("%ld\n", ((function)(area + PAGE))(5));
    return 0;
}
