/* SPDX-License-Identifier: MIT */
/*
 * An open file of format 1, and what its parts offer each other. From the low end:
 *
 *   shape.c           how much a node covers; what both trees are computed from
 *   root.c            roots: reading, verifying, finishing
 *   tree.c            what the two trees have in common: from a root to a leaf, and how a leaf is made
 *   tree_seal.c       … and back: what changed nodes say of themselves
 *   space_tree.c      what each page is used for
 *   space_find.c      which page to give out next
 *   directory_tree.c  the protected pages
 *   changes.c         what a batch that is being sealed changes
 *   place.c           where its contents and its record go
 *   checkpoint.c      nodes and roots: finished, written, current
 *   twins.c           nodes in both of their slots
 *   fold.c            a checkpoint without a batch, after which nothing rests
 *   anew.c            all nodes made anew, elsewhere
 *   commit.c          a batch: sealed, written, published or forgotten
 *   redo.c            regular pages that get new contents, all or none
 *   replay.c          what a record changes, applied to the trees
 *   chain.c           which records there are behind a root, and do they count
 *   verify.c          is all there that a commit wrote
 *   recover.c         opening: which root, which records
 *   look.c            is it still our file
 *   superblock.c      page 0, and a new file
 *   walk.c            looking at everything
 *   ops.c             the table
 *
 * Beside them, and knowing nothing of them: node.c (the cache), record.c (bytes of a record), rest.c (pages that
 * rest), pool.c (free runs), output.c (writes, gathered), numbers.c.
 */
#ifndef MPGI_FORMAT_1_H
#define MPGI_FORMAT_1_H

#include "format/format.h"
#include "format/page_uses.h"
#include "format_1/node.h"
#include "format_1/numbers.h"
#include "format_1/output.h"
#include "format_1/pool.h"
#include "format_1/record.h"
#include "format_1/rest.h"

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

/* Pages whose availability is worked out at once. */
#define WINDOW 64

/* All pages below these cannot be given out. */
struct space_hints {
    uint64_t single[2]; /* by enum reuse */
    uint64_t pair;      /* no pair can be taken below */
    uint64_t far_leaf;  /* first page of a leaf whose pages nobody asked for, or 0 */
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
    bool relabelled; /* the label is not the one that the file was made with */
};

struct format_1;

/* Where a tree gets pages for its nodes from, each with two slots. */
struct pair_source {
    /* Takes pages for the two slots of a node. */
    int (*take)(struct format_1 *f, uint64_t *pair);
    /* Undoes that in the same batch. */
    void (*give_back)(struct format_1 *f, uint64_t pair);
    /*
     * Takes `count` pairs for nodes out of the leaf that is being made: `content` covers the pages
     * from `first` on. The page `avoid` is not taken. Grows the file to hold them.
     */
    int (*take_own)(struct format_1 *f, unsigned char *content, uint64_t first, uint64_t avoid,
                    uint64_t *pairs, unsigned count);
    /* Damage, if the pair of a node that is about to be written is not marked as metadata. */
    int (*check)(struct format_1 *f, struct node *node);
};

/* New contents for regular pages that are in use. */
struct redos {
    struct record_redo *at; /* where they lie meanwhile, in the order of the contents. Owned */
    const struct page_content *contents;
    size_t count;
};

/* What the batch that gathers has changed, or more; sorted out when it is sealed. */
struct gathered {
    struct number_list entries; /* protected ids */
    struct number_list runs;    /* first page and number of pages, in turns */
    uint64_t handed_out;        /* pages that were free before it and no longer are */
    uint64_t new_entries;       /* protected pages that were not there before it */
    uint64_t unplaced;          /* contents that get their pages when it is sealed */
    bool structure;             /* it made a node, or raised a tree: no record can say that */
    bool entries_came_or_went;  /* how many entries of a leaf are in use is another number now */
    bool sealing;               /* it is being sealed: its pages were counted before */
    struct redos redos;         /* regular pages that get new contents */
};

