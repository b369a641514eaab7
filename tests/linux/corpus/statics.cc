// Order: constructors and destructors of statics, of locals' statics, atexit, quick_exit's, inline variables, templates'.
#include <cstdio>
#include <cstdlib>
#include <string>

struct Named {
    std::string name;
    Named(const char *text) : name(text) { std::printf("+%s\n", text); }
    ~Named() { std::printf("-%s\n", name.c_str()); }
};
static Named first("first");
inline Named shared("inline");
template <class T> struct Holder { static Named held; };
template <class T> Named Holder<T>::held("template");
static thread_local Named local("thread-local");
__attribute__((constructor)) static void early() { std::puts("constructor function"); }
__attribute__((destructor)) static void late() { std::puts("destructor function"), std::fflush(stdout); }
static Named &lazy() {
    static Named once("local static");
    return once;
}
static int recursive(int n) {
    static int start = n > 3 ? 100 : 50;
    return start + n;
}
int main() {
    std::atexit([] { std::puts("atexit one"); });
    std::printf("main %s %zu\n", Holder<int>::held.name.c_str(), local.name.size());
    lazy();
    std::atexit([] { std::puts("atexit two"); });
    lazy();
    std::printf("%d %d\n", recursive(5), recursive(1));
    std::exit(recursive(-95) + 4);
}
