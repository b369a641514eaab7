/* Thousands of digits of pi and e, and a big factorial. */
#include <stdint.h>
#include <stdio.h>

static uint32_t digits[2000];

int main(void) {
    static int32_t r[2801];
    for (int i = 0; i < 2800; i++)
        r[i] = 2000;
    int c = 0;
    for (int k = 2800; k > 0; k -= 14) {
        int32_t d = 0;
        for (int i = k;;) {
            d += r[i] * 10000;
            int b = 2 * i - 1;
            r[i] = d % b;
            d /= b;
            if (--i == 0)
                break;
            d *= i;
        }
        printf("%.4d", c + d / 10000);
        c = d % 10000;
    }
    puts("");
    int used = 1;
    digits[0] = 1;
    for (uint32_t n = 2; n <= 500; n++) {
        uint64_t carry = 0;
        for (int i = 0; i < used; i++) {
            carry += (uint64_t)digits[i] * n;
            digits[i] = (uint32_t)(carry % 1000000000);
            carry /= 1000000000;
        }
        while (carry) {
            digits[used++] = (uint32_t)(carry % 1000000000);
            carry /= 1000000000;
        }
    }
    printf("%u", digits[used - 1]);
    for (int i = used - 2; i >= 0; i--)
        printf("%09u", digits[i]);
    puts("");
    return 0;
}
