/* SPDX-License-Identifier: MIT */
/*
 * Is the crash explorer able to fail? The library is built here with a switch that takes out one
 * rule of durability at a time, and each time the explorer must find a crash that shows why the
 * rule is there. With all rules in place the same scenarios pass.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rules.h"
#include "crash/chain_promises.h"
#include "crash/intruder.h"
#include "crash/promises.h"
#include "crash/scenarios.h"

int mpgi_broken_rule;

/* How many seeds are tried before a rule counts as not needed. */
#define MOST_SEEDS 30

static const struct explorer_limits limits = {
    .levels = 3,
    .samples = 6,
    .nested = 8,
    .follow_one_in = 100,
    .die_one_in = 8,
    .work_one_in = 6,
    .failures = 10,
    .fail_one_in = 6,
    .spoiled = 10,
    .most_images = UINT64_MAX,
};

/* Where a broken rule is likely to show: the others come after it. */
static size_t first_scenario(int rule)
{
    static const struct {
        int rule;
        const char *name;
    } known[] = {
        {2, "deferred"},
        {3, "deferred"},
        {7, "failing writes"},
        {RULE_5_ZEROS, "failing sync of zeros"},
        {RULE_1_RECOVERY, "directory growth"},
        {RULE_ANNUL, "records in vain"},
        {RULE_ANNUL_SYNC, "records in vain"},
        {RULE_EARLIER_ARE_NOT, "protected pages"},
        {RULE_FOLLOWED_ROOT_IS_NOT, "protected pages"},
        {RULE_NEW_EPOCH, "regular pages of 8 KiB"},
        {RULE_COMPACT_CONTENTS, "compacting"},
        {RULE_COMPACT_ROOT, "compacting"},
        {RULE_REDO_AGAIN, "failing sync of a replacement"},
    };
    const char *name = "";

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].rule == rule)
            name = known[i].name;
    for (size_t i = 0; i < scenario_count; i++)
        if (strcmp(scenarios[i].name, name) == 0)
            return i;
    return 0;
}

/* A failing sync is what these are about, and long for the others. */
static bool is_about_failures(int rule)
{
    return rule == 6 || rule == RULE_6_AGAIN || rule == RULE_5_ZEROS || rule == RULE_REDO_AGAIN;
}

/* Breaks a rule. Returns whether a scenario fails, and prints which. */
static bool is_caught(int rule, int format, uint64_t seed)
{
    static struct outcome outcome;
    uint64_t images = 0;
    bool fine = true;

    mpgi_broken_rule = rule;
    for (size_t i = 0; i < scenario_count && fine; i++) {
        size_t index = (first_scenario(rule) + i) % scenario_count;
        const struct scenario *scenario = &scenarios[index];

        if (scenario->is_large ||
            (rule != 0 && is_about_failures(rule) != (scenario->fails != 0)) ||
            (scenario->format != 0 && scenario->format != format))
            continue;
        fine = scenario_run(&outcome, scenario, format, &limits, seed + index);
        images += outcome.counts.images;
    }
    mpgi_broken_rule = 0;
    if (!fine)
        print_message("rule %d, format %s: caught after %" PRIu64 " images: %s\n", rule,
                      format == MPG_FORMAT_1 ? "1" : "0.2", images, outcome.why);
    return !fine;
}

/*
 * Those that show in one image of hundreds of thousands are for the long form. A build that is many
 * times as slow leaves the search to others: it has crash_test.
 */
static bool is_rare(int rule)
{
#ifdef __SANITIZE_ADDRESS__
    (void)rule;
    return true;
#else
    return getenv("MPG_TEST_SECONDS") == NULL && rule == RULE_1_RECOVERY;
#endif
}

static void needs(int rule, int format)
{
    if (is_rare(rule))
        skip();
    for (uint64_t seed = 1; seed <= MOST_SEEDS; seed++)
        if (is_caught(rule, format, 1000 * seed))
            return;
    fail_msg("nothing goes wrong without rule %d in format %s", rule,
             format == MPG_FORMAT_1 ? "1" : "0.2");
}

static void all_rules_are_enough(void **state)
{
    (void)state;
    if (is_rare(0))
        skip();
    assert_false(is_caught(0, MPG_FORMAT_1, 1));
    assert_false(is_caught(0, MPG_FORMAT_0_2, 1));
}