/* What becomes of one entry in the batch being sealed. */
struct entry_change {
    struct record_entry entry;
    uint64_t old_page; /* where its content was, or 0 */
    const void *data;  /* its new content; NULL: zeros */
    bool is_new;       /* it has a new content, which needs a page */
};

struct changes {
    struct entry_change *entries; /* by id. Owned */
    size_t count, capacity;
    struct record_run *runs; /* by page. Owned */
    size_t run_count, run_capacity;
    size_t new_contents; /* of the entries */
};

/* How the batch in flight is made durable. */
enum sealed_kind {
    SEALED_NOTHING,
    SEALED_RECORD, /* by a record behind the durable root */
    SEALED_ROOT,   /* by a root, with the nodes that changed since the last one */
};

/* The commit in flight. */
struct sealed {
    enum sealed_kind kind;
    uint64_t generation;
    struct changes changes;
    struct replaced_entry *replaced; /* owned */
    struct output contents;          /* … and continuations: what does not count by itself */
    struct output marks;             /* the record or the root, and the second root */
    unsigned root_page;              /* where the root goes: 1 or 2 */
    struct record record;            /* entries and runs are not used */
    unsigned char *blocks;           /* the record's, and its continuations'. Owned */
    bool second;                     /* it writes the durable root a second time */
    struct redos redos;              /* … of the record */
    bool sync_failed;                /* that of what had to be taken back before it (rule 6) */
};

/* The root that is on the disk, and the chain behind it. */
struct chain {
    unsigned char root[NODE_SIZE_MAX]; /* as written */
    unsigned root_page;                /* where it is: 1 or 2 */
    uint32_t root_crc;
    uint32_t link;       /* CRC of the last record; of the root if there is none */
    uint64_t generation; /* of the last record, or root */
    unsigned records;    /* in the chain */
    bool is_twice;       /* the other root page says the same state, and nothing follows it */
    bool second_is_due;  /* the root is to be written a second time with the next record */
    bool is_named;       /* it was begun, with as many places as there were, for a redo */
    /*
     * Rule 12: the header of what the other root page holds, and of the last record, if there is
     * one.
     */
    unsigned char other_head[NODE_BODY];
    bool other_unknown; /* a commit that failed may have written there */
    /*
     * A record that a full disk had no room to take back: to be written over before anything else;
     * or 0.
     */
    uint64_t to_annul;
    unsigned char last_head[RECORD_BODY];
    uint64_t last_page;
    uint64_t end_page; /* where the last record was read when the file was loaded, or 0 */
};

/* What opening found. */
struct recovered {
    bool clean;          /* nothing was cut short, and no chain is there */
    bool root_verified;  /* the root was followed by nothing, and has no ORDERED */
    bool last_verified;  /* the last record has no ORDERED */
    struct record last;  /* that one. Owned */
    uint64_t unfinished; /* a commit that is there in part, and does not count; 0: there is none */
};

struct format_1 {
    struct format head;
    struct superblock superblock;
    struct node_cache cache;
    struct versions
        root; /* whole roots; what is not counts, heights and areas is set by finishing */
    struct tree space;
    struct tree directory;
    const struct pair_source *pairs; /* of both trees */
    struct space_hints hints;
    uint64_t entry_hint;      /* all entries below are in use */
    uint64_t entry_freed;     /* the lowest id freed since the last commit was sealed */
    uint64_t next_generation; /* of the batch that gathers; given to one batch only (rule 8) */
    uint64_t commits;         /* since the file was opened */
    struct chain chain;
    struct rest rest;
    struct pool pool;
    /*
     * Pages found for contents, while more are looked for: no leaf takes them. NULL: none are
     * looked for.
     */
    const struct finding *finding;
    struct gathered gathered;
    struct sealed sealed;
    /*
     * Pages that the last durable commit freed: they rest for one more where there is room (rule
     * 2).
     */
    struct number_list freed; /* first page and number of pages, in turns */
    struct recovered recovered;
    bool folding;          /* between begin and end: both root pages are being written */
    bool closing;          /* … for the last time */
    uint64_t twice_before; /* … ROOT_TWICE as it was, in case that fails */
    bool wants_chain;      /* what is folded is to be followed by a record, whose place it names */
};

