/* SPDX-License-Identifier: MIT */
/*
 * Records: what one commit changes, as bytes, and taken apart. What is here knows one record and
 * the blocks that continue it; that they form a chain, and what their changes mean, others know.
 */
#ifndef MPGI_RECORD_H
#define MPGI_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format_1/layout.h"
#include "format_1/node.h"

/* What becomes of an entry of the directory. */
struct record_entry {
    uint64_t id;
    uint64_t page; /* where its content is now; 0: the entry is no longer in use */
    uint32_t crc;
    bool in_use;
};

/* What becomes of pages, besides what follows from the entries. */
struct record_run {
    uint64_t first;
    uint32_t count;
    uint8_t use; /* enum mpg_page_use: free or regular */
};

/*
 * What a regular page that is in use is to hold: it has no other place to go to, so that is put
 * into it once the record is durable, and again where a crash came between.
 */
struct record_redo {
    uint64_t page;
    uint64_t from; /* the page that holds it meanwhile: a free one */
    uint32_t crc;
};

struct record_part {
    uint64_t page;
    uint32_t crc;
};

struct record {
    uint64_t page; /* where it is */
    uint64_t generation;
    uint64_t root_generation; /* of the root that its chain begins with */
    uint32_t root_crc;
    uint32_t link; /* CRC of the record, or root, before it */
    uint32_t crc;
    uint32_t used; /* bytes of its own block */
    bool ordered;
    uint64_t total, free, protected_pages; /* afterwards */
    uint64_t next, after;                  /* places of the records that follow, or 0 */
    uint32_t redo_count, entry_count, run_count, part_count;
    struct record_redo *redos;    /* by page, and by the page that holds it. Owned */
    struct record_entry *entries; /* by id. Owned */
    struct record_run *runs;      /* by page. Owned */
    struct record_part parts[PARTS_MAX];
};

/* How many changes a record has, or a part of it. */
struct record_amounts {
    uint64_t redos, entries, runs;
};

/*
 * How many blocks continue a record of so many changes; more than PARTS_MAX where it would take too
 * many.
 */
unsigned mpgi_record_parts(uint32_t node_size, struct record_amounts amounts);

/* The most redos that a record may have: opening holds all their contents in memory. */
uint64_t mpgi_record_most_redos(uint32_t page_size);

/*
 * The bytes of a record and its continuations: (1 + part_count) blocks of node_size bytes at
 * `blocks`, the record first. Fills in the CRCs, that of the record included.
 */
void mpgi_record_encode(struct record *record, const struct node_space *space,
                        unsigned char *blocks);

/*
 * Reads the head of a record that is said to be in a page. 1 if what is there is none, or not
 * whole; otherwise 0, or an error. Nothing is owned by it then.
 */
int mpgi_record_read(struct record *record, const struct node_space *space, uint64_t page);

/*
 * Reads its changes, of its continuations, too. 1 if one of them is not as the record says. What
 * the changes name is not looked at. To be freed in any case.
 */
int mpgi_record_read_changes(struct record *record, const struct node_space *space);

/*
 * Where the mark of a record is that says that its redos were carried out, in bytes from the start
 * of the file.
 */
uint64_t mpgi_record_mark_at(const struct record *record, const struct node_space *space);
/* That mark. */
void mpgi_record_mark(unsigned char mark[MARK_SIZE], const struct record *record);

void mpgi_record_free(struct record *record);

#endif
