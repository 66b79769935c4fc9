/* SPDX-License-Identifier: MIT */
/* mappedpages list: the ids of regular and protected pages, and what is known of each. */

#include "arguments.h"
#include "command.h"
#include "file.h"
#include "json.h"
#include "output.h"

#include <inttypes.h>
#include <stdlib.h>
#include <zlib.h>

static const struct option options[] = {
    {"regular", no_argument, NULL, 'r'},
    {"protected", no_argument, NULL, 'p'},
    {"ids", no_argument, NULL, 'i'},
    {"long", no_argument, NULL, 'l'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct listing {
    const mpg_pager *pager;
    bool with_content;
    void *piece; /* room for a piece of a regular page */
    void *whole; /* room for a protected page, once there is one */
    bool only_ids;
    bool as_json;
    struct json json; /* if as_json */
    struct patience patience;
    bool unreadable; /* some page could not be read */
};

/* So much of a regular page is read at once: a page may have 1 GiB. */
#define PIECE ((size_t)1 << 20)

/* A page freed since the iterator saw it, which takes a newer state to notice, is left out. */
static bool is_gone(const struct listing *listing, int status)
{
    return listing->patience.moved &&
           (status == MPG_E_NOT_ALLOCATED || status == MPG_E_NOT_REGULAR);
}

/* The content's checksum, or the error in its place. */
static void show_content(struct listing *listing, int status, uint32_t crc)
{
    listing->unreadable |= status != 0;
    if (listing->as_json) {
        if (status != 0) {
            json_string(&listing->json, "error", error_name(status));
        } else {
            json_crc(&listing->json, "crc", crc);
        }
    } else if (status != 0) {
        printf(" error %s", error_name(status));
    } else {
        printf(" %08" PRIx32, crc);
    }
}

static void begin_page(struct listing *listing, const char *kind, uint64_t id)
{
    if (listing->as_json) {
        json_open(&listing->json, NULL, '{');
        json_number(&listing->json, "id", id);
    } else if (listing->only_ids) {
        printf("%" PRIu64, id);
    } else {
        printf("%s %" PRIu64, kind, id);
    }
}

static void end_page(struct listing *listing)
{
    if (listing->as_json) {
        json_close(&listing->json, '}');
    } else {
        putchar('\n');
    }
}

/* The checksum of a regular page. */
static int sum_regular(uint32_t *crc, struct listing *listing, mpg_page_id id)
{
    size_t size = mpg_page_size(listing->pager);
    size_t step = size < PIECE ? size : PIECE;
    int status = 0;

    if (listing->piece == NULL) {
        listing->piece = allocate(1, step);
    }
    *crc = 0;
    for (size_t at = 0; at < size && status == 0; at += step) {
        status = mpg_page_read(listing->piece, listing->pager, id, at, step);
        if (status == 0) {
            *crc = (uint32_t)crc32_z(*crc, listing->piece, step);
        }
    }
    return status;
}

static void list_regular_page(struct listing *listing, mpg_page_id id)
{
    uint32_t crc = 0;
    int status = 0;

    if (listing->with_content) {
        do {
            status = sum_regular(&crc, listing, id);
        } while (moved_on(&listing->patience, listing->pager, status));
        if (is_gone(listing, status)) {
            return;
        }
    }
    begin_page(listing, "page", id.value);
    if (listing->with_content) {
        show_content(listing, status, crc);
    }
    end_page(listing);
}

static void show_copies(struct listing *listing, const mpg_protected_info *info)
{
    uint64_t current = info->page[info->current];
    uint64_t other = info->page[!info->current];

    if (listing->as_json) {
        json_number(&listing->json, "generation", info->generation);
        json_number(&listing->json, "current", current);
        if (other != 0) {
            json_number(&listing->json, "other", other);
        }
    } else {
        printf(" generation %" PRIu64 " current %" PRIu64, info->generation, current);
        if (other != 0) { /* there is one in format 0.2 */
            printf(" other %" PRIu64, other);
        }
    }
}

static void list_protected_page(struct listing *listing, mpg_protected_id id)
{
    size_t size = mpg_page_size(listing->pager);
    mpg_protected_info info;
    int status = 0;
    int told = 0;

    if (listing->with_content) {
        if (listing->whole == NULL) {
            listing->whole = allocate(1, size);
        }
        /* Both from one state: what the first said is asked again if the second had to move on. */
        do {
            told = mpg_protected_stat(&info, listing->pager, id);
            status =
                told == MPG_E_STALE ? told : mpg_protected_read(listing->whole, listing->pager, id);
        } while (moved_on(&listing->patience, listing->pager, status));
        if (is_gone(listing, status)) {
            return;
        }
    }
    begin_page(listing, "protected", id.value);
    if (listing->with_content) {
        show_content(listing, status, status == 0 ? (uint32_t)crc32_z(0, listing->whole, size) : 0);
        if (told == 0) {
            show_copies(listing, &info);
        }
    }
    end_page(listing);
}

/* Both return 0, or the error that ended the list before its time. */
static int list_regular(struct listing *listing)
{
    mpg_page_iter iter;
    mpg_page_id id = {0};
    int status;

    mpg_page_iter_begin(&iter, listing->pager, id);
    do {
        status = mpg_page_iter_next(&id, &iter);
        if (status > 0) {
            list_regular_page(listing, id);
        }
    } while (status > 0 || moved_on(&listing->patience, listing->pager, status));
    return status;
}

static int list_protected(struct listing *listing)
{
    mpg_protected_iter iter;
    mpg_protected_id id = {0};
    int status;

    mpg_protected_iter_begin(&iter, listing->pager, id);
    do {
        status = mpg_protected_iter_next(&id, &iter);
        if (status > 0) {
            list_protected_page(listing, id);
        }
    } while (status > 0 || moved_on(&listing->patience, listing->pager, status));
    return status;
}

/* One of the two lists, in JSON as an array. */
static int list_kind(struct listing *listing, const char *key, int (*list)(struct listing *))
{
    int status;

    if (listing->as_json) {
        json_open(&listing->json, key, '[');
    }
    status = list(listing);
    if (listing->as_json) {
        json_close(&listing->json, ']');
    }
    return status;
}

/* Lists what was asked for. Returns an exit status. */
static int list_all(struct listing *listing, const char *path, bool regular, bool protected)
{
    int status = 0;

    if (listing->as_json) {
        json_begin(&listing->json, stdout);
    }
    if (regular) {
        status = list_kind(listing, "regular", list_regular);
    }
    if (status == 0 && protected) {
        status = list_kind(listing, "protected", list_protected);
    }
    if (listing->as_json) {
        if (status != 0) {
            json_failure(&listing->json, path);
        }
        json_end(&listing->json);
    }
    if (status != 0) {
        return report_failure(path, false);
    }
    return finish_output(listing->unreadable ? STATUS_NO : STATUS_FINE);
}

static int run(int argc, char **argv)
{
    struct listing listing = {0};
    bool regular = false;
    bool protected = false;
    bool long_form = false;
    const char *path;
    int option;
    int status;

    while ((option = next_option(&command_list, argc, argv)) != -1) {
        regular |= option == 'r';
        protected |= option == 'p';
        listing.only_ids |= option == 'i';
        long_form |= option == 'l';
        listing.as_json |= option == 'j';
    }
    expect_arguments(&command_list, argc, argv, 1, 1);
    if (listing.only_ids && (long_form || listing.as_json)) {
        usage_error(&command_list, "--ids goes with neither --long nor --json");
    }
    if (listing.only_ids && regular == protected) {
        usage_error(&command_list, "--ids wants one of --regular and --protected");
    }
    if (!regular && !protected) {
        regular = true;
        protected = true;
    }
    path = argv[optind];
    if (open_reading(&listing.pager, path, listing.as_json) != STATUS_FINE) {
        return STATUS_FAILED;
    }
    listing.with_content = long_form;
    status = list_all(&listing, path, regular, protected);
    free(listing.piece);
    free(listing.whole);
    return close_file(listing.pager, path, status);
}

const struct command command_list = {
    .name = "list",
    .summary = "Lists the pages in use",
    .usage = "[-r] [-p] [-i] [-l] [-j] FILE",
    .help =
        "A line for each page, in order of ids, regular pages first: 'page 3', 'protected 0'.\n"
        "With --long each page is read, and its line goes on with the CRC32 of its content, or\n"
        "'error' and the error's name; for a protected page also with the generation that last\n"
        "changed it, and with the pages of the file that hold its current and its other copy.\n"
        "If a page could not be read, the others are listed, and the exit status is 1.\n\n"
        "  -r, --regular    only regular pages\n"
        "  -p, --protected  only protected pages\n"
        "  -i, --ids        of one kind, and nothing but the ids\n"
        "  -l, --long       with contents and copies\n"
        "  -j, --json       as a JSON object\n"
        "  -h, --help       this help\n",
    .options = options,
    .run = run,
};