static inline struct format_1 *format_1_of(struct format *format)
{
    return (struct format_1 *)format;
}

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

/* How many records a file of so many pages has behind one root at most. */
unsigned mpgi_chain_limit(uint64_t total);

/* ---- root.c -------------------------------------------------------------------------------- */

/* The root that shows a version. There always is one. */
const unsigned char *mpgi_root_get(const struct format_1 *f, enum version version);
/* The pending root, made if there is none. NO_MEMORY. */
int mpgi_root_edit(struct format_1 *f);
/* The pending root, which there is. */
unsigned char *mpgi_root_pending(struct format_1 *f);
/* Adds to one of the counts in the pending root. */
void mpgi_root_add(struct format_1 *f, uint32_t field, int64_t change);
/* Puts header, flags, generation and CRC into a root; salt and places are there already. */
void mpgi_root_finish(const struct node_space *space, unsigned char *root, uint64_t generation,
                      bool ordered);
/*
 * Whether the node_size bytes are a whole root of this file. If not, *why says what is wrong with
 * it. Whether its pages are there is not asked.
 */
bool mpgi_root_valid(const struct format_1 *f, const unsigned char *root, const char **why);
uint64_t mpgi_root_generation(const unsigned char *root);

/* ---- tree.c -------------------------------------------------------------------------------- */

/* The leaf of the newest version, NULL if there is none; only where the newest height is not 0. */
int mpgi_tree_leaf(struct node **leaf, struct format_1 *f, struct tree *tree, uint64_t unit);
/*
 * The leaf at a unit will be looked at soon: has it read ahead if it is not in memory, but what
 * leads to it is.
 */
void mpgi_tree_will_need(struct format_1 *f, struct tree *tree, uint64_t unit);
/*
 * By what the units of a leaf in the durable version are told from those of another state; for a
 * pager that changes nothing.
 */
int mpgi_tree_mark(struct span_mark *mark, struct format_1 *f, struct tree *tree, uint64_t unit);
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

/* ---- tree_seal.c --------------------------------------------------------------------------- */

/* Free counts of all that is pending, up to the root's area: for seek. */
void mpgi_tree_count(struct format_1 *f, struct tree *tree);
/*
 * Checksums and references of the nodes in the cache's write set, up to the root's area. `fold`: of
 * their durable versions; otherwise of the pending ones, where there are.
 */
void mpgi_tree_seal(struct format_1 *f, struct tree *tree, uint64_t generation, bool fold);

/* ---- space_tree.c -------------------------------------------------------------------------- */

extern const struct pair_source mpgi_space_pairs;
/* What a commit does to the hints. */
void mpgi_space_sealed(struct format_1 *f);
void mpgi_space_published(struct format_1 *f);
void mpgi_space_discarded(struct format_1 *f);
/* See spare in struct format_ops. */
int64_t mpgi_space_spare(struct format *format);
void mpgi_space_let_go(struct format *format, uint64_t page);

int mpgi_space_get_use(struct format *format, enum version version, uint64_t page,
                       enum mpg_page_use *use);
int mpgi_space_set_use(struct format *format, uint64_t page, enum mpg_page_use use);
int mpgi_space_set_use_run(struct format *format, uint64_t page, unsigned count,
                           enum mpg_page_use use);
int mpgi_space_scan(struct format *format, enum version version, enum mpg_page_use use,
                    uint64_t first, uint64_t *bits, unsigned words, uint64_t *next);
/*
 * So many pages a part of the file must have, for a new leaf that covers it to find room there for
 * its own nodes.
 */
uint64_t mpgi_space_leaf_least(const struct format_1 *f, const unsigned char *root);

/* ---- space_find.c -------------------------------------------------------------------------- */

