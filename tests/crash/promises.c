/* SPDX-License-Identifier: MIT */
#include "crash/promises.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "pager/open.h"
#include "support/harness.h"
#include "support/memory_disk.h"

#define PAGE_SIZE 1024u
#define CAPACITY (1u << 20)

static struct memory_disk disk;

static mpg_options options_of(int format)
{
    mpg_options options = MPG_OPTIONS_INIT;

    options.page_size = PAGE_SIZE;
    options.format = format;
    options.address_space = CAPACITY;
    return options;
}

static int create(mpg_pager **pager, const mpg_options *options)
{
    return mpgi_create_with(pager, "file", options, &memory_disk_io, &disk);
}

static int open_again(mpg_pager **pager, const mpg_options *options)
{
    return mpgi_open_with(pager, "file", options, false, &memory_disk_io, &disk);
}

static const char *message(void)
{
    static mpg_error_info info;

    (void)mpg_last_error(&info);
    return info.message;
}

/* ---- rule 15 ---- */

static uint64_t calls_to_live;

/* Once dead, a process makes no calls. */
static int dies(void *context, enum disk_call call, size_t *length)
{
    (void)context;
    (void)call;
    (void)length;
    if (calls_to_live == 0)
        return EIO;
    calls_to_live--;
    return 0;
}

/* The system closes what a dead process had open. */
static void bury(void)
{
    for (int fd = 0; fd < DISK_DESCRIPTORS; fd++)
        disk.descriptors[fd].open = false;
    disk.mappings = 0;
    disk.hidden = false;
    if (!disk.exists)
        disk.size = 0;
}

/* The name stands for nothing, or a whole file; or for one made in place that can be made anew. */
static bool is_whole_or_nothing(int format, bool in_place)
{
    mpg_options options = options_of(format);
    mpg_pager *pager;
    int result;

    options.flags = MPG_CREATE;
    if (!disk.exists || (in_place && disk.size == 0)) {
        result = open_again(&pager, &options);
    } else {
        result = open_again(&pager, NULL);
        if (result != 0 && in_place)
            result = create(&pager, &options);
    }
    return result == 0 && mpg_close(pager) == 0;
}

static bool dies_in_way(int format, bool no_nameless, bool no_rename, char *why, size_t size)
{
    mpg_options options = options_of(format);

    for (uint64_t n = 0; n < 1000; n++) {
        mpg_pager *pager = NULL;
        int result;
        bool good;

        memory_disk_init(&disk, CAPACITY);
        disk.no_nameless = no_nameless;
        disk.no_rename = no_rename;
        disk.fault = dies;
        calls_to_live = n;
        result = create(&pager, &options);
        disk.fault = NULL;
        if (result == 0) {
            (void)mpg_close(pager);
            memory_disk_destroy(&disk);
            return n > 5;
        }
        bury();
        good = is_whole_or_nothing(format, no_rename);
        memory_disk_destroy(&disk);
        if (!good) {
            snprintf(why, size, "death at call %" PRIu64 " of creating leaves half a file: %s", n,
                     message());
            return false;
        }
    }
    snprintf(why, size, "it is never made");
    return false;
}

bool promise_whole_file(int format, char *why, size_t size)
{
    return dies_in_way(format, false, false, why, size) &&
           dies_in_way(format, true, false, why, size) &&
           dies_in_way(format, true, true, why, size);
}

/* ---- rule 13 ---- */

static struct {
    bool armed;
    uint64_t writes_left; /* that still find room */
    bool in_part;         /* the next one finds room for a part */
    bool met;
} full;

static int fills_up(void *context, enum disk_call call, size_t *length)
{
    (void)context;
    if (!full.armed || call != CALL_PWRITE)
        return 0;
    if (full.writes_left > 0) {
        full.writes_left--;
        return 0;
    }
    if (full.in_part && *length > 1) {
        full.in_part = false;
        *length /= 2;
        return 0;
    }
    full.met = true;
    return ENOSPC;
}

static int write_protected(mpg_pager *pager, int byte)
{
    mpg_writer *writer;
    int result = mpg_writer_open(&writer, pager, (mpg_protected_id){0});

    if (result != 0)
        return result;
    memset(mpg_writer_data(writer), byte, PAGE_SIZE);
    result = mpg_writer_commit(writer);
    if (result != 0)
        mpg_writer_discard(writer);
    return result;
}

static bool shows(const mpg_pager *pager, int byte)
{
    unsigned char data[PAGE_SIZE];
    mpg_check_result checked;

    return mpg_protected_read(data, pager, (mpg_protected_id){0}) == 0 && data[0] == byte &&
           data[PAGE_SIZE - 1] == byte && mpg_check(&checked, pager, NULL) == 0 &&
           checked.faults == 0;
}

