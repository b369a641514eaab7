/* The futex system call itself, membarrier, sched calls and clone with wrong flags. */
#include "common.h"
#include <linux/membarrier.h>

static uint32_t one, two;
static _Atomic int woken;

static long futex(uint32_t *place, int operation, uint32_t value, void *timeout, uint32_t *other, uint32_t last) {
    return syscall(SYS_futex, place, operation, value, timeout, other, last);
}

static void *waits(void *argument) {
    while (futex(&one, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0) < 0 && errno == EINTR)
        ;
    woken++;
    return 0;
}

static void *waits_for_bit(void *number) {
    while (futex(&one, FUTEX_WAIT_BITSET, 0, 0, 0, 1u << (long)number) < 0 && errno == EINTR)
        ;
    woken += 1 << 4 * (long)number;
    return 0;
}

static long wake_all(int operation, uint32_t *place, int count) {
    long woke = 0;
    while (woke < count) { /* they may not wait yet */
        woke += futex(place, operation, count, 0, 0, 0);
        sched_yield();
    }
    return woke;
}

int main(void) {
    struct timespec brief = {0, 1000000};
    TRY(futex(&one, FUTEX_WAIT, 1, 0, 0, 0));
    TRY(futex(&one, FUTEX_WAIT, 0, &brief, 0, 0));
    TRY(futex(&one, FUTEX_WAIT_BITSET, 0, 0, 0, 0));
    TRY(futex((uint32_t *)((char *)&one + 1), FUTEX_WAKE, 1, 0, 0, 0));
    TRY(futex((uint32_t *)16, FUTEX_WAIT, 1, 0, 0, 0));
    SAY("nobody %ld\n", futex(&one, FUTEX_WAKE, 10, 0, 0, 0));
    start(3, waits);
    SAY("woke %ld\n", wake_all(FUTEX_WAKE_PRIVATE, &one, 3));
    join(3);
    start(2, waits_for_bit);
    while (futex(&one, FUTEX_WAKE_BITSET, 9, 0, 0, 2) == 0)
        sched_yield();
    pthread_join(threads_[1], 0);
    SAY("woken %x\n", woken);
    while (futex(&one, FUTEX_WAKE_BITSET, 9, 0, 0, ~0u) == 0)
        sched_yield();
    pthread_join(threads_[0], 0);
    SAY("woken %x\n", woken);
    TRY(futex(&one, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)9, &two, 5));
    start(3, waits);
    long moved = 0;
    while (moved < 3) {
        long now = futex(&one, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)9, &two, 0);
        moved += now > 0 ? now : 0;
        sched_yield();
    }
    SAY("moved %ld\n", moved);
    two = 7;
    /* Wake one on `one` (none is there), add 3 to `two`, and wake three there if it was 7. */
    SAY("wake op %ld", futex(&one, FUTEX_WAKE_OP_PRIVATE, 1, (void *)3, &two, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 7)));
    SAY(" %u\n", two);
    join(3);
    SAY("woken %x\n", woken);
    uint32_t lock = 0;
    TRY(futex(&lock, FUTEX_LOCK_PI, 0, 0, 0, 0));
    SAY("owner %d\n", (lock & FUTEX_TID_MASK) == (uint32_t)gettid());
    TRY(futex(&lock, FUTEX_UNLOCK_PI, 0, 0, 0, 0));
    SAY("free %d\n", lock == 0);
    TRY(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
    TRY(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
    TRY(syscall(SYS_membarrier, 0x40000000, 0, 0));
    TRY(sched_yield());
    return 0;
}
