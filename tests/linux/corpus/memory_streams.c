/* stdio's other streams: fmemopen, open_memstream, fopencookie, buffering modes, ungetc, seeking, getline, freopen. */
#include "common.h"
#include <ctype.h>

struct text { char bytes[200]; long size, at; };
static ssize_t cookie_read(void *cookie, char *into, size_t size) {
    struct text *text = cookie;
    size_t left = (size_t)(text->size - text->at), n = size < left ? size : left;
    for (size_t i = 0; i < n; i++)
        into[i] = (char)toupper(text->bytes[text->at + (long)i]);
    text->at += (long)n;
    return (ssize_t)n;
}
static ssize_t cookie_write(void *cookie, const char *from, size_t size) {
    struct text *text = cookie;
    memcpy(text->bytes + text->size, from, size);
    text->size += (long)size;
    return (ssize_t)size;
}
static int cookie_close(void *cookie) { return SAY("closed at %ld of %ld\n", ((struct text *)cookie)->at, ((struct text *)cookie)->size), 0; }
int main(void) {
    char *made;
    size_t size, room = 0;
    FILE *out = open_memstream(&made, &size);
    for (int i = 0; i < 2000; i++)
        fprintf(out, "%d,", i);
    fflush(out);
    SAY("%zu %.12s\n", size, made);
    fseek(out, 2, SEEK_SET);
    fputs("XY", out);
    fclose(out);
    SAY("%zu %.12s\n", size, made);
    FILE *in = fmemopen(made, 20, "r+");
    int c, n = 0;
    while ((c = getc(in)) != EOF)
        n += c;
    SAY("%d eof %d\n", n, feof(in));
    rewind(in);
    ungetc('!', in);
    SAY("%c%c %ld\n", getc(in), getc(in), ftell(in));
    fclose(in);
    struct text text = {.size = 0};
    FILE *cookie = fopencookie(&text, "r+", (cookie_io_functions_t){cookie_read, cookie_write, 0, cookie_close});
    fprintf(cookie, "line one\nline two\nlast without");
    fflush(cookie);
    char *line = 0;
    ssize_t got;
    while ((got = getline(&line, &room, cookie)) > 0)
        SAY("%zd %s|", got, line);
    SAY("\n");
    fclose(cookie);
    FILE *file = fopen("stream.txt", "w+");
    setvbuf(file, 0, _IOFBF, 16);
    for (int i = 0; i < 100; i++)
        fprintf(file, "record %03d\n", i);
    SAY("%ld\n", ftell(file));
    fseek(file, 11 * 42, SEEK_SET);
    char record[12] = "";
    SAY("%zu %s", fread(record, 11, 1, file), record);
    fseek(file, -11, SEEK_END);
    fgets(record, 12, file);
    SAY("%s", record);
    fpos_t place;
    rewind(file);
    fgetpos(file, &place);
    fscanf(file, "%*s %d", &n);
    fsetpos(file, &place);
    fputs("RECORD", file);
    fflush(file);
    rewind(file);
    fgets(record, 12, file);
    SAY("%s", record);
    file = freopen("stream.txt", "a+", file);
    fputs("appended\n", file);
    fseek(file, -9, SEEK_END);
    while ((got = getdelim(&line, &room, 'd', file)) > 0)
        SAY("[%.*s]", (int)(line[got - 1] == '\n' ? got - 1 : got), line);
    SAY("\n%d %d\n", fileno(file) > 2, ferror(file));
    clearerr(file);
    SAY("%d\n", fputc('x', stdin) == EOF && ferror(stdin));
    fclose(file);
    FILE *temporary = tmpfile();
    SAY("%d\n", temporary && fwrite("abc", 1, 3, temporary) == 3);
    fflush(0);
    unlink("stream.txt");
    printf("left in the buffer at exit");
    return 0;
}
