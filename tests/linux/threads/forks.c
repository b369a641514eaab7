/* fork, posix_spawn and waits in a process with threads: the child has the calling one alone. */
#include "common.h"
#include <spawn.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int stop, prepared, in_parent, in_child;
static long counter;

static void *busy(void *number) {
    while (!stop) {
        pthread_mutex_lock(&lock);
        counter++;
        pthread_mutex_unlock(&lock);
        free(malloc(100 + counter % 1000));
    }
    return 0;
}

static void *late(void *argument) { return (void *)((long)argument + 1); }

static void before(void) { pthread_mutex_lock(&lock); prepared++; }
static void parent(void) { in_parent++; pthread_mutex_unlock(&lock); }
static void child(void) { in_child++; pthread_mutex_unlock(&lock); }

static int one_child(int exit_status) {
    pid_t pid = fork();
    if (!pid) {
        pthread_mutex_lock(&lock);
        counter = 0;
        pthread_mutex_unlock(&lock);
        if (in_child != 1 || gettid() != getpid())
            _exit(100);
        if (exit_status % 2) { /* threads of its own */
            pthread_t thread;
            void *result;
            if (pthread_create(&thread, 0, late, (void *)(long)exit_status) || pthread_join(thread, &result)
                || (long)result != exit_status + 1)
                _exit(101);
        }
        if (exit_status == 4)
            pthread_exit(0); /* its only thread: status 0 */
        exit(exit_status);
    }
    int status;
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

static void *forker(void *number) {
    int *results = malloc(6 * sizeof *results);
    for (int i = 0; i < 6; i++)
        results[i] = one_child(i);
    return results;
}

int main(int count, char **arguments) {
    pthread_atfork(before, parent, child);
    start(2, busy);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], 0, forker, 0);
    int *results[2];
    for (int i = 0; i < 2; i++) /* both, for a child that exits flushes what somebody is about to say */
        pthread_join(threads[i], (void **)&results[i]);
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 6; j++)
            SAY("%d ", results[i][j]);
    SAY("\nfrom main %d\n", one_child(5));
    stop = 1;
    join(2);
    SAY("%d %d %d\n", prepared, in_parent, in_child);
    return 0;
}
