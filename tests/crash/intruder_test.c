/* SPDX-License-Identifier: MIT */
/*
 * Rounds of somebody else who changes the file under a pager, in both formats.
 *
 *     MPG_INTRUDER_ROUNDS   how many in each (default 300)
 *     MPG_CRASH_SEED        the first seed; printed when a round fails
 */
#include <inttypes.h>
#include <stdio.h>

#include "crash/intruder.h"
#include "crash/state.h"
#include "support/harness.h"

#define DEFAULT_ROUNDS 300

static bool run(int format, const char *name, uint64_t rounds, uint64_t seed)
{
    char why[300];

    for (uint64_t i = 0; i < rounds; i++)
        if (!intruder_run(format, seed + i, why, sizeof(why))) {
            printf("FAILED, format %s, seed %" PRIu64 ": %s\n", name, seed + i, why);
            return false;
        }
    printf("format %s: %" PRIu64 " rounds\n", name, rounds);
    return true;
}

int main(void)
{
    uint64_t rounds = setting("MPG_INTRUDER_ROUNDS", DEFAULT_ROUNDS);
    uint64_t seed = setting("MPG_CRASH_SEED", 1);
    bool fine = run(MPG_FORMAT_0_2, "0.2", rounds, seed);

    fine &= run(MPG_FORMAT_1, "1", rounds, seed);
    pool_free();
    return fine ? 0 : 1;
}
