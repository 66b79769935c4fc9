/* SPDX-License-Identifier: MIT */
/*
 * Floor 0: where everything is in a file of format 1 (doc/format.md). Offsets and sizes in bytes.
 * What depends on the node size is computed from it here, and nowhere else.
 */
#ifndef MPGI_LAYOUT_1_H
#define MPGI_LAYOUT_1_H

#include <assert.h>
#include <stdint.h>

/* ---- Page 0 -------------------------------------------------------------------------------- */

#define SB_TAG 0       /* 4: "MPPG" */
#define SB_VERSION 4   /* 4: 1, 0, 0, 0 */
#define SB_LOG2 8      /* 4: log2 of the page size */
#define SB_UUID 16     /* 16 */
#define SB_FEATURES 32 /* 3 x 8: compatible, read-only compatible, incompatible */
#define SB_CREATED 56  /* 8: seconds since the epoch */
#define SB_LABEL 64    /* 64: UTF-8, zero-padded */
#define SB_BALANCE 128 /* 4: chosen for the CRC to stay when the label changes; 0 at first */
#define SB_CRC_SIZE 4  /* the CRC is in the last 4 bytes of the superblock's node-size bytes */
#define SB_TAG_BYTES "MPPG"
#define SB_MAJOR 1

#define UUID_SIZE 16
#define LABEL_SIZE 64

/* ---- Sizes --------------------------------------------------------------------------------- */

#define PAGE_LOG2_MIN 10
#define PAGE_LOG2_MAX 30
#define NODE_SIZE_MAX 4096
/* Bytes from the first page of a pair to the second, where that is not a page or more. */
#define SLOT_DISTANCE 65536

/* ---- Every node ---------------------------------------------------------------------------- */

#define NODE_TYPE 0        /* 4 */
#define NODE_LEVEL 4       /* 1, and 3 of zero */
#define NODE_INDEX 8       /* 8: which of its level */
#define NODE_GENERATION 16 /* 8: the commit that wrote it */
#define NODE_USED 24       /* 4: bytes from its start that mean something; zero follows */
#define NODE_CRC 28        /* 4: CRC32, seeded with that of the UUID, this field taken as zero */
#define NODE_BODY 32

#define TYPE_ROOT "MPGR"
#define TYPE_SPACE "MPGS"
#define TYPE_DIRECTORY "MPGD"
#define TYPE_SIZE 4

/* ---- A reference to a child ---------------------------------------------------------------- */

#define REF_SLOT 0       /* 8: first page of the pair * 2 + current slot */
#define REF_GENERATION 8 /* 8: that of the current slot */
#define REF_CRC 16       /* 4: that of the current slot */
#define REF_FREE 20      /* 4: free units below, UINT32_MAX if there are more */
#define REF_SIZE 24

/* ---- An entry of the directory ------------------------------------------------------------- */

#define ENTRY_PAGE 0        /* 8: where the content is, and 8 of zero */
#define ENTRY_GENERATION 16 /* 8: the commit that put it there */
#define ENTRY_CRC 24        /* 4: CRC32 of the content */
#define ENTRY_FLAGS 28      /* 1, and 3 of zero */
#define ENTRY_SIZE 32

#define ENTRY_IN_USE 1u

/* ---- The root ------------------------------------------------------------------------------ */

#define ROOT_LOG2 32             /* 4: log2 of the page size */
#define ROOT_FLAGS 36            /* 4 */
#define ROOT_UUID 40             /* 16 */
#define ROOT_TOTAL 56            /* 8: pages the file has */
#define ROOT_FREE 64             /* 8: of these */
#define ROOT_PROTECTED 72        /* 8: protected pages in use */
#define ROOT_METADATA 80         /* 8: pages of the file's own, 0, 1 and 2 included */
#define ROOT_SPACE_HEIGHT 88     /* 1 */
#define ROOT_DIRECTORY_HEIGHT 89 /* 1, and 6 of zero */
#define ROOT_FEATURES 96         /* 3 x 8: as in page 0 */
#define ROOT_NEXT 120            /* 8: page of the first record behind it; 0: none will be */
#define ROOT_AFTER 128           /* 8: page of the second; 0: none will be */
#define ROOT_SALT 136            /* 8: random */
#define ROOT_TWICE 144    /* 8: nodes of this generation or an earlier one are in both slots */
#define ROOT_AREAS 152    /* two areas of equal size: space, directory */
#define ROOT_OVERHEAD 160 /* what is not area: the fields, and the generation again at the end */
#define ROOT_END_SIZE 8

/* Nodes were synced before this root was written: what it refers to is there. */
#define ROOT_ORDERED 1u

/* ---- A record, and what continues it ------------------------------------------------------- */

#define RECORD_TYPE 0             /* 4: "MPGL" */
#define RECORD_USED 4             /* 4: bytes from its start that mean something */
#define RECORD_GENERATION 8       /* 8 */
#define RECORD_PAGE 16            /* 8: where it is */
#define RECORD_ROOT_GENERATION 24 /* 8: of the root that its chain begins with */
#define RECORD_ROOT_CRC 32        /* 4: of that root */
#define RECORD_LINK 36            /* 4: CRC of the record, or root, before it */
#define RECORD_CRC 40             /* 4: CRC32 of what is used, this field taken as zero */
#define RECORD_FLAGS 44           /* 4 */
#define RECORD_TOTAL 48           /* 8: counts as in a root, afterwards */
#define RECORD_FREE 56            /* 8 */
#define RECORD_PROTECTED 64       /* 8 */
#define RECORD_NEXT 72            /* 8: page of the next record, or 0 */
#define RECORD_AFTER 80           /* 8: page of the one behind that, or 0 */
#define RECORD_ENTRIES 88         /* 4: directory deltas */
#define RECORD_RUNS 92            /* 4: space deltas */
#define RECORD_PARTS 96           /* 4: continuations */
#define RECORD_REDOS 100          /* 4 */
#define RECORD_BODY 104

