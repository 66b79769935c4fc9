/* SPDX-License-Identifier: MIT */
/*
 * Format 0.2 in memory. All of it is loaded: its metadata is small by nature. What a file says to
 * be large is held in sheets, so that it costs what is on the disk and not what is said.
 */
#ifndef MPGI_FORMAT_0_2_H
#define MPGI_FORMAT_0_2_H

#include "format/format.h"
#include "format_0_2/page.h"

/* A directory block and its two pages. */
struct block {
    uint64_t page[2];
    unsigned active; /* which of them holds the durable version */
    struct sheet_versions content;
    bool damaged; /* the copy that page 0 names is unusable: the older one stands in */
    bool differs; /* a commit since the file was opened has left the other page older than this */
    /* The checksum at the end of the page that is not active, as it is in the file; for spares. */
    uint32_t other_trailer;
    bool other_known;
    bool other_synced;           /* it is durable, and not just what the page cache shows */
    struct block *next_frozen;   /* in the list of the commit in flight */
    struct block *next_unsynced; /* likewise */
};

/* So many directory blocks are looked at before a commit: all of most files. */
#define WITNESSES 8

struct new_content {
    uint64_t page;
    const void *data;
};

struct format_0_2 {
    struct format base;
    struct page_io io;
    unsigned active;                /* which metadata page holds the durable version: 0 = page 1 */
    bool metadata_damaged;          /* page 0 names the other one, which is not whole */
    struct sheet_versions metadata; /* the metadata page */
    struct sheet_versions index;    /* page 0 */
    /*
     * What each page is used for, two bits a page behind what uses_offset says: derived from bitmap
     * and directory, never written.
     */
    struct sheet_versions uses;
    struct block **blocks; /* as many as the newest index counts; owned */
    uint32_t block_count;
    uint32_t block_capacity;
    /*
     * What the commit in flight writes: the committing thread must not look at `blocks`, which
     * operations extend meanwhile.
     */
    struct block *frozen_blocks;
    /* Blocks that it does not change and whose other_trailer it makes durable, for its spare. */
    struct block *unsynced_blocks;
    /* Durable blocks that tell this file from another: see mpgi_0_2_choose_witnesses. */
    const struct block *witnesses[WITNESSES];
    unsigned witness_count;
    uint32_t next_witness; /* number of the block to begin with the next time */
    /* The durable bitmap or its count contradicts the directory: put right by the next commit. */
    bool bitmap_differs;
    /* The page that holds the spare copy of page 0 (spare.c), or 0. */
    uint64_t spare_page;
    uint32_t spare_check; /* what it says that it goes with */
    bool in_flight;       /* between seal and publish or discard */
    bool differs;         /* a commit since the file was opened has left the other copies older */
    bool making_alike;    /* what gathers, or is in flight, changes nothing and makes them alike */
    /* New contents of protected pages, which the commit in flight writes. */
    struct new_content *contents; /* owned */
    size_t content_count;
    /*
     * What stood in page 0 when opening wrote it anew, to be put back if the sync fails; or NULL.
     */
    struct sheet *page_0_before;
    bool unsettled; /* … which it could not, for want of disk space */
};

/* What stands before the uses; they begin with a chunk of their own. */
enum uses_offset { USES_PROTECTED_COUNT = 0, USES_ARRAY = SHEET_CHUNK };

static inline struct format_0_2 *format_0_2_of(struct format *format)
{
    return (struct format_0_2 *)format;
}

/* ---- uses.c ---- */

enum mpg_page_use mpgi_0_2_use(const struct sheet *uses, uint64_t page);
/* False if memory ran out; never where the page's use was set since the version was made. */
bool mpgi_0_2_set_use(struct sheet *uses, uint64_t page, enum mpg_page_use use);
/* How many pages have a use, which is not FREE. */
uint64_t mpgi_0_2_count_uses(const struct sheet *uses, uint64_t total, enum mpg_page_use use);
/*
 * The lowest page in [from, end) that is free in each of these versions, of which some may be NULL.
 */
bool mpgi_0_2_find_free(const struct sheet *const *versions, unsigned count, uint64_t from,
                        uint64_t end, uint64_t *page);
/* As scan_use of struct format_ops. */
void mpgi_0_2_scan_uses(const struct sheet *uses, uint64_t total, enum mpg_page_use use,
                        uint64_t first, uint64_t *bits, unsigned words, uint64_t *next);
/*
 * Fills uses, all FREE so far, with REGULAR from the bitmap. *allocated is how many pages it marks,
 * *beyond whether it marks any that the file has not. False if memory ran out.
 */
