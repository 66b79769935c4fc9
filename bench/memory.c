/* SPDX-License-Identifier: MIT */
/* What touches no disk: iterating, views, reads by copy. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "library.h"

#define MILLION 1000000u
#define PROTECTED 1000u

struct memory {
    mpg_pager *pager;
    char *path;
    uint64_t random[4];
    unsigned char *copies; /* PROTECTED pages, for memcpy */
    unsigned char page[PAGE_SIZE_USED];
    uint64_t sum; /* so that nothing is optimized away */
};

static void run_iterate(void *context, unsigned operations)
{
    struct memory *memory = context;
    mpg_page_iter iter;
    mpg_page_id id, first = {0};
    uint64_t count = 0;
    int result;

    mpg_page_iter_begin(&iter, memory->pager, first);
    while ((result = mpg_page_iter_next(&id, &iter)) == 1) {
        memory->sum += id.value;
        count++;
    }
    must(result, "iter_next");
    if (count != operations)
        die_errno("iterate: not as many pages as there are");
}

static void run_view(void *context, unsigned operations)
{
    struct memory *memory = context;

    for (unsigned i = 0; i < operations; i++) {
        mpg_protected_id id = {next_random(&memory->random[0]) % PROTECTED};
        const void *data;

        must(mpg_protected_view(&data, memory->pager, id), "view");
        memory->sum += *(const unsigned char *)data;
        mpg_protected_release(memory->pager, data);
    }
}

static void run_read(void *context, unsigned operations)
{
    struct memory *memory = context;

    for (unsigned i = 0; i < operations; i++) {
        mpg_protected_id id = {next_random(&memory->random[1]) % PROTECTED};

        must(mpg_protected_read(memory->page, memory->pager, id), "read");
        memory->sum += memory->page[0];
    }
}

static void run_copy(void *context, unsigned operations)
{
    struct memory *memory = context;

    for (unsigned i = 0; i < operations; i++) {
        uint64_t id = next_random(&memory->random[2]) % PROTECTED;

        memcpy(memory->page, memory->copies + id * PAGE_SIZE_USED, PAGE_SIZE_USED);
        memory->sum += crc32_z(0, memory->page, PAGE_SIZE_USED);
    }
}

static void run_get(void *context, unsigned operations)
{
    struct memory *memory = context;

    for (unsigned i = 0; i < operations; i++) {
        mpg_page_id id = {MILLION / 2 + next_random(&memory->random[3]) % PROTECTED};
        const void *data;

        must(mpg_page_get(&data, memory->pager, id), "get");
        memory->sum += (uintptr_t)data;
    }
}

static void memory_open(struct memory *memory, const struct place *place)
{
    mpg_page_id *ids = must_alloc(MILLION * sizeof(*ids));
    mpg_protected_id protected[PROTECTED];
    uint64_t random = 1;

    memory->pager =
        fresh_pager(place, "memory", 0, MILLION + MILLION / 8, MPG_SPARSE, &memory->path);
    must(mpg_alloc_bulk(ids, memory->pager, MILLION, 0), "alloc_bulk");
    must(mpg_alloc_protected_bulk(protected, memory->pager, PROTECTED), "alloc_protected_bulk");
    memory->copies = must_alloc(PROTECTED * (size_t)PAGE_SIZE_USED);
    for (size_t i = 0; i < PROTECTED * (size_t)PAGE_SIZE_USED; i++)
        memory->copies[i] = (unsigned char)next_random(&random);
    for (int copy = 0; copy < 2; copy++) {
        mpg_txn *txn;

        must(mpg_txn_begin(&txn, memory->pager), "txn_begin");
        for (size_t i = 0; i < PROTECTED; i++)
            must(mpg_txn_protected_write(txn, protected[i], memory -> copies + i * PAGE_SIZE_USED,
                                         0, PAGE_SIZE_USED),
                 "txn_protected_write");
        must(mpg_txn_commit(txn, 0), "txn_commit");
    }
    free(ids);
}

void bench_memory(const struct place *place)
{
    enum { ITERATE, VIEW, READ, COPY, GET, COUNT };
    unsigned rounds = place->quick ? 5 : 31;
    struct memory memory = {.sum = 0};
    struct contestant all[COUNT] = {
        [ITERATE] = {.name = "iterate", .run = run_iterate, .operations = MILLION},
        [VIEW] = {.name = "view", .run = run_view, .operations = 20000},
        [READ] = {.name = "read", .run = run_read, .operations = 5000},
        [COPY] = {.name = "memcpy + CRC", .run = run_copy, .operations = 5000},
        [GET] = {.name = "get", .run = run_get, .operations = 20000},
    };

    for (int i = 0; i < COUNT; i++)
        all[i].context = &memory;
    memory_open(&memory, place);
    measure(all, COUNT, rounds);
    report("iterate 1 million pages, million pages a second",
           1000 / median_ns(&all[ITERATE], rounds), "M/s", AT_LEAST, 100);
    report("view and release of a protected page", median_ns(&all[VIEW], rounds), "ns", AT_MOST,
           50);
    report("read of a protected page, time / (memcpy + CRC)",
           times_faster(&all[COPY], &all[READ], rounds), "x", AT_MOST, 1);
    report_note("%.0f ns, against %.0f ns", median_ns(&all[READ], rounds),
                median_ns(&all[COPY], rounds));
    report("pointer to a regular page", median_ns(&all[GET], rounds), "ns", NO_TARGET, 0);
    forget(memory.pager, memory.path);
    free(memory.copies);
    for (int i = 0; i < COUNT; i++)
        free(all[i].ns);
}
