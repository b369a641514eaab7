/* Wide characters and locales: conversion, classification, wide stdio, collation, in "C" and in "C.UTF-8". */
#include "common.h"
#include <locale.h>
#include <wchar.h>
#include <wctype.h>
#include <langinfo.h>

static void convert(const char *text) {
    wchar_t wide[40];
    char back[80];
    mbstate_t state = {0};
    const char *at = text;
    size_t got = mbsrtowcs(wide, &at, 40, &state);
    SAY("%zd", (ssize_t)got);
    if (got != (size_t)-1) {
        for (size_t i = 0; i < got; i++)
            SAY(" %x%s%s", (unsigned)wide[i], iswalpha(wide[i]) ? "a" : "", iswupper(wide[i]) ? "u" : "");
        for (size_t i = 0; i < got; i++)
            wide[i] = towupper(wide[i]);
        SAY(" -> %zd %s", (ssize_t)wcstombs(back, wide, sizeof back), back);
    } else
        SAY(" %s", strerrorname_np(errno));
    SAY("\n");
}

int main(void) {
    SAY("%s %s\n", setlocale(LC_ALL, 0), nl_langinfo(CODESET));
    convert("plain");
    convert("gr\xc3\xbc\xc3\x9f");
    SAY("%s %s\n", setlocale(LC_ALL, "C.UTF-8"), nl_langinfo(CODESET));
    convert("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9d\x84\x9e");
    convert("bad \xff");
    SAY("%d %d\n", mblen("\xe2\x82\xac", 3), wcwidth(0x20ac));
    wchar_t text[60];
    SAY("%d ", swprintf(text, 60, L"%d %ls %lc %5.2f %S", 42, L"w\u00efde", L'\u20ac', 3.14159, L"x"));
    SAY("%ls\n", text);
    int number;
    wchar_t word[20];
    SAY("%d ", swscanf(L"77 w\u00f6rter", L"%d %ls", &number, word));
    SAY("%d %ls %zu\n", number, word, wcslen(word));
    wchar_t *end, list[] = L"one,two;;three", *state, *part;
    SAY("%ld %g", wcstol(L"0x1fz", &end, 0), wcstod(L"2.5e3", 0));
    SAY(" %lc\n", *end);
    for (part = wcstok(list, L",;", &state); part; part = wcstok(0, L",;", &state))
        SAY("<%ls>", part);
    SAY("\n%d %d %ls\n", wcscmp(L"a", L"b") < 0, wcsncasecmp(L"ABCx", L"abcy", 3), wcsstr(L"haystack", L"st"));
    struct lconv *conventions = localeconv();
    SAY("[%s] [%s]\n", conventions->decimal_point, conventions->thousands_sep);
    SAY("%d %s\n", strcoll("a", "B") > 0, setlocale(LC_ALL, "xx_YY") ? "found" : "no such locale");
    FILE *file = fopen("wide.txt", "w+");
    fwide(file, 1);
    fputws(L"\u00e4\u00f6\u00fc\n", file);
    rewind(file);
    wint_t c;
    while ((c = fgetwc(file)) != WEOF)
        SAY("%x ", c);
    SAY("%ld\n", ftell(file));
    fclose(file);
    unlink("wide.txt");
    locale_t own = newlocale(LC_CTYPE_MASK, "C", 0);
    uselocale(own);
    SAY("%zu %d\n", MB_CUR_MAX, isalpha_l('x', own) != 0);
    return 0;
}
