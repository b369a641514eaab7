/* Handlers in handlers: masks during them, SA_NODEFER, SA_RESETHAND, SA_ONSTACK, order of delivery, longjmp out.  oracle: linux */
#include "common.h"
#include <setjmp.h>

static volatile int level, resets;
static void show_mask(const char *where) {
    sigset_t now;
    sigprocmask(SIG_SETMASK, 0, &now);
    SAY("%s blocked:", where);
    for (int i = 1; i < 32; i++)
        if (sigismember(&now, i))
            SAY(" %d", i);
    SAY("\n");
}
static void inner(int number, siginfo_t *info, void *context) {
    SAY("inner %d at level %d\n", number, level);
    show_mask("inner");
}
static void outer(int number, siginfo_t *info, void *context) {
    level++;
    show_mask("outer");
    raise(SIGUSR2);
    raise(SIGUSR1);
    SAY("outer done %d\n", level);
    level--;
}
static void again(int number, siginfo_t *info, void *context) {
    if (++level < 4)
        raise(number);
    SAY("again %d\n", level--);
}
static void reset(int number, siginfo_t *info, void *context) {
    struct sigaction now;
    sigaction(number, 0, &now);
    SAY("reset %d: default %d\n", ++resets, now.sa_handler == SIG_DFL);
}
static sigjmp_buf out;
static void leap(int number, siginfo_t *info, void *context) { siglongjmp(out, number); }
static void order(int number, siginfo_t *info, void *context) { SAY("%d ", number); }
int main(void) {
    struct sigaction action = {0};
    action.sa_sigaction = outer;
    action.sa_flags = SA_SIGINFO;
    sigaddset(&action.sa_mask, SIGHUP);
    sigaddset(&action.sa_mask, SIGUSR2);
    sigaction(SIGTERM, &action, 0);
    handle(SIGUSR2, inner, 0);
    handle(SIGUSR1, inner, SA_NODEFER);
    raise(SIGTERM);
    show_mask("main");
    level = 0;
    handle(SIGINT, again, SA_NODEFER);
    raise(SIGINT);
    handle(SIGINT, reset, SA_RESETHAND);
    raise(SIGINT);
    handle(SIGHUP, leap, 0);
    for (int i = 0; i < 3; i++)
        if (!sigsetjmp(out, 1))
            raise(SIGHUP);
    show_mask("after leaping with the mask");
    if (!sigsetjmp(out, 0))
        raise(SIGHUP);
    show_mask("without the mask");
    sigset_t all, old;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    static const int several[] = {SIGTERM, SIGUSR1, SIGHUP, SIGINT, SIGUSR2, SIGQUIT};
    for (int i = 0; i < 6; i++) {
        handle(several[i], order, 0);
        memset(&action, 0, sizeof action);
        sigaction(several[i], 0, &action);
        sigfillset(&action.sa_mask);
        sigaction(several[i], &action, 0);
        raise(several[i]), raise(several[i]);
    }
    sigset_t waiting;
    sigpending(&waiting);
    for (int i = 1; i < 32; i++)
        if (sigismember(&waiting, i))
            SAY("%d? ", i);
    sigemptyset(&old);
    sigprocmask(SIG_SETMASK, &old, 0);
    SAY("\n");
    signal(SIGUSR1, SIG_IGN);
    raise(SIGUSR1);
    struct sigaction kept = {0};
    TRY(sigaction(SIGKILL, &action, 0));
    TRY(sigaction(65, &action, 0));
    sigaction(SIGUSR2, 0, &kept);
    SAY("flags %x\n", kept.sa_flags & ~0x04000000);
    abort();
}
