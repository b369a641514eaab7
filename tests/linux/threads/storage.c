/* Thread-local storage, thread-specific data with destructors, stacks, names, attributes, detached threads. */
#include "common.h"

static __thread int local = 5, zero;
static __thread char block[3000] = "thread";
static pthread_key_t key;
static _Atomic int destroyed, finished;
static sem_t done;

static void destroy(void *value) { destroyed += (long)value; }

static void *use(void *number) {
    int deep[20000];
    for (int i = 0; i < 20000; i++)
        deep[i] = i;
    local += (long)number;
    zero = local * 2;
    strcpy(block + 2000, "far");
    pthread_setspecific(key, (void *)((long)number + 1));
    for (int i = 0; i < 20; i++)
        sched_yield();
    long ok = local == 5 + (long)number && zero == 2 * local && !strcmp(block, "thread") && !strcmp(block + 2000, "far")
        && pthread_getspecific(key) == (void *)((long)number + 1) && deep[19999] == 19999;
    return (void *)(ok ? (long)number * 10 : -1);
}

static void *detached(void *argument) {
    finished++;
    sem_post(&done);
    return 0;
}

static void *named(void *argument) {
    char name[16];
    pthread_setname_np(pthread_self(), "worker");
    pthread_getname_np(pthread_self(), name, sizeof name);
    SAY("name %s\n", name);
    return 0;
}

static void *big(void *argument) {
    volatile char much[3 << 20];
    much[0] = 1, much[sizeof much - 1] = 2;
    return (void *)(long)(much[0] + much[sizeof much - 1]);
}

int main(void) {
    pthread_key_create(&key, destroy);
    start(8, use);
    for (int i = 0; i < 8; i++) {
        void *result;
        pthread_join(threads_[i], &result);
        SAY("%ld ", (long)result);
    }
    SAY("\nmain %d %d %s destroyed %d\n", local, zero, block, destroyed);
    sem_init(&done, 0, 0);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        pthread_create(&thread, &attributes, detached, 0);
    }
    for (int i = 0; i < 20; i++)
        sem_wait(&done);
    SAY("detached %d\n", finished);
    start(1, named);
    join(1);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 4 << 20);
    pthread_t thread;
    void *result;
    pthread_create(&thread, &attributes, big, 0);
    pthread_join(thread, &result);
    SAY("big stack %ld\n", (long)result);
    size_t size;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstacksize(&attributes, &size);
    SAY("main's stack %d\n", size > 65536);
    for (int round = 0; round < 50; round++) {
        start(4, detached);
        join(4);
    }
    SAY("two hundred more %d\n", finished);
    cpu_set_t set;
    SAY("affinity %d\n", sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0);
    return 0;
}
