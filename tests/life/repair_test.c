/* SPDX-License-Identifier: MIT */
/*
 * A repair is killed at each call that changes a file, with a part of a write done; then power is
 * cut, so that any sectors of what it was writing are old and any are new. Whatever that leaves,
 * the next repair ends in a whole file, and taking it back gives the damaged file, byte for byte;
 * and taking back can be killed as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "life/damage.h"
#include "life/repair.h"

#define SECTOR 512u
#define CHUNK 4096u
#define UNDO_HEAD 64u

static const struct specimen_kind kinds[] = {
    {"killed-1-1024", MPG_FORMAT_1, 1024, 40, 1, 20, 30, true},
    {"killed-1-4096", MPG_FORMAT_1, 4096, 30, 1, 20, 3, true},
    {"killed-1-crashed", MPG_FORMAT_1, 1024, 40, 1, 20, 30, false},
    {"killed-0.2-1024", MPG_FORMAT_0_2, 1024, 40, 1, 20, 2, true},
};

static void die(const char *what, const struct specimen *specimen, unsigned call)
{
    mpg_error_info info;

    (void)mpg_last_error(&info);
    fprintf(stderr, "%s, call %u: %s (%s, %s)\n", specimen->kind->name, call, what, info.message,
            strerror(errno));
    exit(1);
}

/* ---- dying ---- */

static unsigned calls_left; /* until the process ends */

static bool dies(void)
{
    return --calls_left == 0;
}

static ssize_t dying_pwrite(void *context, int fd, const void *data, size_t length, uint64_t offset)
{
    if (dies()) {
        size_t part = damage_random() % (length / SECTOR + 1) * SECTOR;

        if (part > 0 && pwrite(fd, data, part, (off_t)offset) < 0)
            _exit(8);
        _exit(9);
    }
    return mpgi_io_system.pwrite(context, fd, data, length, offset);
}

static int dying_fdatasync(void *context, int fd)
{
    if (dies())
        _exit(9);
    return mpgi_io_system.fdatasync(context, fd);
}

static int dying_rename(void *context, const char *from, const char *to)
{
    if (dies())
        _exit(9);
    return mpgi_io_system.rename(context, from, to);
}

static int dying_link(void *context, int fd, const char *path)
{
    if (dies())
        _exit(9);
    return mpgi_io_system.link(context, fd, path);
}

static int dying_unlink(void *context, const char *path)
{
    if (dies())
        _exit(9);
    return mpgi_io_system.unlink(context, path);
}

static int dying_truncate(void *context, int fd, uint64_t bytes)
{
    if (dies())
        _exit(9);
    return mpgi_io_system.truncate(context, fd, bytes);
}

static struct io dying_io(void)
{
    struct io io = mpgi_io_system;

    io.pwrite = dying_pwrite;
    io.pwritev = NULL;
    io.fdatasync = dying_fdatasync;
    io.rename = dying_rename;
    io.link = dying_link;
    io.unlink = dying_unlink;
    io.truncate = dying_truncate;
    return io;
}

static bool agree(void *context, const mpg_rescue_note *note)
{
    (void)context;
    (void)note;
    return true;
}

static int repair(mpg_repair_result *result, const char *path, const struct io *io)
{
    mpg_repair_options options = MPG_REPAIR_OPTIONS_INIT;

    options.consent = agree;
    return mpgi_repair_with(result, path, &options, io, NULL);
}

/*
 * Repairs, or takes that back, in a process that dies at its call number `call`. False: it did not
 * come so far.
 */
static bool run_dying(const struct specimen *specimen, unsigned call, bool undo)
{
    struct io io = dying_io();
    mpg_repair_result result;
    int status;
    pid_t child = fork();

    if (child < 0)
        die("fork", specimen, call);
    if (child == 0) {
        calls_left = call;
        if (undo)
            _exit(mpgi_repair_undo_with(specimen->path, NULL, &io, NULL) == 0 ? 0 : 1);
        _exit(repair(&result, specimen->path, &io) == 0 ? 0 : 1);
    }
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
        (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 9))
        die("the process that was to die failed", specimen, call);
    return WEXITSTATUS(status) == 9;
}

