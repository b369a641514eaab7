// C++ exceptions: through frames with destructors, rethrown, nested, caught by base, kept for later, and terminate.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

static int alive;
struct Guard {
    std::string name;
    explicit Guard(const char *text) : name(text) { alive++; }
    ~Guard() { std::printf("leave %s%s\n", name.c_str(), std::uncaught_exceptions() ? " unwinding" : ""), alive--; }
};
struct Base { virtual ~Base() = default; virtual const char *what() const { return "base"; } };
struct Left : virtual Base { const char *what() const override { return "left"; } };
struct Right : virtual Base {};
struct Both : Left, Right { int value = 5; };

static void dive(int depth) {
    Guard guard(("frame " + std::to_string(depth)).c_str());
    if (!depth)
        throw std::out_of_range("bottom");
    dive(depth - 1);
}
static double mixed(double x, int n) {
    Guard guard("mixed");
    volatile double kept = x * 3;
    try {
        if (n == 0)
            throw 1.5f;
        if (n == 1)
            throw std::string("text");
        if (n == 2)
            throw &alive;
        throw 7L;
    } catch (float f) {
        return kept + f;
    } catch (const std::string &s) {
        return kept + s.size();
    } catch (int *) {
        return kept;
    }
}
struct Half {
    Guard first{"member one"};
    Guard second;
    explicit Half(bool fail) try : second(fail ? throw 42 : "member two") {
    } catch (int number) {
        std::printf("constructor caught %d\n", number);
    }
};
static void nested() {
    try {
        try {
            throw std::runtime_error("inner");
        } catch (...) {
            std::throw_with_nested(std::logic_error("outer"));
        }
    } catch (const std::exception &outer) {
        std::printf("%s", outer.what());
        try {
            std::rethrow_if_nested(outer);
        } catch (const std::exception &inner) {
            std::printf(" over %s\n", inner.what());
        }
    }
}
int main() {
    try {
        dive(6);
    } catch (const std::logic_error &error) {
        std::printf("caught %s, alive %d\n", error.what(), alive);
    }
    for (int n = 0; n < 4; n++)
        try {
            std::printf("mixed %d: %g\n", n, mixed(1.25, n));
        } catch (long number) {
            std::printf("long %ld\n", number);
        }
    try {
        throw Both();
    } catch (Base &base) {
        std::printf("virtual base: %s %d\n", base.what(), dynamic_cast<Both &>(base).value);
    }
    try {
        Half half(true);
    } catch (int number) {
        std::printf("and rethrown %d\n", number);
    }
    { Half half(false); }
    nested();
    std::exception_ptr kept;
    try {
        std::vector<int>(3).at(10);
    } catch (...) {
        kept = std::current_exception();
    }
    try {
        std::rethrow_exception(kept);
    } catch (const std::exception &error) {
        std::printf("later: %s\n", error.what());
    }
    try {
        std::vector<char> huge(static_cast<std::size_t>(-1) / 4);
    } catch (const std::bad_alloc &) {
        std::printf("no memory\n");
    } catch (const std::length_error &) {
        std::printf("too long\n");
    }
    long sum = 0;
    for (int i = 0; i < 20000; i++)
        try {
            if (i % 3)
                throw i;
            sum += 1;
        } catch (int number) {
            sum += number;
        }
    std::printf("sum %ld alive %d\n", sum, alive);
    std::set_terminate([] {
        std::printf("terminate\n");
        std::fflush(stdout);
        std::_Exit(23);
    });
    [&]() noexcept { throw 1; }();
}
