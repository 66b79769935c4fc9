/* SPDX-License-Identifier: MIT */

#include "page_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct page_archive {
    struct archive *archive;
    size_t page_size;
    bool begun;     /* a member was read */
    la_int64_t end; /* with that: where it ended, in bytes of the archive */
    uint64_t seen;  /* pages of the dump that it is in by now … */
    uint64_t count; /* … and that it has */
    char error[256];
};

static int fail(struct page_archive *archive, const char *name, const char *why)
{
    (void)snprintf(archive->error, sizeof archive->error, "%s%s%s", name, *name != '\0' ? ": " : "",
                   why);
    return -1;
}

/*
 * The library speaks as if it knew of formats besides tar's here, and of reading only that it
 * failed.
 */
static void fail_open(struct page_archive *archive)
{
    int error = archive_errno(archive->archive);
    const char *said = error > 0 ? strerror(error) : archive_error_string(archive->archive);

    (void)fail(archive, "", error == EILSEQ ? "not a tar archive" : said);
}

/*
 * Archives as tar makes them. One may follow the other, as by `cat a.tar b.tar`: what comes behind
 * an end would be passed over silently otherwise.
 */
static struct page_archive *begin(size_t page_size)
{
    struct page_archive *made = calloc(1, sizeof *made);

    if (made == NULL) {
        return NULL;
    }
    made->page_size = page_size;
    made->archive = archive_read_new();
    if (made->archive == NULL) {
        free(made);
        return NULL;
    }
    (void)archive_read_support_format_tar(made->archive);
    (void)archive_read_support_format_gnutar(made->archive);
    (void)archive_read_support_format_empty(made->archive);
    (void)archive_read_set_option(made->archive, "tar", "read_concatenated_archives", "1");
    return made;
}

struct page_archive *page_archive_open(int fd, size_t page_size)
{
    struct page_archive *made = begin(page_size);

    if (made == NULL) {
        return NULL;
    }
    (void)archive_read_support_filter_gzip(made->archive);
    (void)archive_read_support_filter_bzip2(made->archive);
    (void)archive_read_support_filter_lz4(made->archive);
    (void)archive_read_support_filter_xz(made->archive);
    (void)archive_read_support_filter_zstd(made->archive);
    if (archive_read_open_fd(made->archive, fd, 65536) != ARCHIVE_OK) {
        fail_open(made);
    }
    return made;
}

struct page_archive *page_archive_open_memory(const void *data, size_t length, size_t page_size)
{
    struct page_archive *made = begin(page_size);

    if (made != NULL && archive_read_open_memory(made->archive, data, length) != ARCHIVE_OK) {
        fail_open(made);
    }
    return made;
}

void page_archive_close(struct page_archive *archive)
{
    if (archive != NULL) {
        (void)archive_read_free(archive->archive);
        free(archive);
    }
}

bool page_archive_is_nothing(const struct page_archive *archive)
{
    return !archive->begun;
}

const char *page_archive_error(const struct page_archive *archive)
{
    return archive->error;
}

static const char *without_prefix(const char *name, const char *prefix)
{
    size_t length = strlen(prefix);

    return strncmp(name, prefix, length) == 0 ? name + length : NULL;
}

/*
 * A number as it names a page on a mount: digits, no leading zero. Returns what follows, or NULL.
 */
static const char *parse_number(uint64_t *number, const char *text)
{
    const char *at = text;
    uint64_t value = 0;

    for (; *at >= '0' && *at <= '9'; at++) {
        unsigned digit = (unsigned)(*at - '0');

        if (value > (UINT64_MAX - digit) / 10) {
            return NULL;
        }
        value = value * 10 + digit;
    }
    *number = value;
    return at == text || (text[0] == '0' && at > text + 1) ? NULL : at;
}

static bool parse_id(uint64_t *id, const char *text)
{
    const char *end = parse_number(id, text);

    return end != NULL && *end == '\0';
}

/* Without what names the directory itself, as in ./pages/3 and .//pages/3. */
static const char *without_dots(const char *name)
{
    while (name[0] == '.' && name[1] == '/') {
        name += 1 + strspn(name + 1, "/");
    }
    return name;
}

/* Whether a name is that of a page. */
static bool parse_name(struct archived_page *page, const char *name)
{
    const char *id = without_prefix(name, "pages/");

    page->protected = id == NULL;
    if (id == NULL) {
        id = without_prefix(name, "protected/");
    }
    return id != NULL && parse_id(&page->id, id);
}

static bool may_be_passed_over(const char *name)
{
    return strcmp(name, "info") == 0 || strcmp(name, "info.json") == 0;
}

/* ---- checksums ---- */

#define CHECKSUM_PREFIX "crc32="

void page_archive_checksum(char text[ARCHIVED_CHECKSUM_SIZE], const void *data, size_t length)
{
    (void)snprintf(text, ARCHIVED_CHECKSUM_SIZE, CHECKSUM_PREFIX "%08lx",
                   crc32_z(crc32_z(0, NULL, 0), data, length));
}

