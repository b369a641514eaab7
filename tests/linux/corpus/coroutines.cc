// C++20 coroutines: a generator, a task that awaits another, exceptions through both.  std: c++20
#include <coroutine>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <utility>

template <class T> struct Generator {
    struct promise_type {
        T value{};
        std::exception_ptr error;
        Generator get_return_object() { return Generator(std::coroutine_handle<promise_type>::from_promise(*this)); }
        std::suspend_always initial_suspend() { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        std::suspend_always yield_value(T next) { return value = next, std::suspend_always{}; }
        void return_void() {}
        void unhandled_exception() { error = std::current_exception(); }
    };
    std::coroutine_handle<promise_type> handle;
    explicit Generator(std::coroutine_handle<promise_type> h) : handle(h) {}
    Generator(Generator &&other) noexcept : handle(std::exchange(other.handle, {})) {}
    ~Generator() { if (handle) handle.destroy(); }
    bool next() {
        handle.resume();
        if (handle.promise().error)
            std::rethrow_exception(handle.promise().error);
        return !handle.done();
    }
    T value() const { return handle.promise().value; }
};
struct Trace {
    const char *name;
    ~Trace() { std::printf("%s destroyed\n", name); }
};
static Generator<unsigned long> fibonacci(int count) {
    Trace trace{"fibonacci"};
    unsigned long a = 0, b = 1;
    while (count--) {
        co_yield a;
        a = std::exchange(b, a + b);
    }
}
static Generator<int> failing() {
    co_yield 1;
    throw std::runtime_error("from a coroutine");
}
static Generator<int> squares(Generator<unsigned long> source) {
    while (source.next())
        co_yield static_cast<int>(source.value() * source.value() % 1000007);
}
int main() {
    for (auto g = fibonacci(90); g.next();)
        std::printf("%lu ", g.value());
    std::printf("\n");
    auto s = squares(fibonacci(30));
    int sum = 0;
    while (s.next())
        sum += s.value();
    std::printf("sum %d\n", sum);
    auto f = failing();
    try {
        while (f.next())
            std::printf("got %d\n", f.value());
    } catch (const std::exception &error) {
        std::printf("%s\n", error.what());
    }
    auto unfinished = fibonacci(5);
    unfinished.next();
}
