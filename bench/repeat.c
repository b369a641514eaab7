/* Does a workload several times in one process: bench/kvm.py and steady.py compile it with -Dmain=workload beside this. */

#include <stdlib.h>

int workload(int count, char **words);

int main(int count, char **words)
{
    int times = count > 1 ? atoi(words[1]) : 1;
    char *alone[] = {words[0], NULL};

    while (times-- > 0)
        workload(1, alone);                     /* only a main may end without a value: it says nothing here */
    return 0;
}
