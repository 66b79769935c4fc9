/* SPDX-License-Identifier: MIT */
/*
 * Check, rescue and repair on files that lie: mutants of the fuzzers' corpus and of the golden
 * files, half of them on a disk of which a part cannot be read. Whatever they say of it, what a
 * rescue makes is whole, a repair leaves no more faults than it says and can be taken back byte for
 * byte, and one that fails changes nothing.
 *
 * MPG_MUTANTS is how many; MPG_MUTANT_SEED says which.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/image.h"
#include "life/damage.h"
#include "life/repair.h"

#define SECONDS_MAX 120
#define MOST_SEEDS 80
#define CAPACITY (1u << 20)

static unsigned char original[CAPACITY], image[CAPACITY];
static char directory[] = "/dev/shm/mpg-mutants-XXXXXX", fallback[] = "/tmp/mpg-mutants-XXXXXX";
static const char *made;
static char damaged[100], saved[110], undo[110];
static uint64_t number;

static void fail(const char *what)
{
    mpg_error_info info;

    (void)mpg_last_error(&info);
    fprintf(stderr, "mutant %" PRIu64 " (kept in %s): %s: %s\n", number, damaged, what,
            info.message);
    exit(1);
}

/* ---- a part that cannot be read ---- */

static uint64_t bad_first, bad_end;

static ssize_t bad_pread(void *context, int fd, void *data, size_t length, uint64_t offset)
{
    if (offset < bad_end && bad_first < offset + length) {
        errno = EIO;
        return -1;
    }
    return mpgi_io_system.pread(context, fd, data, length, offset);
}

static struct io choose_disk(size_t size)
{
    struct io io = mpgi_io_system;

    if (damage_random() % 2 == 0)
        return io;
    bad_first = damage_random() % size / 512 * 512;
    bad_end = bad_first + 512 * (1 + damage_random() % 16);
    io.pread = bad_pread;
    return io;
}

/* ---- what comes of a mutant ---- */

static uint64_t faults_of(const char *path)
{
    mpg_check_result result;
    const mpg_pager *pager;

    if (mpg_open_readonly(&pager, path, NULL) != 0)
        fail("what was made does not open");
    if (mpg_check(&result, pager, NULL) != 0)
        fail("what was made cannot be checked");
    if (mpg_close(pager) != 0)
        fail("close");
    return result.faults;
}

static bool agree(void *context, const mpg_rescue_note *note)
{
    (void)context;
    (void)note;
    return true;
}

/* Errors that a file, or its disk, can be the reason of. */
static bool is_expected(int error)
{
    return mpg_is_damage(error) || error == MPG_E_IO || error == MPG_E_FILE_FULL ||
           error == MPG_E_DIRECTORY_FULL || error == MPG_E_NO_SPACE || error == MPG_E_NO_MEMORY ||
           error == MPG_E_UNSUPPORTED_VERSION || error == MPG_E_INVALID_PAGE_SIZE ||
           error == MPG_E_READ_ONLY || error == MPG_E_INVALID;
}

static void look(void)
{
    mpg_check_result result;
    const mpg_pager *pager;

    if (mpg_open_readonly(&pager, damaged, NULL) != 0)
        return;
    if (mpg_check(&result, pager, NULL) != 0 && mpg_last_error(&(mpg_error_info){0}) != MPG_E_STALE)
        fail("check");
    if (mpg_close(pager) != 0)
        fail("close");
}

static unsigned rescue(const struct io *io)
{
    mpg_rescue_result result;
    int error = mpgi_rescue_with(&result, damaged, saved, NULL, io, NULL);

    if (error != 0 && (!is_expected(error) || access(saved, F_OK) == 0))
        fail("rescue");
    if (error == 0 && faults_of(saved) != 0)
        fail("what was rescued is not whole");
    (void)unlink(saved);
    return error == 0;
}

