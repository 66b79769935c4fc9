/* SPDX-License-Identifier: MIT */
/* Format 0.2 in memory. All of it is loaded: its metadata is small by nature. */
#ifndef MPGI_FORMAT_0_2_H
#define MPGI_FORMAT_0_2_H

#include "format/format.h"
#include "format/versions.h"

/* A directory block and its two pages. */
struct block {
    uint64_t page[2];
    unsigned active;           /* which of them holds the durable version */
    struct versions content;   /* page_size bytes */
    bool damaged;              /* the copy that page 0 names is unusable: the older one stands in */
    struct block *next_frozen; /* in the list of the commit in flight */
};

struct format_0_2 {
    struct format base;
    unsigned active;          /* which metadata page holds the durable version: 0 = page 1 */
    struct versions metadata; /* the metadata page */
    struct versions index;    /* page 0 */
    /*
     * What each page is used for, two bits a page behind UsesHeader: derived from bitmap and
     * directory, never written.
     */
    struct versions uses;
    struct block **blocks; /* as many as the newest index counts; owned */
    uint32_t block_count;
    uint32_t block_capacity;
    /*
     * What the commit in flight writes: the committing thread must not look at `blocks`, which
     * operations extend meanwhile.
     */
    struct block *frozen_blocks;
    struct block *witness; /* one that the last commit wrote, or NULL: see mpgi_0_2_look_again */
    /* The durable bitmap or its count contradicts the directory: put right by the next commit. */
    bool bitmap_differs;
    /* The page that holds the spare copy of page 0 (spare.c), or 0. */
    uint64_t spare_page;
    bool in_flight; /* between seal and publish or discard */
};

/* What stands before the uses. */
enum uses_offset { USES_PROTECTED_COUNT = 0, USES_ARRAY = 8 };

static inline struct format_0_2 *format_0_2_of(struct format *format)
{
    return (struct format_0_2 *)format;
}

/* ---- blocks.c ---- */

/* Decodes the entry at a slot of a block's content. */
void mpgi_0_2_get_entry(const unsigned char *block, uint32_t slot, struct entry *entry);
/* How many slots of a block's content may hold entries. */
uint32_t mpgi_0_2_slots(const struct format_0_2 *own, const unsigned char *block);
/* A new block, all zero, behind the others; or NULL. */
struct block *mpgi_0_2_new_block(struct format_0_2 *own);
/* Frees the last blocks down to `count`. */
void mpgi_0_2_drop_blocks(struct format_0_2 *own, uint32_t count);
/* Puts the CRC32 of a page's bytes from `first` on into its last four. */
void mpgi_0_2_put_trailer(unsigned char *page, uint32_t page_size, uint32_t first);
/* Whether it is there. */
bool mpgi_0_2_trailer_fits(const unsigned char *page, uint32_t page_size, uint32_t first);

/* ---- spare.c ---- */

/* Where the commit being sealed is to put its spare, or 0. */
uint64_t mpgi_0_2_choose_spare(const struct format_0_2 *own);
/* Writes it, for the frozen version, to own->spare_page. */
int mpgi_0_2_write_spare(const struct format_0_2 *own);
/*
 * Puts the directory index of the spare copy that goes with `metadata` into page0, page_size bytes.
 * The head of page0 stays. False: there is none.
 */
bool mpgi_0_2_read_spare(const struct file *file, uint32_t page_size, const unsigned char *metadata,
                         unsigned char *page0);

/* ---- create.c, load.c ---- */

int mpgi_0_2_create(struct file *file, const struct create_parameters *parameters);
/* `ops` is what the loaded file is worked on with. */
int mpgi_0_2_load(struct format **format, const struct format_ops *ops, struct file *file,
                  bool read_only, size_t cache_size);
void mpgi_0_2_unload(struct format *format);

/* ---- write.c ---- */

void mpgi_0_2_seal(struct format *format, bool *ordered);
int mpgi_0_2_write_nodes(struct format *format);
int mpgi_0_2_look_again(struct format *format, enum look look, bool *same);
int mpgi_0_2_write_root(struct format *format);
int mpgi_0_2_restore_root(struct format *format);
void mpgi_0_2_publish(struct format *format);
void mpgi_0_2_discard(struct format *format);

#endif
