// What mprotect, munmap and mremap take away is gone at once, for the thread itself and for another that just used it.
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static __thread sigjmp_buf back;
static volatile int stage, seen;
static volatile char *page;

static void caught(int signal, siginfo_t *info, void *context) { siglongjmp(back, signal); }

static int writes(volatile char *at) {
    int signal = sigsetjmp(back, 1);
    if (!signal) *at = 7;
    return signal;
}

static int reads(volatile char *at) {
    int signal = sigsetjmp(back, 1);
    if (!signal) (void)*at;
    return signal;
}

static void *other(void *unused) {
    int signal = sigsetjmp(back, 1);
    for (long i = 0; !signal; i++) {  // its processor knows the page well
        page[i & 4095] = 1;
        if (i == 1000000) stage = 1;
        if (stage == 2) break;
    }
    seen = signal;
    return 0;
}

int main(void) {
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, 0);
    sigaction(SIGBUS, &action, 0);
    for (int round = 0; round < 20; round++) {
        size_t size = 4096L << round % 11;
        char *area = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(area, 1, size);
        mprotect(area, size, PROT_READ);
        int first = writes(area), last = writes(area + size - 1), still = reads(area);
        mprotect(area, size, PROT_READ | PROT_WRITE);
        int again = writes(area);
        mprotect(area, size, PROT_NONE);
        int none = reads(area);
        mprotect(area, size, PROT_READ | PROT_WRITE);
        int kept = area[1];
        char *moved = mremap(area, size, 2 * size, MREMAP_MAYMOVE);
        int content = moved[size - 1] + moved[2 * size - 1];
        munmap(moved, 2 * size);
        printf("%d: %d %d %d %d %d %d %d %d\n", round, first, last, still, again, none, kept, content, reads(moved));
    }
    // A page that is unmapped and mapped anew holds zeros.
    char *place = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *place = 5;
    munmap(place, 4096);
    mmap(place, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    printf("anew %d\n", *place);
    // Code is not executable data.
    char *code = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(code, "\xb8\x2a\0\0\0\xc3", 6);
    int refused = sigsetjmp(back, 1);
    if (!refused) refused = ((int (*)(void))code)();
    mprotect(code, 4096, PROT_READ | PROT_EXEC);
    printf("code %d %d\n", refused, ((int (*)(void))code)());
    for (int round = 0; round < 10; round++) {
        pthread_t thread;
        page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        stage = seen = 0;
        pthread_create(&thread, 0, other, 0);
        while (stage != 1) usleep(100);
        if (round & 1) mprotect((void *)page, 4096, PROT_READ);
        else munmap((void *)page, 4096);
        usleep(1000);
        pthread_join(thread, 0);
        printf("other thread %d\n", seen);
    }
    return 0;
}
