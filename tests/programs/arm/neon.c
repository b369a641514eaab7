/* NEON by its intrinsics, and what the compiler makes of loops. */
#include <arm_neon.h>
#include <stdio.h>

static void bytes(const char *name, uint8x16_t v)
{
    unsigned char out[16];
    vst1q_u8(out, v);
    printf("%s:", name);
    for (int i = 0; i < 16; i++)
        printf(" %d", out[i]);
    putchar('\n');
}

int main(void)
{
    unsigned char a[64], b[64];
    for (int i = 0; i < 64; i++) {
        a[i] = i * 7 + 3;
        b[i] = 255 - i * 5;
    }
    uint8x16_t x = vld1q_u8(a), y = vld1q_u8(b);
    bytes("add", vaddq_u8(x, y));
    bytes("saturated", vqaddq_u8(x, y));
    bytes("product", vreinterpretq_u8_u16(vmull_u8(vget_low_u8(x), vget_high_u8(y))));
    uint8x16x2_t zipped = vzipq_u8(x, y), apart = vuzpq_u8(x, y), across = vtrnq_u8(x, y);
    bytes("zip", zipped.val[1]);
    bytes("unzip", apart.val[1]);
    bytes("transpose", across.val[0]);
    uint8x8x3_t three = vld3_u8(a);
    uint8x16x4_t four = vld4q_u8(a);
    bytes("threes", vcombine_u8(three.val[1], three.val[2]));
    bytes("fours", four.val[3]);
    vst1q_u8(b, zipped.val[0]);
    bytes("stored", vld1q_u8(b + 7));
    bytes("table", vcombine_u8(vtbl1_u8(vget_low_u8(x), vcreate_u8(0x00010203040506f7ULL)), vget_low_u8(y)));
    bytes("extract", vextq_u8(x, y, 5));
    float f[4] = {1.5f, 2.25f, -3.f, 4.f};
    float32x4_t g = vmlaq_n_f32(vld1q_f32(f), vld1q_f32(f), 2.f);
    vst1q_f32(f, g);
    for (int i = 0; i < 4; i++)
        printf("%g ", f[i]);
    printf("%d %d\n", vgetq_lane_s32(vcvtq_s32_f32(g), 2), vgetq_lane_s32(vshrq_n_s32(vcvtq_s32_f32(g), 1), 3));
    signed char c[256];
    int sum = 0;
    for (int i = 0; i < 256; i++)
        c[i] = i;
    for (int round = 0; round < 1000; round++)
        for (int i = 0; i < 256; i++)
            sum += c[i] * round;
    printf("%d\n", sum);
    return 0;
}