/*
 * Whether a page cannot be given out though the space tree says that it is free: it rests, or a
 * view shows it.
 */
bool mpgi_space_is_kept(const struct format_1 *f, uint64_t page);
unsigned mpgi_space_free_run(struct format *format, uint64_t page);
int mpgi_space_find_free(struct format *format, uint64_t from, enum reuse reuse, uint64_t *page);
/* The lowest page >= *page that can be given out as the first of a pair. */
int mpgi_space_find_pair(struct format_1 *f, uint64_t *page, enum reuse reuse);
/*
 * Which pages of a leaf that exists can be given out: bit i of bits[w] is its page 64 * w + i. *end
 * is the page behind what it covers.
 */
int mpgi_space_leaf_bits(struct format_1 *f, uint64_t page, enum reuse reuse, uint64_t *bits,
                         unsigned words, uint64_t *end);

/* ---- directory_tree.c ---------------------------------------------------------------------- */

/* Takes an entry apart. */
void mpgi_entry_read(struct entry *entry, const unsigned char *at);

int mpgi_directory_get(struct format *format, enum version version, uint64_t id,
                       struct entry *entry);
int mpgi_directory_put(struct format *format, uint64_t id, const struct entry *entry);
int mpgi_directory_renew(struct format *format, uint64_t id, const struct entry *old, bool again,
                         struct entry *entry);
int mpgi_directory_find_owner(struct format *format, uint64_t page, uint64_t *id);
int mpgi_directory_find_free(struct format *format, uint64_t from, uint64_t *id);
int mpgi_directory_scan(struct format *format, enum version version, uint64_t first, uint64_t *bits,
                        unsigned words, uint64_t *next);
int mpgi_directory_mark(struct format *format, uint64_t id, struct span_mark *mark);
/* Puts an entry and looks after nothing else. The pending version of its leaf is there. */
void mpgi_directory_store(struct format_1 *f, uint64_t id, const struct entry *entry);

/* ---- changes.c ----------------------------------------------------------------------------- */

/* Works out what the gathered batch changes. `contents` as in seal of struct format_ops. */
int mpgi_changes_collect(struct format_1 *f, const struct id_map *contents,
                         struct changes *changes);
void mpgi_changes_free(struct changes *changes);

/* ---- place.c ------------------------------------------------------------------------------- */

/*
 * Finds a page for each new content, and puts it into the entries: in the pending version and in
 * `changes`. 1 where there are too few pages. `near`: a page behind which they may go, or 0.
 * `anyhow`: also where that makes nodes.
 */
int mpgi_place_contents(struct format_1 *f, struct changes *changes, uint64_t near, bool anyhow);
/*
 * Pages for `count` contents of pages in use, which rest until the commit is through, in ascending
 * order. There are so many `others` that mpgi_place_contents finds. 1 if there are too few.
 */
int mpgi_place_beside(struct format_1 *f, size_t count, size_t others, struct record_redo *redos);
/*
 * One more page, which rests until the commit is through; `near`, if it can be had. 1 if there is
 * none.
 */
int mpgi_place_near(struct format_1 *f, uint64_t near, uint64_t *page);
/* Likewise, anywhere. */
int mpgi_place_one(struct format_1 *f, uint64_t *page);
/*
 * The place of a record, with room for `expected` contents behind it if that can be had; `near`, if
 * that is possible. The room behind `other`, the place of another record or 0, is left to that one.
 * As mpgi_place_one.
 */
int mpgi_place_record(struct format_1 *f, uint64_t near, uint64_t other, uint64_t expected,
                      uint64_t *page);
/* The pages that the last durable commit freed need not rest any more. */
void mpgi_place_freed(struct format_1 *f);

/* ---- checkpoint.c -------------------------------------------------------------------------- */

/*
 * Finishes all nodes that are not in their slots, and the root, which has its places and its salt;
 * adds the writes of them to two outputs. `fold`: the durable state; otherwise with what is
 * pending.
 */
