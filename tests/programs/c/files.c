/* Files: write, seek, read, append, rename, remove, directories, errors. */
#define _FILE_OFFSET_BITS 64 /* inodes and positions of directories may need them */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(void) {
    char dir[] = "/tmp/isoXXXXXX", path[100], other[100];
    if (!mkdtemp(dir)) {
        perror("mkdtemp");
        return 1;
    }
    snprintf(path, sizeof path, "%s/data", dir);
    snprintf(other, sizeof other, "%s/other", dir);
    FILE *f = fopen(path, "w+");
    for (int i = 0; i < 1000; i++)
        fprintf(f, "line %d of the file\n", i);
    fseek(f, 0, SEEK_END);
    printf("%ld\n", ftell(f));
    fseek(f, 100, SEEK_SET);
    char line[100];
    fgets(line, sizeof line, f);
    fgets(line, sizeof line, f);
    printf("%s", line);
    fclose(f);
    f = fopen(path, "a");
    fputs("the end\n", f);
    fclose(f);
    f = fopen(path, "r");
    int lines = 0, c;
    while ((c = getc(f)) != EOF)
        lines += c == '\n';
    fclose(f);
    printf("%d\n", lines);
    struct stat st;
    stat(path, &st);
    printf("%ld %d %o\n", (long)st.st_size, S_ISREG(st.st_mode), st.st_mode & 0600);
    int fd = open(path, O_RDWR);
    lseek(fd, 5, SEEK_SET);
    ssize_t n = write(fd, "XYZ", 3);
    char b[16] = {0};
    n += pread(fd, b, 12, 0);
    printf("%zd %s %ld\n", n, b, (long)lseek(fd, 0, SEEK_CUR));
    int copy = dup(fd);
    printf("%d\n", copy > fd);
    close(copy);
    printf("%d ", ftruncate(fd, 10));
    fstat(fd, &st);
    printf("%ld\n", (long)st.st_size);
    close(fd);
    printf("%d %d\n", rename(path, other), access(path, F_OK));
    printf("%s\n", strerror(errno));
    printf("%d %s\n", open("/nonexistent/file", O_RDONLY), strerror(errno));
    printf("%d %s\n", close(77), strerror(errno));
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "%s/f%d", dir, i);
        fclose(fopen(path, "w"));
    }
    snprintf(path, sizeof path, "%s/sub", dir);
    printf("%d %d\n", mkdir(path, 0700), mkdir(path, 0700));
    char *names[20];
    int count = 0;
    DIR *d = opendir(dir);
    struct dirent *e;
    while ((e = readdir(d)))
        if (e->d_name[0] != '.')
            names[count++] = strdup(e->d_name);
    closedir(d);
    qsort(names, (size_t)count, sizeof names[0], by_name);
    for (int i = 0; i < count; i++)
        printf("%s ", names[i]);
    puts("");
    rmdir(path);
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "%s/f%d", dir, i);
        unlink(path);
    }
    unlink(other);
    printf("%d\n", rmdir(dir));
    printf("%d %d %d\n", isatty(77), (int)write(1, "", 0), (int)read(0, b, 0));
    return 3;
}
