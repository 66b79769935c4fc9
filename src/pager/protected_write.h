/* SPDX-License-Identifier: MIT */
/*
 * A new content of a protected page, on its way into a batch.
 *
 * The bytes that were written are put onto the content committed by then. To read and check that
 * takes time, as does the new checksum, so it is made ready without the pager's lock; where the
 * page has changed meanwhile, it is made again under the lock.
 */
#ifndef MPGI_PROTECTED_WRITE_H
#define MPGI_PROTECTED_WRITE_H

#include "base/overlay.h"
#include "pager/edit.h"

struct protected_write {
    uint64_t id;
    struct overlay overlay; /* what was written */
    bool exposed; /* somebody outside may write to its bytes at any time: they are not shared */
    unsigned char *ready; /* the new content, page_size bytes, one holder of them; or NULL */
    uint32_t ready_crc;
    struct entry base; /* the content below `ready`, unless the overlay is the whole page */
};

/*
 * Makes the new content ready, if it can. Takes the lock for a moment. What fails here fails again,
 * and is reported, when the write is applied.
 */
void mpgi_protected_write_prepare(struct protected_write *write, mpg_pager *pager);

/* Puts the new content into the gathering batch. Lock held. May return EDIT_RESTART. */
int mpgi_apply_protected_write(struct edit *edit, struct protected_write *write);

/* Frees what was made ready, and not the overlay. */
void mpgi_protected_write_forget(struct protected_write *write);

/*
 * As mpg_protected_read; data may be NULL: then the content is only checked, and not held in
 * memory.
 */
int mpgi_protected_read(void *data, const mpg_pager *pager, mpg_protected_id id);

/*
 * Copies what an entry says is committed, unless data is NULL, and checks it. The lock need not be
 * held.
 */
int mpgi_read_entry(void *data, const mpg_pager *pager, uint64_t id, const struct entry *entry);

/* Whether two entries name the same committed content. */
bool mpgi_same_content(const struct entry *a, const struct entry *b);

#endif
