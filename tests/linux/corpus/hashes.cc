// Templates and virtual calls at work: a big integer class, a matrix, a parser of expressions, a Life board.
#include <cctype>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

class Big {
    std::vector<std::uint32_t> digits;
public:
    explicit Big(std::uint32_t value) : digits{value} {}
    Big &operator*=(std::uint32_t by) {
        std::uint64_t carry = 0;
        for (auto &digit : digits)
            digit = static_cast<std::uint32_t>(carry += std::uint64_t(digit) * by), carry >>= 32;
        if (carry)
            digits.push_back(static_cast<std::uint32_t>(carry));
        return *this;
    }
    std::string text() const {
        auto rest = digits;
        std::string out;
        while (!rest.empty()) {
            std::uint64_t carry = 0;
            for (auto it = rest.rbegin(); it != rest.rend(); ++it)
                carry = carry << 32 | *it, *it = static_cast<std::uint32_t>(carry / 10), carry %= 10;
            out.insert(out.begin(), static_cast<char>('0' + carry));
            while (!rest.empty() && !rest.back())
                rest.pop_back();
        }
        return out;
    }
};
template <int N> struct Matrix {
    double cell[N][N] = {};
    static Matrix unit() { Matrix m; for (int i = 0; i < N; i++) m.cell[i][i] = 1; return m; }
    friend Matrix operator*(const Matrix &a, const Matrix &b) {
        Matrix c;
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
                for (int k = 0; k < N; k++)
                    c.cell[i][j] += a.cell[i][k] * b.cell[k][j];
        return c;
    }
};
struct Node { virtual ~Node() = default; virtual double value(const std::map<char, double> &) const = 0; };
using Tree = std::unique_ptr<Node>;
struct Number : Node { double n; explicit Number(double n) : n(n) {} double value(const std::map<char, double> &) const override { return n; } };
struct Variable : Node { char c; explicit Variable(char c) : c(c) {} double value(const std::map<char, double> &m) const override { return m.at(c); } };
struct Operation : Node {
    char op; Tree left, right;
    Operation(char op, Tree l, Tree r) : op(op), left(std::move(l)), right(std::move(r)) {}
    double value(const std::map<char, double> &m) const override {
        double a = left->value(m), b = right->value(m);
        switch (op) {
        case '+': return a + b;
        case '-': return a - b;
        case '*': return a * b;
        case '/': if (b == 0) throw std::domain_error("division by zero"); return a / b;
        }
        throw std::logic_error("operator");
    }
};
class Parser {
    const char *at;
    Tree factor() {
        if (*at == '(') {
            ++at;
            Tree inner = sum();
            if (*at++ != ')')
                throw std::runtime_error("no closing parenthesis");
            return inner;
        }
        if (std::isalpha(*at))
            return std::make_unique<Variable>(*at++);
        char *end;
        double n = std::strtod(at, &end);
        if (end == at)
            throw std::runtime_error(std::string("unexpected '") + *at + "'");
        at = end;
        return std::make_unique<Number>(n);
    }
    Tree product() {
        Tree left = factor();
        while (*at == '*' || *at == '/') { char op = *at++; left = std::make_unique<Operation>(op, std::move(left), factor()); }
        return left;
    }
    Tree sum() {
        Tree left = product();
        while (*at == '+' || *at == '-') { char op = *at++; left = std::make_unique<Operation>(op, std::move(left), product()); }
        return left;
    }
public:
    static Tree parse(const char *text) { Parser p; p.at = text; Tree t = p.sum(); if (*p.at) throw std::runtime_error("rubbish at the end"); return t; }
};
int main() {
    Big factorial(1);
    for (std::uint32_t n = 2; n <= 100; n++)
        factorial *= n;
    std::printf("%s\n", factorial.text().c_str());
    Matrix<3> step, power = Matrix<3>::unit();
    double cells[3][3] = {{1, 1, 0}, {1, 0, 1}, {0, 0.5, 0}};
    for (int i = 0; i < 9; i++)
        step.cell[i / 3][i % 3] = cells[i / 3][i % 3];
    for (int i = 0; i < 30; i++)
        power = power * step;
    std::printf("%.12g %.12g\n", power.cell[0][0], power.cell[2][1]);
    for (auto text : {"1+2*3", "(1+2)*x/4", "2*(3-y)*(x-y)", "1/(x-x)", "(1", "1+$", "1)", "z"})
        try {
            std::printf("%s = %g\n", text, Parser::parse(text)->value({{'x', 10}, {'y', 0.5}}));
        } catch (const std::domain_error &error) {
            std::printf("%s: domain: %s\n", text, error.what());
        } catch (const std::out_of_range &) {
            std::printf("%s: no such variable\n", text);
        } catch (const std::exception &error) {
            std::printf("%s: %s\n", text, error.what());
        }
    std::vector<std::vector<bool>> board(40, std::vector<bool>(40));
    for (auto [y, x] : {std::pair{1, 2}, {2, 3}, {3, 1}, {3, 2}, {3, 3}, {20, 20}, {20, 21}, {20, 22}, {19, 21}})
        board[y][x] = true;
    for (int generation = 0; generation < 60; generation++) {
        auto next = board;
        for (int y = 0; y < 40; y++)
            for (int x = 0; x < 40; x++) {
                int around = 0;
                for (int d = 0; d < 9; d++)
                    around += d != 4 && board[(y + d / 3 + 39) % 40][(x + d % 3 + 39) % 40];
                next[y][x] = around == 3 || (around == 2 && board[y][x]);
            }
        board.swap(next);
    }
    std::uint64_t hash = 14695981039346656037ULL;
    for (auto &row : board)
        for (bool alive : row)
            hash = (hash ^ alive) * 1099511628211ULL;
    std::printf("%llx\n", static_cast<unsigned long long>(hash));
}
