/* SPDX-License-Identifier: MIT */
/*
 * Renames. What is renamed over a page becomes its content:
 *
 *   scratch → scratch   just the name
 *   scratch → number    content becomes that page's; allocated if need be
 *   number  → number    likewise, and the old page is freed, in the same transaction
 *   number  → scratch   refused: a page may never live in memory alone
 *
 * All of it is one commit, so that after a crash either all or nothing happened. Two things the
 * library cannot do: where a protected page goes over a regular one that exists, the old page is
 * freed by a second commit; and in format 0.2 a regular page that exists is written in place and
 * synced before the old page is freed.
 *
 * The kernel goes on using the renamed file's node under the new name; so from then on that node
 * stands for the page.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "name.h"
#include "requests.h"
#include "scratch.h"

/* One end of a rename. */
struct end {
    enum fixed_node directory;
    enum name_kind name_kind;
    const char *name;
    enum node_kind kind; /* NODE_PAGE or NODE_PROTECTED where the name is a number; NODE_SCRATCH */
    uint64_t id;         /* or the serial number of a scratch file that exists */
    bool exists;
    uint64_t node; /* by which the kernel knows it, if it exists */
};

static int find_end(struct fs *fs, fuse_ino_t directory, const char *name, struct end *end)
{
    *end = (struct end){.directory = (enum fixed_node)directory, .name = name};
    if (name_is_too_long(name)) {
        return ENAMETOOLONG;
    }
    end->kind = directory_kind(directory);
    if (end->kind != NODE_PAGE && end->kind != NODE_PROTECTED) {
        return EPERM;
    }
    end->name_kind = name_parse(name, &end->id);
    if (end->name_kind == NAME_NUMBER) {
        end->node = nodes_current(fs->nodes, end->kind, end->id);
        end->exists = end->node != 0 && fs_page_exists(fs, end->kind, end->id) == 0;
    } else if (end->name_kind == NAME_SCRATCH) {
        end->kind = NODE_SCRATCH;
        end->exists = scratch_find(fs->scratch, end->directory, name, &end->id) == 0;
        end->node = node_plain(NODE_SCRATCH, end->id);
    } else if (end->name_kind == NAME_HUGE) {
        log_limited(LOG_NOTICE, "nothing can be renamed to %s: the number is too big", name);
        return EFBIG;
    } else {
        log_limited(LOG_NOTICE, "nothing can be renamed to %s: %s", name,
                    end->name_kind == NAME_NEW    ? "copy it there instead"
                    : end->name_kind == NAME_LAST ? "it tells which page was new last"
                                                  : "page numbers have no leading zeros");
        return EPERM;
    }
    return 0;
}

/* The content that is moved, as a whole page. */
static int read_source(struct fs *fs, const struct end *from, void *data)
{
    int code;

    if (from->kind == NODE_SCRATCH) {
        return scratch_copy(fs->scratch, from->id, data, fs->page_size);
    }
    code = from->kind == NODE_PAGE
               ? mpg_page_read(data, fs->pager, (mpg_page_id){from->id}, 0, fs->page_size)
               : mpg_protected_read(data, fs->pager, (mpg_protected_id){from->id});
    return code == MPG_OK ? 0 : log_failure(code, "rename");
}

/* Stages the new content of `to` in a transaction. */
static int stage_target(mpg_txn *txn, const struct end *to, const void *data, size_t length)
{
    mpg_protected_id protected_id = {to->id};
    mpg_page_id page_id = {to->id};
    int code = MPG_OK;

    if (to->kind == NODE_PAGE) {
        code = mpg_txn_alloc_at(txn, page_id, 0);
        return code == MPG_OK ? mpg_txn_page_write(txn, page_id, data, 0, length) : code;
    }
    if (!to->exists) {
        code = mpg_txn_alloc_protected_at(txn, protected_id);
    }
    return code == MPG_OK ? mpg_txn_protected_write(txn, protected_id, data, 0, length) : code;
}

static int stage_free(mpg_txn *txn, const struct end *from)
{
    switch (from->kind) {
    case NODE_PAGE:
        return mpg_txn_free(txn, (mpg_page_id){from->id});
    case NODE_PROTECTED:
        return mpg_txn_free_protected(txn, (mpg_protected_id){from->id});
    default:
        return MPG_OK;
    }
}

static int write_in_place(struct fs *fs, mpg_page_id id, const void *data)
{
    int code = mpg_page_write(fs->writable, id, data, 0, fs->page_size);

    return code == MPG_OK ? mpg_page_sync(fs->writable, id) : code;
}

/* A regular page that exists gets the content. *freed: the page that it came from is free. */
static int replace_page(struct fs *fs, const struct end *from, const struct end *to,
                        const void *data, bool *freed)
{
    mpg_page_id id = {to->id};
    int code;

    *freed = from->kind == NODE_PAGE;
    code = *freed ? mpg_page_move(fs->writable, (mpg_page_id){from->id}, id)
                  : mpg_page_replace(fs->writable, id, data, fs->page_size);
    if (code != MPG_E_UNSUPPORTED) {
        return code;
    }
    *freed = false;
    return write_in_place(fs, id, data);
}