/* Whether a member is not what its checksum says, if it has one. */
static bool is_damaged(const char *checksum, const void *data, size_t length)
{
    char text[ARCHIVED_CHECKSUM_SIZE];

    if (strncmp(checksum, CHECKSUM_PREFIX, strlen(CHECKSUM_PREFIX)) != 0) {
        return false;
    }
    page_archive_checksum(text, data, length);
    return strcmp(text, checksum) != 0;
}

/* ---- whether all of a dump is there ---- */

void page_archive_place(char text[ARCHIVED_PLACE_SIZE], uint64_t number, uint64_t count)
{
    (void)snprintf(text, ARCHIVED_PLACE_SIZE, "%" PRIu64 "of%" PRIu64, number, count);
}

static bool parse_place(uint64_t *number, uint64_t *count, const char *text)
{
    text = text != NULL ? parse_number(number, text) : NULL;
    text = text != NULL ? without_prefix(text, "of") : NULL;
    return text != NULL && parse_id(count, text);
}

static int fail_missing(struct page_archive *archive, const char *name)
{
    char why[192];

    (void)snprintf(why, sizeof why,
                   "the dump had %" PRIu64 " pages, and some are missing behind the first %" PRIu64
                   " (a part of it can be loaded when it is unpacked and packed anew)",
                   archive->count, archive->seen);
    return fail(archive, name, why);
}

/* A dump's members follow each other, and one dump may follow another. Returns 0 or -1. */
static int take_place(struct page_archive *archive, struct archive_entry *entry, const char *name)
{
    bool complete = archive->seen == archive->count;
    uint64_t number;
    uint64_t count;

    if (!parse_place(&number, &count, archive_entry_gname(entry))) {
        return 0;
    }
    if (complete) { /* another one begins */
        archive->seen = 0;
        archive->count = count;
    }
    if (count != archive->count || number > count ||
        number != archive->seen + !(complete && number == 0)) {
        return fail_missing(archive, name);
    }
    archive->seen = number;
    return 0;
}

/* ---- contents ---- */

static int read_content(struct page_archive *archive, struct archive_entry *entry, const char *name,
                        unsigned char *content)
{
    const char *uname = archive_entry_uname(entry);
    char checksum[ARCHIVED_CHECKSUM_SIZE];
    size_t filled = 0;
    unsigned char beyond;
    la_ssize_t got = 1;

    (void)snprintf(checksum, sizeof checksum, "%s", uname != NULL ? uname : "");
    while (filled < archive->page_size && got > 0) {
        got = archive_read_data(archive->archive, content + filled, archive->page_size - filled);
        filled += got > 0 ? (size_t)got : 0;
    }
    if (got > 0) {
        got = archive_read_data(archive->archive, &beyond, 1);
    }
    if (got < 0) {
        return fail(archive, name, archive_error_string(archive->archive));
    }
    if (got > 0) {
        return fail(archive, name, "it is longer than a page");
    }
    if (is_damaged(checksum, content, filled)) {
        return fail(archive, name, "it is damaged: its checksum is another one");
    }
    memset(content + filled, 0, archive->page_size - filled);
    return 1;
}

/* Goes on to the next member. Returns 1, 0 at the end, or -1. */
static int next_member(struct archive_entry **entry, struct page_archive *archive)
{
    int status;

    if (archive->begun) {
        if (archive_read_data_skip(archive->archive) < ARCHIVE_OK) {
            return fail(archive, "", archive_error_string(archive->archive));
        }
        archive->end = archive_filter_bytes(archive->archive, 0);
    }
    status = archive_read_next_header(archive->archive, entry);
    /* Blocks of zeros end an archive: one that was cut between two members has none. */
    if (status == ARCHIVE_EOF && archive->begun &&
        archive_filter_bytes(archive->archive, 0) <= archive->end) {
        return fail(archive, "", "the archive was cut short: its end is missing");
    }
    if (status != ARCHIVE_OK && status != ARCHIVE_EOF) {
        return fail(archive, "", archive_error_string(archive->archive));
    }
    if (status == ARCHIVE_EOF && archive->seen != archive->count) {
        return fail_missing(archive, "");
    }
    archive->begun |= status == ARCHIVE_OK;
    return status == ARCHIVE_OK;
}

int page_archive_next(struct archived_page *page, struct page_archive *archive, void *content)
{
    while (archive->error[0] == '\0') {
        struct archive_entry *entry;
        const char *name;
        int status = next_member(&entry, archive);

        if (status <= 0) {
            return status;
        }
        name = archive_entry_pathname(entry);
        if (name == NULL) {
            return fail(archive, "", "it holds a name that cannot be read");
        }
        name = without_dots(name);
        if (take_place(archive, entry, name) != 0) {
            return -1;
        }
        if (archive_entry_filetype(entry) == AE_IFDIR || may_be_passed_over(name)) {
            continue;
        }
        if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) != NULL) {
            return fail(archive, name, "it is no ordinary file");
        }
        if (!parse_name(page, name)) {
            return fail(archive, name, "it names no page; pages/<id> and protected/<id> do");
        }
        return read_content(archive, entry, name, content);
    }
    return -1;
}
