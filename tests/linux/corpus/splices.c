/* sendfile, splice, tee, vmsplice, copy_file_range, preadv and pwritev with flags, fallocate, seeking holes.  oracle: linux */
#include "common.h"
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

static void show(int fd, long size) {
    char text[64] = "";
    SAY("  '%.*s'\n", (int)pread(fd, text, size > 63 ? 63 : (size_t)size, 0), text);
}
int main(void) {
    int from = open("from.txt", O_RDWR | O_CREAT | O_TRUNC, 0600), to = open("to.txt", O_RDWR | O_CREAT | O_TRUNC, 0600), ends[2], pair[2];
    pipe(ends), socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    write(from, "0123456789abcdefghijklmnopqrstuvwxyz", 36);
    off_t offset = 10;
    TRY(sendfile(to, from, &offset, 6));
    SAY("offset %ld, position %ld\n", (long)offset, (long)lseek(from, 0, SEEK_CUR));
    lseek(from, 30, SEEK_SET);
    TRY(sendfile(pair[0], from, 0, 100));
    char text[64] = "";
    TRY(read(pair[1], text, 60));
    SAY("%s\n", text);
    loff_t in = 3, out = 20;
    TRY(splice(from, &in, ends[1], 0, 8, 0));
    SAY("in %ld\n", (long)in);
    int copy[2];
    pipe(copy);
    TRY(tee(ends[0], copy[1], 5, 0));
    TRY(splice(ends[0], 0, to, &out, 100, SPLICE_F_MOVE));
    SAY("out %ld\n", (long)out);
    TRY(read(copy[0], text, 60));
    SAY("%.5s\n", text);
    struct iovec parts[] = {{"vm", 2}, {"spliced", 7}};
    TRY(vmsplice(ends[1], parts, 2, 0));
    TRY(splice(ends[0], 0, pair[0], 0, 9, 0));
    TRY(read(pair[1], text, 60));
    SAY("%.9s\n", text);
    in = 0, out = 2;
    TRY(copy_file_range(from, &in, to, &out, 4, 0));
    SAY("%ld %ld\n", (long)in, (long)out);
    show(to, 30);
    lseek(from, 34, SEEK_SET), lseek(to, 0, SEEK_SET);
    TRY(copy_file_range(from, 0, to, 0, 100, 0));
    TRY(copy_file_range(from, 0, to, 0, 100, 0));
    show(to, 10);
    TRY(splice(from, 0, to, 0, 5, 0));
    TRY(splice(99, 0, ends[1], 0, 5, 0));
    in = -1;
    TRY(splice(from, &in, ends[1], 0, 5, 0));
    TRY(tee(from, ends[1], 1, 0));
    TRY(copy_file_range(from, 0, ends[1], 0, 5, 0));
    TRY(copy_file_range(from, 0, to, 0, 5, 1));
    TRY(sendfile(to, ends[0], 0, 5));
    struct iovec into[] = {{text, 3}, {text + 10, 4}};
    TRY(preadv(from, into, 2, 5));
    SAY("%.3s %.4s\n", text, text + 10);
    TRY(preadv2(from, into, 2, 0, 0));
    TRY(pwritev(to, parts, 2, 1));
    TRY(pwritev2(to, parts, 2, 0, RWF_APPEND));
    TRY(preadv2(from, into, 2, -1, 0));
    SAY("position %ld\n", (long)lseek(from, 0, SEEK_CUR));
    TRY(preadv2(from, into, 2, 0, 0x10000));
    SAY("size %ld\n", (long)lseek(to, 0, SEEK_END));
    TRY(posix_fallocate(to, 0, 5000));
    TRY(lseek(to, 0, SEEK_END));
    TRY(lseek(to, 0, SEEK_DATA));
    TRY(lseek(to, 5000, SEEK_DATA));
    TRY(posix_fadvise(to, 0, 0, POSIX_FADV_WILLNEED));
    TRY(readahead(from, 0, 100));
    TRY(sync_file_range(to, 0, 100, SYNC_FILE_RANGE_WRITE));
    unlink("from.txt"), unlink("to.txt");
    return 0;
}
