/* The mix of an old systems program: records, string compares, small procedures, array updates. */
#include <stdio.h>
#include <string.h>
struct record {
    struct record *link;
    int kind, choice, number;
    char text[31];
};
static struct record first, second;
static int numbers[50], table[50][50];
static char letter;
__attribute__((noinline)) static int letters_differ(char a, char b) {
    char c = a;
    if (c != b)
        return 0;
    letter = c;
    return 1;
}
__attribute__((noinline)) static void choose(int in, int *out) {
    *out = in == 2 ? 4 : in;
    switch (in) {
    case 0: *out = 0; break;
    case 1: *out = numbers[8] > 100 ? 0 : 3; break;
    case 2: *out = 1; break;
    case 4: *out = 2; break;
    }
}
__attribute__((noinline)) static void fill(int *a, int b[50][50], int x, int y) {
    int i = x + 5;
    a[i] = y, a[i + 1] = a[i], a[i + 30] = i;
    for (int k = i; k <= i + 1; k++)
        b[i][k] = i;
    b[i][i - 1] += 1, b[i + 20][i] = a[i], numbers[0] = 5;
}
__attribute__((noinline)) static void follow(struct record *r) {
    struct record *next = r->link;
    *next = first;
    r->number = 5, next->number = r->number, next->link = r->link;
    if (next->kind == 0) {
        next->number = 6;
        choose(r->choice, &next->choice);
        next->number += 10;
    } else
        *r = *next;
}
int main(void) {
    first = (struct record){&second, 0, 2, 40, "A PROGRAM OF SOME AGE, STRING 1"};
    int x = 0, y = 0, z = 0;
    for (int i = 1; i <= 3500000; i++) {
        char one[31], two[31];
        strcpy(one, "A PROGRAM OF SOME AGE, ST. ONE");
        strcpy(two, "A PROGRAM OF SOME AGE, ST. TWO");
        x = 2, y = 3;
        if (strcmp(one, two) < 0 && !letters_differ(one[2], two[3]))
            z = 5 * x - y;
        while (x < y)
            z = 5 * x - y, x += 1;
        fill(numbers, table, x, z);
        follow(&first);
        for (char c = 'A'; c <= 'C'; c++)
            if (letters_differ(c, 'C'))
                choose(0, &y);
        y = x * y, x = y / z, y = 7 * (y - x) - z;
    }
    printf("%d %d %d %d %d %c\n", x, y, z, numbers[8], table[8][7], letter);
}
