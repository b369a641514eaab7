/* getopt, getopt_long, getsubopt over made-up command lines. */
#include "common.h"
#include <getopt.h>

static void plain(const char *letters, int count, char **words) {
    optind = 0;
    opterr = 0;
    int c;
    while ((c = getopt(count, words, letters)) != -1)
        printf("%c(%s)%c ", c, optarg ? optarg : "", c == '?' || c == ':' ? optopt : ' ');
    printf("rest:");
    for (; optind < count; optind++)
        printf(" %s", words[optind]);
    puts("");
}
#define PLAIN(letters, ...)                                                      \
    do {                                                                         \
        char *words[] = {"program", __VA_ARGS__, 0};                             \
        plain(letters, sizeof words / sizeof *words - 1, words);                 \
    } while (0)

int main(void) {
    PLAIN("ab:c::", "-a", "-bvalue", "-b", "next", "-c", "-cmore", "file");
    PLAIN("ab:", "one", "-a", "two", "-b", "x", "--", "-a");
    PLAIN("+ab:", "one", "-a");
    PLAIN("-ab:", "one", "-a", "two");
    PLAIN(":ab:", "-z", "-b");
    PLAIN("abc", "-abc", "-cab", "-");
    static int verbose;
    static const struct option names[] = {{"help", no_argument, 0, 'h'},       {"output", required_argument, 0, 'o'},
                                          {"level", optional_argument, 0, 'l'}, {"verbose", no_argument, &verbose, 5},
                                          {"outline", no_argument, 0, 'u'},     {0}};
    char *words[] = {"program", "--help", "--output=file", "--output", "other", "--level", "--level=3", "--verb", "-o", "short",
                     "--out=x", "--unknown", "--help=no", "stay", 0};
    optind = 0;
    int c, index = -1;
    while ((c = getopt_long(14, words, "ho:", names, &index)) != -1) {
        printf("%d(%s) index %d\n", c, optarg ? optarg : "-", index);
        index = -1;
    }
    printf("verbose %d rest %s\n", verbose, words[optind]);
    char text[] = "ro,size=10,bad=1", *at = text, *value;
    char *const tokens[] = {"ro", "size", 0};
    while (*at) {
        int which = getsubopt(&at, tokens, &value);
        printf("%d %s\n", which, value ? value : "-");
    }
    return 0;
}
