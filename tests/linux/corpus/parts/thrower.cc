// A library that throws, catches what its caller's function throws, and has its own types.
#include "thrower.h"

#include <cstdio>

Failure::Failure(int code) : std::runtime_error("failure " + std::to_string(code)), code(code) {}
Failure::~Failure() = default;
struct Trace {
    const char *name;
    ~Trace() { std::printf("library leaves %s\n", name); }
};
void fail(int code) {
    Trace trace{"fail"};
    throw Failure(code);
}
int guarded(int (*function)(int), int argument) {
    Trace trace{"guarded"};
    try {
        return function(argument);
    } catch (const Failure &failure) {
        return 1000 + failure.code;
    } catch (const std::exception &error) {
        std::printf("library sees %s\n", error.what());
        throw;
    }
}
