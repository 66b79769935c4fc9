/* SPDX-License-Identifier: MIT */
#include "crash/scenarios.h"

#include <stdio.h>
#include <string.h>

#include "crash/scenario_work.h"

#define DEFAULT_CAPACITY (1u << 20)
#define MIB (UINT32_C(1) << 20)

const struct scenario scenarios[] = {
    {.name = "replacing", .run = work_replacing, .page_size = 1024, .format = MPG_FORMAT_1},
    {.name = "replacing pages of 8 KiB",
     .run = work_replacing,
     .page_size = 8192,
     .format = MPG_FORMAT_1},
    {.name = "replacing in transactions",
     .run = work_replacing_in_transactions,
     .page_size = 1024,
     .format = MPG_FORMAT_1},
    {.name = "replacing many",
     .run = work_replacing_many,
     .page_size = 1024,
     .format = MPG_FORMAT_1},
    {.name = "replacing when full",
     .run = work_replacing_when_full,
     .page_size = 1024,
     .format = MPG_FORMAT_1},
    {.name = "replacing, deferred",
     .run = work_replacing,
     .page_size = 1024,
     .flags = MPG_DEFER_ALLOCATION,
     .format = MPG_FORMAT_1},
    {.name = "regular pages", .run = work_regular_pages, .page_size = 1024},
    {.name = "regular pages of 4 KiB", .run = work_regular_pages, .page_size = 4096},
    {.name = "regular pages of 8 KiB", .run = work_regular_pages, .page_size = 8192},
    {.name = "protected pages", .run = work_protected_pages, .page_size = 1024},
    {.name = "protected pages of 2 KiB", .run = work_protected_pages, .page_size = 2048},
    {.name = "protected pages of 8 KiB", .run = work_protected_pages, .page_size = 8192},
    {.name = "bulk", .run = work_bulk, .page_size = 1024},
    {.name = "trimming",
     .run = work_trimming,
     .page_size = 4096,
     .initial_pages = 240,
     .capacity = 2 * MIB},
    {.name = "trimming of 1 KiB", .run = work_trimming, .page_size = 1024, .initial_pages = 260},
    {.name = "labelling", .run = work_labelling, .page_size = 1024, .format = MPG_FORMAT_1},
    {.name = "labelling of 4 KiB",
     .run = work_labelling,
     .page_size = 4096,
     .format = MPG_FORMAT_1},
    {.name = "discarding", .run = work_discarding, .page_size = 4096, .flags = MPG_DISCARD},
    {.name = "discarding of 1 KiB",
     .run = work_discarding,
     .page_size = 1024,
     .flags = MPG_DISCARD},
    {.name = "compacting", .run = work_compacting, .page_size = 1024, .initial_pages = 240},
    {.name = "compacting of 4 KiB",
     .run = work_compacting,
     .page_size = 4096,
     .initial_pages = 240,
     .capacity = 2 * MIB,
     .format = MPG_FORMAT_1},
    {.name = "renumbering", .run = work_renumbering, .page_size = 1024, .initial_pages = 100},
    {.name = "compacting trees",
     .run = work_compacting_trees,
     .page_size = 1024,
     .capacity = 8 * MIB,
     .format = MPG_FORMAT_1},
    {.name = "reopening", .run = work_reopening, .page_size = 1024},
    {.name = "snapshots", .run = work_snapshots, .page_size = 1024, .format = MPG_FORMAT_1},
    {.name = "snapshots in a small file",
     .run = work_snapshots,
     .page_size = 1024,
     .initial_pages = 30,
     .format = MPG_FORMAT_1},
    {.name = "transactions", .run = work_transactions, .page_size = 1024},
    {.name = "transactions of 4 KiB", .run = work_transactions, .page_size = 4096},
    {.name = "reuse in a batch", .run = work_reuse_in_a_batch, .page_size = 1024},
    {.name = "deferred", .run = work_deferred, .page_size = 1024, .flags = MPG_DEFER_ALLOCATION},
    {.name = "hundred operations", .run = work_hundred_operations, .page_size = 1024},
    {.name = "growth", .run = work_growth, .page_size = 1024, .capacity = 2 * MIB},
    {.name = "sparse growth",
     .run = work_growth,
     .page_size = 1024,
     .capacity = 2 * MIB,
     .flags = MPG_SPARSE},
    {.name = "directory growth", .run = work_directory_growth, .page_size = 1024},
    {.name = "directory growth of 8 KiB",
     .run = work_directory_growth,
     .page_size = 8192,
     .capacity = 4 * MIB},
    {.name = "directory height",
     .run = work_directory_height,
     .page_size = 1024,
     .format = MPG_FORMAT_1},
    {.name = "directory height above changed leaves",
     .run = work_directory_height_later,
     .page_size = 1024,
     .format = MPG_FORMAT_1},
    {.name = "space height",
     .run = work_space_height,
     .page_size = 1024,
     .capacity = 16 * MIB,
     .format = MPG_FORMAT_1,
     .is_large = true},
    {.name = "space height by contents",
     .run = work_space_height_by_contents,
     .page_size = 1024,
     .capacity = 4 * MIB,
     .format = MPG_FORMAT_1,
     .is_large = true},
    {.name = "space height 2",
     .run = work_space_height_2,
     .page_size = 1024,
     .capacity = 96 * MIB,
     .format = MPG_FORMAT_1,
     .is_large = true},
    {.name = "full",
     .run = work_full,
     .page_size = 1024,
     .capacity = 16 * MIB,
     .format = MPG_FORMAT_0_2,
     .is_large = true},
    {.name = "failing writes", .run = work_failing_writes, .page_size = 1024},
    {.name = "records in vain",
     .run = work_records_in_vain,
     .page_size = 1024,
     .initial_pages = 300,
     .format = MPG_FORMAT_1},
    {.name = "zeros of a failed commit",
     .run = work_zeros_of_a_failed_commit,
     .page_size = 1024,
     .capacity = 4 * MIB},
    {.name = "zeros given on within a batch",
     .run = work_zeros_given_on,
     .page_size = 1024,
     .initial_pages = 60,
     .flags = MPG_DEFER_ALLOCATION},
    {.name = "failing sync at closing",
     .run = work_failing_close,
     .page_size = 1024,
     .format = MPG_FORMAT_1,
     .fails = 2},
    {.name = "failing sync of a protected write",
     .run = work_failing_protected_write,
     .page_size = 1024,
     .fails = 1},
    {.name = "failing second sync of a protected write",
     .run = work_failing_protected_write,
     .page_size = 1024,
     .fails = 2},
    {.name = "failing sync of a transaction",
     .run = work_failing_transaction,
     .page_size = 1024,
     .fails = 1},
    {.name = "failing second sync of a transaction",
     .run = work_failing_transaction,
     .page_size = 1024,
     .fails = 2},
    {.name = "failing sync of an ordered transaction",
     .run = work_failing_ordered,
     .page_size = 1024,
     .fails = 1},
    {.name = "failing second sync of an ordered transaction",
     .run = work_failing_ordered,
     .page_size = 1024,
     .fails = 2},
    {.name = "failing sync of zeros", .run = work_failing_zeros, .page_size = 1024, .fails = 1},
    {.name = "failing sync 2 of a compaction",
     .run = work_failing_compaction,
     .page_size = 1024,
     .initial_pages = 200,
     .fails = 2},
    {.name = "failing sync 3 of a compaction",
     .run = work_failing_compaction,
     .page_size = 1024,
     .initial_pages = 200,
     .fails = 3},
    {.name = "failing sync 4 of a compaction",
     .run = work_failing_compaction,
     .page_size = 1024,
     .initial_pages = 200,
     .fails = 4},
    {.name = "failing sync 5 of a compaction",
     .run = work_failing_compaction,
     .page_size = 1024,
     .initial_pages = 200,
     .fails = 5},
    {.name = "failing sync of a replacement",
     .run = work_failing_replacement,
     .page_size = 1024,
     .format = MPG_FORMAT_1,
     .fails = 1},
    {.name = "failing second sync of a replacement",
     .run = work_failing_replacement,
     .page_size = 1024,
     .format = MPG_FORMAT_1,
     .fails = 2},
    {.name = "failing sync of replacements in a transaction",
     .run = work_failing_replacements,
     .page_size = 1024,
     .format = MPG_FORMAT_1,
     .fails = 1},
    {.name = "failing second sync of replacements in a transaction",
     .run = work_failing_replacements,
     .page_size = 1024,
     .format = MPG_FORMAT_1,
     .fails = 2},
    {.name = "failing sync of content",
     .run = work_failing_sync_of_content,
     .page_size = 1024,
     .fails = 1},
    {.name = "failing second sync of content",
     .run = work_failing_sync_of_content,
     .page_size = 1024,
     .fails = 2},
};
const size_t scenario_count = sizeof(scenarios) / sizeof(scenarios[0]);