bool mpgi_0_2_read_bitmap(struct sheet *uses, const struct sheet *metadata, uint32_t page_size,
                          uint64_t *allocated, bool *beyond);
/*
 * A metadata page like this one but for the bitmap and the free count, which say what uses do; or
 * NULL.
 */
struct sheet *mpgi_0_2_make_bitmap(const struct sheet *uses, const struct sheet *metadata,
                                   uint32_t page_size);

/* ---- blocks.c ---- */

/* Where a slot of a block begins. */
uint64_t mpgi_0_2_entry_at(uint32_t slot);
/* Decodes the entry at a slot of a block's content. */
void mpgi_0_2_get_entry(const struct sheet *block, uint32_t slot, struct entry *entry);
/* Only whether it is in use. */
bool mpgi_0_2_in_use(const struct sheet *block, uint32_t slot);
/* How many slots of a block's content may hold entries. */
uint32_t mpgi_0_2_slots(const struct format_0_2 *own, const struct sheet *block);
/*
 * The lowest slot >= `slot` that may be in use, without looking at what is not held; or UINT32_MAX.
 */
uint32_t mpgi_0_2_next_slot(const struct format_0_2 *own, const struct sheet *block, uint32_t slot);
/* Names a block's pages, of which a is not active; NULL: none. False if memory ran out. */
bool mpgi_0_2_put_reference(struct format_0_2 *own, uint32_t number, const uint64_t *pages);
/* A new block, all zero, behind the others; or NULL. */
struct block *mpgi_0_2_new_block(struct format_0_2 *own);
/* Frees the last blocks down to `count`. */
void mpgi_0_2_drop_blocks(struct format_0_2 *own, uint32_t count);
/* Where page 0 has its reference. */
uint64_t mpgi_0_2_reference_at(uint32_t number);

/* ---- spare.c ---- */

/* Where the commit just sealed is to put its spare, or 0, and what that is to say. */
void mpgi_0_2_prepare_spare(struct format_0_2 *own);
/* Whether a free page is the spare, or one that a crash left. */
int mpgi_0_2_rests(struct format *format, uint64_t page, bool *rests);
/* Writes it, for the frozen version, to own->spare_page. */
int mpgi_0_2_write_spare(const struct format_0_2 *own);
/*
 * Puts the directory index of the spare copy that goes with `metadata`, and with what stands in the
 * pages of directory blocks now, into page0. The head of page0 stays. *found: whether there is one.
 * Without metadata, NULL, it is that of the newest spare, of which nothing says whether it goes
 * with the blocks.
 */
int mpgi_0_2_read_spare(bool *found, const struct page_io *io, const struct sheet *metadata,
                        struct sheet *page0);
/* Learns other_trailer from the file. */
int mpgi_0_2_read_other_trailer(const struct page_io *io, struct block *block);

/* ---- mend.c ---- */

/*
 * Tells of copies that do not count and are not whole; of none while a commit in flight writes
 * them.
 */
int mpgi_0_2_warn_of_copies(struct format_0_2 *own, void *context, format_fault *fault);

/* ---- create.c, load.c ---- */

int mpgi_0_2_create(struct file *file, const struct create_parameters *parameters);
/* `ops` is what the loaded file is worked on with. */
int mpgi_0_2_load(struct format **format, const struct format_ops *ops, struct file *file,
                  bool read_only, size_t cache_size);
void mpgi_0_2_unload(struct format *format);
/* The sync after loading failed: page 0 is to be as it was. */
int mpgi_0_2_settle(struct format *format);

/* ---- pending.c ---- */

/* Makes a pending version whose head and checksum can be written without fail. */
int mpgi_0_2_touch_page(struct sheet_versions *versions, uint32_t page_size, size_t head);
/* Makes pending versions of all that any commit changes, so that sealing cannot fail. */
int mpgi_0_2_touch(struct format_0_2 *own);

/* See make_alike in struct format_ops. */
int mpgi_0_2_make_alike(struct format *format);

/* ---- write.c ---- */

int mpgi_0_2_seal(struct format *format, const struct id_map *contents, bool unsynced_zeros,
                  bool *ordered);
int mpgi_0_2_write_contents(struct format *format, bool ordered);
int mpgi_0_2_look_again(struct format *format, enum look look, bool *same);
/*
 * Chooses the blocks to be looked at from now on, `written` (or NULL) among them. With the pager's
 * lock held.
 */
void mpgi_0_2_choose_witnesses(struct format_0_2 *own, const struct block *written);
int mpgi_0_2_write_root(struct format *format);
bool mpgi_0_2_take_back(struct format *format, enum commit_step step, bool no_space);
void mpgi_0_2_publish(struct format *format);
void mpgi_0_2_discard(struct format *format);

#endif
