/* Word and double-word arithmetic, with corners. */
#include "runtime.h"

int main(void) {
    static volatile u32 v[] = {0, 1, 2, 7, 0x7fffffff, 0x80000000, 0xffffffff, 0x12345678, 0x55555555};
    for (int i = 0; i < 9; i++)
        for (int j = 0; j < 9; j++) {
            u32 a = v[i], b = v[j];
            put_hex(a + b, 8), put_hex(a - b, 8), put_hex(a * b, 8);
            put_hex((u64)a * b, 16), put_hex((u64)((i64)(i32)a * (i32)b), 16);
            if (b)
                put_hex(a / b, 8), put_hex(a % b, 8);
            if (b && !(a == 0x80000000 && b == 0xffffffff))
                put_hex((u32)((i32)a / (i32)b), 8), put_hex((u32)((i32)a % (i32)b), 8);
            put_hex(a << (b & 31), 8), put_hex(a >> (b & 31), 8), put_hex((u32)((i32)a >> (b & 31)), 8);
            u64 wide = (u64)a << 32 | b, other = (u64)b << 32 | a;
            put_hex(wide + other, 16), put_hex(wide - other, 16), put_hex(wide * other, 16);
            put_hex(wide << (a & 63), 16), put_hex(wide >> (b & 63), 16), put_hex((u64)((i64)wide >> (a & 63)), 16);
            if (other)
                put_hex(wide / other, 16), put_hex(wide % other, 16);
            put((i32)a < (i32)b ? "<" : ">=");
            put(a < b ? "<\n" : ">=\n");
        }
    return 5;
}
