/* SPDX-License-Identifier: MIT */
#include "hint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool say(char text[HINT_SIZE], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool say(char text[HINT_SIZE], const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, HINT_SIZE, format, arguments);
    va_end(arguments);
    return true;
}

/* A name that may be copied into a shell as it is; of others only that it is one. */
static const char *shown(const char *path, const char *otherwise)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_./+@%,:=-";

    return path[0] != '-' && path[strspn(path, plain)] == '\0' && strlen(path) < 200 ? path
                                                                                     : otherwise;
}

/* What lies at the path, as far as its first bytes tell. */
enum content {
    CONTENT_OTHER,
    CONTENT_PAGES,       /* a page file */
    CONTENT_WITHOUT_TOP, /* one whose page 0 was overwritten */
    CONTENT_ARCHIVE,     /* a tar archive */
    CONTENT_COMPRESSED,  /* by gzip, zstd, xz or bzip2 */
    CONTENT_EMPTY,
};

static bool stands_at(int fd, off_t offset, const char *what)
{
    char found[8];
    size_t length = strlen(what);

    return pread(fd, found, length, offset) == (ssize_t)length && memcmp(found, what, length) == 0;
}

/* Page 0 is lost, but one of the roots, in pages 1 and 2 of a file of format 1, is where it would be. */
static bool has_root(int fd)
{
    for (int shift = 10; shift <= 30; shift++) {
        if (stands_at(fd, (off_t)1 << shift, "MPGR") || stands_at(fd, (off_t)2 << shift, "MPGR")) {
            return true;
        }
    }
    return false;
}

/* Nothing but the tag, or little more, is wrong with page 0: version and page size are possible. */
static bool has_header(int fd, uint64_t file_bytes)
{
    uint8_t header[12];
    uint64_t page_size;

    if (pread(fd, header, sizeof(header), 0) != (ssize_t)sizeof(header) || header[4] > 1 ||
        header[8] < 10 || header[8] > 30 || (header[9] | header[10] | header[11]) != 0) {
        return false;
    }
    page_size = UINT64_C(1) << header[8];
    return file_bytes >= 4 * page_size && file_bytes % page_size == 0;
}

static bool is_compressed(int fd)
{
    static const char *const known[] = {"\x1f\x8b", "\x28\xb5\x2f\xfd", "\xfd\x37zXZ", "BZh"};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (stands_at(fd, 0, known[i])) {
            return true;
        }
    }
    return false;
}

static bool is_format_0_2(const char *path)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    bool is = fd >= 0 && stands_at(fd, 0, "MPPG") && !stands_at(fd, 4, "\1");

    if (fd >= 0) {
        close(fd);
    }
    return is;
}

static enum content content_of(const char *path)
{
    enum content content = CONTENT_OTHER;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    struct stat st;

    if (fd < 0) {
        return content;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        content = CONTENT_OTHER;
    } else if (st.st_size == 0) {
        content = CONTENT_EMPTY;
    } else if (stands_at(fd, 0, "MPPG")) {
        content = CONTENT_PAGES;
    } else if (has_root(fd) || has_header(fd, (uint64_t)st.st_size)) {
        content = CONTENT_WITHOUT_TOP;
    } else if (stands_at(fd, 257, "ustar")) {
        content = CONTENT_ARCHIVE;
    } else if (is_compressed(fd)) {
        content = CONTENT_COMPRESSED;
    }
    close(fd);
    return content;
}

/* The file is not there: nor, perhaps, is its directory. */
static bool about_missing(char text[HINT_SIZE], const char *path, enum hint_use use)
{
    const char *slash = strrchr(path, '/');
    char directory[PATH_MAX];

    if (slash != NULL && slash != path && (size_t)(slash - path) < sizeof(directory)) {
        memcpy(directory, path, (size_t)(slash - path));
        directory[slash - path] = '\0';
        if (access(directory, F_OK) != 0) {
            return say(text, "there is no directory '%s'", directory);
        }
    }
    if (use == HINT_CREATE || (slash != NULL && slash[1] == '\0')) {
        return false;
    }
    return say(text, "'mappedpages create %s' makes one", shown(path, "FILE"));
}

/* There is something of that name. */
static bool about_existing(char text[HINT_SIZE], const char *path)
{
    switch (content_of(path)) {
    case CONTENT_PAGES:
        return say(text, "'mappedpages info %s' shows it", shown(path, "FILE"));
    case CONTENT_EMPTY:
        return say(text, "it is an empty file, which may be removed");
    default:
        return say(text, "it is no page file; take another name");
    }
}

/* A directory on which a page file is mounted is easily taken for that. */
static bool about_directory(char text[HINT_SIZE], const char *path)
{
    char name[PATH_MAX];
    struct stat st;

    if (snprintf(name, sizeof(name), "%s/info.json", path) >= (int)sizeof(name) ||
        stat(name, &st) != 0) {
        return false;
    }
    return say(text, "a page file is mounted there: 'cat %s/info' shows it",
               shown(path, "DIRECTORY"));
}

