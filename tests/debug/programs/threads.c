/* Two threads beside the first, which count until they are told to end. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

volatile long counts[2];
volatile int over;
volatile int changed;

static void step(int which)
{
    counts[which]++;
}

static void *work(void *argument)
{
    int which = *(int *)argument;
    while (!over)
        step(which);
    __atomic_add_fetch(&changed, which + 1, __ATOMIC_RELAXED);
    return argument;
}

int main(int argc, char **argv)
{
    pthread_t threads[2];
    int numbers[2] = {0, 1};
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, work, &numbers[i]);
    while (!counts[0] || !counts[1])
        usleep(1000);
    if (argc > 1 && !strcmp(argv[1], "spin"))
        pause();
    over = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    printf("changed %d\n", changed);
    return 6;
}
