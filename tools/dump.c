/* SPDX-License-Identifier: MIT */
/* mappedpages dump: all pages of a file, as a tar archive. */

#include "arguments.h"
#include "command.h"
#include "describe.h"
#include "file.h"
#include "live.h"
#include "output.h"
#include "page_archive.h"
#include "progress.h"

#include <archive.h>
#include <archive_entry.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct option options[] = {
    {"quiet", no_argument, NULL, 'q'},
    {"json", no_argument, NULL, 'j'},
    {"wait", required_argument, NULL, 'w'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct dump {
    const char *path;
    const mpg_pager *pager;
    struct archive *archive;
    struct archive_entry *entry;
    void *content;
    uint64_t created;            /* the time that all members bear */
    uint64_t count;              /* pages that are to be in it */
    uint64_t regular, protected; /* that are by now */
    struct progress progress;
};

/*
 * Mostly it is standard output that failed, and errno says more than the library's "Write error".
 */
static void complain_archive(struct archive *archive)
{
    int error = archive_errno(archive);

    complain("standard output", "%s", error > 0 ? strerror(error) : archive_error_string(archive));
}

static int add(struct dump *dump, const char *name, const void *data, size_t length)
{
    char checksum[ARCHIVED_CHECKSUM_SIZE];
    char place[ARCHIVED_PLACE_SIZE];

    page_archive_checksum(checksum, data, length);
    page_archive_place(place, dump->regular + dump->protected, dump->count);
    archive_entry_clear(dump->entry);
    archive_entry_set_uname(dump->entry, checksum);
    archive_entry_set_gname(dump->entry, place);
    archive_entry_set_pathname(dump->entry, name);
    archive_entry_set_filetype(dump->entry, AE_IFREG);
    archive_entry_set_perm(dump->entry, 0644);
    archive_entry_set_size(dump->entry, (la_int64_t)length);
    archive_entry_set_mtime(dump->entry, (time_t)dump->created, 0);
    if (archive_write_header(dump->archive, dump->entry) != ARCHIVE_OK ||
        archive_write_data(dump->archive, data, length) != (la_ssize_t)length) {
        complain_archive(dump->archive);
        return STATUS_FAILED;
    }
    return STATUS_FINE;
}

/* What a damaged file says about itself may be another number. Returns an exit status. */
static int count_pages(struct dump *dump)
{
    mpg_page_iter regular;
    mpg_protected_iter protected;
    mpg_page_id page = {0};
    mpg_protected_id protected_page = {0};
    int more;

    mpg_page_iter_begin(&regular, dump->pager, page);
    while ((more = mpg_page_iter_next(&page, &regular)) > 0) {
        dump->count++;
    }
    mpg_protected_iter_begin(&protected, dump->pager, protected_page);
    while (more >= 0 && (more = mpg_protected_iter_next(&protected_page, &protected)) > 0) {
        dump->count++;
    }
    return more < 0 ? report_failure(dump->path, false) : STATUS_FINE;
}

/* Returns an exit status. */
static int add_page(struct dump *dump, const char *folder, uint64_t id, int status)
{
    char name[64];

    if (status != 0) {
        return report_failure(dump->path, false);
    }
    (void)snprintf(name, sizeof name, "%s/%" PRIu64, folder, id);
    progress_update(&dump->progress, dump->regular + dump->protected);
    return add(dump, name, dump->content, mpg_page_size(dump->pager));
}

static int add_regular(struct dump *dump)
{
    size_t size = mpg_page_size(dump->pager);
    mpg_page_iter iter;
    mpg_page_id id = {0};
    int more;

    mpg_page_iter_begin(&iter, dump->pager, id);
    while ((more = mpg_page_iter_next(&id, &iter)) > 0) {
        int read = mpg_page_read(dump->content, dump->pager, id, 0, size);
        int status;

        dump->regular++;
        status = add_page(dump, "pages", id.value, read);

        if (status != STATUS_FINE) {
            return status;
        }
    }
    return more < 0 ? report_failure(dump->path, false) : STATUS_FINE;
}

static int add_protected(struct dump *dump)
{
    mpg_protected_iter iter;
    mpg_protected_id id = {0};
    int more;

    mpg_protected_iter_begin(&iter, dump->pager, id);
    while ((more = mpg_protected_iter_next(&id, &iter)) > 0) {
        int read = mpg_protected_read(dump->content, dump->pager, id);
        int status;

        dump->protected ++;
        status = add_page(dump, "protected", id.value, read);

        if (status != STATUS_FINE) {
            return status;
        }
    }
    return more < 0 ? report_failure(dump->path, false) : STATUS_FINE;
}

/*
 * The first member: what a page file that is to hold the pages needs to be. Returns an exit status.
 */
static int add_info(struct dump *dump, const struct mpg_stat *st)
{
    struct json json;
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    int status;

    if (out == NULL) {
        complain(dump->path, "not enough memory");
        return STATUS_FAILED;
    }
    json_begin(&json, out);
    json_string(&json, "format", format_name(st->format));
    json_number(&json, "page_size", st->page_size);
    json_number(&json, "total_pages", st->total_pages);
    json_number(&json, "regular_pages", st->regular_pages);
    json_number(&json, "protected_pages", st->protected_pages);
    if (st->format == MPG_FORMAT_1) {
        json_string(&json, "label", st->label);
    }
    json_end(&json);
    if (fclose(out) != 0) {
        complain(dump->path, "not enough memory");
        return STATUS_FAILED;
    }
    status = add(dump, "info.json", text, length);
    free(text);
    return status;
}

static int write_archive(struct dump *dump, bool quiet)
{
    struct mpg_stat st = {.size = sizeof st};
    int status;

    if (mpg_stat(&st, dump->pager) != 0) {
        return report_failure(dump->path, false);
    }
    dump->created = st.created;
    if (count_pages(dump) != STATUS_FINE) {
        return STATUS_FAILED;
    }
    progress_begin(&dump->progress, "dump", dump->count, quiet);
    status = add_info(dump, &st);
    if (status == STATUS_FINE) {
        status = add_regular(dump);
    }
    if (status == STATUS_FINE) {
        status = add_protected(dump);
    }
    progress_end(&dump->progress);
    /* Without its end an archive that was cut short is seen to be so. */
    if (status == STATUS_FINE && archive_write_close(dump->archive) != ARCHIVE_OK) {
        complain_archive(dump->archive);
        status = STATUS_FAILED;
    }
    return status;
}

static int dump_to_output(struct dump *dump, bool quiet)
{
    int status = STATUS_FAILED;

    dump->content = allocate(1, mpg_page_size(dump->pager));
    dump->archive = archive_write_new();
    dump->entry = archive_entry_new();
    if (dump->archive == NULL || dump->entry == NULL) {
        complain(dump->path, "not enough memory");
    } else if (archive_write_set_format_pax_restricted(dump->archive) != ARCHIVE_OK ||
               archive_write_open_fd(dump->archive, STDOUT_FILENO) != ARCHIVE_OK) {
        complain_archive(dump->archive);
    } else {
        status = write_archive(dump, quiet);
    }
    archive_entry_free(dump->entry);
    /* What is left of one that failed is not ended as if it were whole. */
    if (status != STATUS_FINE && dump->archive != NULL) {
        (void)archive_write_fail(dump->archive);
    }
    (void)archive_write_free(dump->archive);
    free(dump->content);
    return status;
}

/* On standard error: the archive is on the other one. */
static void tell_dumped(const struct dump *dump)
{
    struct json json;

    json_begin(&json, stderr);
    json_string(&json, "file", dump->path);
    json_number(&json, "regular_pages", dump->regular);
    json_number(&json, "protected_pages", dump->protected);
    json_end(&json);
}

static int run(int argc, char **argv)
{
    struct dump dump = {0};
    bool quiet = false;
    bool json = false;
    int option;
    int status;

    while ((option = next_option(&command_dump, argc, argv)) != -1) {
        quiet |= option == 'q';
        json |= option == 'j';
    }
    expect_arguments(&command_dump, argc, argv, 1, 1);
    dump.path = argv[optind];
    if (isatty(STDOUT_FILENO)) {
        usage_error(&command_dump, "an archive is not for a terminal; put '> FILE.tar' behind it");
    }
    status = open_unchanging(&dump.pager, dump.path);
    if (status == STATUS_NO) {
        status = open_copy(&dump.pager, dump.path, quiet || json);
    }
    if (status != STATUS_FINE) {
        return status;
    }
    /*
     * Held back while a copy was made. An archive that ends before its end is seen to be cut short.
     */
    stop_holding_signals();
    status = dump_to_output(&dump, quiet || json);
    if (status == STATUS_FINE && json) {
        tell_dumped(&dump);
    }
    return close_file(dump.pager, dump.path, status);
}

const struct command command_dump = {
    .name = "dump",
    .summary = "Writes all pages to standard output, as a tar archive",
    .usage = "[-q] [-j] [-w SECONDS] FILE",
    .help =
        "The archive holds info.json, then pages/<id> and protected/<id> in order of ids, as they\n"
        "are called on a mount. It shows one state: of a file that is written or mounted a copy "
        "is\n"
        "made first (in $TMPDIR or /var/tmp); else nobody can begin to write to it meanwhile.\n"
        "'mappedpages load' makes pages of it again, in a file of either format.\n\n"
        "  -q, --quiet         no progress bar\n"
        "  -j, --json          what was dumped as a JSON object, on standard error\n"
        "  -w, --wait SECONDS  wait that long for a file that is busy\n"
        "  -h, --help          this help\n",
    .options = options,
    .run = run,
};