/* Holds with all rules, in both formats, and in neither without this one. */
static void is_kept_by(int rule, bool (*promise)(int format, char *why, size_t size))
{
    static const int formats[] = {MPG_FORMAT_1, MPG_FORMAT_0_2};
    char why[600];

    for (size_t i = 0; i < 2; i++) {
        bool caught;

        if (!promise(formats[i], why, sizeof(why)))
            fail_msg("with all rules, format %s: %s", formats[i] == MPG_FORMAT_1 ? "1" : "0.2",
                     why);
        mpgi_broken_rule = rule;
        caught = !promise(formats[i], why, sizeof(why));
        mpgi_broken_rule = 0;
        if (!caught)
            fail_msg("nothing goes wrong without rule %d in format %s", rule,
                     formats[i] == MPG_FORMAT_1 ? "1" : "0.2");
        print_message("rule %d, format %s: caught: %s\n", rule,
                      formats[i] == MPG_FORMAT_1 ? "1" : "0.2", why);
    }
}

static void somebody_elses_file_is_left_alone(void **state)
{
    (void)state;
    is_kept_by(12, intruder_run_some);
}

static void a_full_disk_is_no_failed_sync(void **state)
{
    (void)state;
    is_kept_by(13, promise_full_disk);
}

static void a_page_given_out_has_space_behind_it(void **state)
{
    (void)state;
    is_kept_by(14, promise_space);
}

static void a_file_appears_whole_or_not_at_all(void **state)
{
    (void)state;
    is_kept_by(15, promise_whole_file);
}

/* Holds with all rules in format 1, and not without this one. */
static void is_kept_in_format_1(int rule, bool (*promise)(char *why, size_t size))
{
    char why[600] = "";
    bool caught;

    if (!promise(why, sizeof(why)))
        fail_msg("with all rules: %s", why);
    mpgi_broken_rule = rule;
    caught = !promise(why, sizeof(why));
    mpgi_broken_rule = 0;
    if (!caught)
        fail_msg("nothing goes wrong without rule %d in format 1", rule);
    print_message("rule %d, format 1: caught: %s\n", rule, why);
}

#define KEPT(rule, promise, name)                                                                  \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        is_kept_in_format_1(rule, promise);                                                        \
    }

KEPT(RULE_RECORD_CRC, promise_parts, format_1_checks_records)
KEPT(RULE_PART_CRC, promise_parts, format_1_checks_continuations)
KEPT(RULE_CHECKPOINT_SYNC, promise_fold, format_1_syncs_nodes_before_it_folds)
KEPT(RULE_CLOSE_FOLDS, promise_closed, format_1_folds_when_it_is_closed)
KEPT(RULE_CLEAN_OPENING, promise_clean_opening, format_1_leaves_no_older_root_with_a_chain)
KEPT(RULE_OLD_CHAIN_RESTS, promise_old_chain, format_1_rests_the_chain_before)
KEPT(RULE_POOL, promise_pool, format_1_keeps_a_pool)
KEPT(RULE_POOL_FREES, promise_pool_frees, format_1_does_not_count_what_a_batch_frees)
KEPT(RULE_PINS, promise_pins, format_1_leaves_alone_what_is_viewed)
KEPT(RULE_READ_ROOTS_AGAIN, promise_reader, a_reader_reads_the_roots_again)
KEPT(RULE_LOOK_AGAIN, promise_reader_of_full_file, a_reader_looks_for_a_successor)
KEPT(RULE_IDENTITY, promise_identity, a_reader_knows_a_state_by_its_checksum)

#define NEEDS(rule, format, name)                                                                  \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        needs(rule, format);                                                                       \
    }

