/* Atomic operations of every width, single-threaded: the results must be those
 * of plain arithmetic. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

int main(void) {
    _Atomic int8_t b = 5;
    _Atomic uint16_t h = 1000;
    _Atomic int32_t w = -7;
    _Atomic uint64_t d = 1ull << 40;
    printf("%d %d %d %d\n", atomic_fetch_add(&b, 100), atomic_fetch_sub(&b, 50), atomic_fetch_xor(&b, 0x55),
           (int)b);
    printf("%d %d %d\n", atomic_fetch_or(&h, 0xf0f), atomic_fetch_and(&h, 0xff00), (int)h);
    printf("%d %d %d %d\n", atomic_exchange(&w, 99), atomic_fetch_add(&w, -100), atomic_load(&w),
           atomic_fetch_or(&w, 16));
    printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", atomic_fetch_add(&d, 12345), atomic_exchange(&d, 3),
           atomic_load(&d));
    int32_t expected = 5;
    printf("%d %d\n", atomic_compare_exchange_strong(&w, &expected, 1), expected);
    printf("%d %d\n", atomic_compare_exchange_strong(&w, &expected, 77), (int)w);
    uint64_t e64 = 3;
    printf("%d %lu\n", atomic_compare_exchange_strong(&d, &e64, 1ull << 63), (unsigned long)d);
    atomic_flag flag = ATOMIC_FLAG_INIT;
    printf("%d %d\n", atomic_flag_test_and_set(&flag), atomic_flag_test_and_set(&flag));
    _Atomic long counter = 0;
    for (int i = 0; i < 1000; i++) {
        atomic_fetch_add_explicit(&counter, i, memory_order_relaxed);
        atomic_fetch_sub_explicit(&counter, 1, memory_order_acq_rel);
    }
    atomic_thread_fence(memory_order_seq_cst);
    printf("%ld\n", (long)counter);
    long best = 0;
    _Atomic long peak = 0;
    for (int i = 0; i < 100; i++) {
        long v = (i * 7919) % 1009;
        long old = peak;
        while (v > old && !atomic_compare_exchange_weak(&peak, &old, v)) {
        }
        if (v > best)
            best = v;
    }
    printf("%ld %ld\n", best, (long)peak);
    return 0;
}
