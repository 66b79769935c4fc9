/* SPDX-License-Identifier: MIT */
/*
 * What snapshots keep back from commits. All with the pager's lock held.
 *
 * A snapshot shows the durable version as it was when it was opened: of each entry that a commit
 * replaces it keeps what it was, and the page of its content lingers. What is not kept is as the
 * durable version says.
 */
#ifndef MPGI_SNAPSHOTS_H
#define MPGI_SNAPSHOTS_H

#include "base/id_map.h"
#include "base/id_set.h"
#include "format/format.h"
#include "mappedpages_snapshot.h"

struct mpg_snapshot {
    struct mpg_snapshot *next; /* of the pager's */
    mpg_pager *pager;
    uint64_t generation;
    uint64_t protected_pages;
    struct id_map kept; /* id → struct entry, owned; in_use false: there was none */
    struct id_set ids;  /* those in `kept` */
};

/*
 * Before a sealed batch is written: keeps what it replaces. NO_MEMORY; what was kept by then does
 * no harm.
 */
int mpgi_snapshots_keep(mpg_pager *pager);
/* The same for one that is opened while a batch is in flight. */
int mpgi_snapshot_keep(struct mpg_snapshot *snapshot);
/* Gives up all that it keeps, and what lingers for it alone. */
void mpgi_snapshot_forget(struct mpg_snapshot *snapshot);

/* The entry that a snapshot shows. NOT_ALLOCATED, or damage. */
int mpgi_snapshot_entry(const struct mpg_snapshot *snapshot, uint64_t id, struct entry *entry);

/* Whether a snapshot holds what was in a page that has been replaced, or is being. */
bool mpgi_snapshots_hold(const mpg_pager *pager, uint64_t page);
/*
 * Whether a snapshot shows a page, which is the content of a protected page in the newest version.
 */
bool mpgi_snapshots_show(const mpg_pager *pager, uint64_t id, uint64_t page);

#endif
