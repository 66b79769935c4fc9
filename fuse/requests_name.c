/* SPDX-License-Identifier: MIT */
/* Looking names up, creating and deleting files. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "follow.h"
#include "last.h"
#include "log.h"
#include "name.h"
#include "near.h"
#include "options.h"
#include "requests.h"
#include "scratch.h"
#include "temporary.h"

enum node_kind directory_kind(fuse_ino_t directory)
{
    switch (directory) {
    case FIXED_PAGES:
        return NODE_PAGE;
    case FIXED_PROTECTED:
        return NODE_PROTECTED;
    case FIXED_RAW:
        return NODE_RAW;
    default:
        return NODE_FIXED;
    }
}

double attribute_timeout(const struct fs *fs, const struct target *target, fuse_ino_t node)
{
    bool live = target->kind == NODE_SCRATCH ||
                (target->kind == NODE_FIXED && target->id >= FIXED_INFO) ||
                (target->kind == NODE_PROTECTED && nodes_has_writers(fs->nodes, node));

    return live && fs->writable != NULL ? 0 : fs->timeout;
}

int entry_fill(struct fs *fs, const struct target *target, fuse_ino_t node,
               struct fuse_entry_param *entry)
{
    memset(entry, 0, sizeof(*entry));
    entry->ino = node;
    entry->attr_timeout = attribute_timeout(fs, target, node);
    entry->entry_timeout = fs->timeout;
    return attributes_get(fs, target, &entry->attr);
}

/* The node of a name in the root directory, or 0. */
static fuse_ino_t root_node(const struct fs *fs, const char *name)
{
    if (strcmp(name, "pages") == 0) {
        return FIXED_PAGES;
    }
    if (strcmp(name, "protected") == 0) {
        return FIXED_PROTECTED;
    }
    if (strcmp(name, "info") == 0) {
        return FIXED_INFO;
    }
    if (strcmp(name, "info.json") == 0) {
        return FIXED_INFO_JSON;
    }
    if (fs->batch != NULL && strcmp(name, "batch") == 0) {
        return FIXED_BATCH;
    }
    return fs->options->raw && strcmp(name, "raw") == 0 ? FIXED_RAW : 0;
}

/* Finds what a name stands for, and its node. */
static int find(struct fs *fs, fuse_ino_t parent, const char *name, struct target *target,
                fuse_ino_t *node)
{
    if (name_is_too_long(name)) {
        return ENAMETOOLONG;
    }
    target->kind = directory_kind(parent);
    if (target->kind == NODE_FIXED) {
        target->id = *node = parent == FIXED_ROOT ? root_node(fs, name) : 0;
        return *node != 0 ? 0 : ENOENT;
    }
    switch (name_parse(name, &target->id)) {
    case NAME_NUMBER:
        *node = nodes_current(fs->nodes, target->kind, target->id);
        return *node != 0 ? 0 : ENOENT;
    case NAME_SCRATCH:
        if (target->kind == NODE_RAW ||
            scratch_lookup(fs->scratch, (enum fixed_node)parent, name, &target->id) != 0) {
            return ENOENT;
        }
        target->kind = NODE_SCRATCH;
        *node = node_plain(NODE_SCRATCH, target->id);
        return 0;
    case NAME_LAST:
        if (target->kind == NODE_RAW || fs->last == NULL) {
            return ENOENT;
        }
        target->id = *node = parent == FIXED_PAGES ? FIXED_LAST_PAGE : FIXED_LAST_PROTECTED;
        target->kind = NODE_FIXED;
        return 0;
    default:
        return ENOENT;
    }
}

void request_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fs *fs = fs_of(req);
    struct fuse_entry_param entry;
    struct target target;
    fuse_ino_t node;
    int error = find(fs, parent, name, &target, &node);

    near_client(req);
    if (error == 0) {
        follow_refresh(fs);
        error = entry_fill(fs, &target, node, &entry);
    }
    if (error != 0) {
        fuse_reply_err(req, error);
    } else {
        fuse_reply_entry(req, &entry);
    }
}

