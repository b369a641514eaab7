// Run-time types: dynamic_cast through diamonds, typeid, virtual calls in constructors, pointers to members, covariance.
#include <cstdio>
#include <memory>
#include <typeinfo>
#include <vector>

struct Top {
    int top = 1;
    Top() { std::printf("made %s\n", name()); }
    virtual ~Top() { std::printf("gone %s\n", name()); }
    virtual const char *name() const { return "top"; }
    virtual Top *copy() const { return new Top(*this); }
};
struct Left : virtual Top {
    int left = 2;
    const char *name() const override { return "left"; }
    Left *copy() const override { return new Left(*this); }
};
struct Right : virtual Top {
    int right = 3;
    const char *name() const override { return "right"; }
};
struct Bottom : Left, Right {
    int bottom = 4;
    const char *name() const override { return "bottom"; }
    Bottom *copy() const override { return new Bottom(*this); }
};
struct Other { virtual ~Other() = default; };
struct Mixed : Bottom, Other { const char *name() const final { return "mixed"; } };

template <class T> static void look(Top *top) {
    T *found = dynamic_cast<T *>(top);
    std::printf(" %s:%s", typeid(T).name(), found ? "yes" : "no");
}
int main() {
    std::vector<std::unique_ptr<Top>> all;
    all.emplace_back(new Top);
    all.emplace_back(new Left);
    all.emplace_back(new Right);
    all.emplace_back(new Bottom);
    all.emplace_back(new Mixed);
    for (auto &one : all) {
        std::printf("%s %s", one->name(), typeid(*one).name());
        look<Left>(one.get()), look<Right>(one.get()), look<Bottom>(one.get()), look<Other>(one.get());
        std::printf("\n");
    }
    Right *right = dynamic_cast<Right *>(all[3].get());
    Left *across = dynamic_cast<Left *>(right);
    std::printf("across %d %d\n", across->left, dynamic_cast<Bottom *>(right)->bottom);
    std::printf("most derived %d\n", dynamic_cast<void *>(right) == dynamic_cast<void *>(across));
    std::unique_ptr<Top> copy(all[3]->copy());
    std::printf("copy %s\n", copy->name());
    try {
        dynamic_cast<Other &>(*all[0]);
    } catch (const std::bad_cast &error) {
        std::printf("%s\n", error.what());
    }
    const char *(Top::*method)() const = &Top::name;
    int Bottom::*member = &Bottom::bottom;
    std::printf("by pointer %s %d\n", (all[4].get()->*method)(), dynamic_cast<Bottom *>(all[4].get())->*member);
    std::printf("before %d %d\n", typeid(int).before(typeid(int)), typeid(Top) == typeid(*all[0]));
    try {
        Top *nobody = nullptr;
        std::printf("%s\n", typeid(*nobody).name());
    } catch (const std::bad_typeid &error) {
        std::printf("%s\n", error.what());
    }
}
