/* SPDX-License-Identifier: MIT */
/*
 * An open file of it, and what its parts offer each other.
 *
 *   root.c            roots: reading, verifying, sealing
 *   shape.c           how much a node covers; what both trees are computed from
 *   tree.c            what the two trees have in common: from a root to a leaf and back
 *   space_tree.c      what each page is used for
 *   directory_tree.c  the protected pages
 *   superblock.c      page 0, and a new file
 *   recover.c         opening: which root, and is its commit complete
 *   walk.c            looking at everything
 *   ops.c             the commit, and the table
 */
#ifndef MPGI_FORMAT_1_H
#define MPGI_FORMAT_1_H

#include "format/format.h"
#include "format/page_uses.h"
#include "format_1/node.h"

/* Where the pending version of a leaf is: what an operation on a unit in [first, end) changes. */
struct leaf_edit {
    unsigned char *content; /* NULL: none */
    uint64_t first;
    uint64_t end;
};

/* What a version of a leaf shows. */
struct leaf_view {
    const unsigned char *content; /* NULL: all free */
    uint64_t first;               /* the units [first, end) */
    uint64_t end;
};

/* Units are pages in the space tree, entries in the directory tree. */
struct tree {
    enum tree_kind kind;
    uint64_t leaf_units; /* in a leaf */
    uint64_t root_units; /* in the root's area, at height 0 */
    uint64_t limit;      /* units that this format can hold */
    unsigned node_refs;  /* in a node above the leaves */
    unsigned root_refs;  /* in the root's area, at height 1 and more */
    uint32_t area;       /* offset of the area in the root */
    uint32_t area_size;
    uint32_t height_at;    /* offset of the height in the root */
    struct leaf_edit edit; /* the leaf last changed in this batch */
};

/* All pages below these cannot be given out. */
struct space_hints {
    uint64_t single[2]; /* by enum reuse */
    uint64_t pair;      /* no pair can be taken below */
    /* The lowest page freed by the batch that gathers, in flight, and by the last durable one. */
    uint64_t freed_pending;
    uint64_t freed_frozen;
    uint64_t freed_previous;
    /* Pages [window, window + 64) of which those with their bit set can be given out. */
    uint64_t window;
    uint64_t window_free;
    enum reuse window_reuse;
};

/* What page 0 says. */
struct superblock {
    uint32_t page_size;
    unsigned char version[4];
    unsigned char uuid[UUID_SIZE];
    uint64_t features[3];
    uint64_t created;
    char label[LABEL_SIZE + 1];
};

struct format_1;

/* Where a tree gets pages for its nodes from, each with two slots. */
struct pair_source {
    /* Takes pages for the two slots of a node. */
    int (*take)(struct format_1 *f, uint64_t *pair);
    /* Undoes that in the same batch. */
    void (*give_back)(struct format_1 *f, uint64_t pair);
    /*
     * Takes `count` pairs for nodes out of the leaf that is being made: `content` covers the pages from
     * `first` on. The page `avoid` is not taken. Grows the file to hold them.
     */
    int (*take_own)(struct format_1 *f, unsigned char *content, uint64_t first, uint64_t avoid,
                    uint64_t *pairs, unsigned count);
    /* Damage, if the pair of a node that is about to be written is not marked as metadata. */
    int (*check)(struct format_1 *f, struct node *node);
};

struct format_1 {
    struct format head;
    struct superblock superblock;
    struct node_cache cache;
    struct versions root; /* whole roots; header and flags are set by sealing */
    struct tree space;
    struct tree directory;
    const struct pair_source *pairs; /* of both trees */
    struct space_hints hints;
    uint64_t entry_hint;        /* all entries below are in use */
    uint64_t entry_freed;       /* the lowest id freed since the last commit was sealed */
    uint64_t next_generation;   /* of the batch that gathers; given to one batch only (rule 8) */
    uint64_t frozen_generation; /* of the commit in flight */
    uint64_t changed_entries;   /* by the batch that gathers, or more */
    unsigned root_page;         /* where the durable root is: 1 or 2 */
    unsigned frozen_root_page;  /* where the commit in flight puts its own */
    /* The header of what the other root page holds: a newer root there is somebody else's. */
    unsigned char other_root[NODE_BODY];
};

static inline struct format_1 *format_1_of(struct format *format)
{
    return (struct format_1 *)format;
}

/* ---- root.c -------------------------------------------------------------------------------- */

/* The root that shows a version. There always is one. */
const unsigned char *mpgi_root_get(const struct format_1 *f, enum version version);
/* The pending root, made if there is none. NO_MEMORY. */
int mpgi_root_edit(struct format_1 *f);
/* The pending root, which there is. */
unsigned char *mpgi_root_pending(struct format_1 *f);
/* Adds to one of the counts in the pending root. */
void mpgi_root_add(struct format_1 *f, uint32_t field, int64_t change);
/* Puts header, salt, flags, generation and CRC into a root. */
void mpgi_root_finish(const struct node_space *space, unsigned char *root, uint64_t generation,
                      bool ordered);
