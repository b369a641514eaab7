// iostreams: manipulators, numbers in and out, string and file streams, states, own operators and buffers.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>

struct Point { int x, y; };
static std::ostream &operator<<(std::ostream &out, const Point &p) { return out << '(' << p.x << ',' << p.y << ')'; }
static std::istream &operator>>(std::istream &in, Point &p) {
    char c;
    return in >> c >> p.x >> c >> p.y >> c;
}
struct Upper : std::streambuf {
    std::string kept;
    int overflow(int c) override { return kept += static_cast<char>(std::toupper(c)), c; }
};
int main() {
    std::cout << std::hex << std::showbase << 255 << ' ' << std::oct << 255 << ' ' << std::dec << -255L << '\n';
    std::cout << std::setw(10) << std::setfill('*') << 42 << '|' << std::left << std::setw(6) << -7 << '|' << std::internal
              << std::setw(8) << -99 << '\n' << std::setfill(' ');
    for (double value : {0.0, -0.0, 1.0 / 3, 1e10, 1e-10, 123456789.125, 1e300})
        std::cout << value << ' ' << std::fixed << std::setprecision(3) << value << ' ' << std::scientific << value << ' '
                  << std::hexfloat << value << std::defaultfloat << std::setprecision(6) << '\n';
    std::cout << std::boolalpha << true << ' ' << std::noboolalpha << false << ' ' << std::showpos << 5 << std::noshowpos
              << std::uppercase << std::hex << 0xabc << std::dec << std::nouppercase << '\n';
    std::istringstream in("12 0x1f 3.5e2 word (3,-4) rest of line\nlast");
    int a;
    double d;
    std::string word, rest;
    Point p{};
    in >> a >> std::hex >> std::setw(10);
    unsigned b;
    in >> b >> std::dec >> d >> word >> p;
    std::getline(in, rest);
    std::cout << a << ' ' << b << ' ' << d << ' ' << word << ' ' << p << " [" << rest << "]\n";
    in >> a;
    std::cout << in.fail() << in.eof() << in.bad();
    in.clear();
    in >> word;
    std::cout << ' ' << word << ' ' << in.eof() << '\n';
    {
        std::ofstream out("numbers.txt");
        for (int i = 0; i < 1000; i++)
            out << i * i << (i % 10 == 9 ? '\n' : ' ');
    }
    std::ifstream file("numbers.txt");
    long sum = 0, count = 0;
    std::for_each(std::istream_iterator<long>(file), {}, [&](long n) { sum += n, count++; });
    file.clear();
    file.seekg(-7, std::ios::end);
    std::getline(file, word);
    std::cout << count << ' ' << sum << ' ' << word << ' ' << file.tellg() << '\n';
    std::fstream both("numbers.txt", std::ios::in | std::ios::out | std::ios::binary);
    both.seekp(2) << "XX";
    both.seekg(0);
    both >> word;
    std::cout << word << '\n';
    Upper upper;
    std::ostream loud(&upper);
    loud << "shout " << 12.5;
    std::cout << upper.kept << ' ' << std::ifstream("missing").good() << '\n';
    std::cout << std::quoted("say \"hi\"") << ' ' << std::put_money(12345) << '\n';
    std::ostringstream wide;
    wide << std::setw(5) << "ab" << std::left << std::setw(5) << "cd" << "|";
    std::cout << wide.str() << std::endl;
    std::remove("numbers.txt");
    std::cerr << "to stderr\n";
    std::ios::sync_with_stdio(true);
    std::printf("and stdio\n");
    try {
        in.exceptions(std::ios::failbit);
        in >> a;
    } catch (const std::ios_base::failure &) {
        std::cout << "failure thrown\n";
    }
    return 3;
}
