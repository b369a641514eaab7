/* Directories: listing, seeking in a listing, walking, removing. */
#include "check.h"
#include <dirent.h>
#include <ftw.h>
#include <glob.h>
#include <sys/stat.h>

static int compare(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static int visit(const char *path, const struct stat *status, int kind, struct FTW *place) {
    printf("%s %d %d\n", path, kind, place->level);
    return remove(path);
}

int main(void) {
    char name[32];
    CALL(mkdir("tree", 0755));
    for (int i = 0; i < 200; i++) {
        sprintf(name, "tree/%c%03d", i % 7 ? 'f' : 'd', i);
        if (i % 7)
            close(open(name, O_CREAT | O_WRONLY, 0600));
        else
            mkdir(name, 0700);
    }
    struct dirent **entries;
    int count = scandir("tree", &entries, 0, compare);
    for (int i = 0; i < count; i++)
        printf("%s %d\n", entries[i]->d_name, entries[i]->d_type);
    DIR *directory = opendir("tree");
    int first = 0, again = 0;
    while (readdir(directory))
        first++;
    rewinddir(directory);
    long middle = 0;
    while (readdir(directory))
        if (++again == 100)
            middle = telldir(directory);
    seekdir(directory, middle);
    int rest = 0;
    while (readdir(directory))
        rest++;
    printf("%d %d %d\n", first, again, rest);
    CALL(closedir(directory));
    glob_t found;
    CALL(glob("tree/d0[0-4]*", 0, 0, &found));
    for (size_t i = 0; i < found.gl_pathc; i++)
        puts(found.gl_pathv[i]);
    TRUE(opendir("none") == NULL);
    CALL(rmdir("tree"));
    CALL(chdir("tree"));
    CALL(chdir(".."));
    for (int i = 0; i < count; i++)
        if (entries[i]->d_name[0] != '.') {
            sprintf(name, "tree/%s", entries[i]->d_name);
            if (remove(name))
                perror(name);
        }
    CALL(mkdir("tree/a", 0700));
    CALL(mkdir("tree/a/b", 0700));
    CALL(nftw("tree", visit, 10, FTW_DEPTH | FTW_PHYS));
    return 0;
}
