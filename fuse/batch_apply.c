/* SPDX-License-Identifier: MIT */
/*
 *     read       the whole archive, so that one that is damaged changes nothing
 *     announce   nothing more is pushed of regular pages that are there; what maps of
 *                them hold is written back
 *     change     all of it as one commit
 *     tell       what the kernel caches of all that is dropped
 *
 * In format 0.2, and if they are too many, regular pages that are there cannot be a part of a
 * commit: then they are written in place, and synced, before everything else is committed. So what
 * the commit changes never names, after a crash, a content that is not there yet. If the commit
 * fails, they get back what they had.
 */
#include "batch_apply.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ahead.h"
#include "attributes.h"
#include "log.h"
#include "page_archive.h"
#include "page_put.h"

/* How often it is tried, where others create and delete the same pages meanwhile. */
#define TRIES 8

/* A page of the archive. */
struct item {
    struct archived_page page;
    uint64_t place;     /* its number in the archive, from 0 */
    bool missing;       /* it has to be allocated */
    unsigned char *was; /* owned; what a regular page held before it was written in place */
    uint64_t node;      /* under which we count as a writer of it; 0: we do not */
};

struct apply {
    struct fs *fs;
    const unsigned char *data; /* the archive */
    unsigned char *assembled;  /* owned; it was in pieces, or NULL */
    size_t length;
    unsigned char *content; /* owned; room for a page */
    struct item *items;     /* owned; in the order of the archive */
    size_t count, capacity;
    bool in_place; /* regular pages that are there are written so: no transaction can take them */
    struct batch_result *result;
};

static enum node_kind kind_of(const struct item *item)
{
    return item->page.protected ? NODE_PROTECTED : NODE_PAGE;
}

/* A regular page that was there before. */
static bool is_there(const struct item *item)
{
    return !item->page.protected && !item->missing;
}

/* Says what is wrong. Returns the errno. */
static int refuse(struct apply *apply, int error, const char *why)
{
    apply->result->error = error;
    snprintf(apply->result->why, sizeof(apply->result->why), "%s", why);
    return error;
}

/* The same for what the library just returned. */
static int refuse_code(struct apply *apply, int code)
{
    mpg_error_info info;
    bool told = mpg_last_error(&info) == code && info.message[0] != '\0';

    return refuse(apply, log_failure(code, "batch"), told ? info.message : mpg_strerror(code));
}

/* ---- read ---- */

/* What was written, as one piece. Returns 0 or an errno. */
static int assemble(struct apply *apply, const struct stage *stage)
{
    const struct extent *first = &stage->extents[0];

    apply->length = (size_t)stage_end(stage);
    if (stage->count == 1 && first->offset == 0 && first->data != NULL) {
        apply->data = first->data;
        return 0;
    }
    apply->assembled = calloc(1, apply->length);
    if (apply->assembled == NULL) {
        return refuse(apply, ENOMEM, strerror(ENOMEM));
    }
    stage_apply(stage, apply->assembled, 0, apply->length);
    apply->data = apply->assembled;
    return 0;
}

static int add(struct apply *apply, const struct archived_page *page)
{
    const struct fs *fs = apply->fs;

    if (apply->count == apply->capacity) {
        size_t capacity = apply->capacity * 2 + 16;
        struct item *items = reallocarray(apply->items, capacity, sizeof(*items));

        if (items == NULL) {
            return refuse(apply, ENOMEM, strerror(ENOMEM));
        }
        apply->items = items;
        apply->capacity = capacity;
    }
    /* A member can be a few bytes, and its page large. */
    if (apply->count >= fs->stage_limit / fs->page_size) {
        return refuse(apply, ENOSPC, "its pages take more memory than -o stage= allows");
    }
    apply->items[apply->count] = (struct item){.page = *page, .place = apply->count};
    apply->count++;
    return 0;
}

/*
 * Calls `visit` with each page and its content, in their order. Returns 0 or what `visit` said, or
 * an errno.
 */
static int each_page(struct apply *apply,
                     int (*visit)(struct apply *apply, const struct archived_page *page,
                                  uint64_t place, void *context),
                     void *context)
{
    struct page_archive *archive =
        page_archive_open_memory(apply->data, apply->length, apply->fs->page_size);
    struct archived_page page;
    uint64_t place = 0;
    int more = 0, result = 0;

    if (archive == NULL) {
        return refuse(apply, ENOMEM, strerror(ENOMEM));
    }
    while (result == 0 && (more = page_archive_next(&page, archive, apply->content)) > 0) {
        result = visit(apply, &page, place++, context);
    }
    if (result == 0 && more < 0) {
        result = refuse(apply, EINVAL, page_archive_error(archive));
    }
    page_archive_close(archive);
    return result;
}

static int collect(struct apply *apply, const struct archived_page *page, uint64_t place,
                   void *context)
{
    (void)place;
    (void)context;
    return add(apply, page);
}

