// <random>, <complex>, <valarray>, <ratio>, <chrono> arithmetic: sequences the standard fixes.
#include <chrono>
#include <cmath>
#include <complex>
#include <cstdio>
#include <limits>
#include <random>
#include <ratio>
#include <valarray>

int main() {
    std::mt19937 small;
    std::mt19937_64 large(42);
    small.discard(9999);
    std::printf("%u\n", static_cast<unsigned>(small())); // 4123659995 says the standard
    std::minstd_rand minstd;
    std::ranlux24 ranlux;
    minstd.discard(9999), ranlux.discard(9999);
    std::printf("%u %u %llu\n", static_cast<unsigned>(minstd()), static_cast<unsigned>(ranlux()),
                static_cast<unsigned long long>(large()));
    std::uniform_int_distribution<int> die(1, 6);
    std::normal_distribution<> normal(10, 2);
    std::poisson_distribution<> poisson(4.5);
    int faces[7] = {};
    double sum = 0;
    long events = 0;
    for (int i = 0; i < 6000; i++)
        faces[die(large)]++, sum += normal(large), events += poisson(large);
    for (int i = 1; i < 7; i++)
        std::printf("%d ", faces[i]);
    std::printf("%.12g %ld\n", sum, events);
    std::complex<double> z(3, -4), w = std::polar(2.0, 0.5);
    auto p = z * w / std::conj(z) + std::exp(w) - std::sqrt(z);
    std::printf("%.15g %.15g %g %g\n", p.real(), p.imag(), std::abs(z), std::norm(z));
    std::valarray<double> v{1, 4, 9, 16, 25};
    auto roots = std::sqrt(v);
    std::valarray<double> odd = v[std::slice(0, 3, 2)];
    std::printf("%g %g %g %g\n", roots.sum(), odd.sum(), (v * roots).max(), v.cshift(2)[0]);
    using namespace std::chrono;
    auto span = hours(25) + minutes(61) + 7s + 250ms;
    std::printf("%lld %lld %d\n", static_cast<long long>(span.count()), static_cast<long long>(duration_cast<minutes>(span).count()),
                static_cast<int>(std::ratio_add<std::ratio<1, 3>, std::ratio<1, 6>>::den));
    for (double d : {-2.5, -0.5, 0.5, 1.5, 2.5})
        std::printf("%g %g %g %ld; ", std::round(d), std::nearbyint(d), std::trunc(d), std::lrint(d));
    std::printf("\n%g %g %d %d\n", std::nextafter(1.0, 2.0) - 1, std::numeric_limits<float>::denorm_min(),
                std::isnan(std::nan("")), std::fpclassify(1e-310) == FP_SUBNORMAL);
    std::printf("%.17g %.17g %.17g\n", std::hypot(3.0, 4.0, 12.0), std::beta(2.5, 1.5), std::riemann_zeta(3.0));
}
