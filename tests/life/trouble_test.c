/* SPDX-License-Identifier: MIT */
/*
 * A disk that fails once: each call of a repair, of taking it back, and of a rescue fails in turn,
 * with an error of the disk and for want of room. Whatever that ends with, the file is as it was,
 * or the next repair ends in a whole one that can be taken back byte for byte; a rescue writes
 * nothing to its source, and what it makes is whole or not there.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "life/damage.h"
#include "life/repair.h"

static const struct specimen_kind kinds[] = {
    {"trouble-1", MPG_FORMAT_1, 1024, 40, 1, 20, 30, true},
    {"trouble-0.2", MPG_FORMAT_0_2, 1024, 40, 1, 20, 2, true},
};

static const struct specimen *specimen;
static unsigned calls_left;  /* until one fails; 0: none does */
static int failure;          /* with this errno */
static unsigned failed_call; /* its number */
static bool failed;          /* it came so far */

static void die(const char *what)
{
    mpg_error_info info;

    (void)mpg_last_error(&info);
    fprintf(stderr, "%s, call %u, %s: %s (%s)\n", specimen->kind->name, failed_call,
            strerror(failure), what, info.message);
    exit(1);
}

/* ---- the calls ---- */

static bool fails(void)
{
    if (calls_left == 0 || --calls_left > 0)
        return false;
    errno = failure;
    failed = true;
    return true;
}

static int bad_open(void *context, const char *path, int flags, unsigned mode)
{
    return fails() ? -1 : mpgi_io_system.open(context, path, flags, mode);
}

static int bad_size(void *context, int fd, uint64_t *bytes)
{
    return fails() ? -1 : mpgi_io_system.size(context, fd, bytes);
}

static ssize_t bad_pread(void *context, int fd, void *data, size_t length, uint64_t offset)
{
    return fails() ? -1 : mpgi_io_system.pread(context, fd, data, length, offset);
}

static ssize_t bad_pwrite(void *context, int fd, const void *data, size_t length, uint64_t offset)
{
    return fails() ? -1 : mpgi_io_system.pwrite(context, fd, data, length, offset);
}

static int bad_fdatasync(void *context, int fd)
{
    return fails() ? -1 : mpgi_io_system.fdatasync(context, fd);
}

static int bad_allocate(void *context, int fd, uint64_t offset, uint64_t length)
{
    return fails() ? -1 : mpgi_io_system.allocate(context, fd, offset, length);
}

static int bad_truncate(void *context, int fd, uint64_t bytes)
{
    return fails() ? -1 : mpgi_io_system.truncate(context, fd, bytes);
}

static int bad_link(void *context, int fd, const char *path)
{
    return fails() ? -1 : mpgi_io_system.link(context, fd, path);
}

static int bad_unlink(void *context, const char *path)
{
    return fails() ? -1 : mpgi_io_system.unlink(context, path);
}

static int bad_rename(void *context, const char *from, const char *to)
{
    return fails() ? -1 : mpgi_io_system.rename(context, from, to);
}

static int bad_sync_name(void *context, int fd, const char *path)
{
    return fails() ? -1 : mpgi_io_system.sync_name(context, fd, path);
}

static struct io bad_io(void)
{
    struct io io = mpgi_io_system;

    io.open = bad_open;
    io.size = bad_size;
    io.pread = bad_pread;
    io.pwrite = bad_pwrite;
    io.pwritev = NULL;
    io.fdatasync = bad_fdatasync;
    io.allocate = bad_allocate;
    io.truncate = bad_truncate;
    io.link = bad_link;
    io.unlink = bad_unlink;
    io.rename = bad_rename;
    io.sync_name = bad_sync_name;
    return io;
}

/* ---- what must come of it ---- */

static char undo[300], saved[300];
static uint64_t damaged; /* digest of the file before */

static void must_be_damaged(void)
{
    if (damage_digest(specimen->path) != damaged)
        die("it is not the damaged file, byte for byte");
}

static uint64_t faults_of(const char *path)
{
    mpg_check_result checked;
    const mpg_pager *pager;

    if (mpg_open_readonly(&pager, path, NULL) != 0 || mpg_check(&checked, pager, NULL) != 0)
        die("what was made cannot be checked");
    if (mpg_close(pager) != 0)
        die("close");
    return checked.faults;
}

/* Nothing but the files that are told of. */
static void must_be_tidy(void)
{
    char directory[300];
    const struct dirent *entry;
    DIR *dir;

    (void)snprintf(directory, sizeof(directory), "%s", specimen->path);
    *strrchr(directory, '/') = '\0';
    dir = opendir(directory);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        const char *name = entry->d_name;

        if (name[0] != '.' && strcmp(name, specimen->kind->name) != 0 &&
            strcmp(name, strrchr(specimen->older, '/') + 1) != 0 &&
            strcmp(name, strrchr(undo, '/') + 1) != 0)
            die(name);
    }
    (void)closedir(dir);
}

