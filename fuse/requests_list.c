/* SPDX-License-Identifier: MIT */
/*
 * Listing directories. The offset of an entry is made of its id, never of a position: a listing
 * with changes meanwhile repeats nothing and misses nothing that stayed.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "follow.h"
#include "log.h"
#include "name.h"
#include "options.h"
#include "requests.h"
#include "scratch.h"

/* Offsets: where to go on behind an entry. Scratch files come after all pages. */
#define OFFSET_DOT 1
#define OFFSET_DOT_DOT 2
#define OFFSET_FIRST 3 /* of id 0 */
#define OFFSET_SCRATCH ((off_t)1 << 62)

/* A listing being made. */
struct listing {
    fuse_req_t req;
    struct fs *fs;
    fuse_ino_t directory;
    bool plus; /* with attributes, which counts as a look-up of each */
    char *data;
    size_t size; /* bytes data has room for */
    size_t used;
};

/* Adds an entry; false if it does not fit. */
static bool add(struct listing *listing, const char *name, const struct target *target,
                fuse_ino_t node, off_t offset)
{
    struct fuse_entry_param entry = {0};
    char *at = listing->data + listing->used;
    size_t room = listing->size - listing->used;
    size_t length;

    if (listing->plus) {
        if (node == 0) {
            attributes_brief(target, &entry.attr); /* . and .. are not looked up */
        } else if (entry_fill(listing->fs, target, node, &entry) != 0) {
            return true; /* gone meanwhile */
        }
        length = fuse_add_direntry_plus(listing->req, at, room, name, &entry, offset);
    } else {
        attributes_brief(target, &entry.attr);
        length = fuse_add_direntry(listing->req, at, room, name, &entry.attr, offset);
    }
    if (length > room) {
        return false;
    }
    if (listing->plus && node != 0 && target->kind == NODE_SCRATCH) {
        scratch_reference(listing->fs->scratch, target->id);
    }
    listing->used += length;
    return true;
}

static bool add_id(struct listing *listing, enum node_kind kind, uint64_t id)
{
    struct target target = {kind, id};
    char name[NAME_NUMBER_SIZE];
    uint64_t node = nodes_current(listing->fs->nodes, kind, id);

    if (node == 0 || id >= NODE_ID_LIMIT) {
        return true;
    }
    name_print(name, id);
    return add(listing, name, &target, node, (off_t)id + OFFSET_FIRST);
}

static bool add_dots(struct listing *listing, off_t offset)
{
    struct target self = {NODE_FIXED, listing->directory};
    struct target root = {NODE_FIXED, FIXED_ROOT};

    return (offset >= OFFSET_DOT || add(listing, ".", &self, 0, OFFSET_DOT)) &&
           (offset >= OFFSET_DOT_DOT || add(listing, "..", &root, 0, OFFSET_DOT_DOT));
}

/*
 * info, info.json and batch are not listed: cp -r and rsync would carry them to where they cannot
 * be written.
 */
static int list_root(struct listing *listing, off_t offset)
{
    static const struct {
        const char *name;
        enum fixed_node node;
    } entries[] = {
        {"pages", FIXED_PAGES},
        {"protected", FIXED_PROTECTED},
        {"raw", FIXED_RAW},
    };
    const size_t count = listing->fs->options->raw ? 3 : 2;
    size_t next = offset < OFFSET_FIRST ? 0 : (size_t)(offset - OFFSET_FIRST) + 1;

    for (; next < count; next++) {
        struct target target = {NODE_FIXED, entries[next].node};

        if (!add(listing, entries[next].name, &target, target.id, (off_t)next + OFFSET_FIRST)) {
            break;
        }
    }
    return 0;
}

/* The ids from `from` on. *full is set if not all of them fit. Returns an MPG_E_ code. */
static int list_pages(struct listing *listing, uint64_t from, bool *full)
{
    mpg_page_iter iter;
    mpg_page_id id;
    int found;

    mpg_page_iter_begin(&iter, listing->fs->pager, (mpg_page_id){from});
    while ((found = mpg_page_iter_next(&id, &iter)) > 0) {
        if (!add_id(listing, NODE_PAGE, id.value)) {
            *full = true;
            return MPG_OK;
        }
    }
    return found;
}

