/* What a compiler makes of loops and intrinsics for AVX2, FMA, BMI2, AES, SHA and F16C; the upper halves of registers
   over signals and XSAVE. */
#define _GNU_SOURCE
#include <immintrin.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

enum { COUNT = 1000 };
static uint64_t seed = 88172645463325252u;
static uint64_t next(void) {
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return seed;
}
static uint64_t sum_of(const void *data, size_t bytes) {
    uint64_t sum = 14695981039346656037u;
    for (size_t i = 0; i < bytes; i++)
        sum = (sum ^ ((const uint8_t *)data)[i]) * 1099511628211u;
    return sum;
}
#define SHOW(name, data) printf("%s %016llx\n", name, (unsigned long long)sum_of(data, sizeof data))

static int8_t bytes[COUNT], more_bytes[COUNT];
static int16_t words[COUNT];
static int32_t ints[COUNT], indices[COUNT];
static int64_t longs[COUNT];
static float floats[COUNT], more_floats[COUNT];
static double doubles[COUNT], more_doubles[COUNT];
static _Alignas(64) uint8_t area[1024], again[1024];

static void loops(void) {
    int32_t total = 0;
    double all = 0;
    for (int i = 0; i < COUNT; i++)
        bytes[i] = (int8_t)next(), more_bytes[i] = (int8_t)next(), indices[i] = (int32_t)(next() % COUNT),
        floats[i] = (float)(int32_t)next() / 65536, doubles[i] = (double)(int64_t)next() / 4294967296.0;
    for (int i = 0; i < COUNT; i++)
        words[i] = (int16_t)(bytes[i] * more_bytes[i] + (bytes[i] > more_bytes[i] ? bytes[i] : more_bytes[i]));
    for (int i = 0; i < COUNT; i++)
        ints[i] = words[indices[i]] * 3 + (words[i] >> 2), total += ints[i];
    for (int i = 0; i < COUNT; i++)
        longs[i] = (int64_t)ints[i] * ints[COUNT - 1 - i] + (int64_t)((uint64_t)ints[i] << (i % 64));
    for (int i = 0; i < COUNT; i++)
        more_floats[i] = floats[i] * floats[indices[i]] + floats[COUNT - 1 - i];
    for (int i = 0; i < COUNT; i++)
        more_doubles[i] = doubles[i] / (doubles[indices[i]] + 1) - (double)floats[i];
    for (int i = 0; i < COUNT; i++)
        all = all > more_doubles[i] ? all : more_doubles[i];
    SHOW("words", words);
    SHOW("ints", ints);
    SHOW("longs", longs);
    SHOW("floats", more_floats);
    SHOW("doubles", more_doubles);
    printf("total %d most %a\n", total, all);
}

static void ciphers(void) {
    __m128i key = _mm_set_epi64x((int64_t)next(), (int64_t)next()), text = _mm_set_epi64x((int64_t)next(), (int64_t)next());
    __m128i encrypted = text, hash = text, state = key;
    for (int i = 0; i < 10; i++) {
        key = _mm_xor_si128(key, _mm_aeskeygenassist_si128(key, 0x36));
        encrypted = _mm_aesenc_si128(encrypted, key);
        hash = _mm_xor_si128(_mm_clmulepi64_si128(hash, key, 0x01), _mm_clmulepi64_si128(hash, key, 0x10));
        state = _mm_sha256rnds2_epu32(state, hash, key);
        state = _mm_sha1rnds4_epu32(state, _mm_sha256msg1_epu32(hash, key), 2);
    }
    encrypted = _mm_aesdec_si128(_mm_aesimc_si128(_mm_aesenclast_si128(encrypted, key)), text);
    __m128i results[3] = {encrypted, hash, state};
    SHOW("ciphers", results);
}

static void bits(void) {
    uint64_t results[64];
    for (int i = 0; i < 64; i += 8) {
        uint64_t a = next(), b = next();
        unsigned long long high;
        results[i] = _pdep_u64(a, b), results[i + 1] = _pext_u64(a, b), results[i + 2] = _bzhi_u64(a, (unsigned)i);
        results[i + 3] = _mulx_u64(a, b, &high), results[i + 4] = high, results[i + 5] = _andn_u64(a, b);
        results[i + 6] = _blsr_u64(a) ^ _blsi_u64(b) ^ _tzcnt_u64(a) ^ _lzcnt_u64(b), results[i + 7] = _bextr_u64(a, (unsigned)i, 17);
    }
    SHOW("bits", results);
}

static void halves(void) {
    _Alignas(32) float wide[8];
    _Alignas(16) uint16_t narrow[8];
    for (int i = 0; i < 8; i++)
        wide[i] = (float)(int32_t)next() / 1000000;
    _mm_store_si128((void *)narrow, _mm256_cvtps_ph(_mm256_load_ps(wide), 0));
    _mm256_store_ps(wide, _mm256_cvtph_ps(_mm_load_si128((void *)narrow)));
    SHOW("halves", narrow);
    SHOW("wide", wide);
}

static uint64_t seen[4];
static void handler(int number, siginfo_t *info, void *arguments) {
    const uint8_t *state = (const void *)((ucontext_t *)arguments)->uc_mcontext.fpregs;
    uint64_t magic;
    (void)number, (void)info;
    memcpy(&seen[0], state + 160 + 16 * 7, 8);                      /* XMM7, and the rest of YMM7 */
    memcpy(&seen[1], state + 576 + 16 * 7, 8);
    memcpy(&magic, state + 464, 8);
    seen[2] = (uint32_t)magic;
    memcpy(&seen[3], state + 512, 8);
    seen[3] &= 7;
    __asm__ volatile("vpxor %%ymm7, %%ymm7, %%ymm7" ::: "xmm7");
}
static void signals(void) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    uint64_t before[4] = {next(), next(), next(), next()}, after[4];
    sigaction(SIGUSR1, &action, NULL);
    __asm__ volatile("vmovdqu %1, %%ymm7\n\tsyscall\n\tvmovdqu %%ymm7, %0\n\tvzeroupper"
                     : "=m"(after) : "m"(before), "a"(62), "D"(getpid()), "S"(SIGUSR1) : "rcx", "r11", "xmm7", "memory");
    printf("signal %d %d %d %llx %llx\n", !memcmp(before, after, sizeof before), seen[0] == before[0], seen[1] == before[2],
           (unsigned long long)seen[2], (unsigned long long)seen[3]);
}

static void saved(void) {
    uint64_t before[4] = {next(), next(), next(), next()}, after[4];
    __asm__ volatile("vmovdqu %4, %%ymm9\n\txsave %1\n\tvpxor %%ymm9, %%ymm9, %%ymm9\n\txrstor %1\n\tvmovdqu %%ymm9, %0\n\t"
                     "xor %%eax, %%eax\n\txsave %2\n\tvzeroupper"
                     : "=m"(after), "+m"(area), "+m"(again) : "a"(6), "m"(before), "d"(0) : "xmm9");
    printf("saved %d %d\n", !memcmp(before, after, sizeof before), !memcmp(area + 576 + 16 * 9, before + 2, 16));
    area[512] = 2;                                                    /* the upper halves as after reset */
    __asm__ volatile("vmovdqu %2, %%ymm9\n\txrstor %1\n\tvmovdqu %%ymm9, %0\n\tvzeroupper"
                     : "=m"(after) : "m"(area), "m"(before), "a"(6), "d"(0) : "xmm9");
    printf("reset %d %d\n", after[0] == before[0], after[2] == 0 && after[3] == 0);
}

int main(void) {
    loops();
    ciphers();
    bits();
    halves();
    signals();
    saved();
    return 0;
}
