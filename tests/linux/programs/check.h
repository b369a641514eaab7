/* What the system-call programs share: a line for each call, with its result and errno's text. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CALL(expression)                                                                        \
    do {                                                                                        \
        long result_ = (long)(expression);                                                      \
        printf("%s = %ld %s\n", #expression, result_, result_ < 0 ? strerror(errno) : "");      \
    } while (0)
#define TRUE(expression) printf("%s: %s\n", #expression, (expression) ? "yes" : "no")
