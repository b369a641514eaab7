/* Arguments, environment, exit handlers, exit status, stdin to stdout. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

extern char **environ;
static void first(void) { puts("first handler, run last"); }
static void second(void) { puts("second handler, run first"); }

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        printf("%d: '%s'\n", i, argv[i]);
    printf("%s\n", getenv("ISOMORPH_TEST") ? getenv("ISOMORPH_TEST") : "(unset)");
    setenv("NEW", "value", 1);
    printf("%s\n", getenv("NEW"));
    atexit(first);
    atexit(second);
    char line[200];
    int n = 0;
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        printf("%d [%s]\n", ++n, line);
    }
    printf("%ld %d %d\n", sysconf(_SC_PAGESIZE), getauxval(AT_PAGESZ) == 4096, getauxval(AT_RANDOM) != 0);
    errno = 0;
    void *p = malloc(SIZE_MAX / 2 - 4096);
    printf("%d %s\n", p == NULL, strerror(errno));
    fprintf(stderr, "to stderr\n");
    fflush(stdout);
    return argc == 3 ? 42 : 7;
}
