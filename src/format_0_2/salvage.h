/* SPDX-License-Identifier: MIT */
/* What the parts of salvaging and mending a file of format 0.2 share. */
#ifndef MPGI_SALVAGE_0_2_H
#define MPGI_SALVAGE_0_2_H

#include "format/salvage.h"
#include "format_0_2/state.h"

/* A directory block, by its number. */
struct salvaged_block {
    uint64_t page[2]; /* 0: not known */
    unsigned active;
    bool named;   /* by the index, or what is left of it */
    bool guessed; /* its number is */
    /* What is in its pages may be another's: nothing in a block says which number it has. */
    bool moved;
};

struct remains {
    struct salvage *salvage;
    struct format_0_2 own;     /* not loaded: what reading blocks needs */
    struct sheet *index;       /* page 0, or a spare; owned */
    struct sheet *metadata[2]; /* NULL: not whole; owned */
    bool index_holds;
    bool index_guessed; /* it is of a spare that may be older than the blocks */
    uint64_t *found;    /* pages that hold whole blocks, ascending; owned */
    size_t found_count, found_capacity;
    struct salvaged_block *blocks; /* owned */
    uint32_t block_count;
};

/* Whether a page holds metadata, whole, of a file with pages of that size. */
bool mpgi_is_metadata_0_2(const struct file *file, uint32_t page_size, uint64_t page);
/* Whether a page ends with the checksum of all before it. */
bool mpgi_has_trailer_0_2(const struct file *file, uint32_t page_size, uint64_t page);
/* Whether a page may be a directory block, by how it begins. */
bool mpgi_looks_like_block_0_2(const unsigned char *head, uint32_t page_size);
/* The page size that page 0 says, if it looks like one; 0 otherwise. */
uint32_t mpgi_size_by_page_0_2(const struct file *file);
/* As identify and search of struct salvage_ops. */
int mpgi_identify_0_2(struct salvage *salvage);
int mpgi_search_0_2(struct salvage *salvage);
/* As collect there. */
int mpgi_collect_0_2(struct salvage *salvage);

/* What can be read of a page: what cannot be is zeros. NULL: no memory. To be freed. */
struct sheet *mpgi_salvage_page_0_2(const struct remains *r, uint64_t page);
/* Whether a page's content is a directory block, whole. */
bool mpgi_is_block_0_2(const struct remains *r, const struct sheet *content);
/*
 * Whether the copy of a block that does not count has a later state of a protected page than that
 * which does: a crash cut a commit short, or what counts is older than it should be.
 */
bool mpgi_is_newer_0_2(const struct format_0_2 *own, const struct sheet *other,
                       const struct sheet *active);
/*
 * Says which directory block has which pages, by the index, by what is left of it, or by what is
 * left over.
 */
int mpgi_name_blocks_0_2(struct remains *r);
/* Nothing may be known of a block's ids but what an older copy of it says. */
int mpgi_doubt_block_0_2(const struct remains *r, uint32_t number);
/* Marks blocks that parts of the file which changed places have put into each other's. */
void mpgi_find_moved_blocks_0_2(struct remains *r);

#endif
