/* SPDX-License-Identifier: MIT */
/* Contents, from the one file to the same place in the other. */
#ifndef MPGI_COPY_CONTENT_H
#define MPGI_COPY_CONTENT_H

#include "life/copy_state.h"
#include "mappedpages_copy.h"
#include "os/io.h"

struct copy_content {
    const struct file *from;
    struct file *to;
    uint32_t page_size;
    uint32_t zero_crc;     /* of a page of zeros */
    unsigned char *buffer; /* COPY_BUFFER bytes, or a page if that is more */
    size_t capacity;       /* of it */
    unsigned char *other;  /* as many: what the copy has already */
    bool by_hand;          /* the system copies nothing from the one to the other by itself */
    bool update;           /* it has contents already: only what differs is written */
    const mpg_copy_options *options;
    uint64_t bytes;    /* that were read */
    uint64_t written;  /* … and written */
    uint64_t expected; /* that are to be read, in all, for the progress */
};

int mpgi_copy_content_begin(struct copy_content *content);
void mpgi_copy_content_end(struct copy_content *content);

/* Bytes that `now` names and that were not copied as `before`. */
uint64_t mpgi_copy_rest(const struct copy_state *now, const struct copy_state *before,
                        uint32_t page_size);
/* Copies the regular pages of `now` that are not in `before`. */
int mpgi_copy_runs(struct copy_content *content, const struct copy_state *now,
                   const struct copy_state *before);
/*
 * Copies the contents of those protected pages that were not copied. Those that fail their checksum are not, and counted:
 * *failed is one of them, for a message.
 */
int mpgi_copy_changed(struct copy_content *content, struct copy_state *now,
                      const struct copy_changes *changes, size_t *failures,
                      const struct copy_entry **failed);
/* The same, of all. */
int mpgi_copy_entries(struct copy_content *content, struct copy_state *now, size_t *failures,
                      const struct copy_entry **failed);

#endif