int mpgi_checkpoint_seal(struct format_1 *f, uint64_t generation, bool ordered, bool fold,
                         struct output *nodes, struct output *root);
/* It is durable and published: slots and root are the current ones. A new chain begins. */
void mpgi_checkpoint_publish(struct format_1 *f);
/*
 * Puts the durable root's bytes back over the one that was being written, unless another's is there
 * by now.
 */
int mpgi_checkpoint_restore(struct format_1 *f, const unsigned char *written);
/* Pages need not rest any longer. Empties the map. */
void mpgi_checkpoint_let_go(struct format_1 *f, struct id_map *pages);
/* Draws a salt for a root. */
int mpgi_checkpoint_salt(unsigned char *root, const struct file *file);

/* ---- twins.c ------------------------------------------------------------------------------- */

/* Whether a root says of any node that it may be there only once. */
bool mpgi_twins_missing(const struct format_1 *f, const unsigned char *root);
/*
 * Writes the nodes below a durable root that are of a later generation than `since` into their
 * other slots. Nothing may be dirty, and no other root count that needs those.
 */
int mpgi_twins_write(struct format_1 *f, const unsigned char *root, uint64_t since);

/* ---- fold.c, commit.c, anew.c --------------------------------------------------------------- */

int mpgi_fold_begin(struct format *format);
int mpgi_fold_write(struct format *format, bool *unavailable);
void mpgi_fold_end(struct format *format, int result);
/* All three; *unavailable as in make_room_write of struct format_ops. */
int mpgi_fold(struct format_1 *f, bool *unavailable);
int mpgi_close_1(struct format *format);
/* See begin_anew in struct format_ops. */
int mpgi_begin_anew_1(struct format *format, uint64_t total, bool *unavailable);

/* Whether a record can say what the batch does, with so many changes. */
bool mpgi_commit_fits_record(const struct format_1 *f, struct record_amounts amounts);
/* Whether so many nodes are in memory only that they should be written. */
bool mpgi_commit_wants_checkpoint(const struct format_1 *f);

int mpgi_commit_seal(struct format *format, const struct id_map *contents, bool unsynced_zeros,
                     bool *ordered);
int mpgi_commit_write_contents(struct format *format, bool ordered);
int mpgi_commit_write_root(struct format *format);
bool mpgi_commit_take_back(struct format *format, enum commit_step step, bool no_space);
void mpgi_commit_publish(struct format *format);
void mpgi_commit_discard(struct format *format);
/* Forgets what gathered, and what is pending or frozen. */
void mpgi_commit_forget(struct format_1 *f);

/* ---- redo.c -------------------------------------------------------------------------------- */

/* See struct format_ops. */
int mpgi_redo_prepare(struct format *format, size_t count, size_t others, size_t changes);
int mpgi_redo_stage(struct format *format, const struct page_content *contents, size_t count);
int mpgi_redo_check(struct format *format);
void mpgi_redo_cancel(struct format *format);
bool mpgi_redo_is_sealed(const struct format *format);
int mpgi_redo_write(struct format *format);
int mpgi_redo_mark(struct format *format);
void mpgi_redo_forget(struct format *format);
/*
 * Whether the redos of a record were carried out: then all that the record names was durable
 * before.
 */
int mpgi_redo_is_marked(bool *marked, const struct format_1 *f, const struct record *record);
/*
 * The last record of a file that is opened, not marked: reads what is to be put into a page, if
 * anything.
 */
int mpgi_redo_load(struct format_1 *f, const struct record *record);
/*
 * Writes that record again: it must be durable before its page is touched, whatever became of an
 * earlier sync.
 */
int mpgi_redo_write_again(const struct format_1 *f, const struct record *record);
/* Does it, and syncs. */
int mpgi_redo_carry_out(struct format_1 *f);

/* ---- replay.c, chain.c, verify.c, recover.c ------------------------------------------------ */

/* Applies what a record changes to the durable version, in memory. Damage, if that cannot be. */
int mpgi_replay(struct format_1 *f, const struct record *record);