static int by_page(const void *one, const void *other)
{
    const struct item *a = one, *b = other;

    if (a->page.protected != b->page.protected) {
        return a->page.protected ? 1 : -1;
    }
    if (a->page.id != b->page.id) {
        return a->page.id < b->page.id ? -1 : 1;
    }
    return (a->place > b->place) - (a->place < b->place);
}

static int by_place(const void *one, const void *other)
{
    const struct item *a = one, *b = other;

    return (a->place > b->place) - (a->place < b->place);
}

/* Of pages that it holds several times the last counts, as with tar. */
static void drop_repeated(struct apply *apply)
{
    struct item *items = apply->items;
    size_t kept = 0;

    qsort(items, apply->count, sizeof(*items), by_page);
    for (size_t i = 1; i < apply->count; i++) {
        if (items[i].page.protected != items[kept].page.protected ||
            items[i].page.id != items[kept].page.id) {
            kept++;
        }
        items[kept] = items[i];
    }
    apply->count = kept + 1;
    qsort(items, apply->count, sizeof(*items), by_place);
}

static int read_archive(struct apply *apply, const struct stage *stage)
{
    int error = assemble(apply, stage);

    if (error == 0) {
        apply->content = malloc(apply->fs->page_size);
        error = apply->content == NULL ? refuse(apply, ENOMEM, strerror(ENOMEM))
                                       : each_page(apply, collect, NULL);
    }
    if (error == 0 && apply->count == 0) {
        error = refuse(apply, EINVAL, "it holds no page");
    }
    if (error == 0) {
        drop_repeated(apply);
    }
    return error;
}

/* ---- announce ---- */

/* What follows returns MPG_E_ codes. */

static int look_what_is_missing(struct apply *apply)
{
    int code = MPG_OK;

    for (size_t i = 0; i < apply->count && code == MPG_OK; i++) {
        struct item *item = &apply->items[i];

        code = page_put_is_missing(&item->missing, apply->fs->pager, &item->page);
    }
    return code;
}

/*
 * Regular pages that are there: from now on we count as one who writes to them. What was written
 * through a map before now comes before the batch.
 */
static void announce(struct apply *apply)
{
    struct fs *fs = apply->fs;
    for (size_t i = 0; i < apply->count; i++) {
        struct item *item = &apply->items[i];
        uint64_t node = is_there(item) && item->node == 0
                            ? nodes_current(fs->nodes, NODE_PAGE, item->page.id)
                            : 0;

        if (node != 0 && nodes_opened(fs->nodes, node, true) == 0) {
            item->node = node;
        }
    }
    ahead_hold(fs);
    for (size_t i = 0; i < apply->count; i++) {
        if (apply->items[i].node != 0) {
            (void)fuse_lowlevel_notify_inval_inode(fs->session, apply->items[i].node, 0, 0);
        }
    }
}

static void withdraw(struct apply *apply)
{
    for (size_t i = 0; i < apply->count; i++) {
        if (apply->items[i].node != 0) {
            nodes_closed(apply->fs->nodes, apply->items[i].node, true);
        }
    }
}

/* ---- change ---- */

/* A walk through the archive: what to do with the page at the cursor. */
struct walk {
    mpg_txn *txn; /* NULL: write in place */
    size_t next;  /* item */
};

static int write_in_place(const struct apply *apply, struct item *item)
{
    const struct fs *fs = apply->fs;
    const mpg_page_id id = {item->page.id};
    int code = MPG_OK;

    if (item->was == NULL) {
        item->was = malloc(fs->page_size);
        code = item->was == NULL ? MPG_E_NO_MEMORY
                                 : mpg_page_read(item->was, fs->pager, id, 0, fs->page_size);
        if (code != MPG_OK) {
            free(item->was);
            item->was = NULL;
        }
    }
    return code == MPG_OK ? mpg_page_write(fs->writable, id, apply->content, 0, fs->page_size)
                          : code;
}

static int put(struct apply *apply, const struct archived_page *page, uint64_t place, void *context)
{
    struct walk *walk = context;
    struct item *item = &apply->items[walk->next];

    if (walk->next == apply->count || item->place != place) {
        return MPG_OK; /* the page comes again */
    }
    walk->next++;
    if (walk->txn == NULL) {
        return is_there(item) ? write_in_place(apply, item) : MPG_OK;
    }
    return apply->in_place && is_there(item) ? MPG_OK
                                             : page_put_write(walk->txn, page, item->missing,
                                                              apply->content, apply->fs->page_size);
}

static int allocate(const struct apply *apply, mpg_txn *txn)
{
    int code = MPG_OK;

    for (size_t i = 0; i < apply->count && code == MPG_OK; i++) {
        if (apply->items[i].missing) {
            code = page_put_allocate(txn, &apply->items[i].page, 0);
        }
    }
    return code;
}

/* Gives regular pages back what they held. */
static void take_back(struct apply *apply)
{
    for (size_t i = 0; i < apply->count; i++) {
        struct item *item = &apply->items[i];

        if (item->was != NULL) {
            int code = mpg_page_write(apply->fs->writable, (mpg_page_id){item->page.id}, item->was,
                                      0, apply->fs->page_size);

            if (code != MPG_OK && code != MPG_E_NOT_ALLOCATED) {
                (void)log_failure(code, "taking back a batch");
            }
            free(item->was);
            item->was = NULL;
        }
    }
}