/* Writes and frees while the disk is full from the n-th write on, and once there is room again. */
static const char *goes_on(int format, uint64_t n, bool in_part)
{
    mpg_options options = options_of(format);
    mpg_page_id ids[4];
    mpg_pager *pager;
    const char *fault = NULL;
    int result;

    must(create(&pager, &options) == 0 && mpg_alloc_bulk(ids, pager, 4, 0) == 0);
    must(mpg_alloc_protected_at(pager, (mpg_protected_id){0}) == 0);
    must(write_protected(pager, 'a') == 0);
    full.armed = true;
    full.writes_left = n;
    full.in_part = in_part;
    full.met = false;
    result = write_protected(pager, 'b');
    if (full.met && result != MPG_E_NO_SPACE)
        fault = "another error than NO_SPACE";
    else if (full.met && mpg_free(pager, ids[1]) != MPG_E_NO_SPACE)
        fault = "after the first error, it is not the full disk that is told of";
    else if (full.met && !shows(pager, 'a'))
        fault = "a failed commit changed something";
    full.armed = false;
    if (fault == NULL && (write_protected(pager, 'c') != 0 || mpg_free(pager, ids[1]) != 0))
        fault = "it does not go on when there is room again";
    if (fault == NULL && !shows(pager, 'c'))
        fault = "what was committed when there was room again is not there";
    if (mpg_close(pager) != 0 && fault == NULL)
        fault = "it does not close";
    if (fault != NULL)
        return fault;
    must(open_again(&pager, NULL) == 0);
    if (!shows(pager, 'c'))
        fault = "it is not there after opening again";
    must(mpg_close(pager) == 0);
    return fault;
}

bool promise_full_disk(int format, char *why, size_t size)
{
    for (int in_part = 0; in_part < 2; in_part++) {
        uint64_t n = 0;

        /* Page 0 of format 0.2 is written in place, but never in part: it is a sector. */
        if (in_part && format == MPG_FORMAT_0_2)
            continue;
        do {
            const char *fault;

            memory_disk_init(&disk, CAPACITY);
            disk.fault = fills_up;
            fault = goes_on(format, n, in_part != 0);
            memory_disk_destroy(&disk);
            if (fault != NULL) {
                snprintf(why, size, "full from write %" PRIu64 "%s: %s (%s)", n,
                         in_part ? ", in part" : "", fault, message());
                return false;
            }
            n++;
        } while (full.met);
        must(n > 2);
    }
    return true;
}

/* ---- rule 14 ---- */

static bool has_space[CAPACITY / PAGE_SIZE];
static bool no_space_left;

static int give_space(void *context, int fd, uint64_t offset, uint64_t length)
{
    (void)context;
    (void)fd;
    if (no_space_left) {
        errno = ENOSPC;
        return -1;
    }
    for (uint64_t page = offset / PAGE_SIZE; page * PAGE_SIZE < offset + length; page++)
        has_space[page] = true;
    return 0;
}

/* A file that came with nothing but holes. */
static int open_holes(mpg_pager **pager, int format, unsigned flags)
{
    static struct io io;
    mpg_options options = options_of(format);

    io = memory_disk_io;
    io.back = give_space;
    memset(has_space, 0, sizeof(has_space));
    no_space_left = false;
    options.flags = flags;
    return mpgi_open_with(pager, "file", &options, false, &io, &disk);
}

/*
 * Protected pages of format 0.2, with their two copies. In format 1 a content gets its page as it
 * is written, with pwrite, where a full disk is an error anyway (rule 13).
 */
static bool backs_protected(mpg_pager *pager, int format, bool no_room)
{
    mpg_protected_info info;
    int result;

    if (format == MPG_FORMAT_1)
        return true;
    result = mpg_alloc_protected_at(pager, (mpg_protected_id){0});
    if (no_room)
        return result == MPG_E_NO_SPACE;
    return result == 0 && mpg_protected_stat(&info, pager, (mpg_protected_id){0}) == 0 &&
           has_space[info.page[0]] && has_space[info.page[1]];
}

static const char *backs_what_it_gives(mpg_pager *pager, int format, const mpg_page_id *old)
{
    mpg_page_id id, ids[100];
    void *data;

    no_space_left = true;
    if (mpg_alloc(&id, pager, 0) != MPG_E_NO_SPACE ||
        mpg_alloc_bulk(ids, pager, 100, 0) != MPG_E_NO_SPACE ||
        !backs_protected(pager, format, true))
        return "a page without space behind it is given out";
    if (mpg_page_get_mut(&data, pager, *old) != MPG_E_NO_SPACE)
        return "an address without space behind it is given out";
    no_space_left = false;
    if (mpg_page_get_mut(&data, pager, *old) != 0 || !has_space[old->value])
        return "an address has no space behind it";
    if (mpg_alloc(&id, pager, MPG_ZERO) != 0 || !has_space[id.value])
        return "a page has no space behind it";
    if (mpg_alloc_bulk(ids, pager, 100, 0) != 0)
        return "there is room, but no pages";
    for (int i = 0; i < 100; i++)
        if (!has_space[ids[i].value])
            return "one page of many has no space behind it";
    if (!backs_protected(pager, format, false))
        return "a protected page has no space behind it";
    return NULL;
}

bool promise_space(int format, char *why, size_t size)
{
    mpg_options options = options_of(format);
    const char *fault;
    mpg_pager *pager;
    mpg_page_id old, id;

    memory_disk_init(&disk, CAPACITY);
    options.initial_pages = 300;
    must(create(&pager, &options) == 0 && mpg_alloc(&old, pager, 0) == 0 && mpg_close(pager) == 0);
    must(open_holes(&pager, format, MPG_SPARSE) == 0);
    no_space_left = true;
    fault = mpg_alloc(&id, pager, 0) != 0 ? "a sparse file needs space" : NULL;
    must(mpg_close(pager) == 0);
    must(open_holes(&pager, format, 0) == 0);
    if (fault == NULL)
        fault = backs_what_it_gives(pager, format, &old);
    must(mpg_close(pager) == 0);
    memory_disk_destroy(&disk);
    if (fault != NULL)
        snprintf(why, size, "%s", fault);
    return fault == NULL;
}