NEEDS(1, MPG_FORMAT_1, format_1_syncs_at_open)
NEEDS(RULE_1_RECOVERY, MPG_FORMAT_1, format_1_syncs_before_it_recovers)
NEEDS(2, MPG_FORMAT_1, format_1_rests_freed_pages)
NEEDS(3, MPG_FORMAT_1, format_1_commits_one_batch_at_a_time)
NEEDS(4, MPG_FORMAT_1, format_1_verifies_what_a_root_wrote)
NEEDS(5, MPG_FORMAT_1, format_1_orders_contents_before_the_root)
NEEDS(6, MPG_FORMAT_1, format_1_never_retries_a_failed_sync)
NEEDS(RULE_5_ZEROS, MPG_FORMAT_1, format_1_trusts_no_zeros_in_the_cache)
NEEDS(RULE_6_AGAIN, MPG_FORMAT_1, format_1_writes_the_last_commit_again)
NEEDS(7, MPG_FORMAT_1, format_1_chooses_the_root_slot_by_position)
NEEDS(9, MPG_FORMAT_1, format_1_grows_the_file_first)
NEEDS(RULE_LAST_IS_VERIFIED, MPG_FORMAT_1, format_1_verifies_what_the_last_record_names)
NEEDS(RULE_ROOT_IS_VERIFIED, MPG_FORMAT_1, format_1_verifies_a_root_that_no_sync_came_before)
NEEDS(RULE_RECORDS_REST, MPG_FORMAT_1, format_1_rests_records)
NEEDS(RULE_PLACES_REST, MPG_FORMAT_1, format_1_rests_named_places)
NEEDS(RULE_NEW_EPOCH, MPG_FORMAT_1, format_1_begins_a_new_chain_after_a_crash)
NEEDS(RULE_ANNUL, MPG_FORMAT_1, format_1_takes_back_a_record_whose_writing_failed)
NEEDS(RULE_ANNUL_SYNC, MPG_FORMAT_1, format_1_takes_back_a_record_for_good)
NEEDS(RULE_GAP_IS_DAMAGE, MPG_FORMAT_1, format_1_takes_a_gap_for_damage)
NEEDS(RULE_SECOND_ROOT, MPG_FORMAT_1, format_1_writes_a_root_twice)
NEEDS(RULE_TWO_AHEAD, MPG_FORMAT_1, format_1_names_places_two_ahead)
NEEDS(RULE_EPOCH, MPG_FORMAT_1, format_1_follows_one_chain)
NEEDS(RULE_EARLIER_ARE_NOT, MPG_FORMAT_1, format_1_does_not_doubt_earlier_records)
NEEDS(RULE_FOLLOWED_ROOT_IS_NOT, MPG_FORMAT_1, format_1_does_not_doubt_a_root_that_is_followed)
NEEDS(RULE_REDO, MPG_FORMAT_1, format_1_puts_a_content_where_a_crash_kept_it_from_going)
NEEDS(RULE_REDO_SYNC, MPG_FORMAT_1, format_1_syncs_a_new_content_before_it_is_marked)
NEEDS(RULE_REDO_MARK, MPG_FORMAT_1, format_1_marks_a_new_content)
NEEDS(RULE_REDO_RESTS, MPG_FORMAT_1, format_1_rests_the_page_beside)
NEEDS(RULE_REDO_LATE, MPG_FORMAT_1, format_1_touches_a_page_only_behind_its_record)
NEEDS(RULE_REDO_AGAIN, MPG_FORMAT_1, format_1_writes_a_record_again_before_its_redo)
NEEDS(RULE_COMPACT_CONTENTS, MPG_FORMAT_1, format_1_syncs_what_moved)
NEEDS(RULE_COMPACT_ROOT, MPG_FORMAT_1, format_1_syncs_the_root_of_a_shorter_file)
NEEDS(RULE_COMPACT_CONTENTS, MPG_FORMAT_0_2, format_0_2_syncs_what_moved)
NEEDS(RULE_COMPACT_ROOT, MPG_FORMAT_0_2, format_0_2_syncs_each_step_of_compaction)
NEEDS(1, MPG_FORMAT_0_2, format_0_2_syncs_at_open)
NEEDS(2, MPG_FORMAT_0_2, format_0_2_rests_freed_pages)
NEEDS(3, MPG_FORMAT_0_2, format_0_2_commits_one_batch_at_a_time)
NEEDS(5, MPG_FORMAT_0_2, format_0_2_orders_everything_before_page_0)
NEEDS(6, MPG_FORMAT_0_2, format_0_2_never_retries_a_failed_sync)
NEEDS(RULE_5_ZEROS, MPG_FORMAT_0_2, format_0_2_trusts_no_zeros_in_the_cache)
NEEDS(RULE_6_AGAIN, MPG_FORMAT_0_2, format_0_2_writes_page_0_again)
NEEDS(9, MPG_FORMAT_0_2, format_0_2_grows_the_file_first)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_rules_are_enough),
        cmocka_unit_test(format_1_syncs_at_open),
        cmocka_unit_test(format_1_syncs_before_it_recovers),
        cmocka_unit_test(format_1_rests_freed_pages),
        cmocka_unit_test(format_1_commits_one_batch_at_a_time),
        cmocka_unit_test(format_1_verifies_what_a_root_wrote),
        cmocka_unit_test(format_1_orders_contents_before_the_root),
        cmocka_unit_test(format_1_never_retries_a_failed_sync),
        cmocka_unit_test(format_1_trusts_no_zeros_in_the_cache),
        cmocka_unit_test(format_1_writes_the_last_commit_again),
        cmocka_unit_test(format_1_chooses_the_root_slot_by_position),
        cmocka_unit_test(format_1_grows_the_file_first),
        cmocka_unit_test(format_1_verifies_what_the_last_record_names),
        cmocka_unit_test(format_1_verifies_a_root_that_no_sync_came_before),
        cmocka_unit_test(format_1_rests_records),
        cmocka_unit_test(format_1_rests_named_places),
        cmocka_unit_test(format_1_begins_a_new_chain_after_a_crash),
        cmocka_unit_test(format_1_takes_back_a_record_whose_writing_failed),
        cmocka_unit_test(format_1_takes_back_a_record_for_good),
        cmocka_unit_test(format_1_takes_a_gap_for_damage),
        cmocka_unit_test(format_1_writes_a_root_twice),
        cmocka_unit_test(format_1_names_places_two_ahead),
        cmocka_unit_test(format_1_checks_records),
        cmocka_unit_test(format_1_checks_continuations),
        cmocka_unit_test(format_1_syncs_nodes_before_it_folds),
        cmocka_unit_test(format_1_folds_when_it_is_closed),
        cmocka_unit_test(format_1_leaves_no_older_root_with_a_chain),
        cmocka_unit_test(format_1_rests_the_chain_before),
        cmocka_unit_test(format_1_keeps_a_pool),
        cmocka_unit_test(format_1_does_not_count_what_a_batch_frees),
        cmocka_unit_test(format_1_leaves_alone_what_is_viewed),
        cmocka_unit_test(a_reader_reads_the_roots_again),
        cmocka_unit_test(a_reader_looks_for_a_successor),
        cmocka_unit_test(a_reader_knows_a_state_by_its_checksum),
        cmocka_unit_test(format_1_follows_one_chain),
        cmocka_unit_test(format_1_does_not_doubt_earlier_records),
        cmocka_unit_test(format_1_does_not_doubt_a_root_that_is_followed),
        cmocka_unit_test(format_1_puts_a_content_where_a_crash_kept_it_from_going),
        cmocka_unit_test(format_1_syncs_a_new_content_before_it_is_marked),
        cmocka_unit_test(format_1_marks_a_new_content),
        cmocka_unit_test(format_1_rests_the_page_beside),
        cmocka_unit_test(format_1_touches_a_page_only_behind_its_record),
        cmocka_unit_test(format_1_writes_a_record_again_before_its_redo),
        cmocka_unit_test(format_1_syncs_what_moved),
        cmocka_unit_test(format_1_syncs_the_root_of_a_shorter_file),
        cmocka_unit_test(format_0_2_syncs_what_moved),
        cmocka_unit_test(format_0_2_syncs_each_step_of_compaction),
        cmocka_unit_test(format_0_2_syncs_at_open),
        cmocka_unit_test(format_0_2_rests_freed_pages),
        cmocka_unit_test(format_0_2_commits_one_batch_at_a_time),
        cmocka_unit_test(format_0_2_orders_everything_before_page_0),
        cmocka_unit_test(format_0_2_never_retries_a_failed_sync),
        cmocka_unit_test(format_0_2_trusts_no_zeros_in_the_cache),
        cmocka_unit_test(format_0_2_writes_page_0_again),
        cmocka_unit_test(format_0_2_grows_the_file_first),
        cmocka_unit_test(somebody_elses_file_is_left_alone),
        cmocka_unit_test(a_full_disk_is_no_failed_sync),
        cmocka_unit_test(a_page_given_out_has_space_behind_it),
        cmocka_unit_test(a_file_appears_whole_or_not_at_all),
    };

    return cmocka_run_group_tests_name("rules of durability", tests, NULL, NULL);
}