static bool has_some_there(const struct apply *apply)
{
    for (size_t i = 0; i < apply->count; i++) {
        if (is_there(&apply->items[i])) {
            return true;
        }
    }
    return false;
}

static int change(struct apply *apply, mpg_txn *txn)
{
    struct walk staged = {.txn = txn}, in_place = {.txn = NULL};
    int code = allocate(apply, txn);

    if (code == MPG_OK) {
        code = each_page(apply, put, &staged);
    }
    if (code == MPG_OK && apply->in_place && has_some_there(apply)) {
        code = each_page(apply, put, &in_place);
        if (code == MPG_OK) {
            code = mpg_sync(apply->fs->writable);
        }
    }
    return code == MPG_OK ? mpg_txn_commit(txn, 0) : code;
}

/* Tries once. Returns an MPG_E_ code, told in the result. */
static int try_once(struct apply *apply)
{
    mpg_txn *txn;
    int code = look_what_is_missing(apply);

    if (code == MPG_OK) {
        announce(apply);
        code = mpg_txn_begin(&txn, apply->fs->writable);
    }
    if (code != MPG_OK) {
        (void)refuse_code(apply, code);
        return code;
    }
    code = change(apply, txn);
    if (code == MPG_E_UNSUPPORTED && !apply->in_place) {
        mpg_txn_abort(txn);
        apply->in_place = true;
        return try_once(apply);
    }
    if (code != MPG_OK) {
        if (code < 0) {
            (void)refuse_code(apply, code); /* before the last error is another */
        }
        mpg_txn_abort(txn);
        take_back(apply);
    }
    return code;
}

/* ---- tell ---- */

static void tell_created(const struct apply *apply, const struct item *item)
{
    struct fs *fs = apply->fs;

    if (item->page.id >= NODE_ID_LIMIT ||
        nodes_create(fs->nodes, kind_of(item), item->page.id) == 0) {
        log_limited(LOG_ERR,
                    "page %" PRIu64 " was recreated too often while it was open: it shows "
                    "after the next mount",
                    item->page.id);
    }
}

static void tell_directory(struct fs *fs, enum fixed_node directory)
{
    attributes_touch(fs, NODE_FIXED, directory);
    (void)fuse_lowlevel_notify_inval_inode(fs->session, directory, 0, 0);
}

/* The kernel drops what it has of all that changed. */
static void tell(struct apply *apply)
{
    struct fs *fs = apply->fs;
    bool created[2] = {false, false};

    for (size_t i = 0; i < apply->count; i++) {
        const struct item *item = &apply->items[i];
        uint64_t node;

        attributes_touch(fs, kind_of(item), item->page.id);
        if (item->missing) {
            tell_created(apply, item);
            created[item->page.protected] = true;
            continue;
        }
        node = nodes_current(fs->nodes, kind_of(item), item->page.id);
        if (node != 0) {
            (void)fuse_lowlevel_notify_inval_inode(fs->session, node, 0, 0);
        }
    }
    if (created[false]) {
        tell_directory(fs, FIXED_PAGES);
    }
    if (created[true]) {
        tell_directory(fs, FIXED_PROTECTED);
    }
    fs->unsynced |= created[false] || created[true];
}

static void count(const struct apply *apply)
{
    for (size_t i = 0; i < apply->count; i++) {
        apply->result->regular += !apply->items[i].page.protected;
        apply->result->protected += apply->items[i].page.protected;
        apply->result->created += apply->items[i].missing;
    }
}

/* Whether somebody else created or deleted one of the pages meanwhile, or is just about to. */
static bool was_overtaken(int code)
{
    return code == MPG_E_EXISTS || code == MPG_E_NOT_ALLOCATED || code == MPG_E_BUSY;
}

static void apply_read(struct apply *apply)
{
    int code = MPG_E_EXISTS;

    for (int i = 0; i < TRIES && was_overtaken(code); i++) {
        const struct timespec pause = {0, i == 0 ? 0 : 1000000L << i};

        (void)nanosleep(&pause, NULL); /* what they do may not be durable yet */
        code = try_once(apply);
    }
    if (code == MPG_OK) {
        *apply->result = (struct batch_result){0};
        tell(apply);
        count(apply);
    }
    ahead_let_go(apply->fs);
    withdraw(apply);
}

void batch_apply(struct batch_result *result, struct fs *fs, const struct stage *stage)
{
    struct apply apply = {.fs = fs, .result = result};

    *result = (struct batch_result){0};
    if (read_archive(&apply, stage) == 0) {
        apply_read(&apply);
    }
    for (size_t i = 0; i < apply.count; i++) {
        free(apply.items[i].was);
    }
    free(apply.items);
    free(apply.content);
    free(apply.assembled);
}
