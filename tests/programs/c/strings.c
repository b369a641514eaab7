/* String and memory functions on overlapping, unaligned and long data. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
    char buffer[300];
    for (int align = 0; align < 9; align++)
        for (int length = 0; length < 40; length++) {
            memset(buffer, '.', sizeof buffer);
            for (int i = 0; i < length; i++)
                buffer[align + i] = (char)('a' + (i * 7 + align) % 26);
            buffer[align + length] = 0;
            char copy[80] = "";
            strcpy(copy + 1, buffer + align);
            memmove(buffer + align + 3, buffer + align, (size_t)length);
            memmove(buffer + align, buffer + align + 1, (size_t)length);
            buffer[60] = 0;
            printf("%zu %d %s %s\n", strlen(copy + 1), strcmp(copy + 1, buffer + align) > 0, copy + 1,
                   buffer + align);
            char *p = strchr(copy + 1, 'h'), *q = strrchr(copy + 1, 'a');
            printf("%d %d %d\n", p ? (int)(p - copy) : -1, q ? (int)(q - copy) : -1,
                   memcmp(copy + 1, buffer + align, 4) < 0);
        }
    char text[] = "the quick brown fox,jumps over;the lazy dog";
    for (char *token = strtok(text, " ,;"); token; token = strtok(NULL, " ,;")) {
        for (char *c = token; *c; c++)
            *c = (char)toupper(*c);
        printf("[%s]", token);
    }
    puts("");
    printf("%s %s %zu %zu\n", strstr("haystack with needle in it", "needle"), strpbrk("hello, world", ",o"),
           strspn("aabbcc", "ab"), strcspn("abcdef", "dx"));
    printf("%ld %ld %lu %g %g\n", strtol("-0x1f", NULL, 16), strtol("777", NULL, 8),
           strtoul("4294967295", NULL, 10), strtod("1.5e-7", NULL), strtod("0x1.8p3", NULL));
    char *joined = malloc(10000);
    joined[0] = 0;
    for (int i = 0; i < 200; i++) {
        char word[16];
        snprintf(word, sizeof word, "%d,", i * i);
        strncat(joined, word, 15);
    }
    printf("%zu %s\n", strlen(joined), joined + 900);
    free(joined);
    return 0;
}
