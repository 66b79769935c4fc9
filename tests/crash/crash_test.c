/* SPDX-License-Identifier: MIT */
/*
 * Explores every scenario in both formats, then random ones, until enough images were opened.
 *
 *     MPG_CRASH_IMAGES     how many images at least (default 120,000, some of random work)
 *     MPG_CRASH_SEED       the seed; printed, so that a run can be repeated
 *     MPG_CRASH_SCENARIO   only scenarios whose name contains this
 *     MPG_CRASH_FORMAT     only this format: 1 or 0.2
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "crash/scenarios.h"
#include "support/harness.h"

#define DEFAULT_IMAGES 120000
#define RANDOM_ROUNDS 12 /* at least */

/*
 * Of each moment of a scenario, in the short form. Sanitizers look at the code, not at what was
 * lost.
 */
#ifdef __SANITIZE_ADDRESS__
#define SAMPLES 2
#define NESTED 1
#else
#define SAMPLES 5
#define NESTED 3
#endif
#define DEFAULT_SEED 1

static struct explorer_counts total;

static void add_counts(struct explorer_counts *sum, const struct explorer_counts *counts)
{
    sum->images += counts->images;
    sum->older += counts->older;
    sum->newer += counts->newer;
    sum->followed += counts->followed;
    sum->died += counts->died;
    sum->not_there += counts->not_there;
    sum->index_lost += counts->index_lost;
    sum->spoiled += counts->spoiled;
    sum->reported += counts->reported;
    sum->fallen_back += counts->fallen_back;
}

static void print_counts(const char *name, const char *format, const struct explorer_counts *counts)
{
    printf("%-46s %-4s %8" PRIu64 " images: %8" PRIu64 " older, %8" PRIu64 " newer, %6" PRIu64
           " followed, %6" PRIu64 " deaths, %5" PRIu64 " not there yet, %4" PRIu64
           " index lost; %6" PRIu64 " spoiled: %6" PRIu64 " reported, %4" PRIu64 " fallen back\n",
           name, format, counts->images, counts->older, counts->newer, counts->followed,
           counts->died, counts->not_there, counts->index_lost, counts->spoiled, counts->reported,
           counts->fallen_back);
    fflush(stdout);
}

static const char *format_name(int format)
{
    return format == MPG_FORMAT_1 ? "1" : "0.2";
}

static bool is_chosen(const char *name, int format)
{
    const char *wanted = getenv("MPG_CRASH_SCENARIO");
    const char *wanted_format = getenv("MPG_CRASH_FORMAT");

    return (!wanted || strstr(name, wanted)) &&
           (!wanted_format || strcmp(wanted_format, format_name(format)) == 0);
}

static bool run(const struct scenario *scenario, int format, const struct explorer_limits *limits,
                uint64_t seed, bool print)
{
    static struct outcome outcome;
    bool fine = scenario_run(&outcome, scenario, format, limits, seed);

    add_counts(&total, &outcome.counts);
    if (print || !fine)
        print_counts(scenario->name, format_name(format), &outcome.counts);
    if (!fine)
        printf("FAILED, format %s, seed %" PRIu64 ": %s\n", format_name(format), seed, outcome.why);
    return fine;
}

/* Every scenario once. How far each goes depends on how many images are wanted in all. */
static bool run_scenarios(uint64_t images, uint64_t seed)
{
    static const int formats[] = {MPG_FORMAT_0_2, MPG_FORMAT_1};
    bool is_long = images > 1000000;
    struct explorer_limits limits = {
        .levels = 3,
        .samples = is_long ? 200 : SAMPLES,
        .nested = is_long ? 12 : NESTED,
        .follow_one_in = is_long ? 50 : 150,
        .die_one_in = is_long ? 1 : 10,
        .work_one_in = 8,
        .failures = is_long ? 50 : 6,
        .fail_one_in = 6,
        .spoiled = is_long ? 200 : 20,
        .most_images = UINT64_MAX,
    };
    bool fine = true;

    for (size_t i = 0; i < scenario_count; i++) {
        for (size_t k = 0; k < 2; k++) {
            const struct scenario *scenario = &scenarios[i];
            struct explorer_limits own = limits;

            if ((scenario->format != 0 && scenario->format != formats[k]) ||
                !is_chosen(scenario->name, formats[k]))
                continue;
            if (scenario->is_large) {
                own.levels = 2;
                own.samples = is_long ? 10 : 1;
                own.nested = 1;
                own.follow_one_in = is_long ? 100 : 2000;
                own.die_one_in = is_long ? 20 : 100;
                own.work_one_in = 50;
                own.spoiled = 0;
                own.most_images = is_long ? 20000 : 3000;
            }
            fine &= run(scenario, formats[k], &own, seed + 1000 * i, true);
        }
    }
    return fine;
}

/* Random work, some of it always, and until there are enough images or one is wrong. */
static bool run_random(uint64_t images, uint64_t seed)
{
    struct explorer_limits limits = {
        .levels = 3,
        .samples = 8,
        .nested = 8,
        .follow_one_in = 100,
        .die_one_in = 20,
        .work_one_in = 8,
        .failures = 1,
        .fail_one_in = 6,
        .spoiled = 20,
        .most_images = UINT64_MAX,
    };
    uint64_t round = 0;

    for (; total.images < images || round < RANDOM_ROUNDS; round++) {
        int format = round % 2 ? MPG_FORMAT_1 : MPG_FORMAT_0_2;

        if (!is_chosen(random_scenario.name, format)) {
            if (!is_chosen(random_scenario.name, MPG_FORMAT_1) &&
                !is_chosen(random_scenario.name, MPG_FORMAT_0_2))
                return true;
            continue;
        }
        if (!run(&random_scenario, format, &limits, seed + round, false))
            return false;
    }
    printf("%-46s      %8" PRIu64 " rounds, seeds from %" PRIu64 "\n", random_scenario.name, round,
           seed);
    return true;
}

int main(void)
{
    uint64_t images = setting("MPG_CRASH_IMAGES", DEFAULT_IMAGES);
    uint64_t seed = setting("MPG_CRASH_SEED", DEFAULT_SEED);
    bool fine;

    printf("seed %" PRIu64 "\n", seed);
    fine = run_scenarios(images, seed);
    fine &= run_random(images, seed);
    print_counts("all", "", &total);
    pool_free();
    return fine ? 0 : 1;
}
