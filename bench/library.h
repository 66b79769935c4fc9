/* SPDX-License-Identifier: MIT */
/* The parts of the library's benchmark. Each prints its lines of the table. */
#ifndef BENCH_LIBRARY_H
#define BENCH_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

#include "mappedpages.h"
#include "measure.h"

#define PAGE_SIZE_USED 4096u

/* Pages that the part commits can have: as many bytes as a file system has room for, rather. */
#define MOST_COMMIT_PAGES 100000000u

/* Where the files of a run live, and how much is done. */
struct place {
    const char *directory;
    bool quick;       /* few rounds: to see that it works */
    uint64_t pages;   /* of the part commits */
    unsigned rounds;  /* of that part; 0: as usual */
    unsigned wear;    /* how often it rewrites each page before; 0: as usual */
    unsigned threads; /* of the part reading; 0: two */
};

/*
 * The path of a file in the place; for the caller to free. Removes what an earlier run left there.
 */
char *fresh_path(const struct place *place, const char *name);

/* A new page file with `pages` pages; its path is freed by forget. */
mpg_pager *fresh_pager(const struct place *place, const char *name, int format, uint64_t pages,
                       unsigned flags, char **path);
/* Closes and removes it. */
void forget(mpg_pager *pager, char *path);
/*
 * Brings a file into steady state: each of the pages is rewritten ten times, in random order, in
 * commits of some.
 */
void wear(mpg_pager *pager, const mpg_protected_id *ids, size_t count);

/* The floor: one pwrite of a page at a random place of a file written before, and one fdatasync. */
struct floor_file;
struct floor_file *floor_open(const struct place *place);
void floor_run(void *floor_file, unsigned operations);
/* So many pages at random places, and one fdatasync. */
void floor_write(struct floor_file *floor, unsigned pages);
/* So many, at most 16, in one piece at a random place, and one fdatasync. */
void floor_write_piece(struct floor_file *floor, unsigned pages);
void floor_close(struct floor_file *floor);

/* Other stores, where they are installed: values of 4 KiB under the keys from 0 on. */
struct other_store {
    const char *name;
    const char *what; /* as it stands in the table */
    double target;
    void *(*open)(const struct place *place, uint64_t keys);
    /* So many transactions, each with a random key. */
    void (*put)(void *store, unsigned operations);
    /* One transaction. */
    void (*commit)(void *store, const uint64_t *keys, unsigned count);
    void (*close)(void *store);
    /* May be NULL. A reader, for one thread; the value of a key; the reader's end. */
    void *(*read_begin)(void *store);
    const void *(*read)(void *reader, uint64_t key);
    void (*read_end)(void *reader);
};
extern const struct other_store lmdb_store;
extern const struct other_store sqlite_store;
/* A list of those that there are, which ends with NULL. */
extern const struct other_store *const other_stores[];

void bench_durable(const struct place *place);
void bench_threads(const struct place *place);
void bench_bulk(const struct place *place);
void bench_memory(const struct place *place);
void bench_large(const struct place *place);
void bench_commits(const struct place *place);
void bench_reopen(const struct place *place);
void bench_full(const struct place *place);
void bench_reading(const struct place *place);

#endif
