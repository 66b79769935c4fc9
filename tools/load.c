/* SPDX-License-Identifier: MIT */
/* mappedpages load: pages of a tar archive, into a page file. */

#include "arguments.h"
#include "command.h"
#include "file.h"
#include "json.h"
#include "output.h"
#include "page_archive.h"
#include "page_put.h"
#include "progress.h"
#include "spool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Contents that one transaction holds in memory, in bytes, unless --memory says otherwise. */
#define MEMORY (UINT64_C(1) << 30)

static const struct option options[] = {
    {"json", no_argument, NULL, 'j'},
    {"memory", required_argument, NULL, 'm'},
    {"quiet", no_argument, NULL, 'q'},
    {"wait", required_argument, NULL, 'w'},
    {"local-lock", no_argument, NULL, OPTION_LOCAL_LOCK},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct load {
    const char *path;
    mpg_pager *pager;
    struct spool spool;
    uint64_t memory;
    int spool_errno; /* why a content could not be read again from the spool; 0: they could */
    bool in_place;   /* regular pages that were there before are written so */
    bool quiet;
    bool json;
    void *content; /* room for a page */
    uint64_t done;
    struct progress progress;
};

/* ---- Reading the archive, all of it, before anything changes ---- */

/* errno says what is wrong with the temporary file. */
static int fail_temporary(const struct load *load, const char *consequence)
{
    return report_reason(
        spool_directory(), load->json, MPG_E_IO,
        "a temporary file for the archive: %s%s; the environment's TMPDIR names another directory",
        strerror(errno), consequence);
}

static int spool_archive(struct load *load, struct page_archive *archive)
{
    struct archived_page page;
    int more;

    while ((more = page_archive_next(&page, archive, load->content)) > 0) {
        if (spool_add(&load->spool, &page, load->content) != 0) {
            return fail_temporary(load, "; nothing was changed");
        }
        progress_update(&load->progress, load->spool.count);
    }
    if (more < 0) {
        return report_reason("standard input", load->json, MPG_E_INVALID, "%s; nothing was changed",
                             page_archive_error(archive));
    }
    if (page_archive_is_nothing(archive)) {
        return report_reason("standard input", load->json, MPG_E_INVALID,
                             "there is nothing in it; nothing was changed");
    }
    spool_sort(&load->spool);
    return STATUS_FINE;
}

static int read_archive(struct load *load)
{
    struct page_archive *archive;
    int status;

    if (spool_begin(&load->spool, load->spool.page_size) != 0) {
        return fail_temporary(load, "; nothing was changed");
    }
    archive = page_archive_open(STDIN_FILENO, load->spool.page_size);
    if (archive == NULL) {
        return report_reason(load->path, load->json, MPG_E_NO_MEMORY, "not enough memory");
    }
    progress_begin(&load->progress, "reading", 0, load->quiet);
    status = spool_archive(load, archive);
    progress_end(&load->progress);
    page_archive_close(archive);
    return status;
}

/*
 * ---- Changing the file. What follows returns 0 or the library's error, unless it says otherwise.
 * ----
 */

static int allocate_missing(mpg_txn *txn, const struct load *load)
{
    /* Where contents come with a later transaction, nobody is to see what an earlier owner left. */
    bool later = load->spool.count > load->memory / load->spool.page_size;

    for (size_t i = 0; i < load->spool.count; i++) {
        const struct archived_page *page = &load->spool.pages[i].page;
        bool missing = false;
        int status = page_put_is_missing(&missing, load->pager, page);

        if (status == 0 && missing) {
            status = page_put_allocate(txn, page, later ? MPG_ZERO : 0);
        }
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

/* Contents from *next on, as many as memory allows. */
static int write_contents(mpg_txn *txn, struct load *load, size_t *next, bool allocated_here)
{
    uint64_t left = load->memory;

    for (; *next < load->spool.count && left >= load->spool.page_size; ++*next) {
        const struct spooled_page *spooled = &load->spool.pages[*next];
        bool missing = false;
        int status = page_put_is_missing(&missing, load->pager, &spooled->page);

        if (status == 0 && spool_read(load->content, &load->spool, spooled) != 0) {
            load->spool_errno = errno;
            return MPG_E_IO;
        }
        missing = missing && allocated_here;
        if (status == 0 && load->in_place && !spooled->page.protected && !missing) {
            status = mpg_page_write(load->pager, (mpg_page_id){spooled->page.id}, load->content, 0,
                                    load->spool.page_size);
        } else if (status == 0) {
            status =
                page_put_write(txn, &spooled->page, missing, load->content, load->spool.page_size);
            left -= load->spool.page_size;
        }
        if (status != 0) {
            return status;
        }
        progress_update(&load->progress, ++load->done);
    }
    return 0;
}

/* One transaction: allocations in the first one, and contents. */
static int try_step(struct load *load, size_t *next, bool first)
{
    mpg_txn *txn;
    int status = mpg_txn_begin(&txn, load->pager);

    if (status != 0) {
        return status;
    }
    if (first) {
        status = allocate_missing(txn, load);
    }
    if (status == 0) {
        status = write_contents(txn, load, next, first);
    }
    if (status == 0) {
        status = mpg_txn_commit(txn, 0);
    }
    if (status != 0) {
        mpg_txn_abort(txn);
    }
    return status;
}

/*
 * … with regular pages that were there before written in place, where no transaction can take them.
 */
static int step(struct load *load, size_t *next, bool first)
{
    size_t from = *next;
    uint64_t done = load->done;
    int status = try_step(load, next, first);

    if (status == MPG_E_UNSUPPORTED && !load->in_place) {
        load->in_place = true;
        load->done = done;
        *next = from;
        status = try_step(load, next, first);
    }
    return status;
}

static int apply(struct load *load)
{
    size_t next = 0;
    int status = 0;
    unsigned steps = 0;

    progress_begin(&load->progress, "writing", load->spool.count, load->quiet);
    while (status == 0 && (next < load->spool.count || steps == 0)) {
        status = step(load, &next, steps++ == 0);
    }
    if (status == 0) {
        status = mpg_sync(load->pager);
    }
    progress_end(&load->progress);
    if (status == 0 && steps > 1) {
        complain(load->path,
                 "written in %u steps, for one of %" PRIu64 " bytes at most; see --memory", steps,
                 load->memory);
    }
    return status;
}

/* How much it was. Returns an exit status. */
static int print_counts(const struct load *load)
{
    uint64_t protected = 0;
    struct json json;

    for (size_t i = 0; i < load->spool.count; i++) {
        protected += load->spool.pages[i].page.protected;
    }
    json_begin(&json, stdout);
    json_string(&json, "file", load->path);
    json_number(&json, "regular_pages", load->spool.count - protected);
    json_number(&json, "protected_pages", protected);
    json_end(&json);
    return finish_output(STATUS_FINE);
}

static int load_file(struct load *load)
{
    int status;

    hold_signals();
    if (open_writing(&load->pager, load->path, load->json) != STATUS_FINE) {
        return STATUS_FAILED;
    }
    if (mpg_page_size(load->pager) != load->spool.page_size) {
        status = report_reason(load->path, load->json, MPG_E_CHANGED,
                               "the file was replaced by one with another page size; nothing was "
                               "changed");
        return close_file(load->pager, load->path, status);
    }
    status = apply(load);
    if (load->spool_errno != 0) {
        errno = load->spool_errno;
        return close_file(load->pager, load->path, fail_temporary(load, ""));
    }
    if (status != 0) {
        return fail_and_close(load->pager, load->path, load->json);
    }
    status = close_file(load->pager, load->path, STATUS_FINE);
    return status == STATUS_FINE && load->json ? print_counts(load) : status;
}

static int run(int argc, char **argv)
{
    struct load load = {.memory = MEMORY, .spool = {.fd = -1}};
    const mpg_pager *reader;
    int option;
    int status;

    while ((option = next_option(&command_load, argc, argv)) != -1) {
        if (option == 'm') {
            load.memory = parse_size(&command_load, "memory", optarg);
        }
        load.quiet |= option == 'q';
        load.json |= option == 'j';
    }
    expect_arguments(&command_load, argc, argv, 1, 1);
    load.path = argv[optind];
    if (open_reading(&reader, load.path, load.json) != STATUS_FINE) {
        return STATUS_FAILED;
    }
    load.spool.page_size = mpg_page_size(reader);
    status = close_file(reader, load.path, STATUS_FINE);
    if (load.memory < load.spool.page_size) {
        load.memory = load.spool.page_size;
    }
    load.content = allocate(1, load.spool.page_size);
    if (status == STATUS_FINE) {
        status = read_archive(&load);
    }
    if (status == STATUS_FINE) {
        status = load_file(&load);
    }
    spool_end(&load.spool);
    free(load.content);
    return status;
}

const struct command command_load = {
    .name = "load",
    .summary = "Puts the pages of a tar archive into a file",
    .usage = "[-m SIZE] [-q] [-j] [-w SECONDS] FILE",
    .help =
        "Reads from standard input what 'mappedpages dump' writes, or any tar archive of files\n"
        "called pages/<id> and protected/<id>; what is shorter than a page is followed by zeros.\n"
        "Pages that are not there are allocated. All of it is one transaction: after a crash it "
        "is\n"
        "there, or nothing of it. Only in format 0.2, or where they are more than 64 MiB or some\n"
        "thousands, regular pages that were there before are written in place.\n"
        "An archive that is damaged or holds anything else changes nothing.\n\n"
        "  -m, --memory SIZE   what does not fit into that is written in several transactions,\n"
        "                      which is told (default 1G)\n"
        "  -q, --quiet         no progress bar\n"
        "  -j, --json          tell how many pages it were as a JSON object\n"
        "  -w, --wait SECONDS  wait that long for a file that is busy\n"
        "      --local-lock    also where a lock does not keep other writers out (sshfs, ...)\n"
        "  -h, --help          this help\n",
    .options = options,
    .run = run,
};
