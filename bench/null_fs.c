/* SPDX-License-Identifier: MIT */
/*
 * The limit of FUSE on this machine: a filesystem with the same tree as a mounted page file, which
 * answers the same requests from memory and does nothing else. Pages share 64 MiB of it (more than
 * the processor's caches hold); create and unlink only answer.
 *
 *     null_fs MOUNTPOINT PAGE_SIZE PAGES PROTECTED rw|ro
 *
 * /pages holds 3 … PAGES + 2, /protected 0 … PROTECTED - 1. Stays in the foreground.
 */
#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FIRST_PAGE 3
#define FOREVER 86400.0
#define THREADS 32
#define MEMORY ((size_t)64 << 20)

/* Node numbers: the root is 1, a regular page is its id. */
#define NODE_PAGES (UINT64_C(1) << 62)
#define NODE_PROTECTED (UINT64_C(1) << 61)
#define NODE_PROTECTED_PAGE (UINT64_C(1) << 60)

static struct {
    size_t page_size;
    uint64_t pages;
    uint64_t protected_pages;
    bool read_only;
    char *content;  /* of `slots` pages */
    uint64_t slots; /* page i is in slot i % slots */
} null;

static char *content_of(fuse_ino_t node)
{
    return null.content + (node & ~NODE_PROTECTED_PAGE) % null.slots * null.page_size;
}

static bool is_directory(fuse_ino_t node)
{
    return node == FUSE_ROOT_ID || node == NODE_PAGES || node == NODE_PROTECTED;
}

static bool is_protected(fuse_ino_t node)
{
    return (node & NODE_PROTECTED_PAGE) != 0;
}

static void fill_attributes(struct stat *st, fuse_ino_t node)
{
    memset(st, 0, sizeof(*st));
    st->st_ino = node;
    st->st_nlink = 2;
    if (is_directory(node)) {
        st->st_mode = S_IFDIR | 0755;
        return;
    }
    st->st_mode = S_IFREG | 0644;
    st->st_size = (off_t)null.page_size;
    st->st_blksize = 4096;
    st->st_blocks = (blkcnt_t)(null.page_size / 512);
}

static void fill_entry(struct fuse_entry_param *entry, fuse_ino_t node)
{
    memset(entry, 0, sizeof(*entry));
    entry->ino = node;
    entry->attr_timeout = FOREVER;
    entry->entry_timeout = FOREVER;
    fill_attributes(&entry->attr, node);
}

/* The node of a name, or 0. Creating finds every number. */
static fuse_ino_t find(fuse_ino_t parent, const char *name, bool create)
{
    char *end;
    unsigned long long number;

    if (parent == FUSE_ROOT_ID) {
        if (strcmp(name, "pages") == 0)
            return NODE_PAGES;
        return strcmp(name, "protected") == 0 ? NODE_PROTECTED : 0;
    }
    number = strtoull(name, &end, 10);
    if (end == name || *end != '\0')
        return 0;
    if (parent == NODE_PAGES)
        return number >= FIRST_PAGE && (create || number < null.pages + FIRST_PAGE) ? number : 0;
    return create || number < null.protected_pages ? NODE_PROTECTED_PAGE | number : 0;
}

static void answer_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    struct fuse_entry_param entry;
    fuse_ino_t node = find(parent, name, false);

    if (node == 0) {
        (void)fuse_reply_err(request, ENOENT);
        return;
    }
    fill_entry(&entry, node);
    (void)fuse_reply_entry(request, &entry);
}

static void answer_getattr(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file)
{
    struct stat st;

    (void)file;
    fill_attributes(&st, node);
    (void)fuse_reply_attr(request, &st, FOREVER);
}

static void answer_setattr(fuse_req_t request, fuse_ino_t node, struct stat *wanted, int what,
                           struct fuse_file_info *file)
{
    (void)wanted;
    (void)what;
    answer_getattr(request, node, file);
}

