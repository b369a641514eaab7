/* The C library's string functions and formatted printing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(void) {
    static char text[1 << 16], line[256];
    unsigned long hash = 0;
    for (int round = 0; round < 350; round++) {
        text[0] = 0;
        char *end = text;
        for (int i = 0; i < 1500; i++)
            end += sprintf(end, "%d:%s,%x;", i * round, i & 1 ? "odd" : "even", i);
        for (char *p = text; (p = strchr(p, ';')) != NULL; p++)
            hash = hash * 31 + (unsigned long)(p - text);
        for (char *p = text; (p = strstr(p, "even")) != NULL; p += 4) {
            memcpy(line, p, 16), line[16] = 0;
            hash ^= strlen(line) + (strcmp(line, "even,0") > 0) + strtoul(p + 5, NULL, 16);
        }
    }
    printf("%x\n", (unsigned)hash); /* as wide as any guest's long */
}