/* What a record must fit to. */
struct chain_end {
    uint64_t root_generation;
    uint32_t root_crc;
    uint32_t link;       /* CRC of the record, or root, that it follows */
    uint64_t generation; /* of that */
    uint64_t next;       /* the places that this names */
    uint64_t after;
};

/* The end of a chain that is a root alone. */
void mpgi_chain_begin(struct chain_end *end, const unsigned char *root);
/* The end of the one that is loaded. */
void mpgi_chain_loaded(struct chain_end *end, const struct format_1 *f);
/* Moves it behind a record. */
void mpgi_chain_advance(struct chain_end *end, const struct record *record);
/*
 * The record at a place of the chain, if one counts that follows its end; `gap`: or that follows
 * something which would follow it. 1: there is none. To be freed on 0.
 */
int mpgi_chain_read(struct format_1 *f, const struct chain_end *end, uint64_t place, bool gap,
                    struct record *record);

/*
 * Whether all that a root's commit wrote is there, and all contents that a record names. `again`:
 * writes it again, with the bytes that were verified.
 */
int mpgi_verify_root(struct format_1 *f, const unsigned char *root, bool again);
int mpgi_verify_record(struct format_1 *f, const struct record *record, bool again);
/* Whether an error says something about the file, rather than about reading it. */
bool mpgi_is_about_the_file(int error);

/* Chooses the root, and follows its chain. */
int mpgi_recover_1(struct format_1 *f);
/* See follow in struct format_ops. */
int mpgi_follow_1(struct format *format, bool *newest);
/* For a writer: makes durable what was found, and sees to it that nothing rests. */
int mpgi_settle_1(struct format *format);

/* ---- look.c -------------------------------------------------------------------------------- */

/* See look_again and look_newer in struct format_ops. */
int mpgi_look_1(struct format *format, enum look look, bool *same);
int mpgi_look_newer_1(struct format *format, bool *newest);
/* Whether root and chain are what a reader has loaded, but for records behind that. */
int mpgi_look_same_1(struct format_1 *f, bool *same);
/* What a fold has made durable. */
enum fold_step {
    FOLD_NODES,  /* nodes: the next thing written is the root */
    FOLD_FAILED, /* … of which a part may be there, or nothing */
    FOLD_ONCE,   /* the root over the one that was not durable */
    FOLD_TWICE,  /* … and over the other */
};
/* Rule 12, while a file is folded: CHANGED where somebody else was at it. */
int mpgi_look_folding(const struct format_1 *f, enum fold_step step);
/*
 * Rule 12, before a root, or the record, that could not be made durable is taken back: CHANGED
 * where what stands there is another writer's. `written` is what was written there.
 */
int mpgi_look_at_root(const struct format_1 *f, const unsigned char *written);
int mpgi_look_at_record(const struct format_1 *f);

/* ---- label.c ------------------------------------------------------------------------------- */

int mpgi_label_write_1(struct format *format, const char *label);
void mpgi_label_written_1(struct format *format, const char *label);

/* ---- superblock.c, walk.c ------------------------------------------------------------------ */

int mpgi_create_1(struct file *file, const struct create_parameters *parameters);
/* Reads page 0 and says what is wrong with it. */
int mpgi_superblock_read(struct superblock *superblock, const struct file *file, bool read_only);
/* Its bytes as they are, of which there are NODE_SIZE_MAX at most, if they are whole. */
int mpgi_superblock_bytes(unsigned char *page, const struct superblock *superblock,
                          const struct file *file);
/* Writes page 0; `page` is room for a node. */
int mpgi_superblock_write(struct file *file, const struct superblock *superblock,
                          unsigned char *page);
/* Writes page 0 as it is, if it is still whole. */
int mpgi_superblock_write_again(const struct superblock *superblock, struct file *file);
int mpgi_walk_1(struct format *format, void *context, void (*use)(void *context, uint64_t page),
                format_fault *fault);

#endif