static bool agrees; /* to give up what a repair asks for */

static bool consent(void *context, const mpg_rescue_note *note)
{
    (void)context;
    (void)note;
    return agrees;
}

static int repair(mpg_repair_result *result, const struct io *io)
{
    mpg_repair_options options = MPG_REPAIR_OPTIONS_INIT;

    options.consent = consent;
    return mpgi_repair_with(result, specimen->path, &options, io, NULL);
}

static void end_repair(int error)
{
    mpg_repair_result result;
    bool begun = access(undo, F_OK) == 0;

    must_be_tidy();
    if (!begun)
        must_be_damaged();
    if (error == 0 && begun && faults_of(specimen->path) != 0)
        die("it says that it is repaired");
    if (error != 0) {
        int again = repair(&result, &mpgi_io_system);

        if (again != 0 && again != MPG_E_EXISTS) /* all of it was done, but for what tells so */
            die("the next repair fails");
        begun = access(undo, F_OK) == 0;
        if (faults_of(specimen->path) != 0)
            die("the next repair does not mend it");
    }
    if (begun && mpg_repair_undo(specimen->path, NULL) != 0)
        die("it cannot be taken back");
    must_be_damaged();
}

/* Each of these returns the error, with the call number `call` failing. */
static int try_repair(const struct io *io)
{
    mpg_repair_result result;
    int error = repair(&result, io);

    calls_left = 0;
    end_repair(error);
    return error;
}

static int try_undo(const struct io *io)
{
    unsigned call = calls_left;
    mpg_repair_result result;
    int error;

    calls_left = 0;
    if (repair(&result, &mpgi_io_system) != 0)
        die("repair");
    calls_left = call;
    error = mpgi_repair_undo_with(specimen->path, NULL, io, NULL);
    calls_left = 0;
    must_be_tidy();
    if (access(undo, F_OK) == 0 && mpg_repair_undo(specimen->path, NULL) != 0)
        die("it cannot be taken back the next time");
    must_be_damaged();
    return error;
}

static int try_rescue(const struct io *io)
{
    mpg_rescue_result result;
    int error = mpgi_rescue_with(&result, specimen->path, saved, NULL, io, NULL);

    calls_left = 0;
    must_be_damaged();
    if (error == 0 && faults_of(saved) != 0)
        die("what was saved is not whole");
    if (error != 0 && access(saved, F_OK) == 0)
        die("a rescue that failed left a file");
    (void)unlink(saved);
    must_be_tidy();
    return error;
}

/* One call in `step`, until there are no more. Returns how often the work failed. */
static unsigned fail_each(int (*work)(const struct io *io), unsigned step)
{
    static const int errors[] = {EIO, ENOSPC};
    struct io io = bad_io();
    unsigned failures = 0;

    failed = true;
    for (failed_call = 1; failed; failed_call += step) {
        failed = false;
        for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
            failure = errors[i];
            calls_left = failed_call;
            failures += work(&io) != 0;
        }
    }
    return failures;
}

static void zero_pages(uint64_t first, uint64_t count)
{
    static const unsigned char zeros[3 * 1024];
    FILE *file = fopen(specimen->path, "r+b");

    if (file == NULL || fseek(file, (long)(first * 1024), SEEK_SET) != 0 ||
        fwrite(zeros, 1024, count, file) != count || fclose(file) != 0)
        die("a page cannot be written");
}

static unsigned run_damage(unsigned step)
{
    damaged = damage_digest(specimen->path);
    return fail_each(try_repair, step) + fail_each(try_undo, 1) + fail_each(try_rescue, step);
}

/*
 * Page 0 is put together again, of which nothing is asked. Without all three everything is made
 * anew of what is left.
 */
static void run_kind(const struct specimen_kind *kind, const char *directory, unsigned step)
{
    struct specimen made;
    unsigned failures;

    damage_make(&made, kind, directory);
    specimen = &made;
    (void)snprintf(undo, sizeof(undo), "%s.undo", made.path);
    (void)snprintf(saved, sizeof(saved), "%s.saved", made.path);
    zero_pages(0, 1);
    agrees = false;
    failures = run_damage(step);
    zero_pages(1, 2);
    agrees = true;
    failures += run_damage(step);
    printf("%s: failed %u times\n", kind->name, failures);
    if (failures < 40)
        die("too few calls failed");
    damage_free(&made);
}

int main(void)
{
    const char *how = getenv("MPG_DAMAGE");
    char directory[] = "/dev/shm/mpg-trouble-XXXXXX";
    char fallback[] = "/tmp/mpg-trouble-XXXXXX";
    const char *made = mkdtemp(directory);

    if (made == NULL)
        made = mkdtemp(fallback);
    if (made == NULL)
        damage_die("mkdtemp");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        run_kind(&kinds[i], made, how != NULL && strcmp(how, "all") == 0 ? 1 : 7);
    (void)rmdir(made);
    return 0;
}