static void set_open_flags(fuse_ino_t node, struct fuse_file_info *file)
{
    file->keep_cache = !is_protected(node);
    file->direct_io = is_protected(node);
    file->noflush = !is_protected(node) || (file->flags & O_ACCMODE) == O_RDONLY;
}

static void answer_open(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file)
{
    if (null.read_only) {
        (void)fuse_reply_err(request, ENOSYS);
        return;
    }
    set_open_flags(node, file);
    (void)fuse_reply_open(request, file);
}

static void answer_opendir(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file)
{
    (void)node;
    (void)file;
    (void)fuse_reply_err(request, ENOSYS);
}

static void answer_create(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
                          struct fuse_file_info *file)
{
    struct fuse_entry_param entry;
    fuse_ino_t node = find(parent, name, true);

    (void)mode;
    if (node == 0) {
        (void)fuse_reply_err(request, EPERM);
        return;
    }
    fill_entry(&entry, node);
    set_open_flags(node, file);
    (void)fuse_reply_create(request, &entry, file);
}

static void answer_unlink(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    (void)parent;
    (void)name;
    (void)fuse_reply_err(request, 0);
}

static void answer_read(fuse_req_t request, fuse_ino_t node, size_t size, off_t offset,
                        struct fuse_file_info *file)
{
    size_t at = (size_t)offset;

    (void)file;
    if (at > null.page_size)
        at = null.page_size;
    if (size > null.page_size - at)
        size = null.page_size - at;
    (void)fuse_reply_buf(request, content_of(node) + at, size);
}

static void answer_write(fuse_req_t request, fuse_ino_t node, const char *data, size_t size,
                         off_t offset, struct fuse_file_info *file)
{
    (void)file;
    if ((size_t)offset >= null.page_size || size > null.page_size - (size_t)offset) {
        (void)fuse_reply_err(request, EFBIG);
        return;
    }
    memcpy(content_of(node) + offset, data, size);
    (void)fuse_reply_write(request, size);
}

static void answer_done(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file)
{
    (void)node;
    (void)file;
    (void)fuse_reply_err(request, 0);
}

static void answer_fsync(fuse_req_t request, fuse_ino_t node, int only_data,
                         struct fuse_file_info *file)
{
    (void)only_data;
    answer_done(request, node, file);
}

static void answer_flush(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file)
{
    (void)node;
    (void)file;
    (void)fuse_reply_err(request, null.read_only ? ENOSYS : 0);
}

/* What the driver asks for, too. */
static void begin(void *data, struct fuse_conn_info *connection)
{
    (void)data;
    connection->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
    connection->want |= connection->capable & FUSE_CAP_PARALLEL_DIROPS;
    connection->max_background = 128;
    connection->congestion_threshold = 96;
}

/* ---- listing ---- */

/* Entry number `at` of a directory: "." and ".." first. Offsets are entry numbers + 1. */
static bool entry_at(fuse_ino_t directory, uint64_t at, char name[24], fuse_ino_t *node)
{
    uint64_t count = directory == NODE_PAGES ? null.pages : null.protected_pages;

    if (at < 2) {
        (void)snprintf(name, 24, "%s", at == 0 ? "." : "..");
        *node = at == 0 ? directory : FUSE_ROOT_ID;
        return true;
    }
    at -= 2;
    if (directory == FUSE_ROOT_ID) {
        (void)snprintf(name, 24, "%s", at == 0 ? "pages" : "protected");
        *node = at == 0 ? NODE_PAGES : NODE_PROTECTED;
        return at < 2;
    }
    if (at >= count)
        return false;
    if (directory == NODE_PAGES)
        at += FIRST_PAGE;
    (void)snprintf(name, 24, "%llu", (unsigned long long)at);
    *node = directory == NODE_PAGES ? at : NODE_PROTECTED_PAGE | at;
    return true;
}

