/* Numbers of the x87 unit, and random bits to make them of. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef union {
    long double value;
    struct { uint64_t fraction; uint16_t exponent; } part;
} number;
static uint64_t seed = 88172645463325252u;
static uint64_t next(void) {
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return seed;
}
