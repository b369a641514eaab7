/* Trees of processes: what is copied, what is shared, and exit statuses on the way up. */
#include "common.h"

static int tree(int depth, int *shared) {
    __atomic_add_fetch(shared, 1, __ATOMIC_SEQ_CST);
    if (!depth)
        return 1;
    int sum = 1, status;
    for (int child = 0; child < 2; child++)
        if (!fork())
            _exit(tree(depth - 1, shared));
    while (wait(&status) > 0)
        sum += WEXITSTATUS(status);
    return sum;
}

int main(void) {
    int *shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int *own = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static int variable = 1;
    int local = 2, status, count = tree(3, shared);
    SAY("processes %d, counted %d\n", count, *shared);
    *own = 3;
    pid_t parent = getpid(), child = fork();
    if (!child) {
        variable = 10, local = 20, *own = 30, *shared = 40;
        SAY("child: parent %d own pid %d\n", getppid() == parent, getpid() != parent);
        mprotect(own, 4096, PROT_READ);
        munmap(shared, 4096);
        exit(variable + local);
    }
    SAY("waited %d\n", waitpid(child, &status, 0) == child);
    tell("child", status);
    *own += 1;
    SAY("%d %d %d %d\n", variable, local, *own, *shared);
    int file = open("shared", O_RDWR | O_CREAT, 0600);
    ftruncate(file, 4096);
    char *text = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (!(child = fork())) {
        strcpy(text, "from the child");
        lseek(file, 7, SEEK_SET);
        _exit(0);
    }
    waitpid(child, &status, 0);
    SAY("%s, position %ld\n", text, (long)lseek(file, 0, SEEK_CUR));
    TRY(wait(0));
    for (int round = 0; round < 20; round++) {
        if (!(child = fork()))
            _exit(round);
        waitpid(child, &status, 0);
        if (WEXITSTATUS(status) != round)
            SAY("wrong status\n");
    }
    return 5;
}
