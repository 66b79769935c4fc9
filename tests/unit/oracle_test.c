/* SPDX-License-Identifier: MIT */
/*
 * Random operations, each answered as the oracle says: every result code, every id that is given
 * out, every content, with several transactions, writers and views open at once.
 *
 *     MPG_ORACLE_SEEDS   how many seeds for each format with small pages (default 200)
 *     MPG_ORACLE_SEED    run only this seed (a failure prints it)
 */
#include <inttypes.h>
#include <stdio.h>

#include "support/harness.h"
#include "unit/oracle.h"

#define DEFAULT_SEEDS 200

struct kind {
    uint32_t page_size;
    unsigned flags;
    unsigned divide;    /* so much fewer seeds */
    unsigned steps;     /* operations of one seed */
    uint64_t capacity;  /* pages the disk can hold */
    uint64_t most_live; /* regular pages at once */
};

static const struct kind kinds[] = {
    {1024, 0, 1, 600, 9000, 400},     {1024, MPG_DEFER_ALLOCATION, 1, 600, 9000, 400},
    {4096, 0, 2, 600, 20000, 400},    {4096, MPG_DEFER_ALLOCATION | MPG_SPARSE, 4, 600, 9000, 300},
    {65536, 0, 30, 300, 1200, 150},   {65536, MPG_DEFER_ALLOCATION, 30, 300, 1200, 150},
    {1 << 20, 0, 150, 100, 300, 100},
};

static bool run(const struct kind *kind, int format, uint64_t seed)
{
    mpg_options options = MPG_OPTIONS_INIT;
    struct oracle oracle;
    bool fine;

    options.page_size = kind->page_size;
    options.format = format;
    options.flags = kind->flags;
    options.address_space = kind->capacity * kind->page_size;
    oracle_begin(&oracle, &options, kind->capacity, kind->most_live, seed);
    for (unsigned i = 0; i < kind->steps && !oracle.failed; i++) {
        switch (oracle_any(&oracle, 3)) {
        case 0:
            oracle_do_pages(&oracle);
            break;
        case 1:
            oracle_do_guarded(&oracle);
            break;
        default:
            oracle_do_txn(&oracle);
            break;
        }
        if (oracle_once_in(&oracle, 12) && !oracle.failed)
            oracle_do_snapshot(&oracle);
        if (!oracle.failed)
            oracle_count(&oracle);
        if (i % 64 == 63 && !oracle.failed)
            oracle_verify(&oracle);
        if (oracle_once_in(&oracle, 100) && !oracle.failed)
            oracle_reopen(&oracle);
    }
    if (!oracle.failed)
        oracle_reopen(&oracle);
    if (!oracle.failed)
        oracle_verify(&oracle);
    fine = !oracle.failed;
    if (!fine)
        printf("FAILED: format %s, pages of %u bytes, flags %u, MPG_ORACLE_SEED=%" PRIu64 ": %s\n",
               format == MPG_FORMAT_1 ? "1" : "0.2", (unsigned)kind->page_size, kind->flags, seed,
               oracle.why);
    oracle_end(&oracle);
    return fine;
}

int main(void)
{
    static const int formats[] = {MPG_FORMAT_0_2, MPG_FORMAT_1};
    uint64_t seeds = setting("MPG_ORACLE_SEEDS", DEFAULT_SEEDS);
    uint64_t only = setting("MPG_ORACLE_SEED", 0);
    bool fine = true;

    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        uint64_t count = seeds / kinds[k].divide + 1;

        for (size_t f = 0; f < 2; f++) {
            bool good = true;

            if (only)
                good = run(&kinds[k], formats[f], only);
            for (uint64_t seed = 1; seed <= count && good && !only; seed++)
                good = run(&kinds[k], formats[f], seed);
            fine = fine && good;
        }
        printf("pages of %7u bytes, flags %u: %" PRIu64 " seeds for each format\n",
               (unsigned)kinds[k].page_size, kinds[k].flags, only ? 1 : count);
    }
    return fine ? 0 : 1;
}