static int commit_move(struct fs *fs, const struct end *from, const struct end *to,
                       const void *data)
{
    const bool replaces = to->kind == NODE_PAGE && to->exists;
    bool freed = false;
    mpg_txn *txn;
    int code = replaces ? replace_page(fs, from, to, data, &freed) : MPG_OK;

    if (code != MPG_OK || (replaces && (freed || from->kind == NODE_SCRATCH))) {
        return code;
    }
    code = mpg_txn_begin(&txn, fs->writable);
    if (code != MPG_OK) {
        return code;
    }
    if (!replaces) {
        code = stage_target(txn, to, data, fs->page_size);
    }
    if (code == MPG_OK) {
        code = stage_free(txn, from);
    }
    if (code == MPG_OK) {
        code = mpg_txn_commit(txn, 0);
    }
    if (code != MPG_OK) {
        mpg_txn_abort(txn);
    }
    return code;
}

/* Moves the content to a number; both nodes are out of use. */
static int move_content(struct fs *fs, const struct end *from, const struct end *to)
{
    void *data = malloc(fs->page_size);
    int error = data == NULL ? ENOMEM : read_source(fs, from, data);
    struct target source = {from->kind, from->id};
    struct stat st;

    if (error == 0) {
        error = attributes_get(fs, &source, &st);
    }
    if (error == 0) {
        int code = commit_move(fs, from, to, data);

        error = code == MPG_OK ? 0 : log_failure(code, "rename");
    }
    if (error == 0) {
        attributes_give(fs, to->kind, to->id, &st); /* they go with the content */
    }
    free(data);
    return error;
}

/* Renames over a number, after the node that is there, and the moved one, went out of use. */
static int rename_to_number(struct fs *fs, const struct end *from, const struct end *to)
{
    uint64_t was_to = 0, was_from = 0;
    int error = 0;

    if (to->exists) {
        error = nodes_retire(fs->nodes, to->kind, to->id, &was_to);
    }
    if (error == 0 && from->kind != NODE_SCRATCH) {
        error = nodes_retire(fs->nodes, from->kind, from->id, &was_from);
    }
    if (error == 0) {
        error = nodes_prepare_adopt(fs->nodes, from->node, to->kind, to->id);
    }
    if (error == 0) {
        error = move_content(fs, from, to);
        if (error != 0) {
            nodes_cancel_adopt(fs->nodes, from->node, to->kind, to->id);
        }
    }
    if (error != 0) {
        if (was_from != 0) {
            nodes_restore(fs->nodes, from->kind, from->id, was_from);
        }
        if (was_to != 0) {
            nodes_restore(fs->nodes, to->kind, to->id, was_to);
        }
        return error;
    }
    nodes_adopt(fs->nodes, from->node, to->kind, to->id);
    if (from->kind == NODE_SCRATCH) {
        scratch_remove(fs->scratch, from->id);
    } else {
        attributes_drop(fs, from->kind, from->id);
    }
    fs->unsynced = true;
    /* What the kernel keeps of its attributes is the old file's. Touches no cached pages. */
    (void)fuse_lowlevel_notify_inval_inode(fs->session, from->node, -1, 0);
    return 0;
}

static int check_rename(const struct fs *fs, const struct end *from, const struct end *to,
                        unsigned flags)
{
    if (!from->exists) {
        return ENOENT;
    }
    if (to->exists && (flags & RENAME_NOREPLACE)) {
        return EEXIST;
    }
    if (to->kind == NODE_SCRATCH) {
        return from->kind == NODE_SCRATCH ? check_scratch_name(fs, to->directory, to->name) : EPERM;
    }
    return check_number(fs, to->kind, to->id, "the target of a rename");
}

static int rename_ends(struct fs *fs, const struct end *from, const struct end *to, unsigned flags)
{
    int error = check_rename(fs, from, to, flags);

    if (error != 0 || (from->kind == to->kind && from->id == to->id && to->exists)) {
        return error;
    }
    return to->kind == NODE_SCRATCH ? scratch_rename(fs->scratch, from->id, to->directory, to->name)
                                    : rename_to_number(fs, from, to);
}

void request_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                    const char *new_name, unsigned flags)
{
    struct fs *fs = fs_of(req);
    struct end from, to;
    int error = fs->writable == NULL ? EROFS : 0;

    if (error == 0 && (flags & ~(unsigned)RENAME_NOREPLACE)) {
        error = EINVAL;
    }
    if (error == 0) {
        error = find_end(fs, parent, name, &from);
    }
    if (error == 0) {
        error = find_end(fs, new_parent, new_name, &to);
    }
    if (error == 0) {
        error = rename_ends(fs, &from, &to, flags);
    }
    if (error == 0) {
        attributes_touch(fs, NODE_FIXED, parent);
        attributes_touch(fs, NODE_FIXED, new_parent);
    }
    fuse_reply_err(req, error);
}
