/* SPDX-License-Identifier: MIT */
/*
 * stamper FILE: commits to a page file of 1 KiB pages as fast as it can, until it is killed. Each
 * transaction writes its number all over each of protected pages 0 to 23. Says "writing" when some
 * are durable.
 */
#include <stdio.h>
#include <string.h>

#include "mappedpages.h"

#define PAGES 24
#define PAGE_SIZE 1024

static int commit(mpg_pager *pager, unsigned number)
{
    unsigned char page[PAGE_SIZE];
    mpg_txn *txn;

    if (mpg_txn_begin(&txn, pager) != 0)
        return 1;
    for (size_t at = 0; at < sizeof(page); at += sizeof(number))
        memcpy(page + at, &number, sizeof(number));
    for (unsigned i = 0; i < PAGES; i++) {
        mpg_protected_id id = {i};

        if (mpg_txn_protected_write(txn, id, page, 0, sizeof(page)) != 0)
            return 1;
    }
    return mpg_txn_commit(txn, 0) != 0;
}

int main(int argc, char **argv)
{
    mpg_pager *pager;

    if (argc != 2 || mpg_open(&pager, argv[1], NULL) != 0)
        return 1;
    for (unsigned number = 1; commit(pager, number) == 0; number++) {
        if (number == 3 && (puts("writing") < 0 || fflush(stdout) != 0))
            return 1;
    }
    return 1;
}
