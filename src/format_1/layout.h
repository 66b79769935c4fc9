/* SPDX-License-Identifier: MIT */
/*
 * Where everything is in a file of format 1 (doc/format.md). Offsets and sizes in bytes.
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
#define SB_CRC_SIZE 4  /* the CRC is in the last 4 bytes of the superblock's node-size bytes */
#define SB_TAG_BYTES "MPPG"
#define SB_MAJOR 1

#define UUID_SIZE 16
#define LABEL_SIZE 64

/* ---- Sizes --------------------------------------------------------------------------------- */

#define PAGE_LOG2_MIN 10
#define PAGE_LOG2_MAX 30
#define NODE_SIZE_MAX 4096
/* From this page size on a pair of slots shares one page; below, it takes two. */
#define SHARED_PAIR_SIZE 8192

/* ---- Every node ---------------------------------------------------------------------------- */

#define NODE_TYPE 0        /* 4 */
#define NODE_LEVEL 4       /* 1, and 3 of zero (in a root: 1 of zero, and the salt) */
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

#define ENTRY_PAGE_A 0
#define ENTRY_PAGE_B 8
#define ENTRY_GENERATION 16 /* 8: the commit that last changed the content */
#define ENTRY_CRC 24        /* 4: CRC32 of the current copy */
#define ENTRY_FLAGS 28      /* 1, and 3 of zero */
#define ENTRY_SIZE 32

#define ENTRY_IN_USE 1u
#define ENTRY_CURRENT_B 2u

/* ---- The root ------------------------------------------------------------------------------ */

#define ROOT_SALT 6              /* 2: drawn anew by each opening writer (rule 12) */
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
#define ROOT_AREAS 120           /* two areas of equal size: space, directory */
#define ROOT_OVERHEAD 128 /* what is not area: the fields, and the generation again at the end */
#define ROOT_END_SIZE 8

/* Nodes were synced before this root was written: what it refers to is there. */
#define ROOT_ORDERED 1u

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
static_assert(ROOT_SALT + 2 == NODE_INDEX, "the salt is in the header of a root");
static_assert(ROOT_FEATURES + 24 == ROOT_AREAS && ROOT_AREAS % 8 == 0, "root fields");
static_assert(ROOT_AREAS + ROOT_END_SIZE == ROOT_OVERHEAD, "root overhead");

/* The bytes of a node, and of the superblock. */
static inline uint32_t node_size_of(uint32_t page_size)
{
    return page_size < NODE_SIZE_MAX ? page_size : NODE_SIZE_MAX;
}

/* The pages that a pair of slots takes. */
static inline unsigned pair_pages_of(uint32_t page_size)
{
    return page_size < SHARED_PAIR_SIZE ? 2 : 1;
}

/* Where a slot is in the file. */
static inline uint64_t slot_offset(uint32_t page_size, uint64_t pair, unsigned slot)
{
    if (page_size < SHARED_PAIR_SIZE)
        return (pair + slot) * page_size;
    return pair * page_size + slot * (uint64_t)(page_size / 2);
}

static inline uint32_t root_area_size(uint32_t node_size)
{
    return (node_size - ROOT_OVERHEAD) / 2;
}

#endif
