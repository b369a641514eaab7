/* glob, fnmatch, nftw, fts, scandir, realpath, mkdtemp over a tree of files. */
#include "common.h"
#include <dirent.h>
#include <fnmatch.h>
#include <fts.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <sys/stat.h>
#include <wordexp.h>

static char lines[64][128];
static int count;
static int visit(const char *path, const struct stat *status, int kind, struct FTW *at) {
    snprintf(lines[count++], 128, "%d level %d base %d size %ld %s", kind, at->level, at->base,
             kind == FTW_F ? (long)status->st_size : 0L, path);
    return 0;
}
static int compare(const void *a, const void *b) { return strcmp(strrchr(a, ' '), strrchr(b, ' ')); }
static int by_name(const FTSENT **a, const FTSENT **b) { return strcmp((*a)->fts_name, (*b)->fts_name); }
static int is_c(const struct dirent *entry) { return fnmatch("*.c", entry->d_name, 0) == 0; }
static void globs(const char *pattern, int flags) {
    glob_t found;
    int result = glob(pattern, flags, 0, &found);
    printf("%s: %d", pattern, result);
    for (size_t i = 0; !result && i < found.gl_pathc; i++)
        printf(" %s", found.gl_pathv[i]);
    puts("");
    if (!result)
        globfree(&found);
}
int main(void) {
    char folder[] = "tree-XXXXXX";
    mkdtemp(folder);
    chdir(folder);
    mkdir("src", 0755), mkdir("src/deep", 0755), mkdir("empty", 0700);
    static const char *const files[] = {"a.c", "b.c", "c.h", ".hidden", "src/x.c", "src/deep/y.c", "src/deep/[z]"};
    for (int i = 0; i < 7; i++) {
        FILE *file = fopen(files[i], "w");
        fprintf(file, "%*d", i * 10, i);
        fclose(file);
    }
    symlink("src/x.c", "link"), symlink("nowhere", "broken");
    globs("*.c", 0), globs("*", GLOB_MARK), globs("{a,b}.[ch]", GLOB_BRACE), globs("src/*/*", 0), globs("nothing*", GLOB_NOCHECK);
    globs("no*pe", 0), globs(".*n", 0), globs("[!a]*", 0), globs("src/deep/\\[z\\]", 0), globs("?.?", GLOB_NOSORT | GLOB_ONLYDIR);
    nftw(".", visit, 8, FTW_PHYS);
    qsort(lines, count, 128, compare);
    for (int i = 0; i < count; i++)
        puts(lines[i]);
    char *roots[] = {"src", 0};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    for (FTSENT *entry; (entry = fts_read(walk));)
        printf("%d %d %s\n", entry->fts_info, entry->fts_level, entry->fts_path);
    fts_close(walk);
    struct dirent **entries;
    int n = scandir(".", &entries, is_c, alphasort);
    for (int i = 0; i < n; i++)
        printf("%s %d\n", entries[i]->d_name, entries[i]->d_type == DT_REG);
    char full[PATH_MAX];
    realpath("link", full);
    puts(strrchr(full, 's'));
    printf("%s %s\n", realpath("broken", full) ? "?" : strerrorname_np(errno), realpath("a.c/b", full) ? "?" : strerrorname_np(errno));
    static const char *const patterns[][2] = {{"a*b", "axxb"}, {"a?", "a"}, {"[a-c]x", "bx"}, {"*", "a/b"}, {"[[:digit:]]*", "1a"}};
    for (int i = 0; i < 5; i++)
        printf("%d%d ", fnmatch(patterns[i][0], patterns[i][1], 0), fnmatch(patterns[i][0], patterns[i][1], FNM_PATHNAME));
    wordexp_t words;
    setenv("NAME", "two words", 1);
    printf("%d", wordexp("one \"$NAME\" *.h $NAME", &words, WRDE_NOCMD));
    for (size_t i = 0; i < words.we_wordc; i++)
        printf(" <%s>", words.we_wordv[i]);
    puts("");
    int clean = 0;
    for (int i = 0; i < 7; i++)
        clean += unlink(files[i]);
    clean += unlink("link") + unlink("broken") + rmdir("src/deep") + rmdir("src") + rmdir("empty");
    chdir("..");
    printf("clean %d %d\n", clean, rmdir(folder));
    return 0;
}
