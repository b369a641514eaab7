/* Structures by value, unions, unaligned access, variable-length arrays, static locals. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct small {
    char c;
    short s;
};
struct medium {
    int64_t a, b;
};
struct large {
    int v[20];
};
struct mixed {
    float f;
    int i;
};
struct pair {
    double x, y;
};
union pun {
    double d;
    uint64_t u;
    uint8_t b[8];
    float f[2];
};
static struct small f1(struct small s) {
    s.c++;
    s.s = (short)-s.s;
    return s;
}
static struct medium f2(struct medium m, int k) {
    m.a += k;
    m.b ^= m.a;
    return m;
}
static struct large f3(struct large l, struct large r) {
    for (int i = 0; i < 20; i++)
        l.v[i] = l.v[i] * r.v[19 - i];
    return l;
}
static struct mixed f4(struct mixed m) {
    m.f *= 2;
    m.i /= 3;
    return m;
}
static struct pair f5(struct pair p, struct pair q) {
    return (struct pair){p.x * q.x - p.y * q.y, p.x * q.y + p.y * q.x};
}
static int counter(void) {
    static int n;
    return ++n;
}
static int sum(int n, int m) {
    int v[n][m];
    int s = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++)
            v[i][j] = i * j;
    for (int i = 0; i < n; i++)
        s += v[i][(i * 7) % m];
    return s;
}

int main(void) {
    struct small s = f1((struct small){'a', 300});
    printf("%c %d\n", s.c, s.s);
    struct medium m = f2((struct medium){1LL << 40, -5}, 77);
    printf("%" PRId64 " %" PRId64 "\n", m.a, m.b);
    struct large l, r;
    for (int i = 0; i < 20; i++) {
        l.v[i] = i * i;
        r.v[i] = 3 - i;
    }
    l = f3(l, r);
    for (int i = 0; i < 20; i++)
        printf("%d ", l.v[i]);
    struct mixed x = f4((struct mixed){1.5f, 100});
    printf("\n%g %d\n", x.f, x.i);
    struct pair p = {1, 0};
    for (int i = 0; i < 10; i++)
        p = f5(p, (struct pair){0.6, 0.8});
    printf("%.17g %.17g\n", p.x, p.y);
    union pun u = {.d = -1234.5678};
    printf("%016" PRIx64 " %02x %02x %g\n", u.u, u.b[0], u.b[7], u.f[1]);
    unsigned char raw[64];
    for (int i = 0; i < 64; i++)
        raw[i] = (unsigned char)(i * 37);
    uint64_t h = 0;
    for (int i = 0; i < 56; i++) {
        uint64_t q;
        uint32_t w;
        uint16_t k;
        memcpy(&q, raw + i, 8);
        memcpy(&w, raw + i, 4);
        memcpy(&k, raw + i, 2);
        h = h * 31 + q + w + k;
        h ^= *(volatile uint32_t *)(raw + (i & 28));
    }
#ifndef __ARM_ARCH /* loads a doubleword from an odd address with an instruction that must not */
#ifndef __mips__   /* no unaligned words at all */
    volatile char *odd = (volatile char *)raw + 1;
    h += *(volatile uint64_t *)odd;
    *(volatile uint32_t *)(odd + 2) = 0x01020304;
    h += *(volatile uint16_t *)(odd + 4);
#endif
#endif
    printf("%016" PRIx64 "\n", h);
    for (int i = 0; i < 4; i++)
        counter();
    printf("%d %d %d\n", counter(), sum(9, 13), sum(30, 5));
    return 0;
}
