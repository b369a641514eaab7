/* Floating point loops with data-dependent exits. */
#include <stdio.h>

int main(void) {
    long total = 0;
    for (int y = -12; y <= 12; y++) {
        for (int x = -39; x <= 20; x++) {
            double cr = x / 20.0, ci = y / 10.0, zr = 0, zi = 0;
            int n = 0;
            while (n < 500 && zr * zr + zi * zi < 4) {
                double t = zr * zr - zi * zi + cr;
                zi = 2 * zr * zi + ci;
                zr = t;
                n++;
            }
            total += n;
            putchar(" .:-=+*#%@"[n == 500 ? 9 : n % 9]);
        }
        putchar('\n');
    }
    float fsum = 0;
    for (int i = 0; i < 5000; i++) {
        float z = 0.1f * (float)i, w = z * z - 1.5f;
        fsum += w / (z + 1.0f);
    }
    printf("%ld %.9g\n", total, fsum);
    return 0;
}