/*
 * Whether the node_size bytes are a whole root of this file. If not, *why says what is wrong with
 * it. Whether its pages are there is not asked.
 */
bool mpgi_root_valid(const struct format_1 *f, const unsigned char *root, const char **why);
uint64_t mpgi_root_generation(const unsigned char *root);

/* ---- shape.c ------------------------------------------------------------------------------- */

void mpgi_tree_init(struct tree *tree, enum tree_kind kind, uint32_t page_size);
unsigned mpgi_tree_height(const struct tree *tree, const unsigned char *root);
/* The units that a node of a level covers, and a whole tree of a height. UINT64_MAX if more. */
uint64_t mpgi_tree_span(const struct tree *tree, unsigned level);
uint64_t mpgi_tree_coverage(const struct tree *tree, unsigned height);
/* The free units of a leaf, or of what the area of a root holds at height 0. */
uint64_t mpgi_tree_leaf_free(const struct tree *tree, const unsigned char *content, uint64_t units);
/* What a node's references add up to. */
uint64_t mpgi_tree_refs_free(const struct tree *tree, const unsigned char *refs, unsigned count,
                             unsigned child_level);

/* ---- tree.c -------------------------------------------------------------------------------- */

/* The leaf of the newest version, NULL if there is none; only where the newest height is not 0. */
int mpgi_tree_leaf(struct node **leaf, struct format_1 *f, struct tree *tree, uint64_t unit);
/* What is at a unit in a version. */
int mpgi_tree_look(struct leaf_view *view, struct format_1 *f, struct tree *tree,
                   enum version version, uint64_t unit);
/*
 * Makes tree->edit the pending version of the leaf at `unit`, with all that leads to it, so that
 * sealing cannot fail. `unit` is below tree->limit, and is never taken for a new node itself.
 */
int mpgi_tree_edit(struct format_1 *f, struct tree *tree, uint64_t unit);
/* The lowest unit >= *unit in a leaf that may have free units; of the newest version. */
int mpgi_tree_seek(struct format_1 *f, struct tree *tree, uint64_t *unit);
/* Checksums and references of all that is pending, up to the root's area. */
void mpgi_tree_seal(struct format_1 *f, struct tree *tree);

/* ---- space_tree.c -------------------------------------------------------------------------- */

extern const struct pair_source mpgi_space_pairs;
/* What a commit does to the hints. */
void mpgi_space_sealed(struct format_1 *f);
void mpgi_space_published(struct format_1 *f);
void mpgi_space_discarded(struct format_1 *f);

int mpgi_space_get_use(struct format *format, enum version version, uint64_t page,
                       enum mpg_page_use *use);
int mpgi_space_set_use(struct format *format, uint64_t page, enum mpg_page_use use);
unsigned mpgi_space_free_run(struct format *format, uint64_t page);
int mpgi_space_set_use_run(struct format *format, uint64_t page, unsigned count,
                           enum mpg_page_use use);
int mpgi_space_find_free(struct format *format, uint64_t from, enum reuse reuse, uint64_t *page);
int mpgi_space_scan(struct format *format, enum version version, enum mpg_page_use use,
                    uint64_t first, uint64_t *bits, unsigned words, uint64_t *next);

/* ---- directory_tree.c ---------------------------------------------------------------------- */

/* An entry taken apart, and put together. */
void mpgi_entry_read(struct entry *entry, const unsigned char *at);
void mpgi_entry_write(unsigned char *at, const struct entry *entry);

int mpgi_directory_get(struct format *format, enum version version, uint64_t id,
                       struct entry *entry);
int mpgi_directory_put(struct format *format, uint64_t id, const struct entry *entry);
int mpgi_directory_find_free(struct format *format, uint64_t from, uint64_t *id);
int mpgi_directory_scan(struct format *format, enum version version, uint64_t first, uint64_t *bits,
                        unsigned words, uint64_t *next);

/* ---- superblock.c, recover.c, walk.c ------------------------------------------------------- */

int mpgi_create_1(struct file *file, const struct create_parameters *parameters);
/* Reads page 0 and says what is wrong with it. */
int mpgi_superblock_read(struct superblock *superblock, const struct file *file, bool read_only);
/* Writes page 0 as it is, if it is still whole. */
int mpgi_superblock_write_again(const struct superblock *superblock, struct file *file);
/* Chooses the root, and fills root, root_page and next_generation. */
int mpgi_recover_1(struct format_1 *f);
int mpgi_walk_1(struct format *format, void *context, void (*use)(void *context, uint64_t page),
                void (*fault)(void *context, int code, uint64_t page, const char *message));

#endif