static void list(fuse_req_t request, fuse_ino_t directory, size_t size, off_t offset, bool plus)
{
    char *buffer = malloc(size);
    size_t used = 0;

    if (buffer == NULL) {
        (void)fuse_reply_err(request, ENOMEM);
        return;
    }
    for (uint64_t at = (uint64_t)offset;; at++) {
        struct fuse_entry_param entry;
        char name[24];
        fuse_ino_t node;
        size_t length;

        if (!entry_at(directory, at, name, &node))
            break;
        fill_entry(&entry, node);
        if (at < 2)
            entry.ino = 0; /* "." and ".." are not looked up */
        if (plus)
            length = fuse_add_direntry_plus(request, buffer + used, size - used, name, &entry,
                                            (off_t)at + 1);
        else
            length = fuse_add_direntry(request, buffer + used, size - used, name, &entry.attr,
                                       (off_t)at + 1);
        if (length > size - used)
            break;
        used += length;
    }
    (void)fuse_reply_buf(request, buffer, used);
    free(buffer);
}

static void answer_readdir(fuse_req_t request, fuse_ino_t node, size_t size, off_t offset,
                           struct fuse_file_info *file)
{
    (void)file;
    list(request, node, size, offset, false);
}

static void answer_readdirplus(fuse_req_t request, fuse_ino_t node, size_t size, off_t offset,
                               struct fuse_file_info *file)
{
    (void)file;
    list(request, node, size, offset, true);
}

static void answer_forget(fuse_req_t request, fuse_ino_t node, uint64_t count)
{
    (void)node;
    (void)count;
    fuse_reply_none(request);
}

static const struct fuse_lowlevel_ops answers = {
    .init = begin,
    .lookup = answer_lookup,
    .forget = answer_forget,
    .getattr = answer_getattr,
    .setattr = answer_setattr,
    .open = answer_open,
    .opendir = answer_opendir,
    .create = answer_create,
    .unlink = answer_unlink,
    .read = answer_read,
    .write = answer_write,
    .flush = answer_flush,
    .release = answer_done,
    .fsync = answer_fsync,
    .readdir = answer_readdir,
    .readdirplus = answer_readdirplus,
};

static int serve(const char *mountpoint)
{
    char program[] = "null_fs", option[] = "-o";
    char options[] = "default_permissions,fsname=null,subtype=null";
    char *words[] = {program, option, options, NULL};
    struct fuse_args arguments = FUSE_ARGS_INIT(3, words);
    struct fuse_session *session = fuse_session_new(&arguments, &answers, sizeof(answers), NULL);
    int result = 1;

    if (session == NULL)
        return 1;
    if (fuse_set_signal_handlers(session) == 0) {
        if (fuse_session_mount(session, mountpoint) == 0) {
            struct fuse_loop_config *config = fuse_loop_cfg_create();

            fuse_loop_cfg_set_max_threads(config, THREADS);
            fuse_loop_cfg_set_idle_threads(config, THREADS);
            result = fuse_session_loop_mt(session, config) < 0;
            fuse_loop_cfg_destroy(config);
            fuse_session_unmount(session);
        }
        fuse_remove_signal_handlers(session);
    }
    fuse_session_destroy(session);
    fuse_opt_free_args(&arguments);
    return result;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: null_fs MOUNTPOINT PAGE_SIZE PAGES PROTECTED rw|ro\n");
        return 1;
    }
    null.page_size = strtoul(argv[2], NULL, 10);
    null.pages = strtoull(argv[3], NULL, 10);
    null.protected_pages = strtoull(argv[4], NULL, 10);
    null.read_only = strcmp(argv[5], "ro") == 0;
    null.slots = null.page_size > 0 ? MEMORY / null.page_size : 0;
    null.content = malloc(MEMORY);
    if (null.slots == 0 || null.content == NULL) {
        fprintf(stderr, "null_fs: %s is not a page size\n", argv[2]);
        return 1;
    }
    memset(null.content, 0x5a, MEMORY);
    return serve(argv[1]);
}