static void forget(struct fs *fs, fuse_ino_t node, uint64_t references)
{
    if (node >> 61 == NODE_SCRATCH) {
        scratch_forget(fs->scratch, node & (NODE_ID_LIMIT - 1), references);
    }
    nodes_forget(fs->nodes, node);
}

void request_forget(fuse_req_t req, fuse_ino_t node, uint64_t references)
{
    forget(fs_of(req), node, references);
    fuse_reply_none(req);
}

void request_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++) {
        forget(fs_of(req), forgets[i].ino, forgets[i].nlookup);
    }
    fuse_reply_none(req);
}

int check_number(const struct fs *fs, enum node_kind kind, uint64_t id, const char *done)
{
    if (kind == NODE_PAGE && id < NODE_FIRST_PAGE) {
        log_limited(LOG_NOTICE, "page %" PRIu64 " cannot be %s: it belongs to the file itself", id,
                    done);
        return EPERM;
    }
    if (id >= (kind == NODE_PAGE ? fs->max_pages : fs->max_protected)) {
        log_limited(LOG_NOTICE, "%spage %" PRIu64 " cannot be %s: the format ends before it",
                    kind == NODE_PAGE ? "" : "protected ", id, done);
        return EFBIG;
    }
    return 0;
}

/* Allocates the page of a number, or of the next one. */
static int allocate(struct fs *fs, enum node_kind kind, bool any, uint64_t *id)
{
    mpg_protected_id protected_id = {*id};
    mpg_page_id page_id = {*id};
    int code;

    if (kind == NODE_PAGE) {
        code = any ? mpg_alloc(&page_id, fs->writable, MPG_ZERO)
                   : mpg_alloc_at(fs->writable, page_id, MPG_ZERO);
        *id = page_id.value;
    } else {
        code = any ? mpg_alloc_protected(&protected_id, fs->writable)
                   : mpg_alloc_protected_at(fs->writable, protected_id);
        *id = protected_id.value;
    }
    if (code == MPG_E_NOT_REGULAR) {
        log_limited(LOG_NOTICE, "page %" PRIu64 " cannot be created: the file uses it internally",
                    *id);
    }
    return code == MPG_OK ? 0 : log_failure(code, "create");
}

/*
 * Who asks, and what permission bits for what he creates; but what the options say of everything in
 * the mount holds for that, too.
 */
static struct stat owner_of(fuse_req_t req, mode_t mode)
{
    const struct fuse_ctx *context = fuse_req_ctx(req);
    const struct fs *fs = fs_of(req);
    const struct options *options = fs->options;
    struct stat owner = {.st_mode = mode, .st_uid = context->uid, .st_gid = context->gid};

    if (options->uid >= 0) {
        owner.st_uid = fs->uid;
    }
    if (options->gid >= 0) {
        owner.st_gid = fs->gid;
    }
    if (options->umask >= 0 || options->fmask >= 0) {
        owner.st_mode = (mode & S_IFMT) | fs->mode;
    }
    return owner;
}

static void undo_create_page(struct fs *fs, const struct target *target)
{
    int code = fs_free_page(fs, target->kind, target->id);

    if (code != MPG_OK) {
        (void)log_failure(code, "freeing a page again");
        log_limited(LOG_ERR, "%spage %" PRIu64 " stays allocated",
                    target->kind == NODE_PAGE ? "" : "protected ", target->id);
        return;
    }
    nodes_cancel_create(fs->nodes, target->kind, target->id);
    attributes_drop(fs, target->kind, target->id);
}

