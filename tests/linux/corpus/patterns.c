/* POSIX regular expressions, strtok, strsep and the string searches against slow ones of our own. */
#include "common.h"
#include <ctype.h>
#include <regex.h>

static void match(const char *pattern, int flags, const char *text) {
    regex_t compiled;
    regmatch_t found[6];
    int result = regcomp(&compiled, pattern, flags);
    SAY("/%s/ %s: ", pattern, text);
    if (result) {
        char message[100];
        regerror(result, &compiled, message, sizeof message);
        SAY("%s\n", message);
        return;
    }
    result = regexec(&compiled, text, 6, found, 0);
    if (result)
        SAY("no match");
    for (size_t i = 0; !result && i <= compiled.re_nsub && i < 6; i++)
        SAY("(%d,%d)", (int)found[i].rm_so, (int)found[i].rm_eo);
    SAY("\n");
    regfree(&compiled);
}
static const char *slow(const char *in, const char *what) {
    size_t n = strlen(what);
    for (; *in || !n; in++)
        if (!strncmp(in, what, n))
            return in;
        else if (!*in)
            break;
    return 0;
}
int main(void) {
    static const char *const extended[][2] = {
        {"a(b|c)*d", "xxabcbcd"}, {"^([a-z]+)@([a-z]+)\\.org$", "user@host.org"}, {"(a*)(ab)*(b*)", "aabb"}, {"x{2,3}y", "xxxxy"},
        {"[[:alpha:]_][[:alnum:]_]*", "9 lives_2"}, {"(a|ab)(c|bcd)(d*)", "abcd"}, {"\\<word\\>", "a word here"}, {"()", ""},
        {"a{1,0}", "a"}, {"(", "x"}, {"[", "x"}, {"*a", "a"}, {"(.)\\1", "hello"}, {"[^a-y]+", "abczzz"}, {"^$", ""}, {"a.c", "a\nc"}};
    for (int i = 0; i < 16; i++)
        match(extended[i][0], REG_EXTENDED, extended[i][1]);
    match("\\(a*\\)b\\1", 0, "aabaa"), match("A.C", REG_ICASE, "xabc"), match("^b", REG_NEWLINE, "a\nb"), match("a+", 0, "a+");
    char text[] = ",one,,two; three ;", *state, *at;
    for (char *part = strtok_r(text, ",; ", &state); part; part = strtok_r(0, ",; ", &state))
        SAY("<%s>", part);
    char fields[] = "a::b:";
    for (at = fields; at;)
        SAY("[%s]", strsep(&at, ":"));
    SAY("\n");
    unsigned seed = 99;
    char hay[600], needle[12];
    int same = 0, total = 0;
    for (int round = 0; round < 2000; round++) {
        seed = seed * 1103515245 + 12345;
        size_t length = seed >> 20 & 511, wanted = (seed >> 10) % 9;
        for (size_t i = 0; i < length; i++)
            hay[i] = (char)('a' + ((seed = seed * 1103515245 + 12345) >> 16) % 3);
        for (size_t i = 0; i < wanted; i++)
            needle[i] = (char)('a' + ((seed = seed * 1103515245 + 12345) >> 16) % 3);
        hay[length] = needle[wanted] = 0;
        total++;
        same += strstr(hay, needle) == slow(hay, needle) && memmem(hay, length, needle, wanted) == slow(hay, needle);
    }
    SAY("%d of %d\n", same, total);
    SAY("%zu %zu %s %s %s\n", strspn("aabbc", "ab"), strcspn("aabbc", "c"), strpbrk("find it", "xi"), strrchr("a/b/c", '/'), strchrnul("abc", 'z') - 3);
    SAY("%d %d %d\n", strverscmp("file10", "file9") > 0, strcasecmp("HeLLo", "hello"), strncasecmp("abcX", "ABCy", 3));
    char stack[30] = "start";
    SAY("%s %s %d\n", stpcpy(stack + 5, " end") - 9, (char *)memccpy(stack, "ab.cd", '.', 5) - 3, memcmp("a\0b", "a\0c", 3));
    return 0;
}
