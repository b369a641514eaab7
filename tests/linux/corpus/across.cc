// Exceptions across a library's border, in both directions.  with: thrower.cc
#include "parts/thrower.h"

#include <cstdio>

static int calls(int n) {
    if (n == 1)
        fail(n);
    if (n == 2)
        throw std::invalid_argument("two");
    if (n == 3)
        throw 3;
    return n * 10;
}
int main() {
    try {
        fail(4);
    } catch (const Failure &failure) {
        std::printf("%s %d\n", failure.what(), failure.code);
    }
    for (int n = 0; n < 4; n++)
        try {
            std::printf("guarded %d: %d\n", n, guarded(calls, n));
        } catch (const std::exception &error) {
            std::printf("caught %s\n", error.what());
        } catch (int number) {
            std::printf("number %d\n", number);
        }
}
