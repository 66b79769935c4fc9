/* SPDX-License-Identifier: MIT */
/*
 * Works on a page file and ends without closing it, as a killed process does. Prints what the file
 * shall show.
 *
 *     left_open FILE PAGE_SIZE SEED COMMITS [replace|replace-many]
 *
 * Opens the file, or makes it. The last commits are a small one and a large one; then, if asked,
 * the new content of a regular page, or of many in one transaction. What it prints are lines of
 * golden/README.md from the fourth on.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "mappedpages.h"
#include "support/harness.h"

#define MOST_PAGES 4096

/* Pages of a large commit. */
#define MANY 60

/* Ids in use. */
struct ids {
    uint64_t ids[MOST_PAGES];
    size_t count;
};

static struct ids regular, guarded;
static uint64_t seed;
static unsigned char *page;
static size_t page_size;

static size_t any(size_t count)
{
    return (size_t)random_below(&seed, count);
}

static void fill_page(void)
{
    for (size_t at = 0; at < page_size; at += sizeof(uint64_t)) {
        uint64_t word = random_next(&seed);

        memcpy(page + at, &word, sizeof(word));
    }
}

static uint64_t take(struct ids *set)
{
    size_t index = any(set->count);
    uint64_t id = set->ids[index];

    set->ids[index] = set->ids[--set->count];
    return id;
}

static void write_guarded(mpg_txn *txn, size_t index)
{
    mpg_protected_id id = {guarded.ids[index]};

    fill_page();
    must(mpg_txn_protected_write(txn, id, page, 0, page_size) == 0);
}

static void write_some(mpg_txn *txn)
{
    for (size_t i = any(8); i > 0 && guarded.count > 0; i--)
        write_guarded(txn, any(guarded.count));
}

static void allocate_some(mpg_txn *txn)
{
    mpg_protected_id protected_id;
    mpg_page_id id;

    for (size_t i = any(3); i > 0 && guarded.count < MOST_PAGES; i--) {
        must(mpg_txn_alloc_protected(&protected_id, txn) == 0);
        guarded.ids[guarded.count++] = protected_id.value;
    }
    for (size_t i = any(4); i > 0 && regular.count < MOST_PAGES; i--) {
        must(mpg_txn_alloc(&id, txn, MPG_ZERO) == 0);
        regular.ids[regular.count++] = id.value;
    }
}

static void free_some(mpg_txn *txn)
{
    if (regular.count > 8)
        must(mpg_txn_free(txn, (mpg_page_id){take(&regular)}) == 0);
    if (guarded.count > MANY + 20)
        must(mpg_txn_free_protected(txn, (mpg_protected_id){take(&guarded)}) == 0);
}

/* All pages that there were at first, and something else. */
static void commit_much(mpg_pager *pager)
{
    mpg_txn *txn;

    must(mpg_txn_begin(&txn, pager) == 0);
    for (size_t i = 0; i < MANY && i < guarded.count; i++)
        write_guarded(txn, i);
    free_some(txn);
    must(mpg_txn_commit(txn, 0) == 0);
}

/* Enough to work with. */
static void begin(mpg_pager *pager)
{
    mpg_protected_id protected_ids[MANY];
    mpg_page_id ids[MANY];

    if (regular.count > 0)
        return;
    must(mpg_alloc_protected_bulk(protected_ids, pager, MANY) == 0);
    must(mpg_alloc_bulk(ids, pager, MANY, MPG_ZERO) == 0);
    for (size_t i = 0; i < MANY; i++) {
        guarded.ids[guarded.count++] = protected_ids[i].value;
        regular.ids[regular.count++] = ids[i].value;
    }
}

static void commit_something(mpg_pager *pager)
{
    mpg_txn *txn;

    must(mpg_txn_begin(&txn, pager) == 0);
    if (any(3) == 0)
        free_some(txn);
    if (any(3) == 0)
        allocate_some(txn);
    write_some(txn);
    must(mpg_txn_commit(txn, any(8) == 0 ? MPG_ORDERED : 0) == 0);
}

/* Finds what is in use, and prints it if wanted. */
static void look(const mpg_pager *pager, bool print)
{
    mpg_protected_iter protected_iter;
    mpg_protected_id protected_id;
    mpg_page_iter iter;
    mpg_page_id id;

    regular.count = guarded.count = 0;
    mpg_page_iter_begin(&iter, pager, (mpg_page_id){0});
    while (mpg_page_iter_next(&id, &iter) > 0) {
        const void *data;

        regular.ids[regular.count++] = id.value;
        must(mpg_page_get(&data, pager, id) == 0);
        if (print)
            printf("page %" PRIu64 " %08lx\n", id.value, crc32(0, data, (uInt)page_size));
    }
    mpg_protected_iter_begin(&protected_iter, pager, (mpg_protected_id){0});
    while (mpg_protected_iter_next(&protected_id, &protected_iter) > 0) {
        guarded.ids[guarded.count++] = protected_id.value;
        must(mpg_protected_read(page, pager, protected_id) == 0);
        if (print)
            printf("protected %" PRIu64 " %08lx\n", protected_id.value,
                   crc32(0, page, (uInt)page_size));
    }
}

/* With pages of 1 KiB more than a record can name without a continuation. */
static void replace_many(mpg_pager *pager)
{
    mpg_txn *txn;

    must(regular.count > 20);
    must(mpg_txn_begin(&txn, pager) == 0);
    for (size_t i = 5; i < regular.count; i++) {
        fill_page();
        must(mpg_txn_page_replace(txn, (mpg_page_id){regular.ids[i]}, page, page_size) == 0);
    }
    must(mpg_txn_commit(txn, 0) == 0);
}

int main(int argc, char **argv)
{
    mpg_options options = MPG_OPTIONS_INIT;
    mpg_pager *pager;

    must(argc == 5 || argc == 6);
    page_size = strtoul(argv[2], NULL, 0);
    seed = strtoull(argv[3], NULL, 0);
    page = must_realloc(NULL, page_size);
    options.page_size = (uint32_t)page_size;
    options.flags = MPG_CREATE;
    must(mpg_open(&pager, argv[1], &options) == 0);
    look(pager, false);
    begin(pager);
    for (unsigned long commits = strtoul(argv[4], NULL, 0); commits > 0; commits--)
        commit_something(pager);
    commit_something(pager);
    commit_much(pager);
    if (argc == 6 && strcmp(argv[5], "replace") == 0) {
        fill_page();
        must(mpg_page_replace(pager, (mpg_page_id){regular.ids[5]}, page, page_size) == 0);
    } else if (argc == 6) {
        must(strcmp(argv[5], "replace-many") == 0);
        replace_many(pager);
    }
    look(pager, true);
    must(fflush(stdout) == 0);
    _exit(0);
}
