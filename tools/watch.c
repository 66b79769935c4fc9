/* SPDX-License-Identifier: MIT */
#include "watch.h"

#include "command.h"
#include "file.h"
#include "json.h"
#include "output.h"
#include "size.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Lines of figures from one heading to the next. */
#define LINES 20
/* A signal that asks to end is noticed within so many milliseconds. */
#define NAP 100

/* The file at a moment. */
struct moment {
    struct mpg_stat st;
    uint64_t time; /* milliseconds of a clock that does not jump */
};

static uint64_t now(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

/* The newest state. Returns 0 or the library's error. */
static int look(struct moment *moment, const mpg_pager *pager)
{
    struct patience patience = {0};
    int status;

    moment->st.size = sizeof moment->st;
    do {
        status = mpg_refresh(pager);
    } while (moved_on(&patience, pager, status));
    if (status == 0) {
        status = mpg_stat(&moment->st, pager);
    }
    moment->time = now();
    return status;
}

/* Waits until then. False: it is to end. */
static bool wait_until(uint64_t time)
{
    for (uint64_t at = now(); at < time && !asked_to_end(); at = now()) {
        uint64_t nap = time - at < NAP ? time - at : NAP;
        struct timespec pause = {.tv_nsec = (long)(nap * 1000000)};

        (void)nanosleep(&pause, NULL);
    }
    return !asked_to_end();
}

static double rate(uint64_t before, uint64_t after, const struct moment *from,
                   const struct moment *to)
{
    uint64_t time = to->time > from->time ? to->time - from->time : 1;

    return ((double)after - (double)before) * 1000 / (double)time;
}

static void print_heading(void)
{
    printf("%10s %10s %12s %12s %12s %12s %10s\n", "commits/s", "pages/s", "regular", "protected",
           "free", "metadata", "file size");
}

static void print_line(const struct moment *from, const struct moment *to)
{
    char size[SIZE_TEXT];

    size_format(size, to->st.file_bytes);
    printf("%10.1f %+10.1f %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %10s\n",
           rate(from->st.generation, to->st.generation, from, to),
           rate(from->st.regular_pages + from->st.protected_pages,
                to->st.regular_pages + to->st.protected_pages, from, to),
           to->st.regular_pages, to->st.protected_pages, to->st.free_pages, to->st.metadata_pages,
           size);
}

static void print_json(const struct moment *from, const struct moment *to)
{
    struct json json;

    json_begin_line(&json, stdout);
    json_number(&json, "milliseconds", to->time - from->time);
    json_number(&json, "commits", to->st.generation - from->st.generation);
    json_number(&json, "generation", to->st.generation);
    json_number(&json, "total_pages", to->st.total_pages);
    json_number(&json, "free_pages", to->st.free_pages);
    json_number(&json, "regular_pages", to->st.regular_pages);
    json_number(&json, "protected_pages", to->st.protected_pages);
    json_number(&json, "metadata_pages", to->st.metadata_pages);
    json_number(&json, "file_bytes", to->st.file_bytes);
    json_end(&json);
}

/* Which file has the name. */
struct named {
    dev_t device;
    ino_t number;
};

static struct named name_of(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (struct named){st.st_dev, st.st_ino} : (struct named){0};
}

static bool has_its_name(const struct named *watched, const char *path)
{
    struct named there = name_of(path);

    return there.device == watched->device && there.number == watched->number;
}

/*
 * Nobody means the file that had the name before: nothing happens to that any more. Returns an exit
 * status.
 */
static int report_renamed(const char *path, bool json)
{
    mpg_error_info info = {.code = MPG_E_CHANGED, .page = MPG_NO_PAGE};

    (void)snprintf(info.message, sizeof(info.message), "%s",
                   name_of(path).number == 0 ? "it was removed, or renamed"
                                             : "another file has taken its name");
    return report_error(path, &info, json);
}

static void print_figures(const struct moment *from, const struct moment *to, unsigned line,
                          bool json)
{
    if (json) {
        print_json(from, to);
        return;
    }
    if (line % LINES == 0) {
        print_heading();
    }
    print_line(from, to);
}

int watch_file(const mpg_pager *pager, const char *path, unsigned seconds, bool json)
{
    const struct named watched = name_of(path);
    struct moment before, after;

    hold_signals();
    if (look(&before, pager) != 0) {
        return fail_and_close(pager, path, json);
    }
    for (unsigned line = 0; wait_until(before.time + (uint64_t)seconds * 1000); line++) {
        if (!has_its_name(&watched, path)) {
            return close_file(pager, path, report_renamed(path, json));
        }
        if (look(&after, pager) != 0) {
            return fail_and_close(pager, path, json);
        }
        print_figures(&before, &after, line, json);
        if (finish_output(STATUS_FINE) != STATUS_FINE) {
            return close_file(pager, path, STATUS_FAILED);
        }
        before = after;
    }
    return close_file(pager, path, STATUS_FINE);
}
