// C++17: variant, optional, any, string_view, charconv, fold expressions, structured bindings, filesystem, lambdas.
#include <any>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace fs = std::filesystem;
template <class... T> struct Visitor : T... { using T::operator()...; };
template <class... T> Visitor(T...) -> Visitor<T...>;
template <class... T> static auto sum(T... values) { return (values + ... + 0); }
static std::optional<int> parse(std::string_view text) {
    int value;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}
struct Node {
    std::shared_ptr<Node> next;
    std::weak_ptr<Node> back;
    int id;
    explicit Node(int id) : id(id) {}
    ~Node() { std::printf("node %d gone\n", id); }
};
int main() {
    std::vector<std::variant<int, double, std::string>> values{1, 2.5, "three", -4};
    for (auto &value : values)
        std::visit(Visitor{[](int n) { std::printf("int %d\n", n); }, [](double d) { std::printf("double %g\n", d); },
                           [](const std::string &s) { std::printf("string %s\n", s.c_str()); }},
                   value);
    try {
        std::get<int>(values[1]);
    } catch (const std::bad_variant_access &error) {
        std::printf("%s\n", error.what());
    }
    for (auto text : {"12", "-7", "99999999999", "12x", ""})
        std::printf("%s -> %d\n", text, parse(text).value_or(-1));
    std::any any = 5;
    any = std::string("held");
    std::printf("%s %d\n", std::any_cast<std::string>(any).c_str(), std::any_cast<int>(&any) == nullptr);
    std::printf("%d %g\n", sum(1, 2, 3), sum(0.5, 2));
    char buffer[40];
    for (double d : {0.1, 1e23, 5e-324, 1.7976931348623157e308, 123.0}) {
        auto end = std::to_chars(buffer, buffer + sizeof buffer, d).ptr;
        std::printf("%.*s ", static_cast<int>(end - buffer), buffer);
    }
    std::printf("\n");
    auto counter = [n = 0]() mutable { return ++n; };
    std::function<int()> kept = counter;
    std::printf("%d", kept()), std::printf("%d", kept()), std::printf("%d\n", counter());
    auto head = std::make_shared<Node>(1);
    head->next = std::make_shared<Node>(2);
    head->next->back = head;
    std::printf("uses %ld %ld\n", head.use_count(), head->next.use_count());
    auto second = head->next;
    head.reset();
    std::printf("expired %d\n", second->back.expired());
    fs::create_directories("tree/a/b");
    for (auto name : {"tree/x", "tree/a/y", "tree/a/b/z"})
        std::ofstream(name) << name;
    std::set<std::string> found;
    for (auto &entry : fs::recursive_directory_iterator("tree"))
        found.insert(entry.path().string() + (entry.is_directory() ? "/" : " " + std::to_string(entry.file_size())));
    for (auto &name : found)
        std::printf("%s\n", name.c_str());
    fs::rename("tree/x", "tree/w");
    fs::copy("tree/a", "tree/c", fs::copy_options::recursive);
    fs::create_symlink("w", "tree/link");
    std::printf("%s %d %s\n", fs::read_symlink("tree/link").c_str(), fs::exists("tree/c/b/z"),
                fs::path("a/./b/../c").lexically_normal().c_str());
    std::error_code error;
    fs::remove("tree/a", error);
    std::printf("%s\n", error.message().c_str());
    std::printf("removed %ju\n", static_cast<std::uintmax_t>(fs::remove_all("tree")));
    std::vector<int> numbers(10);
    std::iota(numbers.begin(), numbers.end(), 1);
    std::printf("%d %d\n", std::reduce(numbers.begin(), numbers.end()),
                std::transform_reduce(numbers.begin(), numbers.end(), 0, std::plus<>(), [](int n) { return n * n; }));
}