/* ---- the power fails, too ---- */

static bool is_there(const struct specimen *specimen)
{
    char undo[300];

    (void)snprintf(undo, sizeof(undo), "%s.undo", specimen->path);
    return access(undo, F_OK) == 0;
}

/* Whether the undo file says that all of it was written, and synced. */
static bool is_done(const struct specimen *specimen)
{
    unsigned char done = 0;
    char undo[300];
    int fd;

    (void)snprintf(undo, sizeof(undo), "%s.undo", specimen->path);
    fd = open(undo, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pread(fd, &done, 1, 48) != 1)
        die("the undo file cannot be read", specimen, 0);
    (void)close(fd);
    return done != 0;
}

/*
 * Each sector that the repair writes is what it was, or what it is to be: by the undo file, which
 * came first.
 */
static void mix_sectors(const struct specimen *specimen)
{
    unsigned char piece[8 + 2 * CHUNK];
    char undo[300];
    int from, to;
    off_t end;

    (void)snprintf(undo, sizeof(undo), "%s.undo", specimen->path);
    from = open(undo, O_RDONLY | O_CLOEXEC);
    to = open(specimen->path, O_RDWR | O_CLOEXEC);
    end = to < 0 ? -1 : lseek(to, 0, SEEK_END);
    if (from < 0 || end < 0)
        die("the undo file cannot be read", specimen, 0);
    for (off_t at = UNDO_HEAD; pread(from, piece, sizeof(piece), at) == (ssize_t)sizeof(piece);
         at += (off_t)sizeof(piece)) {
        uint64_t offset;

        memcpy(&offset, piece, sizeof(offset));
        for (unsigned i = 0; i < CHUNK; i += SECTOR) {
            const unsigned char *bytes = piece + 8 + (damage_random() % 2) * CHUNK + i;

            if ((off_t)offset + (off_t)i + (off_t)SECTOR <= end &&
                pwrite(to, bytes, SECTOR, (off_t)(offset + i)) != (ssize_t)SECTOR)
                die("pwrite", specimen, 0);
        }
    }
    (void)close(from);
    (void)close(to);
}

/* ---- what must come of it ---- */

static void must_be_whole(const struct specimen *specimen, unsigned call)
{
    mpg_check_result checked;
    const mpg_pager *pager;

    if (mpg_open_readonly(&pager, specimen->path, NULL) != 0)
        die("what was repaired does not open", specimen, call);
    if (mpg_check(&checked, pager, NULL) != 0 || checked.faults > 0 || checked.warnings > 0)
        die("what was repaired is not whole", specimen, call);
    if (mpg_close(pager) != 0)
        die("close", specimen, call);
}

static void must_be_damaged(const struct specimen *specimen, uint64_t digest, unsigned call)
{
    if (damage_digest(specimen->path) != digest)
        die("it is not the damaged file, byte for byte", specimen, call);
    if (is_there(specimen))
        die("an undo file is left", specimen, call);
}

/* Goes on, or takes back, after a repair that was cut short. */
static void end_repair(const struct specimen *specimen, uint64_t digest, unsigned call)
{
    mpg_repair_result result;
    int error;

    if (!is_there(specimen))
        must_be_damaged(specimen, digest, call);
    else if (!is_done(specimen) && damage_random() % 2 == 0)
        mix_sectors(specimen);
    if (is_there(specimen) && call % 3 == 0) {
        if (mpg_repair_undo(specimen->path, NULL) != 0)
            die("what was cut short cannot be taken back", specimen, call);
        must_be_damaged(specimen, digest, call);
        return;
    }
    error = repair(&result, specimen->path, &mpgi_io_system);
    if (error != 0 && error != MPG_E_EXISTS) /* it was done, and marked so */
        die("the next repair fails", specimen, call);
    if (error == 0 && !result.changed) { /* what was destroyed does not count */
        must_be_damaged(specimen, digest, call);
        return;
    }
    must_be_whole(specimen, call);
    if (mpg_repair_undo(specimen->path, NULL) != 0)
        die("it cannot be taken back", specimen, call);
    must_be_damaged(specimen, digest, call);
}

