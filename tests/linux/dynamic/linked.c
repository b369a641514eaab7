/* A program over dynamic libraries: libc, libm, our own by RPATH and by dlopen; what the auxiliary vector says. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

extern __thread int per_thread;
extern int exported;
int twice(int), picked(int), count(void);

static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static int note(struct dl_phdr_info *info, size_t size, void *data) {
    int loadable = 0;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) loadable += info->dlpi_phdr[i].p_type == PT_LOAD;
    *(int *)data += loadable > 0;
    return 0;
}

int main(int argc, char **argv) {
    int objects = 0, numbers[] = {5, 3, 9, 1};
    jmp_buf place;
    char buffer[256];

    printf("twice %d %d, thread-local %d, global %d, ifunc %d, constructor %d\n", twice(10), twice(10), per_thread,
           exported, picked(1), count());
    per_thread = exported = 100;
    printf("after stores: %d %d\n", twice(0), exported);
    dl_iterate_phdr(note, &objects);
    printf("objects %d\n", objects);

    void *maths = dlopen("libm.so.6", RTLD_NOW);
    double (*cosine)(double) = maths ? (double (*)(double))dlsym(maths, "cos") : NULL;
    printf("dlopen %d, cos %.6f %.6f\n", maths != NULL, cosine ? cosine(0.5) : 0, sin(0.5));
    printf("dlsym of nothing: %d\n", dlsym(RTLD_DEFAULT, "no_such_symbol") == NULL);
    printf("dlopen of nothing: %d\n", dlopen("libnothing.so", RTLD_LAZY) == NULL);
    Dl_info info;
    printf("dladdr %d %s\n", dladdr((void *)twice, &info) != 0, info.dli_sname);

    qsort(numbers, 4, sizeof *numbers, compare);
    printf("sorted %d %d %d %d\n", numbers[0], numbers[1], numbers[2], numbers[3]);
    if (setjmp(place) == 0) longjmp(place, 3);
    printf("locale %s, wide %ls\n", setlocale(LC_ALL, "C"), L"text");

    printf("page %ld, entry %d, base %d, phdr %d, hwcap %lx, random %d, secure %ld\n", getauxval(AT_PAGESZ),
           getauxval(AT_ENTRY) != 0, getauxval(AT_BASE) != 0, getauxval(AT_PHDR) != 0, getauxval(AT_HWCAP) & 0x112d,
           getauxval(AT_RANDOM) != 0, getauxval(AT_SECURE));
    printf("execfn %d\n", strcmp((char *)getauxval(AT_EXECFN), argv[0]));
    ssize_t length = readlink("/proc/self/exe", buffer, sizeof buffer - 1);
    buffer[length > 0 ? length : 0] = 0;
    printf("exe %s\n", strrchr(buffer, '/'));

    FILE *maps = fopen("/proc/self/maps", "r");
    int libc = 0, stack = 0, executable = 0, both = 0;
    while (maps && fgets(buffer, sizeof buffer, maps)) {
        char *name = strrchr(buffer, '/');
        libc += name && !strncmp(name, "/libc.so", 8);
        stack += strstr(buffer, "[stack]") != NULL;
        executable += strstr(buffer, "r-xp") != NULL;
        both += strstr(buffer, "rwxp") != NULL;
    }
    printf("maps: libc %d, stack %d, executable %d, writable too %d\n", libc > 2, stack, executable > 3, both);

    struct stat status;
    printf("library path below the root: %d\n", stat("/lib/libc.so.6", &status) == 0 && status.st_size > 100000);
    printf("host's file: %d\n", access("/etc/passwd", R_OK));
    int missing = open("/lib/none", O_RDONLY);
    printf("missing: %d %s\n", missing, strerror(errno));
    for (int i = 1; i < argc; i++) puts(argv[i]);
    return 9;
}
