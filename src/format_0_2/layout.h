/* SPDX-License-Identifier: MIT */
/* Every offset of file format 0.2 (doc/format.md). All integers are little-endian. */
#ifndef MPGI_LAYOUT_0_2_H
#define MPGI_LAYOUT_0_2_H

#include <stddef.h>
#include <stdint.h>

/* Page 0: superblock and directory index. */
enum superblock_0_2_offset {
    SUPER_ACTIVE = 12,       /* 1 byte: which metadata page is active: 0 = page 1, 1 = page 2 */
    SUPER_METADATA_CRC = 16, /* 4: CRC32 of the whole active metadata page */
    SUPER_HEAD_SIZE = 20,    /* all that a commit without directory changes writes */
    INDEX_COUNT = 20,        /* 4: number of directory blocks */
    INDEX_REFERENCES = 24,   /* 17 for each block */
};

/* A directory block reference. */
enum reference_0_2_offset {
    REFERENCE_PAGE_A = 0,
    REFERENCE_PAGE_B = 8,
    REFERENCE_ACTIVE = 16, /* 1 byte: 0 = a, 1 = b */
    REFERENCE_SIZE = 17,
};

/* Pages 1 and 2: metadata. */
enum metadata_0_2_offset {
    METADATA_TOTAL = 0,
    METADATA_GENERATION = 8,
    METADATA_FREE = 16,
    METADATA_BITMAP = 24,
};

/* Directory blocks. */
enum block_0_2_offset {
    BLOCK_CAPACITY = 0, /* 4 */
    BLOCK_ENTRIES = 8,  /* 30 each */
};

/* An entry of a directory block. */
enum entry_0_2_offset {
    ENTRY_IN_USE = 0, /* 1 byte */
    ENTRY_PAGE_A = 1,
    ENTRY_PAGE_B = 9,
    ENTRY_ACTIVE = 17, /* 1 byte: 0 = a, 1 = b */
    ENTRY_GENERATION = 18,
    ENTRY_CRC = 26, /* 4 */
    ENTRY_SIZE = 30,
};

/* Index, metadata and blocks end with the CRC32 of what is before it. */
#define TRAILER_SIZE 4

_Static_assert(INDEX_COUNT == SUPER_HEAD_SIZE, "the index follows the superblock");

/*
 * The spare copy of page 0, in a page that is free: another head, then the index as in page 0. It
 * says which generation of the metadata it goes with; the checksum in page 0 cannot tell, for it
 * covers a page that ends with its own checksum, and so is the same for every metadata page.
 */
enum spare_offset {
    SPARE_TAG = 0,        /* 4 bytes */
    SPARE_GENERATION = 4, /* 8 */
    SPARE_CHECK = 12, /* 4: CRC32 of the checksums at the ends of that metadata page, of this page,
                             and of both pages of each directory block */
    SPARE_HEAD_CRC = 16, /* 4: CRC32 of the bytes before it */
};
#define SPARE_TAG_TEXT "MPSP"
_Static_assert(REFERENCE_SIZE == REFERENCE_ACTIVE + 1, "references are packed");
_Static_assert(ENTRY_SIZE == ENTRY_CRC + 4, "entries are packed");

/* The most directory blocks that page 0 can name. */
static inline uint32_t most_blocks(uint32_t page_size)
{
    return (page_size - INDEX_REFERENCES - TRAILER_SIZE) / REFERENCE_SIZE;
}

/* The entries of one directory block. */
static inline uint32_t entries_per_block(uint32_t page_size)
{
    return (page_size - BLOCK_ENTRIES - TRAILER_SIZE) / ENTRY_SIZE;
}

/* The most pages that the bitmap of one metadata page can count. */
static inline uint64_t most_pages(uint32_t page_size)
{
    return (uint64_t)(page_size - METADATA_BITMAP - TRAILER_SIZE) * 8;
}

#endif