/* It does not begin as a page file does. */
static bool about_beginning(char text[HINT_SIZE], const char *path)
{
    switch (content_of(path)) {
    case CONTENT_WITHOUT_TOP:
        return say(
            text,
            "it was one: its page 0 is overwritten, and the rest may be whole: "
            "'mappedpages check --repair %s' mends it, and 'mappedpages rescue %s NEW' saves it in "
            "a new file",
            shown(path, "FILE"), shown(path, "FILE"));
    case CONTENT_ARCHIVE:
        return say(text, "if it is an archive of 'mappedpages dump', 'mappedpages load' puts its "
                         "pages into a page file");
    case CONTENT_COMPRESSED:
        return say(text, "it is compressed: gunzip, unzstd, unxz or bunzip2 unpacks it, and may "
                         "show a page file");
    case CONTENT_EMPTY:
        return say(text, "remove it, and 'mappedpages create %s' makes one", shown(path, "FILE"));
    default:
        return false; /* it is something else, and that is all */
    }
}

static bool about_system(char text[HINT_SIZE], const char *path, int system_errno,
                         enum hint_use use)
{
    switch (system_errno) {
    case ENOENT:
        return about_missing(text, path, use);
    case EISDIR:
        return about_directory(text, path);
    default:
        return false;
    }
}

static bool about_damage(char text[HINT_SIZE], const char *path, const mpg_error_info *info,
                         enum hint_use use)
{
    if (info->code == MPG_E_CORRUPT_SUPERBLOCK && content_of(path) != CONTENT_PAGES) {
        return about_beginning(text, path);
    }
    if (use == HINT_CHECK) {
        return say(
            text,
            "it cannot be opened; 'mappedpages check --repair %s' mends what can be mended, and "
            "'mappedpages rescue %s NEW' saves what can be read of it",
            shown(path, "FILE"), shown(path, "FILE"));
    }
    if (info->code == MPG_E_CORRUPT_PAGE && info->page != MPG_NO_PAGE) {
        return say(text, "writing it anew mends it: 'mappedpages write -p %s %" PRIu64 "'",
                   shown(path, "FILE"), info->page);
    }
    return say(text, "'mappedpages check %s' tells what is damaged", shown(path, "FILE"));
}

/* The page is not there, or not of that kind. */
static bool about_page(char text[HINT_SIZE], const char *path, const mpg_error_info *info,
                       enum hint_use use)
{
    bool missing = info->code == MPG_E_NOT_ALLOCATED || info->code == MPG_E_OUT_OF_BOUNDS;

    if (use == HINT_WRITE && missing && info->page != MPG_NO_PAGE) {
        bool protected = strstr(info->message, "protected page") != NULL;

        return say(text, "'mappedpages alloc %s%s %" PRIu64 "' allocates it",
                   protected ? "-p " : "", shown(path, "FILE"), info->page);
    }
    return say(text, "'mappedpages list %s' tells which there are", shown(path, "FILE"));
}

/* The format has no room for it: that of 0.2, which begins with the version's 0, has few. */
static bool about_room(char text[HINT_SIZE], const char *path, enum hint_use use)
{
    if (use == HINT_CREATE) {
        return say(text, "format 1 holds more");
    }
    return is_format_0_2(path) &&
           say(text, "'mappedpages copy -f 1 %s NEW' makes a file of it that has room",
               shown(path, "FILE"));
}

/* Where a file that was busy is mounted; "": that is not known. */
static char mounted_on[PATH_MAX];

void hint_mounted_on(const char *directory)
{
    (void)snprintf(mounted_on, sizeof(mounted_on), "%s", directory);
}

static bool about_busy(char text[HINT_SIZE])
{
    return mounted_on[0] != '\0' && say(text, "use it there, or 'fusermount3 -u %s' unmounts it",
                                        shown(mounted_on, "DIRECTORY"));
}

bool hint_find(char text[HINT_SIZE], const char *path, const mpg_error_info *info,
               enum hint_use use)
{
    text[0] = '\0';
    switch (info->code) {
    case MPG_E_IO:
        return about_system(text, path, info->system_errno, use);
    case MPG_E_EXISTS:
        if (info->page == MPG_NO_PAGE) {
            return about_existing(text, path);
        }
        return about_page(text, path, info, use);
    case MPG_E_NOT_ALLOCATED:
    case MPG_E_NOT_REGULAR:
    case MPG_E_OUT_OF_BOUNDS:
    case MPG_E_DOUBLE_FREE:
        return about_page(text, path, info, use);
    case MPG_E_FILE_FULL:
    case MPG_E_DIRECTORY_FULL:
        return about_room(text, path, use);
    case MPG_E_RESERVED_PAGE:
        return say(text, "0, 1 and 2 always do: 'mappedpages list %s' tells which are yours",
                   shown(path, "FILE"));
    case MPG_E_BUSY:
        return about_busy(text);
    case MPG_E_UNSUPPORTED_VERSION:
        return say(text, "a newer mappedpages reads it");
    case MPG_E_LOCAL_LOCK:
        return false; /* who says so says what to do */
    default:
        return mpg_is_damage(info->code) && about_damage(text, path, info, use);
    }
}
