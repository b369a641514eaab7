// C++ over its dynamic library: exceptions through several frames, containers, streams, virtual calls, threads' statics.
#include <algorithm>
#include <any>
#include <cmath>
#include <functional>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <unordered_map>
#include <variant>
#include <vector>

struct Shape {
    virtual ~Shape() { std::cout << "~" << name() << "\n"; }
    virtual double area() const = 0;
    virtual const char *name() const { return "shape"; }
};
struct Circle : virtual Shape {
    double r;
    explicit Circle(double r) : r(r) {}
    double area() const override { return M_PI * r * r; }
    const char *name() const override { return "circle"; }
};
struct Square : virtual Shape {
    double a;
    explicit Square(double a) : a(a) { if (a < 0) throw std::invalid_argument("negative side"); }
    double area() const override { return a * a; }
    const char *name() const override { return "square"; }
};
struct Guard {
    const char *what;
    ~Guard() { std::cout << "unwound " << what << "\n"; }
};
struct Own : std::runtime_error {
    int code;
    explicit Own(int code) : std::runtime_error("own " + std::to_string(code)), code(code) {}
};

static int dive(int depth) {
    Guard guard{depth % 2 ? "odd" : "even"};
    if (depth == 0) throw Own(42);
    return dive(depth - 1) + 1;
}

static std::string &once() {
    static std::string value = [] { std::cout << "made once\n"; return std::string("static"); }();
    return value;
}

int main(int argc, char **argv) {
    std::vector<std::unique_ptr<Shape>> shapes;
    shapes.push_back(std::make_unique<Circle>(1.5));
    shapes.push_back(std::make_unique<Square>(2));
    try {
        shapes.push_back(std::make_unique<Square>(-1));
    } catch (const std::exception &error) {
        std::cout << "caught " << error.what() << "\n";
    }
    for (const auto &shape : shapes)
        std::cout << shape->name() << " " << std::fixed << std::setprecision(3) << shape->area()
                  << (dynamic_cast<Circle *>(shape.get()) ? " round" : "") << "\n";
    try {
        dive(3);
    } catch (const Own &own) {
        std::cout << own.what() << " " << own.code << "\n";
    }
    try {
        try {
            throw std::string("inner");
        } catch (...) {
            Guard guard{"rethrow"};
            throw;
        }
    } catch (const std::string &text) {
        std::cout << "rethrown " << text << "\n";
    }
    try {
        std::vector<int>(3).at(10);
    } catch (const std::out_of_range &error) {
        std::cout << error.what() << "\n";
    }
    try {
        (void)std::stoi("not a number");
    } catch (const std::invalid_argument &error) {
        std::cout << error.what() << "\n";
    }
    try {
        std::function<void()> empty;
        empty();
    } catch (const std::bad_function_call &) {
        std::cout << "bad function call\n";
    }
    try {
        (void)std::any_cast<int>(std::any(1.0));
    } catch (const std::bad_any_cast &) {
        std::cout << "bad any cast\n";
    }

    std::map<std::string, int> counts;
    std::unordered_map<int, std::string> names;
    std::istringstream text("the quick brown fox jumps over the lazy dog the end");
    for (std::string word; text >> word;) {
        counts[word]++;
        names[static_cast<int>(word.size())] = word;
    }
    for (const auto &[word, count] : counts) std::cout << word << "=" << count << " ";
    std::cout << "\n" << names.at(5) << " " << names.size() << "\n";

    std::vector<int> numbers(1000);
    std::mt19937 engine(12345);
    std::generate(numbers.begin(), numbers.end(), engine);
    std::sort(numbers.begin(), numbers.end(), std::greater<>());
    std::stable_partition(numbers.begin(), numbers.end(), [](int n) { return n % 2 == 0; });
    std::cout << numbers.front() << " " << numbers.back() << " "
              << std::accumulate(numbers.begin(), numbers.end(), 0LL) << "\n";
    std::set<int> unique(numbers.begin(), numbers.begin() + 100);
    std::cout << unique.size() << " " << *unique.lower_bound(0) << "\n";

    std::variant<int, double, std::string> either = "text";
    std::visit([](const auto &value) { std::cout << value << "\n"; }, either);
    std::optional<int> maybe;
    std::cout << maybe.value_or(-1) << " " << std::hex << std::showbase << 255 << std::dec << " " << std::boolalpha
              << (argc > 1) << " " << std::scientific << 12345.678 << std::defaultfloat << " " << 0.1L << "\n";
    std::cout << once() << once() << "\n" << typeid(*shapes[0]).name() << "\n";
    std::string line = "wide: ";
    for (int i = 0; i < 1000; i++) line += std::to_string(i % 10);
    std::cout << line.size() << " " << line.find("789") << " " << line.substr(6, 12) << "\n";
    for (int i = 1; i < argc; i++) std::cout << argv[i] << "\n";
    std::cerr << "done" << std::endl;
    return 5;
}
