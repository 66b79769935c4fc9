/* SPDX-License-Identifier: MIT */
/*
 * Nodes of format 1 in memory.
 *
 * A node is in the cache at most once, found by tree, level and index. One with a frozen, pending
 * or previous version stays, and so does one that is dirty: its durable version is in memory, and
 * in the records behind the durable root, but not in its slot. Of the clean ones the least recently
 * used leave when there are too many. A node that is not in the cache is the same in all versions.
 */
#ifndef MPGI_NODE_H
#define MPGI_NODE_H

#include "base/hash_table.h"
#include "format/versions.h"
#include "format_1/layout.h"
#include "os/io.h"

enum tree_kind { TREE_SPACE, TREE_DIRECTORY };

struct node {
    struct hash_link link;    /* in the cache */
    struct versions versions; /* whole nodes, header included; the header is set by sealing */
    struct node *newer;       /* in the list of clean nodes, by last use */
    struct node *older;
    struct node *next_pending; /* in the list of the batch that gathers */
    struct node *next_frozen;  /* in the list of the commit in flight */
    struct node *next_previous;
    struct node *next_dirty;
    struct node *next_writing; /* in the list of those that a checkpoint writes */
    uint64_t index;            /* which of its level */
    uint64_t pair;             /* first page of its two slots */
    uint64_t generation;       /* of what is in its slot */
    uint32_t crc;              /* of what is in its slot */
    uint32_t writing_crc;
    uint64_t writing_generation;
    uint8_t tree;      /* enum tree_kind */
    uint8_t level;     /* 0 is a leaf */
    uint8_t slot;      /* in which of the two it is; the reference to it may name the other */
    bool dirty;        /* in the list of dirty nodes */
    bool clean;        /* in the list of clean nodes */
    bool kept;         /* in the list of nodes with a previous version */
    bool pair_checked; /* its pair is marked as metadata, so it may be written to */
};

/*
 * What a node is, and where its bytes are: a reference, taken apart, and the place it was found at.
 */
struct node_reference {
    uint64_t index;
    uint64_t pair; /* 0: there is no such node */
    uint64_t generation;
    uint32_t crc;
    uint32_t free; /* free units below it */
    uint8_t tree;
    uint8_t level;
    uint8_t slot;
};

/* What is the same for all nodes of a file. */
struct node_space {
    struct file *file;
    uint32_t page_size;
    uint32_t node_size;
    uint32_t seed; /* CRC of the UUID */
};

struct node_cache {
    struct node_space space;
    struct hash_table nodes;
    size_t clean_count;
    size_t clean_limit;
    struct node *newest; /* clean nodes */
    struct node *oldest;
    struct node *pending; /* nodes of the batch that gathers */
    struct node *frozen;  /* nodes of the commit in flight */
    struct node *previous;
    struct node *dirty;
    struct node *writing; /* nodes that a checkpoint is writing */
    size_t dirty_count;
};

/* The CRC of a node, or of a root. */
uint32_t mpgi_node_crc(const struct node_space *space, const unsigned char *bytes);

/* Puts header and CRC into a node. Returns the CRC. */
uint32_t mpgi_node_finish(const struct node_space *space, unsigned char *bytes, enum tree_kind tree,
                          unsigned level, uint64_t index, uint64_t generation);

/* Takes the reference at `at`, to node `index` of `level`, apart. */
void mpgi_reference_get(struct node_reference *reference, const unsigned char *at,
                        enum tree_kind tree, unsigned level, uint64_t index);

/*
 * Reads the node that a reference names into `bytes` (node_size of them) and verifies it against
 * the reference. Where the slot that it names is not whole, the other one may have the very same:
 * *slot is where it was found. `end` is the number of pages of the file. CORRUPT_METADATA, or for
 * the directory CORRUPT_PROTECTED_DIRECTORY; TRUNCATED; IO.
 */
int mpgi_node_read(const struct node_space *space, unsigned char *bytes,
                   const struct node_reference *reference, uint64_t end, unsigned *slot);
/* The same of one slot, and of no other; the pair is between 3 and the end of the file. */
int mpgi_node_read_slot(const struct node_space *space, unsigned char *bytes,
                        const struct node_reference *reference, unsigned slot);

/* The error code for damage in a tree. */
int mpgi_tree_error(enum tree_kind tree);

int mpgi_cache_init(struct node_cache *cache, const struct node_space *space, size_t cache_size);
void mpgi_cache_free(struct node_cache *cache);

/* The node, if it is in the cache; counts as a use of it. */
struct node *mpgi_cache_find(struct node_cache *cache, enum tree_kind tree, unsigned level,
                             uint64_t index);

/* Reads a node that is not in the cache into it. */
int mpgi_cache_read(struct node **node, struct node_cache *cache,
                    const struct node_reference *reference, uint64_t end);

/* A node without any version and without a pair, not in the cache yet; NULL if memory ran out. */
struct node *mpgi_node_new(enum tree_kind tree, unsigned level, uint64_t index);
void mpgi_node_free(struct node *node);
/* Makes room for `more` nodes, so that adding them cannot fail. */
int mpgi_cache_reserve(struct node_cache *cache, size_t more);
/* Adds a new node, which has a pending version. */
void mpgi_cache_add_new(struct node_cache *cache, struct node *node);

/* Gives the node a pending version. NO_MEMORY. */
int mpgi_node_edit(struct node_cache *cache, struct node *node);

/* pending → frozen; frozen → durable, and dirty; frozen and pending are forgotten. */
void mpgi_cache_freeze(struct node_cache *cache);
void mpgi_cache_publish(struct node_cache *cache);
void mpgi_cache_discard(struct node_cache *cache);

/*
 * What a checkpoint writes: makes the list of all dirty nodes and, where `pending`, of those that
 * the batch being sealed changes. To be called before that is frozen.
 */
void mpgi_cache_collect(struct node_cache *cache, bool pending);
/* The checkpoint is durable, its batch published: the nodes of the list are in their slots. */
void mpgi_cache_written(struct node_cache *cache);
/* The checkpoint is not. */
void mpgi_cache_not_written(struct node_cache *cache);
/*
 * Nodes that are not in their slots as they are in memory, those that the batch which gathers
 * changes among them.
 */
size_t mpgi_cache_unwritten(const struct node_cache *cache);

#endif
