/* Variables that change in a known order, and doubles. */
#include <math.h>
#include <stdio.h>

int global = 1;
double real = 2.5;
float single = 0.75f;

static int leaf(int n)
{
    global += n;
    return global * 2;
}

int work(int n)
{
    int total = 0;
    for (int i = 0; i < n; i++)
        total += leaf(i);
    return total;
}

int main(int argc, char **argv)
{
    int result = work(10);
    real = sqrt(real + result);
    printf("result %d %s\n", result, argv[argc - 1]);
    return result & 0x3f; /* the end */
}
