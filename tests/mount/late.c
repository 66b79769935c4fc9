/* SPDX-License-Identifier: MIT */
/*
 * Writes "new" to a file after its descriptor was closed, as io_uring and maps can:
 *
 *     late FILE registered|racing|killed
 *     late DIRECTORY map NAME
 *
 * registered: by a file that io_uring keeps. racing: the descriptor is closed while the write is on
 * its way. killed: as registered, and then the program is killed. map: a file is made in DIRECTORY,
 * mapped, renamed to NAME and only then written, through the map. Exits with 77 where there is no
 * io_uring.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char text[] = "new\n";
#define LENGTH (sizeof(text) - 1)

static int fail(const char *what)
{
    perror(what);
    return 1;
}

/* One write by io_uring, of a ring with room for one. */
struct ring {
    int fd;
    struct io_uring_params params;
    unsigned char *submissions, *completions;
    struct io_uring_sqe *entry;
};

static int ring_open(struct ring *ring)
{
    struct io_uring_params *params = &ring->params;
    size_t size;

    memset(ring, 0, sizeof(*ring));
    ring->fd = (int)syscall(SYS_io_uring_setup, 1, params);
    if (ring->fd < 0)
        return 77;
    size = params->sq_off.array + params->sq_entries * sizeof(unsigned);
    ring->submissions =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
    size = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
    ring->completions =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_CQ_RING);
    ring->entry = mmap(NULL, params->sq_entries * sizeof(*ring->entry), PROT_READ | PROT_WRITE,
                       MAP_SHARED, ring->fd, IORING_OFF_SQES);
    return ring->submissions == MAP_FAILED || ring->completions == MAP_FAILED ||
                   ring->entry == MAP_FAILED
               ? fail("ring")
               : 0;
}

static unsigned *word(unsigned char *ring, unsigned offset)
{
    return (unsigned *)(void *)(ring + offset);
}

/*
 * Starts the write; `fd` is a descriptor, or with IOSQE_FIXED_FILE a number of a registered file.
 */
static int ring_write(struct ring *ring, int fd, unsigned char flags)
{
    *ring->entry = (struct io_uring_sqe){
        .opcode = IORING_OP_WRITE,
        .flags = flags,
        .fd = fd,
        .addr = (unsigned long long)(size_t)text,
        .len = LENGTH,
    };
    *word(ring->submissions, ring->params.sq_off.array) = 0;
    __atomic_store_n(word(ring->submissions, ring->params.sq_off.tail), 1, __ATOMIC_RELEASE);
    return syscall(SYS_io_uring_enter, ring->fd, 1, 0, 0, NULL, 0) == 1 ? 0 : fail("submit");
}

static int ring_result(struct ring *ring)
{
    const struct io_uring_cqe *done;

    if (syscall(SYS_io_uring_enter, ring->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
        return fail("wait");
    done = (const void *)(ring->completions + ring->params.cq_off.cqes);
    errno = done->res < 0 ? -done->res : 0;
    return done->res == (int)LENGTH ? 0 : fail("write");
}

static int by_ring(const char *path, const char *how)
{
    int fd = open(path, O_WRONLY);
    struct ring ring;
    int result = fd < 0 ? fail(path) : ring_open(&ring);

    if (result != 0)
        return result;
    if (strcmp(how, "racing") == 0) {
        result = ring_write(&ring, fd, 0);
        close(fd);
    } else {
        if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, &fd, 1) != 0)
            return fail("register");
        close(fd);
        result = ring_write(&ring, 0, IOSQE_FIXED_FILE);
    }
    if (result == 0)
        result = ring_result(&ring);
    if (result == 0 && strcmp(how, "killed") == 0)
        kill(getpid(), SIGKILL);
    return result;
}

static int by_map(const char *directory, const char *name)
{
    char *map;
    int fd;

    if (chdir(directory) != 0 || (fd = open("name.tmp", O_RDWR | O_CREAT, 0644)) < 0 ||
        ftruncate(fd, 4096) != 0)
        return fail(directory);
    map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return fail("map");
    close(fd);
    if (rename("name.tmp", name) != 0)
        return fail("rename");
    memcpy(map, text, LENGTH);
    return munmap(map, 4096);
}

int main(int argc, char **argv)
{
    if (argc == 4)
        return by_map(argv[1], argv[3]);
    return argc == 3 ? by_ring(argv[1], argv[2]) : 2;
}
