/* Atomic operations of every width, and what they promise: nothing lost, nothing torn, messages passed in order. */
#include "common.h"

static uint8_t byte;
static uint16_t half;
static uint32_t word, bits;
static uint64_t wide, exchanged, swaps;
static uint64_t pair[2];
static int data[1000], ready, wrong;
static void *head;
struct node { struct node *next; long value; };
static struct node nodes[4][500];

static void *add(void *number) {
    for (int i = 0; i < 20000; i++) {
        __atomic_add_fetch(&byte, 1, __ATOMIC_RELAXED);
        __atomic_add_fetch(&half, 3, __ATOMIC_ACQ_REL);
        __atomic_sub_fetch(&word, 1, __ATOMIC_RELEASE);
        __atomic_fetch_add(&wide, 0x100000001, __ATOMIC_SEQ_CST);
        __atomic_fetch_xor(&bits, 1u << (long)number, __ATOMIC_ACQUIRE);
        uint64_t old = __atomic_load_n(&exchanged, __ATOMIC_RELAXED);
        while (!__atomic_compare_exchange_n(&exchanged, &old, old * 3 + 1, 1, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
            ;
        __atomic_fetch_add(&swaps, 1, __ATOMIC_RELAXED);
    }
    return 0;
}

static void *send(void *argument) {
    for (int i = 0; i < 1000; i++) {
        data[i] = i * 7;
        __atomic_store_n(&ready, i + 1, __ATOMIC_RELEASE);
    }
    return 0;
}

static void *receive(void *argument) {
    int seen = 0;
    while (seen < 1000) {
        int now = __atomic_load_n(&ready, __ATOMIC_ACQUIRE);
        for (; seen < now; seen++)
            if (data[seen] != seen * 7)
                __atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
    }
    return 0;
}

static void *push(void *number) {
    for (int i = 0; i < 500; i++) {
        struct node *one = &nodes[(long)number][i];
        one->value = i;
        one->next = __atomic_load_n((struct node **)&head, __ATOMIC_RELAXED);
        while (!__atomic_compare_exchange_n((struct node **)&head, &one->next, one, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
            ;
    }
    return 0;
}

/* Store buffers: with full fences at most one of the two may miss the other's store. */
static int x, y, seen_x, seen_y;
static pthread_barrier_t barrier;
static void *first(void *argument) {
    for (int i = 0; i < 300; i++) {
        pthread_barrier_wait(&barrier);
        __atomic_store_n(&x, 1, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        seen_y = __atomic_load_n(&y, __ATOMIC_RELAXED);
        pthread_barrier_wait(&barrier);
        if (!seen_x && !seen_y)
            wrong++;
        x = y = 0;
    }
    return 0;
}
static void *second(void *argument) {
    for (int i = 0; i < 300; i++) {
        pthread_barrier_wait(&barrier);
        __atomic_store_n(&y, 1, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        seen_x = __atomic_load_n(&x, __ATOMIC_RELAXED);
        pthread_barrier_wait(&barrier);
    }
    return 0;
}

int main(void) {
    start(4, add);
    join(4);
    uint64_t expected = 0;
    for (int i = 0; i < 80000; i++)
        expected = expected * 3 + 1;
    SAY("%d %d %d %lx %x %d %lu\n", byte, half, (int)word, (long)wide, bits, exchanged == expected, (long)swaps);
    start(1, receive);
    pthread_t sender;
    pthread_create(&sender, 0, send, 0);
    pthread_join(sender, 0);
    join(1);
    SAY("wrong %d\n", wrong);
    start(4, push);
    join(4);
    long count = 0, sum = 0;
    for (struct node *one = head; one; one = one->next)
        count++, sum += one->value;
    SAY("nodes %ld sum %ld\n", count, sum);
    pthread_barrier_init(&barrier, 0, 2);
    pthread_t other;
    start(1, first);
    pthread_create(&other, 0, second, 0);
    pthread_join(other, 0);
    join(1);
    SAY("fences %d\n", wrong);
    return 0;
}
