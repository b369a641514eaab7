/* Double and float matrices: product, LU, a Jacobi step. */
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N = 60 };
static double a[N][N], b[N][N], c[N][N];
static float fa[N][N], fc[N][N];

int main(void) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = sin(i * 3 + j) + (i == j) * 5;
            b[i][j] = 1.0 / (i + j + 1);
            fa[i][j] = (float)a[i][j];
        }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double s = 0;
            float f = 0;
            for (int k = 0; k < N; k++) {
                s += a[i][k] * b[k][j];
                f += fa[i][k] * (float)b[k][j];
            }
            c[i][j] = s;
            fc[i][j] = f;
        }
    double trace = 0, all = 0;
    float ftrace = 0;
    for (int i = 0; i < N; i++) {
        trace += c[i][i];
        ftrace += fc[i][i];
        for (int j = 0; j < N; j++)
            all += fabs(c[i][j]);
    }
    printf("%.17g %.17g %.9g\n", trace, all, ftrace);
    double det = 1;
    for (int k = 0; k < N; k++) {
        det *= a[k][k];
        for (int i = k + 1; i < N; i++) {
            double m = a[i][k] / a[k][k];
            for (int j = k; j < N; j++)
                a[i][j] -= m * a[k][j];
        }
    }
    printf("%.17g\n", det);
    double x[N] = {0}, y[N];
    for (int step = 0; step < 50; step++) {
        for (int i = 0; i < N; i++) {
            double s = i;
            for (int j = 0; j < N; j++)
                if (j != i)
                    s -= b[i][j] * x[j];
            y[i] = s / (b[i][i] + 5);
        }
        memcpy(x, y, sizeof x);
    }
    for (int i = 0; i < N; i += 7)
        printf("%.17g\n", x[i]);
    return 0;
}
