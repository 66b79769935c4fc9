/* SPDX-License-Identifier: MIT */
/*
 * Nodes: the numbers by which the kernel knows files.
 *
 * A node is made of what it stands for, so that no table of files is needed:
 *
 *   bits 63-61  kind (enum node_kind)
 *   bits 60-45  incarnation
 *   bits 44-0   id: page, protected page, physical page, serial number of a scratch file
 *
 * A page that is freed and allocated again is another file, and must be another node: a handle on
 * the old one may not see the new owner's content, nor may the kernel mix the two in its cache.
 * Most pages have incarnation 0 and no memory anywhere. Only a page that was freed (or replaced by
 * a rename) in this mount gets a record, and only as long as the kernel may still hold a node of
 * its past:
 *
 *   - Freeing retires the page's node. The kernel has looked it up to free it, so it will send a
 *     FORGET for it once nobody uses it any more. Until then a new allocation of that id is given
 *     the next incarnation; afterwards it may have incarnation 0 again.
 *   - A page whose node is not the plain one (a later incarnation, or the node of the file that was
 *     renamed over it) keeps its record until the kernel forgets that node.
 *
 * So the memory needed is bounded by what the kernel itself holds of such nodes. A FORGET can
 * overtake the RELEASE that precedes it, and one that was sent before a node was looked up anew can
 * be served late; therefore it counts only once no handle is open on the node. Should the kernel
 * still ask for a node whose record went too early, it gets ESTALE, and looks the path up again.
 */
#ifndef NODE_H
#define NODE_H

#include <stdbool.h>
#include <stdint.h>

enum node_kind {
    NODE_FIXED = 0, /* root, directories and info, by the numbers below */
    NODE_PAGE = 1,
    NODE_PROTECTED = 2,
    NODE_RAW = 3,
    NODE_SCRATCH = 4,
};

enum fixed_node {
    FIXED_ROOT = 1, /* FUSE_ROOT_ID */
    FIXED_PAGES = 2,
    FIXED_PROTECTED = 3,
    FIXED_RAW = 4,
    FIXED_INFO = 5, /* from here on they are files */
    FIXED_LAST_PAGE = 6,
    FIXED_LAST_PROTECTED = 7,
    FIXED_INFO_JSON = 8,
    FIXED_BATCH = 9,
};

/* Regular pages are numbered from here; those before are the file's own. */
#define NODE_FIRST_PAGE 3

#define NODE_ID_BITS 45
#define NODE_ID_LIMIT (UINT64_C(1) << NODE_ID_BITS)
#define NODE_INCARNATION_BITS 16

/* What a node stands for. */
struct target {
    enum node_kind kind;
    uint64_t id;
};

/* The plain node of a target: incarnation 0. It also names the page in tables. */
static inline uint64_t node_plain(enum node_kind kind, uint64_t id)
{
    return (uint64_t)kind << 61 | id;
}

static inline enum node_kind node_kind_of(uint64_t node)
{
    return (enum node_kind)(node >> 61);
}

struct nodes;

struct nodes *nodes_new(void);
void nodes_free(struct nodes *nodes);

/* What a node stands for now: 0, or ESTALE if that is gone. */
int nodes_resolve(struct nodes *nodes, uint64_t node, struct target *target);
/*
 * The same, and keeps the page from being retired until nodes_leave: for every use of the page's
 * content. Does not keep other users out.
 */
int nodes_enter(struct nodes *nodes, uint64_t node, struct target *target);
void nodes_leave(struct nodes *nodes, const struct target *target);

/* The node of a page that exists, to be told to the kernel; 0 while it is being freed or made. */
uint64_t nodes_current(struct nodes *nodes, enum node_kind kind, uint64_t id);

/*
 * The page is about to be freed or replaced: its node is stale from now on. Waits for users of the
 * content to leave. Gives the node in *was. Returns 0, ENOENT if it is retired already, ENOMEM.
 */
int nodes_retire(struct nodes *nodes, enum node_kind kind, uint64_t id, uint64_t *was);
/* It was not freed after all. */
void nodes_restore(struct nodes *nodes, enum node_kind kind, uint64_t id, uint64_t was);
/* The page was allocated: gives its node, or 0 if too many past ones are still held. */
uint64_t nodes_create(struct nodes *nodes, enum node_kind kind, uint64_t id);
/* The page is free again, and the kernel was never told of the node that nodes_create gave. */
void nodes_cancel_create(struct nodes *nodes, enum node_kind kind, uint64_t id);
/*
 * From now on `node`, which stood for something else, stands for this page, which has none: it is
 * retired, or not there yet. nodes_prepare_adopt takes the memory for that, so that nothing can
 * fail once a rename is committed; nodes_cancel_adopt gives it back. A page that `node` stood for
 * is retired before the preparation, too.
 */
int nodes_prepare_adopt(struct nodes *nodes, uint64_t node, enum node_kind kind, uint64_t id);
void nodes_adopt(struct nodes *nodes, uint64_t node, enum node_kind kind, uint64_t id);
void nodes_cancel_adopt(struct nodes *nodes, uint64_t node, enum node_kind kind, uint64_t id);

/* Handles on a node. nodes_opened returns 0 or ENOMEM. */
int nodes_opened(struct nodes *nodes, uint64_t node, bool for_writing);
void nodes_closed(struct nodes *nodes, uint64_t node, bool for_writing);
/* Whether a handle that can write is open on it. */
bool nodes_has_writers(struct nodes *nodes, uint64_t node);
/* The kernel forgot a node. */
void nodes_forget(struct nodes *nodes, uint64_t node);

#endif
