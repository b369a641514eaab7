/* mmap, munmap, mprotect, mremap and brk by one thread while others run and fault. */
#include "common.h"
#include <setjmp.h>

static _Atomic int stop, faults;
static __thread sigjmp_buf back;
static char *volatile window;

static void on_fault(int number, siginfo_t *info, void *context) {
    faults++;
    siglongjmp(back, 1);
}

static void *pokes(void *argument) {
    long count = 0;
    while (!stop) {
        if (!sigsetjmp(back, 1)) {
            window[4096] = 1;
            count += window[4096] == 1;
        }
    }
    return (void *)count;
}

static void *allocates(void *number) {
    long sum = 0;
    for (int i = 0; i < 100; i++) {
        size_t size = (1 << 17) + i * 5000;
        char *block = malloc(size); /* large ones are mapped, and unmapped */
        memset(block, i, size);
        block = realloc(block, size * 2);
        sum += block[size - 1];
        free(block);
        char *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        page[0] = page[8191] = 1;
        mprotect(page, 4096, PROT_READ);
        sum += page[0];
        munmap(page, 8192);
    }
    return (void *)sum;
}

static void *grows(void *argument) {
    for (int i = 0; i < 50; i++) {
        char *end = sbrk(8192);
        end[0] = end[8191] = 1;
        sbrk(-8192);
    }
    return 0;
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, 0);
    window = mmap(0, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    start(2, pokes);
    pthread_t threads[3];
    for (long i = 0; i < 2; i++)
        pthread_create(&threads[i], 0, allocates, (void *)i);
    pthread_create(&threads[2], 0, grows, 0);
    for (int i = 0; i < 100; i++) {
        mprotect(window, 16384, PROT_READ);
        /* From here on no store may come through. */
        char before = window[4096];
        for (volatile int wait = 0; wait < 300; wait++)
            ;
        if (window[4096] != before)
            SAY("a store came through\n");
        mprotect(window, 16384, PROT_READ | PROT_WRITE);
        window[4096] = 0;
        munmap(window + 4096, 4096);
        mmap(window + 4096, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
    for (int i = 0; i < 3; i++) {
        void *sum;
        pthread_join(threads[i], &sum);
        SAY("%ld ", (long)sum);
    }
    stop = 1;
    join(2);
    SAY("\n%d\n", faults >= 0);
    return 0;
}
