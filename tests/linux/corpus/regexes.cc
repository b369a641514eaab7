// std::regex: groups, alternatives, back references, iterators, replacement, the grammars, errors.
#include <cstdio>
#include <regex>
#include <string>

int main() {
    const std::string text = "On 2024-02-29 and 1999-12-31: call 555-0123, mail ann@example.org or bob.b@host.net now.";
    std::regex date(R"((\d{4})-(\d{2})-(\d{2}))");
    for (std::sregex_iterator it(text.begin(), text.end(), date), end; it != end; ++it)
        std::printf("%s: year %s month %s day %s at %ld\n", it->str().c_str(), (*it)[1].str().c_str(), (*it)[2].str().c_str(),
                    (*it)[3].str().c_str(), static_cast<long>(it->position()));
    std::printf("%s\n", std::regex_replace(text, date, "$3.$2.$1").c_str());
    std::regex mail("[a-z.]+@[a-z]+\\.(org|net)", std::regex::icase);
    std::smatch match;
    bool found = std::regex_search(text, match, mail);
    std::printf("%d %s %s\n", found, match.str().c_str(), match.suffix().str().c_str());
    std::regex twice("(a+)(b+)\\1\\2");
    for (const char *word : {"abab", "aabaab", "aabbab", "aaabbaaabb"})
        std::printf("%s %d\n", word, std::regex_match(word, twice));
    std::regex split("[,;\\s]+");
    std::string list = "one, two;three  four";
    for (std::sregex_token_iterator it(list.begin(), list.end(), split, -1), end; it != end; ++it)
        std::printf("<%s>", it->str().c_str());
    std::printf("\n");
    for (auto grammar : {std::regex::basic, std::regex::extended, std::regex::awk, std::regex::grep, std::regex::egrep})
        std::printf("%d", std::regex_match("aaa", std::regex("a*", grammar)));
    std::printf("\n%d %d\n", std::regex_match("foobar", std::regex("foo(?=bar).*")), std::regex_match("x", std::regex("(?!x).")));
    for (const char *bad : {"(", "[z-a]", "a{3,1}", "*", "\\9"})
        try {
            std::regex wrong(bad);
            std::printf("%s is fine\n", bad);
        } catch (const std::regex_error &error) {
            std::printf("%s: code %d\n", bad, static_cast<int>(error.code()));
        }
}
