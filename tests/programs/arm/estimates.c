/* NEON's estimates of reciprocals and their steps, over every exponent and the special numbers, with the flags of each;
   structures of 2 to 4 elements in one lane, to all lanes, and in four registers. */
#include <arm_neon.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static unsigned hash = 2166136261u;
static void add(uint32_t word) { hash = (hash ^ word) * 16777619u; }
static void told(const char *name)
{
    printf("%s %08x\n", name, hash);
    hash = 2166136261u;
}
static unsigned flags(void)
{
    unsigned value;
    __asm__ volatile("vmrs %0, fpscr" : "=r"(value));
    __asm__ volatile("vmsr fpscr, %0" : : "r"(0));
    return value;
}
static float32x2_t floats(uint32_t low, uint32_t high)
{
    return vreinterpret_f32_u32(vcreate_u32((uint64_t)high << 32 | low));
}
#define NOTE(value)                                                                                                    \
    do {                                                                                                               \
        uint32x2_t kept = vreinterpret_u32_f32(value);                                                                 \
        __asm__ volatile("" : "+w"(kept));                                                                             \
        add(flags());                                                                                                  \
        add(vget_lane_u32(kept, 0));                                                                                   \
        add(vget_lane_u32(kept, 1));                                                                                   \
    } while (0)

static const uint32_t special[] = {0,          0x80000000, 1,          0x807fffff, 0x00800000, 0x3f800000,
                                   0xbf800000, 0x7e7fffff, 0x7e800000, 0xfe800001, 0x7f7fffff, 0x7f800000,
                                   0xff800000, 0x7f800001, 0x7fc12345, 0xffc00000, 0x40400000, 0x3fffffff};
enum { SPECIALS = sizeof special / sizeof *special };

static void structures(void)
{
    uint8_t bytes[80];
    for (int i = 0; i < 80; i++) bytes[i] = (uint8_t)(i * 37 + 11);
    uint16_t *halves = (uint16_t *)bytes;
    uint32_t *words = (uint32_t *)bytes;
    uint8_t out[256] = {0};
    uint8x8x2_t b2 = vld2_lane_u8(bytes + 1, vld2_u8(bytes), 3);
    uint8x8x3_t b3 = vld3_lane_u8(bytes + 5, vld3_u8(bytes + 2), 7);
    uint8x8x4_t b4 = vld4_lane_u8(bytes + 9, vld4_u8(bytes + 3), 0);
    vst2_u8(out, b2), vst3_u8(out + 16, b3), vst4_u8(out + 40, b4);
    uint16x8x2_t h2 = vld2q_lane_u16(halves + 3, vld2q_u16(halves), 6);
    uint16x8x3_t h3 = vld3q_lane_u16(halves + 5, vld3q_u16(halves), 1);
    uint16x8x4_t h4 = vld4q_lane_u16(halves + 7, vld4q_u16(halves), 5);
    vst2q_u16((uint16_t *)(out + 72), h2), vst3q_lane_u16((uint16_t *)(out + 104), h3, 1);
    vst4q_lane_u16((uint16_t *)(out + 112), h4, 4), vst2q_lane_u16((uint16_t *)(out + 120), h2, 7);
    uint32x4x2_t w2 = vld2q_lane_u32(words + 3, vld2q_u32(words), 3);
    uint32x4x4_t w4 = vld4q_lane_u32(words + 7, vld4q_u32(words), 2);
    vst2q_u32((uint32_t *)(out + 128), w2), vst4q_lane_u32((uint32_t *)(out + 160), w4, 2);
    uint8x8x2_t d2 = vld2_dup_u8(bytes + 7);
    uint16x4x3_t d3 = vld3_dup_u16(halves + 9);
    uint32x2x4_t d4 = vld4_dup_u32(words + 11);
    vst2_u8(out + 176, d2), vst3_lane_u16((uint16_t *)(out + 192), d3, 2), vst4_u32((uint32_t *)(out + 200), d4);
    for (unsigned i = 0; i < sizeof out; i++) add(out[i]);
    told("structures");
}

int main(void)
{
    flags();
    for (uint32_t exponent = 0; exponent < 512; exponent++)
        for (uint32_t fraction = 0; fraction < 1 << 23; fraction += 0x7ff1) {
            float32x2_t x = floats(exponent << 23 | fraction, exponent << 23 | (fraction ^ 0x7fffff));
            NOTE(vrecpe_f32(x));
            NOTE(vrsqrte_f32(x));
        }
    told("estimates");
    for (int i = 0; i < SPECIALS; i++)
        for (int j = 0; j < SPECIALS; j++) {
            float32x2_t x = floats(special[i], special[j]), y = floats(special[j], special[i]);
            NOTE(vrecps_f32(x, y));
            NOTE(vrsqrts_f32(x, y));
            printf("%08x: %x %x", special[i], vget_lane_u32(vreinterpret_u32_f32(vrecpe_f32(x)), 0), flags());
            printf(" %x %x\n", vget_lane_u32(vreinterpret_u32_f32(vrsqrte_f32(x)), 0), flags());
        }
    told("special");
    uint32_t seed = 1;
    for (int i = 0; i < 20000; i++) {
        float32x2_t x = floats(seed, seed * 69069u);
        seed = seed * 1664525u + 1013904223u;
        NOTE(vrecps_f32(x, vrecpe_f32(x)));
        NOTE(vrsqrts_f32(vmul_f32(x, vrsqrte_f32(x)), vrsqrte_f32(x)));
        NOTE(vreinterpret_f32_u32(vrecpe_u32(vreinterpret_u32_f32(x))));
        NOTE(vreinterpret_f32_u32(vrsqrte_u32(vreinterpret_u32_f32(x))));
    }
    told("steps");
    structures();
}