#define PART_PAGE 0 /* 8 */
#define PART_CRC 8  /* 4, and 4 of zero */
#define PART_SIZE 16

/* The first of its changes: what is to be put into a page that is in use. */
#define REDO_PAGE 0 /* 8: that page */
#define REDO_FROM 8 /* 8: the page that holds what is to be in it */
#define REDO_CRC 16 /* 4: CRC32 of that, and 4 of zero */
#define REDO_SIZE 24

/*
 * It has been put there: right behind what is used of such a record, so that its CRC does not cover
 * it.
 */
#define MARK_TYPE 0 /* 4: "MPGD" */
#define MARK_CRC 4  /* 4: of the record */
#define MARK_SIZE 8

#define CONTINUATION_TYPE 0 /* 4: "MPGC" */
#define CONTINUATION_USED 4 /* 4 */
#define CONTINUATION_BODY 8

#define DELTA_ID 0     /* 8: the protected page */
#define DELTA_PAGE 8   /* 8: where its content is now; 0: not in use any more */
#define DELTA_CRC 16   /* 4 */
#define DELTA_FLAGS 20 /* 1: as in an entry, and 3 of zero */
#define DELTA_SIZE 24

#define RUN_FIRST 0 /* 8: page */
#define RUN_COUNT 8 /* 4: pages */
#define RUN_USE 12  /* 1, and 3 of zero */
#define RUN_SIZE 16

#define TYPE_RECORD "MPGL"
#define TYPE_CONTINUATION "MPGC"
#define TYPE_MARK "MPGD"

/* What it names was synced before the record was written. */
#define RECORD_ORDERED 1u

#define PARTS_MAX 64

/* The contents that the redos of a record may have together, if there are several. */
#define REDO_BYTES_MAX (UINT32_C(64) << 20)

/* Records behind one root: a writer makes no more, and a reader follows no more. */
#define RECORDS_MAX 512

/* A commit of more nodes and entries than this is ordered, which bounds the work of opening. */
#define SINGLE_SYNC_UNITS 1024

/* Of the current root of a new file. */
#define FIRST_GENERATION 1

/*
 * Generations from here on are nobody's. A writer stops well before: no pager lives for so many
 * commits, so they are never used up but by a file that was made to look so.
 */
#define GENERATION_END (UINT64_MAX / 2)
#define GENERATION_MOST (GENERATION_END - (UINT64_C(1) << 48))

/* More than any tree that a file of 2^63 bytes needs. */
#define HEIGHT_MAX 10

static_assert(SB_LABEL + LABEL_SIZE == 128, "superblock fields");
static_assert(SB_UUID + UUID_SIZE == SB_FEATURES && SB_FEATURES + 24 == SB_CREATED, "superblock");
static_assert(NODE_CRC + 4 == NODE_BODY && NODE_BODY % 8 == 0, "node header");
static_assert(REF_FREE + 4 == REF_SIZE && REF_SIZE % 8 == 0, "reference");
static_assert(ENTRY_FLAGS + 4 == ENTRY_SIZE, "entry");
static_assert(ROOT_LOG2 == NODE_BODY && ROOT_UUID + UUID_SIZE == ROOT_TOTAL, "root");
static_assert(ROOT_FEATURES + 24 == ROOT_NEXT && ROOT_TWICE + 8 == ROOT_AREAS, "root fields");
static_assert(ROOT_AREAS % 8 == 0, "root areas");
static_assert(RECORD_REDOS + 4 == RECORD_BODY && RECORD_BODY % 8 == 0, "record");
static_assert(DELTA_FLAGS + 4 == DELTA_SIZE && RUN_USE + 4 == RUN_SIZE, "deltas");
static_assert(REDO_CRC + 8 == REDO_SIZE && MARK_CRC + 4 == MARK_SIZE, "redo");
static_assert(RECORD_BODY + PARTS_MAX * PART_SIZE > 1024, "a record of 1 KiB has fewer parts");
static_assert(ROOT_AREAS + ROOT_END_SIZE == ROOT_OVERHEAD, "root overhead");

/* The bytes of a node, and of the superblock. */
static inline uint32_t node_size_of(uint32_t page_size)
{
    return page_size < NODE_SIZE_MAX ? page_size : NODE_SIZE_MAX;
}

/* The pages that a pair of slots takes. */
#define PAIR_PAGES 2u

/*
 * So many pages lie from the first page of a pair to the second: what takes neighbouring sectors
 * takes one of them.
 */
static inline uint64_t slot_distance(uint32_t page_size)
{
    return page_size < SLOT_DISTANCE ? SLOT_DISTANCE / page_size : 1;
}

/* The page that a slot is in, and where that is in the file. */
static inline uint64_t slot_page(uint32_t page_size, uint64_t pair, unsigned slot)
{
    return pair + slot * slot_distance(page_size);
}

static inline uint64_t slot_offset(uint32_t page_size, uint64_t pair, unsigned slot)
{
    return slot_page(page_size, pair, slot) * page_size;
}

static inline uint32_t root_area_size(uint32_t node_size)
{
    return (node_size - ROOT_OVERHEAD) / 2;
}

#endif