static int list_protected(struct listing *listing, uint64_t from, bool *full)
{
    mpg_protected_iter iter;
    mpg_protected_id id;
    int found;

    mpg_protected_iter_begin(&iter, listing->fs->pager, (mpg_protected_id){from});
    while ((found = mpg_protected_iter_next(&id, &iter)) > 0) {
        if (!add_id(listing, NODE_PROTECTED, id.value)) {
            *full = true;
            return MPG_OK;
        }
    }
    return found;
}

static int list_raw(struct listing *listing, uint64_t from, bool *full)
{
    struct mpg_stat st = {.size = sizeof(st)};
    int code = mpg_stat(&st, listing->fs->pager);

    for (; code == MPG_OK && from < st.total_pages; from++) {
        if (!add_id(listing, NODE_RAW, from)) {
            *full = true;
            break;
        }
    }
    return code;
}

static void list_scratch(struct listing *listing, uint64_t behind)
{
    struct target target = {.kind = NODE_SCRATCH};
    char name[NAME_MAX + 1];

    while (scratch_next(listing->fs->scratch, (enum fixed_node)listing->directory, &behind,
                        &target.id, name) == 0) {
        if (!add(listing, name, &target, node_plain(NODE_SCRATCH, target.id),
                 OFFSET_SCRATCH + (off_t)behind)) {
            break;
        }
    }
}

static int list_ids(struct listing *listing, off_t offset)
{
    enum node_kind kind = directory_kind(listing->directory);
    bool full = false;
    int code = MPG_OK;

    if (offset < OFFSET_SCRATCH) {
        uint64_t from = offset < OFFSET_FIRST ? 0 : (uint64_t)(offset - OFFSET_FIRST) + 1;
        const size_t used = listing->used;
        unsigned tries = 0;

        do {
            code = kind == NODE_PAGE        ? list_pages(listing, from, &full)
                   : kind == NODE_PROTECTED ? list_protected(listing, from, &full)
                                            : list_raw(listing, from, &full);
        } while (listing->used == used && follow_again(listing->fs, code, &tries));
        offset = OFFSET_SCRATCH;
    }
    if (code == MPG_OK && !full && kind != NODE_RAW) {
        list_scratch(listing, (uint64_t)(offset - OFFSET_SCRATCH));
    }
    /*
     * What was found before a fault is shown; the next request begins at the fault and reports it.
     */
    return code == MPG_OK || listing->used > 0 ? 0 : log_failure(code, "list");
}

static void list(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, bool plus)
{
    struct listing listing = {req, fs_of(req), node, plus, malloc(size), size, 0};
    int error = 0;

    follow_refresh(listing.fs);
    if (node >= FIXED_INFO) {
        error = ENOTDIR;
    } else if (listing.data == NULL) {
        error = ENOMEM;
    } else if (add_dots(&listing, offset)) {
        error = node == FIXED_ROOT ? list_root(&listing, offset) : list_ids(&listing, offset);
    }
    if (error != 0) {
        fuse_reply_err(req, error);
    } else {
        fuse_reply_buf(req, listing.data, listing.used);
    }
    free(listing.data);
}

void request_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    if (fs_of(req)->no_opendir) {
        /*
         * The kernel then asks no more, and keeps listings until something is created or deleted.
         */
        fuse_reply_err(req, ENOSYS);
        return;
    }
    /* Pages are added to /raw by what is done in other directories: the kernel would not know. */
    fi->cache_readdir = node != FIXED_RAW && !fs_of(req)->follows;
    fi->keep_cache = fi->cache_readdir;
    fuse_reply_open(req, fi);
}

void request_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
                     struct fuse_file_info *fi)
{
    (void)fi;
    list(req, node, size, offset, false);
}

void request_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
                         struct fuse_file_info *fi)
{
    (void)fi;
    list(req, node, size, offset, true);
}