static int create_page(struct fs *fs, struct target *target, bool any, const struct stat *owner,
                       fuse_ino_t *node)
{
    int error = any ? 0 : check_number(fs, target->kind, target->id, "created");

    if (error == 0) {
        error = allocate(fs, target->kind, any, &target->id);
    }
    if (error != 0) {
        return error;
    }
    *node = target->id < NODE_ID_LIMIT ? nodes_create(fs->nodes, target->kind, target->id) : 0;
    if (*node == 0) {
        log_limited(LOG_ERR, "page %" PRIu64 " was recreated too often while it was open",
                    target->id);
        (void)fs_free_page(fs, target->kind, target->id);
        return EBUSY;
    }
    fs->unsynced = true;
    error = attributes_create(fs, target->kind, target->id, owner);
    if (error != 0) {
        undo_create_page(fs, target);
    }
    return error;
}

int check_scratch_name(const struct fs *fs, enum fixed_node directory, const char *name)
{
    char shown[NAME_SHOWN_SIZE];

    if (fs->options->scratch_any || name_is_temporary(name)) {
        return 0;
    }
    name_show(shown, name);
    log_limited(
        LOG_NOTICE,
        "%s/%s is refused: files other than pages live in memory, and the name does not look "
        "as if it were meant for a while only (-o scratch=any takes any name)",
        directory == FIXED_PAGES ? "pages" : "protected", shown);
    return EPERM;
}

static int create_scratch(struct fs *fs, fuse_ino_t parent, const char *name,
                          const struct stat *owner, struct target *target, fuse_ino_t *node)
{
    int error = check_scratch_name(fs, (enum fixed_node)parent, name);

    if (error == 0) {
        error = scratch_create(fs->scratch, (enum fixed_node)parent, name, owner, &target->id);
    }
    target->kind = NODE_SCRATCH;
    *node = node_plain(NODE_SCRATCH, target->id);
    return error;
}

/*
 * The file that `create` just made could not be given to who asked for it: ends it, for of a page
 * made as `new` nobody would ever learn the number.
 */
static void undo_create(struct fs *fs, fuse_ino_t parent, const char *name,
                        const struct target *target)
{
    if (target->kind == NODE_SCRATCH) {
        (void)scratch_unlink(fs->scratch, (enum fixed_node)parent, name);
        scratch_forget(fs->scratch, target->id, 1);
    } else {
        undo_create_page(fs, target);
    }
}

/* Makes what a name stands for, and gives its node. */
static int create_target(struct fs *fs, fuse_ino_t parent, const char *name,
                         const struct stat *owner, struct target *target, fuse_ino_t *node)
{
    switch (name_parse(name, &target->id)) {
    case NAME_NEW:
        return create_page(fs, target, true, owner, node);
    case NAME_NUMBER:
        return create_page(fs, target, false, owner, node);
    case NAME_SCRATCH:
        return create_scratch(fs, parent, name, owner, target, node);
    case NAME_LAST:
        return EEXIST;
    case NAME_HUGE:
        log_limited(LOG_NOTICE, "page %s cannot be created: the number is too big", name);
        return EFBIG;
    default:
        log_limited(LOG_NOTICE, "%s cannot be created: page numbers have no leading zeros", name);
        return EPERM;
    }
}

static int check_create(const struct fs *fs, fuse_ino_t parent, const char *name, mode_t mode)
{
    const enum node_kind kind = directory_kind(parent);

    if (name_is_too_long(name)) {
        return ENAMETOOLONG;
    }
    if (fs->writable == NULL) {
        return EROFS;
    }
    /* Bits that are not kept are refused, as by chmod. */
    return (kind == NODE_PAGE || kind == NODE_PROTECTED) && !(mode & 07000) ? 0 : EPERM;
}

static bool is_new(const char *name)
{
    return strcmp(name, "new") == 0;
}

/* Makes the file of a name. */
static int create(struct fs *fs, fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                  struct target *target, struct fuse_entry_param *entry)
{
    const struct stat owner = owner_of(req, mode);
    fuse_ino_t node = 0;
    int error = check_create(fs, parent, name, mode);

    *target = (struct target){directory_kind(parent), 0};
    if (error == 0) {
        error = create_target(fs, parent, name, &owner, target, &node);
    }
    if (error != 0) {
        return error;
    }
    attributes_touch(fs, NODE_FIXED, parent);
    error = entry_fill(fs, target, node, entry);
    if (error != 0) {
        undo_create(fs, parent, name, target);
    } else if (is_new(name)) {
        entry->entry_timeout = 0; /* the name stands for nothing from now on */
    }
    return error;
}

