/* SPDX-License-Identifier: MIT */
/* Contents, from the one file to the same place in the other. */
#ifndef MPGI_COPY_CONTENT_H
#define MPGI_COPY_CONTENT_H

#include "life/copy_state.h"
#include "mappedpages_copy.h"
#include "os/io.h"

/* What was read and is not written yet. */
struct copy_kept {
    unsigned char *bytes; /* owned */
    size_t length, capacity;
    struct copy_piece *pieces; /* of them, and where each belongs. Owned */
    size_t count, room;
};

struct copy_content {
    const struct file *from;
    struct file *to;
    uint32_t page_size;
    uint32_t zero_crc;     /* of a page of zeros */
    unsigned char *buffer; /* COPY_BUFFER bytes, or a page if that is more */
    size_t capacity;       /* bytes of it that are read at once */
    unsigned char *other;  /* as many: what the copy has already */
    bool by_hand;          /* the system copies nothing from the one to the other by itself */
    bool update;           /* it has contents already: only what differs is written */
    bool paced;            /* there is a writer, who is to get on, */
    bool hurried;          /* … but who writes more meanwhile than would be copied with pauses */
    uint64_t unwritten;    /* bytes that the disk was not asked to write yet, */
    uint64_t resumed;      /* … and since when it is being worked at that, by the clock */
    bool keeps; /* nothing is written, and nobody told of progress: it is kept for later */
    struct copy_kept kept;
    const mpg_copy_options *options;
    uint64_t bytes;    /* that were read */
    uint64_t written;  /* … and written */
    uint64_t expected; /* that are to be read, in all, for the progress */
};

int mpgi_copy_content_begin(struct copy_content *content);
void mpgi_copy_content_end(struct copy_content *content);

/*
 * From now on a writer is to get on beside it: the disk is asked to write little at once, and while
 * the writer commits the copy does nothing for most of the time.
 */
void mpgi_copy_pace(struct copy_content *content);
/*
 * In that case, has the disk write all that it was not asked to write yet, in the same manner: a
 * sync then has little to do.
 */
int mpgi_copy_write_out(struct copy_content *content);
/*
 * From now on what is to be written is kept in memory, for which there is room: then reading is all
 * that takes time.
 */
int mpgi_copy_keep(struct copy_content *content, size_t expected);
/* Writes what was kept, if `wanted`, and keeps no more. */
int mpgi_copy_write_kept(struct copy_content *content, bool wanted);
/* Writes bytes of a page, or of pages, to where they belong. */
int mpgi_copy_put(struct copy_content *content, const void *data, size_t length, uint64_t offset);

/* Bytes that `now` names and that were not copied as `before`. */
uint64_t mpgi_copy_rest(const struct copy_state *now, const struct copy_state *before,
                        uint32_t page_size);
/* Copies the regular pages of `now` that are not in `before`. */
int mpgi_copy_runs(struct copy_content *content, const struct copy_state *now,
                   const struct copy_state *before);
/*
 * Copies the contents of those protected pages that were not copied. Those that fail their checksum
 * are not, and counted: *failed is one of them, for a message.
 */
int mpgi_copy_changed(struct copy_content *content, struct copy_state *now,
                      const struct copy_changes *changes, size_t *failures,
                      const struct copy_entry **failed);
/* The same, of all. */
int mpgi_copy_entries(struct copy_content *content, struct copy_state *now, size_t *failures,
                      const struct copy_entry **failed);

#endif
