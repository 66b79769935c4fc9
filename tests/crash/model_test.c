/* SPDX-License-Identifier: MIT */
/*
 * Random operations against a plain model of what must come of them, in both formats and many page
 * sizes, on a disk in memory. The file is closed and opened in between.
 *
 *     MPG_MODEL_SEEDS   how many seeds for each format with small pages (default 1500)
 *     MPG_MODEL_SEED    run only this seed (a failure prints it)
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "crash/model.h"
#include "support/harness.h"

#define DEFAULT_SEEDS 1500

static struct actor actor;

static bool run(const struct model_kind *kind, int format, uint64_t seed)
{
    struct memory_disk disk;
    bool fine;

    model_begin(&actor, &disk, kind, format, seed);
    actor_create(&actor);
    for (unsigned i = 0; i < kind->steps && !actor.failed; i++) {
        model_step(&actor);
        if (i % 16 == 15)
            actor_verify(&actor);
    }
    actor_sync(&actor);
    actor_reopen(&actor);
    actor_verify(&actor);
    fine = !actor.failed;
    if (!fine)
        printf("FAILED: format %s, pages of %u bytes, flags %u, MPG_MODEL_SEED=%" PRIu64 ": %s\n",
               format == MPG_FORMAT_1 ? "1" : "0.2", (unsigned)kind->page_size, kind->flags, seed,
               actor.why);
    actor_end(&actor);
    memory_disk_destroy(&disk);
    return fine;
}

int main(void)
{
    static const int formats[] = {MPG_FORMAT_0_2, MPG_FORMAT_1};
    uint64_t seeds = setting("MPG_MODEL_SEEDS", DEFAULT_SEEDS);
    uint64_t only = setting("MPG_MODEL_SEED", 0);
    bool fine = true;

    for (size_t k = 0; k < MODEL_KINDS; k++) {
        uint64_t count = seeds / model_kinds[k].divide + 1;

        for (size_t f = 0; f < 2 && fine; f++) {
            if (only)
                fine = run(&model_kinds[k], formats[f], only);
            for (uint64_t seed = 1; seed <= count && fine && !only; seed++)
                fine = run(&model_kinds[k], formats[f], seed);
        }
        printf("pages of %7u bytes, flags %u: %" PRIu64 " seeds for each format\n",
               (unsigned)model_kinds[k].page_size, model_kinds[k].flags, only ? 1 : count);
    }
    pool_free();
    return fine ? 0 : 1;
}
