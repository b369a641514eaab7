/* Sorting, a sieve and a checksum over memory of all access sizes. */
#include "runtime.h"

static u32 a[3000];
static u8 sieve[20000];

static void sort(int low, int high) {
    if (low >= high)
        return;
    u32 pivot = a[(low + high) / 2];
    int i = low, j = high;
    while (i <= j) {
        while (a[i] < pivot)
            i++;
        while (a[j] > pivot)
            j--;
        if (i <= j) {
            u32 t = a[i];
            a[i++] = a[j];
            a[j--] = t;
        }
    }
    sort(low, j);
    sort(i, high);
}

int main(void) {
    u32 seed = 1;
    for (int i = 0; i < 3000; i++)
        a[i] = seed = seed * 1664525 + 1013904223;
    sort(0, 2999);
    for (int i = 0; i < 3000; i += 100)
        put_hex(a[i], 8);
    u32 count = 0;
    for (u32 i = 2; i < 20000; i++)
        if (!sieve[i]) {
            count++;
            for (u32 j = i * 2; j < 20000; j += i)
                sieve[j] = 1;
        }
    put_hex(count, 8);
    u32 hash = 0;
    u8 *p = (u8 *)a;
    for (int i = 0; i < 11000; i++) {
        hash = hash * 31 + p[i] + (u32)(signed char)p[i] + *(u16 *)(p + (i & ~1)) + (u32) * (short *)(p + (i & ~1));
        hash ^= *(u32 *)(p + (i & ~3));
    }
    put_hex(hash, 8);
    put("\n");
    return 77;
}