const struct scenario random_scenario = {
    .name = "anything", .run = work_anything, .page_size = 1024};

bool scenario_run(struct outcome *outcome, const struct scenario *scenario, int format,
                  const struct explorer_limits *limits, uint64_t seed)
{
    size_t capacity = scenario->capacity ? scenario->capacity : DEFAULT_CAPACITY;
    mpg_options options = MPG_OPTIONS_INIT;
    struct explorer explorer;
    struct memory_disk disk;
    struct actor actor;

    options.page_size = scenario->page_size;
    options.format = format;
    options.flags = scenario->flags;
    options.initial_pages = scenario->initial_pages;
    options.address_space = capacity;
    pool_init(scenario->page_size);
    memory_disk_init(&disk, capacity);
    actor_init(&actor, &disk, &options, seed);
    explorer_init(&explorer, &options, capacity, limits, seed + 1);
    explorer.scenario = scenario->name;
    explorer_watch(&explorer, &actor);

    work_let_sync_fail(scenario->fails);
    actor_create(&actor);
    scenario->run(&actor);
    if (!actor.ended)
        actor_verify(&actor);

    memset(outcome, 0, sizeof(*outcome));
    outcome->counts = explorer.counts;
    outcome->failed = explorer.failed || actor.failed || (scenario->fails && !actor.ended);
    if (explorer.failed)
        snprintf(outcome->why, sizeof(outcome->why), "%s", explorer.why);
    else if (outcome->failed)
        snprintf(outcome->why, sizeof(outcome->why), "%s: %s", scenario->name,
                 actor.failed ? actor.why : "the sync that was to fail was never called");
    /* Closing may still write; nobody looks any more. */
    memory_disk_record(&disk, NULL);
    explorer_end(&explorer);
    actor_end(&actor);
    memory_disk_destroy(&disk);
    return !outcome->failed;
}
