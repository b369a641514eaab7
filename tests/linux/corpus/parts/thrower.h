#include <stdexcept>
#include <string>

struct Failure : std::runtime_error {
    int code;
    explicit Failure(int code);
    ~Failure() override;
};
void fail(int code);
int guarded(int (*function)(int), int argument);
