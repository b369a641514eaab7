/* The first thread ends before the others: the process ends with the last. */
#include "common.h"

static void *last(void *argument) {
    pause_ms(10);
    SAY("last\n");
    return 0;
}

int main(void) {
    pthread_t thread;
    SAY("first\n");
    pthread_create(&thread, 0, last, 0);
    pthread_exit((void *)5);
}
