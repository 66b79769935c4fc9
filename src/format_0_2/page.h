/* SPDX-License-Identifier: MIT */
/*
 * Format 0.2: a page of metadata in memory and in the file, as large as the page size says but
 * never more of it than there is. Versions of such pages are what format/versions.h says.
 */
#ifndef MPGI_PAGE_0_2_H
#define MPGI_PAGE_0_2_H

#include "base/sheet.h"
#include "format/versions.h"
#include "os/io.h"

struct sheet_versions {
    struct sheet *previous;
    struct sheet *durable;
    struct sheet *frozen;
    struct sheet *pending;
};

const struct sheet *mpgi_sheets_get(const struct sheet_versions *versions, enum version version);
/* The pending version, made as a copy of the newest if there is none. NULL if memory ran out. */
struct sheet *mpgi_sheets_edit(struct sheet_versions *versions);
void mpgi_sheets_freeze(struct sheet_versions *versions);
/* frozen → durable → previous; without a frozen one `previous` is forgotten. */
void mpgi_sheets_publish(struct sheet_versions *versions);
void mpgi_sheets_discard(struct sheet_versions *versions);
void mpgi_sheets_free(struct sheet_versions *versions);

/* What pages are read and written with. */
struct page_io {
    struct file *file;
    uint32_t page_size;
    unsigned char *piece; /* room for what is read or written at once; owned */
};

int mpgi_0_2_io_init(struct page_io *io, struct file *file, uint32_t page_size);
void mpgi_0_2_io_free(struct page_io *io);

/* Fills an empty sheet from a page of the file. Holes are not read. */
int mpgi_0_2_read_page(struct sheet *sheet, const struct page_io *io, uint64_t page);
/*
 * Writes a sheet to a page of the file, from byte `first` of it on: a small page in one go, a large
 * one without writing zeros where the file has a hole. Needs no memory.
 */
int mpgi_0_2_write_page(const struct sheet *sheet, const struct page_io *io, uint64_t first,
                        uint64_t page);

/*
 * Puts the CRC32 of a page's bytes from `first` on into its last four, which are the sheet's own.
 */
void mpgi_0_2_put_trailer(struct sheet *sheet, uint32_t page_size, uint32_t first);
/* Whether it is there. */
bool mpgi_0_2_trailer_fits(const struct sheet *sheet, uint32_t page_size, uint32_t first);
uint32_t mpgi_0_2_trailer(const struct sheet *sheet, uint32_t page_size);

#endif
