/* SPDX-License-Identifier: MIT */
/* Page files that a benchmark makes and removes. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "library.h"

mpg_pager *fresh_pager(const struct place *place, const char *name, int format, uint64_t pages,
                       unsigned flags, char **path)
{
    mpg_options options = MPG_OPTIONS_INIT;
    mpg_pager *pager;

    options.page_size = PAGE_SIZE_USED;
    options.format = format;
    options.initial_pages = pages;
    options.flags = flags;
    *path = fresh_path(place, name);
    must(mpg_create(&pager, *path, &options), "create");
    return pager;
}

void forget(mpg_pager *pager, char *path)
{
    must(mpg_close(pager), "close");
    (void)unlink(path);
    free(path);
}

/* Rewrites of each page, in commits of so many. */
#define WEAR 10u
#define WEAR_COMMIT 64u

void wear(mpg_pager *pager, const mpg_protected_id *ids, size_t count)
{
    unsigned char content[PAGE_SIZE_USED];
    uint64_t random = 5;

    memset(content, 0x5a, sizeof(content));
    for (size_t done = 0; done < WEAR * count; done += WEAR_COMMIT) {
        mpg_txn *txn;

        must(mpg_txn_begin(&txn, pager), "txn_begin");
        for (unsigned i = 0; i < WEAR_COMMIT; i++) {
            memcpy(content, &random, sizeof(random));
            must(mpg_txn_protected_write(txn, ids[next_random(&random) % count], content, 0,
                                         sizeof(content)),
                 "txn_protected_write");
        }
        must(mpg_txn_commit(txn, 0), "txn_commit");
    }
}
