/* Big-endian data (SETEND): loads and stores of every width, pairs, lists, exclusives and NEON's, in both byte orders. */
#include <stdint.h>
#include <stdio.h>

static uint8_t memory[64] __attribute__((aligned(16)));
static void show(const char *name, const uint32_t *r, int count)
{
    printf("%s:", name);
    for (int i = 0; i < count; i++) printf(" %08x", r[i]);
    printf(" |");
    for (int i = 0; i < 40; i++) printf("%02x", memory[i]);
    printf("\n");
}
static void fill(void)
{
    for (int i = 0; i < 64; i++) memory[i] = (uint8_t)(i * 5 + 0x81);
}
/* What reads leaves up to four words in r4 to r7; what writes takes them from there. */
#define DO(text)                                                                                                       \
    do {                                                                                                               \
        uint32_t r[4] = {0x11223344, 0x55667788, 0x99aabbcc, 0xddeeff00};                                              \
        fill();                                                                                                        \
        __asm__ volatile("mov r0, %[memory]\n ldm %[r], {r4-r7}\n setend be\n" text                                    \
                         "\n setend le\n stm %[r], {r4-r7}"                                                            \
                         : : [memory] "r"(memory), [r] "r"(r)                                                          \
                         : "r0", "r1", "r2", "r4", "r5", "r6", "r7", "d0", "d1", "d2", "d3", "cc", "memory");          \
        show(text, r, 4);                                                                                              \
    } while (0)

int main(void)
{
    DO("ldr r4, [r0]\n ldrh r5, [r0, #2]\n ldrsh r6, [r0, #6]\n ldrb r7, [r0, #1]");
    DO("str r4, [r0]\n strh r5, [r0, #6]\n strb r6, [r0, #9]");
    DO("ldrd r4, r5, [r0]\n ldr r6, [r0, #9]\n ldrh r7, [r0, #1]");
    DO("strd r4, r5, [r0]\n str r6, [r0, #13]");
    DO("ldm r0, {r4-r7}");
    DO("stm r0, {r4-r7}");
    DO("ldrex r4, [r0]\n strex r5, r6, [r0]");
    DO("ldrexd r4, r5, [r0]\n strexd r1, r6, r7, [r0]\n mov r6, r1");
    DO("ldrexh r4, [r0]\n strexh r5, r6, [r0]");
    DO("vldr d0, [r0]\n vldr s2, [r0, #8]\n vmov r4, r5, d0\n vmov r6, s2");
    DO("vmov d0, r4, r5\n vmov s2, r6\n vstr d0, [r0]\n vstr s2, [r0, #8]");
    DO("vldm r0, {d0-d1}\n vmov r4, r5, d0\n vmov r6, r7, d1");
    DO("vmov d0, r4, r5\n vmov d1, r6, r7\n vstm r0, {d0-d1}");
    DO("vld1.8 {d0}, [r0]\n vld1.16 {d1}, [r0]\n vmov r4, r5, d0\n vmov r6, r7, d1");
    DO("vld1.32 {d0}, [r0]\n vld1.64 {d1}, [r0]\n vmov r4, r5, d0\n vmov r6, r7, d1");
    DO("vmov d0, r4, r5\n vmov d1, r6, r7\n vst1.16 {d0}, [r0]\n add r1, r0, #8\n vst1.32 {d1}, [r1]");
    DO("vld2.16 {d0, d1}, [r0]\n vmov r4, r5, d0\n vmov r6, r7, d1");
    DO("vmov d0, r4, r5\n vmov d1, r6, r7\n vst2.32 {d0, d1}, [r0]");
    DO("vmov d0, r4, r5\n vmov d1, r6, r7\n vld2.16 {d0[1], d1[1]}, [r0]\n vmov r4, r5, d0\n vmov r6, r7, d1");
    DO("vmov d0, r4, r5\n vmov d1, r6, r7\n vst2.32 {d0[1], d1[1]}, [r0]");
    DO("vld1.32 {d0[]}, [r0]\n vld1.16 {d1[0]}, [r0]\n vmov r4, r5, d0\n vmov r6, s2");
    DO("mov r1, r0\n ldr r4, [r1, #4]!\n str r4, [r1], #8\n push {r4, r5}\n pop {r6, r7}");
}
