/* Signals and threads: to one of them, to the process, masks and alternate stacks of each, waits, interrupted calls. */
#include "common.h"

static __thread volatile int mine;
static volatile pid_t handled_by;
static _Atomic int total;
static volatile int go, on_stack;
static sem_t begun, done;

static void handler(int number) {
    int saved = errno;
    mine++;
    total++;
    handled_by = gettid();
    errno = saved;
}

static void stack_handler(int number, siginfo_t *info, void *context) {
    stack_t now;
    sigaltstack(0, &now);
    on_stack = !!(now.ss_flags & SS_ONSTACK);
    total++;
}

static void *sleeper(void *argument) {
    sem_post(&begun);
    while (!mine)
        pause();
    return (void *)(long)mine;
}

static void *spinner(void *argument) {
    sem_post(&begun);
    while (!mine)
        ;
    return (void *)(long)mine;
}

static void *blocked_reader(void *argument) {
    char byte;
    sem_post(&begun);
    long got = read(*(int *)argument, &byte, 1);
    return (void *)(long)(got < 0 ? errno : 0);
}

static void *accepts(void *argument) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_UNBLOCK, &set, 0);
    *(pid_t *)argument = gettid();
    sem_post(&begun);
    while (!mine)
        pause_ms(1);
    sem_post(&done);
    while (!go)
        pause_ms(1);
    return 0;
}

static void *waits(void *argument) {
    sigset_t set;
    int number;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN + 3);
    sem_post(&begun);
    if (sigwait(&set, &number))
        return 0;
    return (void *)(long)number;
}

static void *alternate(void *argument) {
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    stack_t before;
    sigaltstack(0, &before);
    SAY("new thread has no alternate stack: %d\n", before.ss_flags == SS_DISABLE);
    sigaltstack(&stack, 0);
    raise(SIGURG);
    SAY("on it: %d\n", on_stack);
    return 0;
}

int main(void) {
    pthread_t thread;
    void *result;
    int pipes[2];
    pipe(pipes);
    sem_init(&begun, 0, 0), sem_init(&done, 0, 0);
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGUSR1, &action, 0);
    sigaction(SIGUSR2, &action, 0);
    action.sa_sigaction = stack_handler, action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGURG, &action, 0);

    pthread_create(&thread, 0, sleeper, 0);
    sem_wait(&begun);
    do { /* any may come right before pause */
        pthread_kill(thread, SIGUSR1);
        pause_ms(2);
    } while (pthread_tryjoin_np(thread, &result));
    SAY("sleeper %d, main %d\n", (long)result >= 1, mine);

    pthread_create(&thread, 0, spinner, 0);
    sem_wait(&begun);
    pthread_kill(thread, SIGUSR2);
    pthread_join(thread, &result);
    SAY("spinner %ld, main %d\n", (long)result, mine);

    pthread_create(&thread, 0, blocked_reader, pipes);
    sem_wait(&begun);
    total = 0;
    while (pthread_tryjoin_np(thread, &result)) {
        pthread_kill(thread, SIGUSR1);
        pause_ms(2);
    }
    SAY("reader %s, signals %d\n", strerrorname_np((long)result), total > 0);

    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, &old);
    pid_t acceptor = 0;
    total = 0;
    pthread_create(&thread, 0, accepts, &acceptor);
    sem_wait(&begun);
    kill(getpid(), SIGUSR2);
    sem_wait(&done);
    SAY("process-directed: by the one that accepts it %d, main %d\n", handled_by == acceptor, mine);
    go = 1;
    pthread_join(thread, 0);
    kill(getpid(), SIGUSR2);
    sigset_t pending;
    sigpending(&pending);
    SAY("now pending %d\n", sigismember(&pending, SIGUSR2));
    pthread_sigmask(SIG_SETMASK, &old, 0);
    SAY("then main %d\n", mine);

    sigaddset(&set, SIGUSR1), sigaddset(&set, SIGRTMIN + 3);
    pthread_sigmask(SIG_BLOCK, &set, 0);
    pthread_create(&thread, 0, waits, 0);
    sem_wait(&begun);
    kill(getpid(), SIGUSR1);
    pthread_join(thread, &result);
    SAY("sigwait %d\n", (long)result == SIGUSR1);
    pthread_create(&thread, 0, waits, 0);
    sem_wait(&begun);
    union sigval value = {.sival_int = 7};
    pthread_sigqueue(thread, SIGRTMIN + 3, value);
    pthread_join(thread, &result);
    SAY("sigwait %d\n", (long)result == SIGRTMIN + 3);
    pthread_create(&thread, 0, alternate, 0);
    pthread_join(thread, 0);
    SAY("%s\n", strerrorname_np(syscall(SYS_tgkill, getpid(), 0x3ffffff, 0) < 0 ? errno : 0));
    SAY("%d %d\n", syscall(SYS_gettid) == getpid(), syscall(SYS_tkill, gettid(), 0) == 0);
    return 0;
}
