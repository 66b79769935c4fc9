/* SPDX-License-Identifier: MIT */
/*
 * Looking at everything that is on the disk: the nodes below the durable root, and the records
 * behind it, are read again, so that what is in memory does not hide what the disk says.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/error.h"
#include "format_1/state.h"

struct walk {
    struct format_1 *f;
    const struct tree *tree;
    uint64_t total;
    uint64_t twice; /* nodes of this generation or an earlier one are to be in both slots */
    void *context;
    void (*use)(void *context, uint64_t page);
    format_fault *fault;
};

static void __attribute__((format(printf, 4, 5)))
report(const struct walk *walk, const char *name, uint64_t page, const char *format, ...)
{
    char message[256];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    walk->fault(walk->context,
                &(mpg_fault){mpgi_tree_error(walk->tree->kind), page, message, name, 0, 0, 0, 0});
}

static const char *kind_of(const struct walk *walk)
{
    return walk->tree->kind == TREE_SPACE ? "space" : "directory";
}

/* A node is lost, and with it what it says of so many pages, or protected pages. */
static void report_lost(const struct walk *walk, const struct node_reference *reference)
{
    const struct tree *tree = walk->tree;
    bool is_space = tree->kind == TREE_SPACE;
    uint64_t span = mpgi_tree_span(tree, reference->level);
    uint64_t limit = is_space ? walk->total : tree->limit;
    uint64_t first =
        min_u64(reference->index > limit / span ? limit : reference->index * span, limit);
    uint64_t end = limit - first < span ? limit : first + span;
    char message[sizeof(((mpg_error_info *)NULL)->message) + 200];
    mpg_error_info info;
    int code = mpg_last_error(&info);

    (void)snprintf(message, sizeof(message),
                   "%s, and its other slot does not hold it either: nothing is known of %s %" PRIu64
                   " to %" PRIu64,
                   info.message, is_space ? "the use of pages" : "protected pages", first, end - 1);
    walk->fault(walk->context,
                &(mpg_fault){code, info.page, message, "node", is_space ? first : 0,
                             is_space ? end : 0, is_space ? 0 : first, is_space ? 0 : end});
}

/* One slot is enough, and one of them is not what it is to be. */
static void warn(const struct walk *walk, const struct node_reference *reference, unsigned slot)
{
    uint32_t page_size = walk->f->cache.space.page_size;
    uint64_t page = slot_page(page_size, reference->pair, slot);
    char message[200];

    (void)snprintf(message, sizeof(message),
                   "page %" PRIu64 " does not hold node %" PRIu64
                   " of level %u of the %s tree; page "
                   "%" PRIu64 " has it, too",
                   page, reference->index, reference->level, kind_of(walk),
                   slot_page(page_size, reference->pair, 1 - slot));
    walk->fault(walk->context, &(mpg_fault){0, page, message, "node-copy", 0, 0, 0, 0});
}

/* Reads a node, and looks whether it is there twice where it should be. */
static int read_node(const struct walk *walk, unsigned char *bytes,
                     const struct node_reference *reference)
{
    const struct node_space *space = &walk->f->cache.space;
    unsigned slot;
    int error = mpgi_node_read(space, bytes, reference, walk->total, &slot);

    if (error != 0)
        return error;
    if (slot != reference->slot)
        warn(walk, reference, reference->slot);
    else if (reference->generation <= walk->twice &&
             mpgi_node_read_slot(space, bytes, reference, 1 - slot) != 0) {
        warn(walk, reference, 1 - slot);
        return mpgi_node_read(space, bytes, reference, walk->total, &slot);
    }
    return 0;
}

/* Pages that the file does not have must be free. */
static void check_end(const struct walk *walk, const unsigned char *content, uint64_t first,
                      uint64_t units)
{
    uint64_t index = walk->total > first ? walk->total - first : 0;

    for (; walk->tree->kind == TREE_SPACE && index < units; index++) {
        if (mpgi_uses_get(content, index) != MPG_USE_FREE)
            report(walk, "beyond-total", first + index,
                   "page %" PRIu64 " is in use, but the file has only %" PRIu64, first + index,
                   walk->total);
    }
}

static int walk_refs(const struct walk *walk, const unsigned char *refs, unsigned count,
                     unsigned level, uint64_t first);

/* A node that was read and verified, and all below it. */
static int walk_node(const struct walk *walk, const struct node_reference *reference,
                     const unsigned char *bytes)
{
    const struct tree *tree = walk->tree;
    const unsigned char *body = bytes + NODE_BODY;
    uint64_t index = reference->index;
    uint64_t free;

    if (reference->level == 0) {
        check_end(walk, body, index * tree->leaf_units, tree->leaf_units);
        free = mpgi_tree_leaf_free(tree, body, tree->leaf_units);
    } else {
        free = mpgi_tree_refs_free(tree, body, tree->node_refs, reference->level - 1u);
    }
    if (min_u64(free, UINT32_MAX) != reference->free)
        report(walk, "free-units", reference->pair,
               "node %" PRIu64 " of level %u has %" PRIu64 " free units below it, not %" PRIu32,
               index, reference->level, free, reference->free);
    if (reference->level == 0)
        return 0;
    return walk_refs(walk, body, tree->node_refs, reference->level - 1u, index * tree->node_refs);
}

