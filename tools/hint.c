/* SPDX-License-Identifier: MIT */
#include "hint.h"

#include "recognize.h"

#include <errno.h>
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

/* The part of a path before one of its slashes. False: that is nothing, or too long. */
static bool part_before(char part[PATH_MAX], const char *path, const char *slash)
{
    size_t length = slash == NULL ? 0 : (size_t)(slash - path);

    if (length == 0 || length >= PATH_MAX) {
        return false;
    }
    memcpy(part, path, length);
    part[length] = '\0';
    return true;
}

/* The file is not there: nor, perhaps, is its directory. */
static bool about_missing(char text[HINT_SIZE], const char *path, enum hint_use use)
{
    const char *slash = strrchr(path, '/');
    char directory[PATH_MAX];

    if (part_before(directory, path, slash) && access(directory, F_OK) != 0) {
        return say(text, "there is no directory '%s'", directory);
    }
    if (content_of(path).kind == CONTENT_DANGLING) {
        return say(text, "it is a symbolic link to what is not there");
    }
    if (use == HINT_CREATE || use == HINT_REPAIR || use == HINT_RESCUE ||
        (slash != NULL && slash[1] == '\0')) {
        return false;
    }
    return say(text, "'mappedpages create %s' makes one", shown(path, "FILE"));
}

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* There is something of that name. */
static bool about_existing(char text[HINT_SIZE], const char *path, enum hint_use use)
{
    if (use == HINT_RESCUE) {
        return say(text, "a rescue makes a new file: take another name");
    }
    switch (content_of(path).kind) {
    case CONTENT_PAGES:
        return say(text, "'mappedpages info %s' shows it", shown(path, "FILE"));
    case CONTENT_EMPTY:
        return say(text, "it is an empty file, which may be removed");
    case CONTENT_DANGLING:
        return say(text, "it is a symbolic link to what is not there, which may be removed");
    default:
        return is_directory(path) ? say(text, "it is a directory; name a file in it")
                                  : say(text, "it is no page file; take another name");
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

/* What is to be a directory is something else: a part of the path, or all of it. */
static bool about_no_directory(char text[HINT_SIZE], const char *path)
{
    char part[PATH_MAX];

    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        if (part_before(part, path, slash) && access(part, F_OK) == 0 && !is_directory(part)) {
            return say(text, "'%s' is a file", part);
        }
    }
    return say(text, "a directory is wanted, for instance the one it is in");
}

/* In a mounted page file there are no files but pages. */
static bool about_refused(char text[HINT_SIZE], const char *path)
{
    static const char *const above[] = {"", "/.."};
    char directory[PATH_MAX];
    char name[PATH_MAX + 16];

    for (size_t i = 0; i < 2 && part_before(directory, path, strrchr(path, '/')); i++) {
        (void)snprintf(name, sizeof(name), "%s%s/info.json", directory, above[i]);
        if (access(name, F_OK) == 0) {
            return say(text, "a page file is mounted there, which holds nothing but its pages");
        }
    }
    return false;
}

/* It does not begin as a page file does. */
static bool about_beginning(char text[HINT_SIZE], const char *path, enum hint_use use)
{
    struct content content = content_of(path);

    switch (content.kind) {
    case CONTENT_WITHOUT_TOP:
        return use != HINT_REPAIR && use != HINT_RESCUE &&
               say(text,
                   "it was one: its page 0 is overwritten, and the rest may be whole: "
                   "'mappedpages check --repair %s' mends it, and 'mappedpages rescue %s NEW' "
                   "saves it in a new file",
                   shown(path, "FILE"), shown(path, "FILE"));
    case CONTENT_SHIFTED:
        return say(text,
                   "a page file seems to begin at byte %" PRIu64 " of it: 'tail -c +%" PRIu64
                   " %s >NEW' takes it out",
                   content.begins, content.begins + 1, shown(path, "FILE"));
    case CONTENT_ARCHIVE:
        return say(text, "if it is an archive of 'mappedpages dump', 'mappedpages load' puts its "
                         "pages into a page file");
    case CONTENT_COMPRESSED:
        return say(text, "it is compressed: %s unpacks it, and may show a page file",
                   content.unpacks);
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
    case ENOTDIR:
        return about_no_directory(text, path);
    case EPERM:
        return about_refused(text, path);
    case EACCES:
        return say(text, "'ls -ld %s' shows who may read it", shown(path, "FILE"));
    default:
        return content_of(path).kind == CONTENT_ON_DISK &&
               say(text, "a page file seems to be in it: 'dd if=%s of=NEW bs=1M' copies it out",
                   shown(path, "DEVICE"));
    }
}

static bool about_damage(char text[HINT_SIZE], const char *path, const mpg_error_info *info,
                         enum hint_use use)
{
    if (info->code == MPG_E_CORRUPT_SUPERBLOCK && content_of(path).kind != CONTENT_PAGES) {
        return about_beginning(text, path, use);
    }
    if (use == HINT_REPAIR || use == HINT_RESCUE) {
        return false; /* that is what did not help */
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

/* It has no room for so much. In format 1 that is all there is to say: there is no larger one. */
static bool about_room(char text[HINT_SIZE], const char *path, const mpg_error_info *info,
                       enum hint_use use)
{
    if (use == HINT_CREATE) {
        return strstr(info->message, "format 0.2") != NULL && say(text, "format 1 holds more");
    }
    return content_of(path).version == 0 &&
           say(text, "'mappedpages copy -f 1 %s NEW' makes a file of it that has room",
               shown(path, "FILE"));
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

/* The undo file of a repair, which is to be made: nothing else was written before. */
static bool about_undo_file(char text[HINT_SIZE], const mpg_error_info *info)
{
    static const int refused[] = {EACCES, EPERM, EROFS, EISDIR, ENOENT, ENOTDIR, ENOSPC, EDQUOT};
    bool elsewhere =
        info->code == MPG_E_NO_SPACE ||
        (info->code == MPG_E_EXISTS && strstr(info->message, "name another") == NULL) ||
        info->code == MPG_E_READ_ONLY || info->code == MPG_E_UNSUPPORTED;

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        elsewhere |= info->code == MPG_E_IO && info->system_errno == refused[i];
    }
    return elsewhere && say(text, "--undo names another place for the undo file");
}

/* What is to take a repair back. */
static bool about_undoing(char text[HINT_SIZE], const char *path, const mpg_error_info *info)
{
    if (info->code == MPG_E_BUSY) {
        return about_busy(text);
    }
    if (info->code == MPG_E_IO && info->system_errno == ENOENT) {
        return say(text, "a repair of FILE leaves FILE.undo, unless --undo named another");
    }
    return info->code == MPG_E_EXISTS && content_of(path).kind == CONTENT_PAGES &&
           say(text, "the undo file stands before the page file: --undo UNDO FILE");
}

bool hint_find(char text[HINT_SIZE], const char *path, const mpg_error_info *info,
               enum hint_use use)
{
    text[0] = '\0';
    if (use == HINT_UNDO) {
        return about_undoing(text, path, info);
    }
    if (use == HINT_UNDO_FILE) {
        return about_undo_file(text, info);
    }
    switch (info->code) {
    case MPG_E_IO:
        return about_system(text, path, info->system_errno, use);
    case MPG_E_EXISTS:
        if (info->page == MPG_NO_PAGE) {
            return use != HINT_REPAIR && about_existing(text, path, use);
        }
        return about_page(text, path, info, use);
    case MPG_E_NOT_ALLOCATED:
    case MPG_E_NOT_REGULAR:
    case MPG_E_OUT_OF_BOUNDS:
    case MPG_E_DOUBLE_FREE:
        return about_page(text, path, info, use);
    case MPG_E_FILE_FULL:
    case MPG_E_DIRECTORY_FULL:
        return about_room(text, path, info, use);
    case MPG_E_RESERVED_PAGE:
        return say(text, "0, 1 and 2 always do: 'mappedpages list %s' tells which are yours",
                   shown(path, "FILE"));
    case MPG_E_BUSY:
        return about_busy(text);
    case MPG_E_UNSUPPORTED_VERSION:
        return say(text, "a newer mappedpages reads it");
    case MPG_E_LOCAL_LOCK:
        return false; /* who says so says what to do */
    case MPG_E_READ_ONLY:
        return use == HINT_REPAIR &&
               say(text, "'mappedpages rescue %s NEW' only reads it", shown(path, "FILE"));
    case MPG_E_INVALID_PAGE_SIZE: /* nobody asked for one: it is the file's */
        return about_damage(text, path, info, use);
    default:
        return mpg_is_damage(info->code) && about_damage(text, path, info, use);
    }
}
