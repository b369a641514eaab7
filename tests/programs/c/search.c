/* Eight queens, a maze by breadth-first search, knapsack, permutations, longest common subsequence. */
#include <stdio.h>
#include <string.h>

static int queens(int n, unsigned cols, unsigned d1, unsigned d2) {
    if (n == 0)
        return 1;
    int count = 0;
    for (unsigned free = ~(cols | d1 | d2) & 0xff; free; free &= free - 1) {
        unsigned bit = free & -free;
        count += queens(n - 1, cols | bit, (d1 | bit) << 1, (d2 | bit) >> 1);
    }
    return count;
}
static int lcs(const char *a, const char *b) {
    static int t[200][200];
    int n = (int)strlen(a), m = (int)strlen(b);
    for (int i = 0; i <= n; i++)
        for (int j = 0; j <= m; j++)
            t[i][j] = !i || !j                    ? 0
                      : a[i - 1] == b[j - 1]      ? t[i - 1][j - 1] + 1
                      : t[i - 1][j] > t[i][j - 1] ? t[i - 1][j]
                                                  : t[i][j - 1];
    return t[n][m];
}
static void permute(char *s, int k, int *count, unsigned *hash) {
    if (!s[k]) {
        ++*count;
        for (char *c = s; *c; c++)
            *hash = *hash * 31 + (unsigned char)*c;
        return;
    }
    for (int i = k; s[i]; i++) {
        char t = s[k];
        s[k] = s[i];
        s[i] = t;
        permute(s, k + 1, count, hash);
        t = s[k];
        s[k] = s[i];
        s[i] = t;
    }
}

int main(void) {
    printf("%d\n", queens(8, 0, 0, 0));
    char s[] = "abcdefg";
    int count = 0;
    unsigned hash = 0;
    permute(s, 0, &count, &hash);
    printf("%d %08x\n", count, hash);
    printf("%d\n", lcs("the quick brown fox jumps over the lazy dog and runs away",
                       "pack my box with five dozen liquor jugs before the dawn comes"));
    int best[1001] = {0};
    for (int i = 1; i <= 60; i++) {
        int w = i * 37 % 91 + 1, v = i * 53 % 97;
        for (int c = 1000; c >= w; c--)
            if (best[c - w] + v > best[c])
                best[c] = best[c - w] + v;
    }
    printf("%d\n", best[1000]);
    enum { W = 41 };
    static int dist[W][W], queue[W * W];
    static char wall[W][W];
    unsigned seed = 3;
    for (int i = 0; i < W * W; i++) {
        seed = seed * 1103515245 + 12345;
        wall[i / W][i % W] = (seed >> 16) % 10 < 3;
        dist[i / W][i % W] = -1;
    }
    wall[0][0] = 0;
    int head = 0, tail = 0;
    queue[tail++] = 0;
    dist[0][0] = 0;
    while (head < tail) {
        int p = queue[head++], x = p % W, y = p / W;
        const int dx[] = {1, -1, 0, 0}, dy[] = {0, 0, 1, -1};
        for (int k = 0; k < 4; k++) {
            int u = x + dx[k], v = y + dy[k];
            if (u >= 0 && v >= 0 && u < W && v < W && !wall[v][u] && dist[v][u] < 0) {
                dist[v][u] = dist[y][x] + 1;
                queue[tail++] = v * W + u;
            }
        }
    }
    long sum = 0;
    for (int i = 0; i < W * W; i++)
        sum += dist[i / W][i % W];
    printf("%d %ld\n", tail, sum);
    return 0;
}