static unsigned repair(const struct io *io)
{
    mpg_repair_options options = MPG_REPAIR_OPTIONS_INIT;
    uint64_t before = damage_digest(damaged);
    mpg_repair_result result;
    bool is_system = io->pread == mpgi_io_system.pread;
    int error;

    options.consent = agree;
    options.flags = damage_random() % 4 == 0 ? MPG_REPAIR_OLDER : 0;
    error = mpgi_repair_with(&result, damaged, &options, io, NULL);
    if (error != 0 && !is_expected(error))
        fail("repair");
    if (error == 0 && is_system && faults_of(damaged) != result.faults_left)
        fail("other faults are left than it says");
    /* What cannot be read counts as zeros, which the undo file has, and this disk has not. */
    if (!is_system && access(undo, F_OK) == 0) {
        (void)unlink(undo);
        return error == 0;
    }
    if (access(undo, F_OK) == 0 && mpg_repair_undo(damaged, NULL) != 0)
        fail("undo");
    if (damage_digest(damaged) != before)
        fail("it is not what it was before");
    return error == 0;
}

static void write_image(size_t size)
{
    FILE *file = fopen(damaged, "wb");

    if (file == NULL || fwrite(image, 1, size, file) != size || fclose(file) != 0)
        fail("the mutant cannot be written");
}

/* ---- the files that they come from ---- */

static int is_page_file(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    return length > 4 && strcmp(entry->d_name + length - 4, ".mpp") == 0;
}

static unsigned list_seeds(const char *folder, char names[][4096], unsigned count)
{
    struct dirent **entries;
    int found = scandir(folder, &entries, is_page_file, alphasort);

    for (int i = 0; i < found; i++) {
        if (count < MOST_SEEDS && snprintf(names[count], sizeof(names[count]), "%s/%s", folder,
                                           entries[i]->d_name) < (int)sizeof(names[count]))
            count++;
        free(entries[i]);
    }
    if (found > 0)
        free(entries);
    return count;
}

static size_t read_seed(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t size = file != NULL ? fread(original, 1, CAPACITY / 2, file) : 0;

    if (file != NULL)
        (void)fclose(file);
    memset(image, 0, sizeof(image));
    memcpy(image, original, size);
    return size;
}

static void make_names(void)
{
    made = mkdtemp(directory);
    if (made == NULL)
        made = mkdtemp(fallback);
    if (made == NULL)
        damage_die("mkdtemp");
    (void)snprintf(damaged, sizeof(damaged), "%s/mutant", made);
    (void)snprintf(saved, sizeof(saved), "%s.saved", damaged);
    (void)snprintf(undo, sizeof(undo), "%s.undo", damaged);
}

int main(void)
{
    static char names[MOST_SEEDS][4096];
    const char *how_many = getenv("MPG_MUTANTS"), *which = getenv("MPG_MUTANT_SEED");
    uint64_t mutants = how_many != NULL ? strtoull(how_many, NULL, 10) : 300;
    uint64_t seed = which != NULL ? strtoull(which, NULL, 10) : 1;
    const char *top = getenv("top_srcdir");
    unsigned count = 0, rescued = 0, repaired = 0;
    char folder[3000];

    make_names();
    (void)snprintf(folder, sizeof(folder), "%s/tests/fuzz/corpus", top != NULL ? top : ".");
    count = list_seeds(folder, names, count);
    (void)snprintf(folder, sizeof(folder), "%s/tests/golden", top != NULL ? top : ".");
    count = list_seeds(folder, names, count);
    if (count == 0)
        fail("there are no files to make mutants of");
    damage_seed(seed * 2 + 1);
    for (number = 0; number < mutants; number++) {
        size_t size = read_seed(names[damage_random() % count]);
        struct io io;

        for (uint64_t i = damage_random() % 4 + 1; i > 0 && size > 0; i--)
            size = image_mutate(image, size, sizeof(image), damage_random());
        if (size == 0)
            continue;
        (void)alarm(SECONDS_MAX);
        write_image(size);
        io = choose_disk(size);
        look();
        rescued += rescue(&io);
        repaired += repair(&io);
    }
    printf("%" PRIu64 " mutants: %u rescued, %u repaired\n", mutants, rescued, repaired);
    (void)unlink(damaged);
    (void)rmdir(made);
    return rescued > 0 && repaired > 0 ? 0 : 1;
}