/* The nodes that `count` references to nodes `first` and on of a level name. */
static int walk_refs(const struct walk *walk, const unsigned char *refs, unsigned count,
                     unsigned level, uint64_t first)
{
    const struct node_space *space = &walk->f->cache.space;
    unsigned char *bytes = malloc(space->node_size);
    int error = bytes != NULL ? 0 : mpgi_fail_memory("check");

    for (unsigned i = 0; i < count && error == 0; i++) {
        const unsigned char *at = refs + i * REF_SIZE;
        struct node_reference reference;

        if (get_u64(at + REF_SLOT) == 0)
            continue;
        mpgi_reference_get(&reference, at, walk->tree->kind, level, first + i);
        for (unsigned k = 0; k < PAIR_PAGES; k++)
            walk->use(walk->context, slot_page(space->page_size, reference.pair, k));
        error = read_node(walk, bytes, &reference);
        if (error == 0) {
            error = walk_node(walk, &reference, bytes);
        } else if (error != MPG_E_NO_MEMORY) {
            report_lost(walk, &reference);
            error = 0; /* the others can still be looked at */
        }
    }
    free(bytes);
    return error;
}

static int walk_tree(struct walk *walk, const struct tree *tree, const unsigned char *root)
{
    unsigned height = mpgi_tree_height(tree, root);
    const unsigned char *area = root + tree->area;

    walk->tree = tree;
    if (height > 0)
        return walk_refs(walk, area, tree->root_refs, height - 1, 0);
    check_end(walk, area, 0, tree->root_units);
    return 0;
}

/* The records of the chain must still be there. */
static int walk_chain(const struct walk *walk)
{
    struct format_1 *f = walk->f;
    struct chain_end end;
    int error = 0;

    mpgi_chain_begin(&end, f->chain.root);
    for (unsigned i = 0; i < f->chain.records && error == 0; i++) {
        struct record record;

        error = mpgi_chain_read(f, &end, end.next, false, &record);
        if (error == 0) {
            mpgi_chain_advance(&end, &record);
            mpgi_record_free(&record);
        }
    }
    if (error == 1) {
        report(walk, "record", end.next,
               "the record of a commit in page %" PRIu64 " cannot be read", end.next);
        error = 0;
    }
    return error;
}

/* Both roots say which state counts as long as the file is closed; one of them is enough. */
static int walk_roots(const struct walk *walk)
{
    struct format_1 *f = walk->f;
    const struct node_space *space = &f->cache.space;
    unsigned other = f->chain.root_page == 1 ? 2 : 1;
    unsigned char *bytes = malloc(space->node_size);
    const char *why = "it cannot be read";
    char message[160];

    if (bytes == NULL)
        return mpgi_fail_memory("check");
    if (mpgi_file_read(space->file, bytes, space->node_size, (uint64_t)other * space->page_size,
                       other) != 0 ||
        !mpgi_root_valid(f, bytes, &why)) {
        (void)snprintf(message, sizeof(message),
                       "page %u does not hold a root: %s; the other one, in page %u, is whole",
                       other, why, f->chain.root_page);
        walk->fault(walk->context, &(mpg_fault){0, other, message, "root", 0, 0, 0, 0});
    }
    free(bytes);
    return 0;
}

/* What a crash cuts short looks like this, and so does damage to what the last commit wrote. */
static void warn_of_unfinished(const struct walk *walk)
{
    const struct format_1 *f = walk->f;
    char message[160];

    /* Without the lock a writer may be at it. */
    if (f->recovered.unfinished == 0 || !f->head.read_only || !f->head.file->holds_lock)
        return;
    (void)snprintf(message, sizeof(message),
                   "commit %" PRIu64 " is not whole: a crash cut it short, or it is damaged; what "
                   "counts is commit %" PRIu64,
                   f->recovered.unfinished, f->chain.generation);
    walk->fault(walk->context, &(mpg_fault){0, MPG_NO_PAGE, message, "unfinished", 0, 0, 0, 0});
}

/* While somebody writes to the file, slots that are not current are where the next nodes go. */
static uint64_t twice_now(const struct format_1 *f)
{
    bool idle = f->head.read_only ? f->recovered.clean : f->chain.is_twice;

    return idle ? get_u64(f->root.durable->bytes + ROOT_TWICE) : 0;
}

int mpgi_walk_1(struct format *format, void *context, void (*use)(void *context, uint64_t page),
                format_fault *fault)
{
    struct format_1 *f = format_1_of(format);
    const unsigned char *root = f->chain.root;
    struct walk walk = {
        .f = f,
        .total = get_u64(root + ROOT_TOTAL),
        .twice = twice_now(f),
        .context = context,
        .use = use,
        .fault = fault,
    };
    int error = walk_tree(&walk, &f->space, root);

    if (error == 0)
        error = walk_tree(&walk, &f->directory, root);
    walk.tree = &f->space;
    if (error == 0)
        error = walk_chain(&walk);
    warn_of_unfinished(&walk);
    return error ? error : walk_roots(&walk);
}
