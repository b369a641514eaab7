/* Byte stores and loads in tight loops: primes below four million, several times. */
#include <stdio.h>
#include <string.h>
static unsigned char composite[4000000];
int main(void) {
    int count = 0;
    for (int round = 0; round < 24; round++) {
        memset(composite, 0, sizeof composite);
        for (int i = 2; i * i < 4000000; i++)
            if (!composite[i])
                for (int j = i * i; j < 4000000; j += i)
                    composite[j] = 1;
        count = 0;
        for (int i = 2; i < 4000000; i++)
            count += !composite[i];
    }
    printf("%d\n", count);
}