/* Remembers which page that was, for who is going to be told that it was created. */
static void note_new(struct fs *fs, fuse_req_t req, const char *name, const struct target *target)
{
    const struct fuse_ctx *context = fuse_req_ctx(req);

    if (is_new(name)) {
        last_note(fs->last, target->kind, target->id, context->pid, context->uid);
    }
}

void request_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                    struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    const struct client client = client_of(req, NULL);
    struct fuse_entry_param entry;
    struct target target;
    int error = create(fs, req, parent, name, mode, &target, &entry);

    if (error == 0) {
        error = open_target(fs, entry.ino, &target, fi, &client);
        if (error != 0) {
            undo_create(fs, parent, name, &target);
        }
    }
    if (error != 0) {
        fuse_reply_err(req, error);
        return;
    }
    note_new(fs, req, name, &target);
    if (fuse_reply_create(req, &entry, fi) != 0) {
        handle_close(fs, handle_of(fi));
    }
}

void request_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
    struct fuse_entry_param entry;
    struct target target;
    int error = name_is_too_long(name) ? ENAMETOOLONG : EPERM;

    (void)device;
    if (S_ISREG(mode)) {
        error = create(fs_of(req), req, parent, name, mode, &target, &entry);
    }
    if (error != 0) {
        fuse_reply_err(req, error);
        return;
    }
    note_new(fs_of(req), req, name, &target);
    fuse_reply_entry(req, &entry);
}

/* Frees a page, after its node became stale: whoever has it open gets ESTALE from now on. */
static int unlink_page(struct fs *fs, enum node_kind kind, uint64_t id)
{
    uint64_t was;
    int error = fs_page_exists(fs, kind, id);
    int code;

    if (error == 0) {
        error = nodes_retire(fs->nodes, kind, id, &was);
    }
    if (error != 0) {
        return error;
    }
    code = fs_free_page(fs, kind, id);
    if (code != MPG_OK) {
        error = log_failure(code, "unlink");
        nodes_restore(fs->nodes, kind, id, was);
        return error;
    }
    attributes_drop(fs, kind, id);
    fs->unsynced = true;
    return 0;
}

void request_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fs *fs = fs_of(req);
    enum node_kind kind = directory_kind(parent);
    uint64_t id = 0;
    int error;

    near_client(req);
    if (name_is_too_long(name)) {
        error = ENAMETOOLONG;
    } else if (fs->writable == NULL) {
        error = EROFS;
    } else if (kind != NODE_PAGE && kind != NODE_PROTECTED) {
        error = EPERM;
    } else {
        switch (name_parse(name, &id)) {
        case NAME_NUMBER:
            error = unlink_page(fs, kind, id);
            break;
        case NAME_SCRATCH:
            error = scratch_unlink(fs->scratch, (enum fixed_node)parent, name);
            break;
        case NAME_LAST:
            error = EPERM;
            break;
        default:
            error = ENOENT;
        }
    }
    if (error == 0) {
        attributes_touch(fs, NODE_FIXED, parent);
    }
    fuse_reply_err(req, error);
}

/* What a page file cannot hold. */

static void refuse(fuse_req_t req, const char *name)
{
    fuse_reply_err(req, name_is_too_long(name) ? ENAMETOOLONG : EPERM);
}

void request_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    (void)parent;
    (void)mode;
    refuse(req, name);
}

void request_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    (void)parent;
    refuse(req, name);
}

void request_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
    (void)link;
    (void)parent;
    refuse(req, name);
}

void request_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t parent, const char *name)
{
    (void)node;
    (void)parent;
    refuse(req, name);
}
