/* What a shared library is about: its constructor, its thread-local and global data, symbols looked up at run time. */
#include <stdio.h>

__thread int per_thread = 7;
int exported = 11;
static int loads;

__attribute__((constructor)) static void begin(void) { loads++; }
__attribute__((destructor)) static void end(void) { puts("library: end"); fflush(stdout); }

int twice(int value) { return 2 * value + per_thread++; }
static int left(int value) { return value - 1; }
static int right(int value) { return value + 1; }
static void *resolve(void) { return loads >= 0 ? right : left; }
int picked(int value) __attribute__((ifunc("resolve")));
int count(void) { return loads; }
