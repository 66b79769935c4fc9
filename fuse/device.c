/* SPDX-License-Identifier: MIT */
#include "device.h"

#include <linux/fuse.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/*
 * Most answers have two short pieces, what every answer begins with and the rest. The kernel looks
 * up each piece, and the page of memory that it lies in; to copy them together takes a tenth of
 * that.
 */
#define SHORT 256

/*
 * The kernel need not look, before each write, whether a file has set-user-id bits or capabilities
 * that writing takes away: no file here ever has any. libfuse 3.14 can say only an older form of
 * that, which does not cover it.
 */
static void say_nothing_to_take_away(unsigned char *answer, size_t length)
{
    const size_t at = sizeof(struct fuse_out_header) + offsetof(struct fuse_init_out, flags);
    uint32_t flags;

    if (length >= at + sizeof(flags)) {
        memcpy(&flags, answer + at, sizeof(flags));
        flags |= FUSE_HANDLE_KILLPRIV_V2;
        memcpy(answer + at, &flags, sizeof(flags));
    }
}

static ssize_t write_answer(int fd, struct iovec *pieces, int count, void *data)
{
    struct fs *fs = data;
    unsigned char answer[SHORT];
    size_t length = 0;

    for (int i = 0; i < count; i++) {
        if (pieces[i].iov_len > sizeof(answer) - length) {
            return writev(fd, pieces, count);
        }
        if (pieces[i].iov_len > 0) {
            memcpy(answer + length, pieces[i].iov_base, pieces[i].iov_len);
        }
        length += pieces[i].iov_len;
    }
    if (!fs->greeted) {
        fs->greeted = true;
        say_nothing_to_take_away(answer, length);
    }
    return syscall(SYS_write, fd, answer, length);
}

static ssize_t read_request(int fd, void *request, size_t length, void *unused)
{
    (void)unused;
    return read(fd, request, length);
}

void device_gather(struct fuse_session *session)
{
    static const struct fuse_custom_io io = {.read = read_request, .writev = write_answer};

    (void)fuse_session_custom_io(session, &io, fuse_session_fd(session));
}