/* Taking back dies; done again it is taken back. */
static void kill_undo(const struct specimen *specimen, uint64_t digest)
{
    for (unsigned call = 1;; call++) {
        mpg_repair_result result;

        if (repair(&result, specimen->path, &mpgi_io_system) != 0)
            die("repair", specimen, call);
        if (!result.changed)
            return;
        if (!run_dying(specimen, call, true))
            break;
        if (is_there(specimen) && damage_random() % 2 == 0)
            mix_sectors(specimen);
        if (is_there(specimen) && mpg_repair_undo(specimen->path, NULL) != 0)
            die("taking back cannot be done again", specimen, call);
        must_be_damaged(specimen, digest, call);
    }
    must_be_damaged(specimen, digest, 0);
}

static unsigned kill_repair(const struct specimen *specimen)
{
    uint64_t digest = damage_digest(specimen->path);
    unsigned call = 1;

    while (run_dying(specimen, call, false)) {
        end_repair(specimen, digest, call);
        call++;
    }
    if (is_there(specimen)) {
        must_be_whole(specimen, call);
        if (mpg_repair_undo(specimen->path, NULL) != 0)
            die("it cannot be taken back", specimen, call);
    }
    must_be_damaged(specimen, digest, call);
    kill_undo(specimen, digest);
    return call;
}

/* Zeros a page of the file; puts it back with `before`. */
static void put_page(const struct specimen *specimen, uint64_t page, const unsigned char *bytes,
                     unsigned char *before)
{
    uint32_t size = specimen->kind->page_size;
    int fd = open(specimen->path, O_RDWR | O_CLOEXEC);
    off_t at = (off_t)(page * size);

    if (fd < 0 || (before != NULL && pread(fd, before, size, at) != (ssize_t)size) ||
        pwrite(fd, bytes, size, at) != (ssize_t)size)
        die("a page cannot be written", specimen, 0);
    (void)close(fd);
}

static void run_kind(const struct specimen_kind *kind, const char *directory, bool all)
{
    unsigned char *zeros = calloc(1, kind->page_size), *before = calloc(1, kind->page_size);
    struct specimen specimen;
    unsigned calls = 0, damages = 0;
    uint64_t number = 0;

    damage_make(&specimen, kind, directory);
    if (zeros == NULL || before == NULL)
        die("no memory", &specimen, 0);
    for (uint64_t page = 0; page < specimen.pages; page++) {
        if (specimen.uses[page] != MPG_USE_METADATA || (!all && page > 2 && number++ % 3 != 0))
            continue;
        put_page(&specimen, page, zeros, before);
        calls += kill_repair(&specimen);
        damages++;
        put_page(&specimen, page, before, NULL);
    }
    printf("%s: %u damages, killed at %u calls\n", kind->name, damages, calls);
    /* What has nothing to be killed at proves nothing. */
    if (calls < 10 * damages / 3)
        die("too few calls", &specimen, calls);
    damage_free(&specimen);
    free(zeros);
    free(before);
}

int main(void)
{
    const char *how = getenv("MPG_DAMAGE");
    char directory[] = "/dev/shm/mpg-repair-XXXXXX";
    char fallback[] = "/tmp/mpg-repair-XXXXXX";
    const char *made = mkdtemp(directory);

    if (made == NULL)
        made = mkdtemp(fallback);
    if (made == NULL) {
        perror("mkdtemp");
        return 1;
    }
    damage_seed(20260102);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        run_kind(&kinds[i], made, how != NULL && strcmp(how, "all") == 0);
    (void)rmdir(made);
    return 0;
}
