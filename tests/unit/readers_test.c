/* SPDX-License-Identifier: MIT */
/*
 * Readers beside everything that changes what they look up without a lock.
 *
 * What is in a page says whose it is: its number and how often it was written, over and over. So a
 * view of a half-written copy shows, a pointer to what is another's by now, content that is older
 * than what was acknowledged before it was asked for, and a view that changes while it is held.
 *
 * MPG_TEST_SECONDS=n runs for so long in each format, instead of a fixed number of commits.
 *
 * The library's sources are built again for this test with the switches of base/rules.h, so that it
 * can show that it would notice if views were not looked for.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "base/rules.h"
#include "mappedpages_compact.h"
#include "mappedpages_snapshot.h"
#include "os/poison.h"
#include "support/scratch_file.h"

#define PAGE_SIZE 1024u
#define GUARDED 24u /* protected pages that are written, and two more that come and go */
#define ALL_GUARDED (GUARDED + 2)
#define REGULAR 48u
#define COMMITS 150u /* of the thread that writes, without MPG_TEST_SECONDS */
#define HELD 4u      /* views that a thread has at a time */

int mpgi_broken_rule;

/* A regular page that comes and goes: `turn` is odd while it does. */
struct coming {
    atomic_uint_least64_t turn;
    atomic_uint_least64_t id;
};

struct stage {
    const char *path;
    mpg_pager *pager;
    const mpg_pager *reader; /* another one, opened read-only */
    mpg_protected_id guarded[ALL_GUARDED];
    atomic_uint_least64_t begun[ALL_GUARDED]; /* what is, or may be, written to it */
    atomic_uint_least64_t done[ALL_GUARDED];  /* what its commit has returned for */
    struct coming regular[REGULAR];
    atomic_bool over;
    atomic_uint_least64_t looked; /* how often readers found something */
    atomic_uint_least64_t compacted, reopened;
};

struct actor {
    pthread_t thread;
    struct stage *stage;
    uint64_t random;
};

/* cmocka's assertions work in the main thread only. */
#define CHECK(condition) ((condition) ? (void)0 : give_up(__LINE__, #condition))

static _Noreturn void give_up(int line, const char *condition)
{
    mpg_error_info error;

    (void)mpg_last_error(&error);
    fprintf(stderr, "readers_test.c:%d: %s\nlast error: %d, %s\n", line, condition, error.code,
            error.message);
    abort();
}

static unsigned choose(struct actor *actor, unsigned below)
{
    actor->random = actor->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)((actor->random >> 33) % below);
}

/* ---- content ---- */

typedef atomic_uint_least64_t
    word; /* of a page that is written at its address while others read there */

static void stamp(void *data, uint64_t who, uint64_t turn)
{
    word *words = data;

    for (size_t i = 0; i < PAGE_SIZE / sizeof(*words); i += 2) {
        atomic_store_explicit(&words[i], who, memory_order_relaxed);
        atomic_store_explicit(&words[i + 1], turn, memory_order_relaxed);
    }
}

/* Whether a page is one stamp all over, of `who`, or zeros; *turn is which. */
static bool is_stamped(const void *data, uint64_t who, uint64_t *turn)
{
    const word *words = data;

    *turn = atomic_load_explicit(&words[1], memory_order_relaxed);
    for (size_t i = 0; i < PAGE_SIZE / sizeof(*words); i += 2) {
        if (atomic_load_explicit(&words[i], memory_order_relaxed) != (*turn == 0 ? 0 : who) ||
            atomic_load_explicit(&words[i + 1], memory_order_relaxed) != *turn)
            return false;
    }
    return true;
}

/* ---- those who change things ---- */

/* Writes protected pages. A view may stand in the way, in one of the formats. */
static void write_guarded(struct actor *actor, unsigned k)
{
    struct stage *stage = actor->stage;
    uint64_t turn = atomic_load(&stage->done[k]) + 1;
    unsigned char content[PAGE_SIZE];
    mpg_txn *txn;
    int result;

    stamp(content, k + 1, turn);
    CHECK(mpg_txn_begin(&txn, stage->pager) == 0);
    CHECK(mpg_txn_protected_write(txn, stage->guarded[k], content, 0, PAGE_SIZE) == 0);
    atomic_store(&stage->begun[k], turn);
    do {
        result = mpg_txn_commit(txn, 0);
        CHECK(result == 0 || result == MPG_E_BUSY);
    } while (result == MPG_E_BUSY && !atomic_load(&stage->over));
    if (result == 0)
        atomic_store(&stage->done[k], turn);
    else
        mpg_txn_abort(txn);
}

/* Takes a protected page away, and gets another one. */
static void replace_guarded(struct actor *actor, unsigned k)
{
    struct stage *stage = actor->stage;
    mpg_protected_id id = stage->guarded[k];
    const void *data;
    int result = mpg_free_protected(stage->pager, id);

    CHECK(result == 0 || result == MPG_E_BUSY);
    if (result != 0)
        return;
    CHECK(mpg_protected_view(&data, stage->pager, id) == MPG_E_NOT_ALLOCATED);
    CHECK(mpg_alloc_protected_at(stage->pager, id) == 0);
    CHECK(mpg_protected_view(&data, stage->pager, id) == 0);
    CHECK(*(const uint64_t *)data == 0);
    mpg_protected_release(stage->pager, data);
}

static void *change_guarded(void *argument)
{
    struct actor *actor = argument;

    while (!atomic_load(&actor->stage->over)) {
        unsigned k = choose(actor, ALL_GUARDED);

        if (k < GUARDED)
            write_guarded(actor, k);
        else
            replace_guarded(actor, k);
    }
    return NULL;
}

static mpg_page_id come(struct stage *stage, uint64_t turn)
{
    mpg_page_id id;
    void *data;

    CHECK(mpg_alloc(&id, stage->pager, 0) == 0);
    CHECK(mpg_page_get_mut(&data, stage->pager, id) == 0);
    stamp(data, id.value, turn);
    return id;
}

static void go(struct stage *stage, mpg_page_id id)
{
    const void *data;
    enum mpg_page_use use;
    int result;

    CHECK(mpg_free(stage->pager, id) == 0);
    result = mpg_page_get(&data, stage->pager, id);
    CHECK(result == MPG_E_NOT_ALLOCATED || result == MPG_E_NOT_REGULAR);
    CHECK(mpg_page_use(&use, stage->pager, id.value) == 0);
    CHECK(use != MPG_USE_REGULAR);
    CHECK(mpg_page_write(stage->pager, id, &use, 0, sizeof(use)) < 0);
}

/* Frees regular pages and allocates others; the file grows. */
static void *change_regular(void *argument)
{
    struct actor *actor = argument;
    struct stage *stage = actor->stage;

    while (!atomic_load(&stage->over)) {
        struct coming *coming = &stage->regular[choose(actor, REGULAR)];
        mpg_page_id id = {atomic_load(&coming->id)};
        uint64_t turn = atomic_fetch_add(&coming->turn, 1) + 2;

        if (id.value != 0)
            go(stage, id);
        id.value = choose(actor, 3) != 0 ? come(stage, turn).value : 0;
        atomic_store(&coming->id, id.value);
        atomic_store(&coming->turn, turn);
        if (choose(actor, 16) == 0) {
            mpg_page_id many[64];

            CHECK(mpg_alloc_bulk(many, stage->pager, 64, 0) == 0);
            CHECK(mpg_free_bulk(stage->pager, many, 64) == 0);
        }
    }
    return NULL;
}

static void *refresh(void *argument)
{
    struct actor *actor = argument;

    while (!atomic_load(&actor->stage->over)) {
        int result = mpg_refresh(actor->stage->reader);

        CHECK(result == 0 || result == MPG_E_STALE);
        (void)sched_yield();
    }
    return NULL;
}

/* ---- those who read ---- */

/*
 * What is found must be as new as what was acknowledged before, and no newer than what was begun.
 */
static void check_guarded(const struct stage *stage, unsigned k, const void *data, uint64_t least)
{
    uint64_t turn;

    CHECK(is_stamped(data, k + 1, &turn));
    CHECK(turn >= least);
    CHECK(turn <= atomic_load(&stage->begun[k]));
}

static void look_again(struct stage *stage, const void **held, const unsigned *whose)
{
    for (unsigned i = 0; i < HELD; i++) {
        if (held[i] != NULL)
            check_guarded(stage, whose[i], held[i], 0);
    }
}

/* Takes views, and holds them while commits come and go. */
static void *view(void *argument)
{
    struct actor *actor = argument;
    struct stage *stage = actor->stage;
    const void *held[HELD] = {NULL};
    unsigned whose[HELD] = {0};

    while (!atomic_load(&stage->over)) {
        unsigned i = choose(actor, HELD);
        unsigned k = choose(actor, ALL_GUARDED);
        uint64_t least = atomic_load(&stage->done[k]);
        int result;

        mpg_protected_release(stage->pager, held[i]);
        held[i] = NULL;
        result = mpg_protected_view(&held[i], stage->pager, stage->guarded[k]);
        whose[i] = k;
        CHECK(result == 0 || (result == MPG_E_NOT_ALLOCATED && k >= GUARDED));
        if (result == 0)
            check_guarded(stage, k, held[i], least);
        look_again(stage, held, whose);
        atomic_fetch_add(&stage->looked, 1);
        if (choose(actor, 64) == 0)
            (void)sched_yield();
        if (choose(actor, 8) == 0) { /* in one format a view may keep the writer waiting */
            mpg_protected_release(stage->pager, held[0]);
            held[0] = NULL;
        }
    }
    for (unsigned i = 0; i < HELD; i++)
        mpg_protected_release(stage->pager, held[i]);
    return NULL;
}

static void *copy(void *argument)
{
    struct actor *actor = argument;
    struct stage *stage = actor->stage;

    while (!atomic_load(&stage->over)) {
        unsigned k = choose(actor, ALL_GUARDED);
        uint64_t least = atomic_load(&stage->done[k]);
        uint64_t content[PAGE_SIZE / sizeof(uint64_t)];
        mpg_protected_info before, after;
        int result = mpg_protected_stat(&before, stage->pager, stage->guarded[k]);

        CHECK(result == 0 || (result == MPG_E_NOT_ALLOCATED && k >= GUARDED));
        result = mpg_protected_read(content, stage->pager, stage->guarded[k]);
        CHECK(result == 0 || (result == MPG_E_NOT_ALLOCATED && k >= GUARDED));
        if (result == 0)
            check_guarded(stage, k, content, least);
        result = mpg_protected_stat(&after, stage->pager, stage->guarded[k]);
        CHECK(result == 0 || (result == MPG_E_NOT_ALLOCATED && k >= GUARDED));
        if (result == 0 && k < GUARDED)
            CHECK(after.generation >= before.generation);
        atomic_fetch_add(&stage->looked, 1);
    }
    return NULL;
}

/* A regular page that was there before and is there afterwards was there meanwhile. */
static void look_at_regular(struct stage *stage, const mpg_pager *pager, struct coming *coming)
{
    uint64_t turn = atomic_load(&coming->turn);
    mpg_page_id id = {atomic_load(&coming->id)};
    enum mpg_page_use use = MPG_USE_FREE;
    bool elsewhere = pager == stage->reader;
    const void *data;
    uint64_t found;
    int result, stamped = 0;

    if (turn % 2 != 0 || id.value == 0)
        return;
    result = mpg_page_get(&data, pager, id);
    /* It may be another's by now, which is found out afterwards; or marked, where marks are set. */
    if (result == 0)
        stamped = POISON_MARKS || (is_stamped(data, id.value, &found) && found == turn);
    CHECK(mpg_page_use(&use, pager, id.value) == 0 || elsewhere);
    if (atomic_load(&coming->turn) != turn || elsewhere)
        return;
    CHECK(result == 0);
    CHECK(use == MPG_USE_REGULAR);
    CHECK(stamped);
}

static void *point(void *argument)
{
    struct actor *actor = argument;
    struct stage *stage = actor->stage;

    while (!atomic_load(&stage->over)) {
        look_at_regular(stage, stage->pager, &stage->regular[choose(actor, REGULAR)]);
        atomic_fetch_add(&stage->looked, 1);
    }
    return NULL;
}

/* Through the other pager, whose state may be overwritten, or older. */
static void *read_elsewhere(void *argument)
{
    struct actor *actor = argument;
    struct stage *stage = actor->stage;

    while (!atomic_load(&stage->over)) {
        uint64_t content[PAGE_SIZE / sizeof(uint64_t)];
        unsigned k = choose(actor, ALL_GUARDED);
        uint64_t turn;
        int result = mpg_protected_read(content, stage->reader, stage->guarded[k]);

        CHECK(result == 0 || result == MPG_E_STALE ||
              (result == MPG_E_NOT_ALLOCATED && k >= GUARDED));
        if (result == 0) {
            CHECK(is_stamped(content, k + 1, &turn));
            CHECK(turn <= atomic_load(&stage->begun[k]));
        }
        look_at_regular(stage, stage->reader, &stage->regular[choose(actor, REGULAR)]);
        atomic_fetch_add(&stage->looked, 1);
    }
    return NULL;
}

/* All that a snapshot shows is of one moment, and stays. */
static void *snapshot(void *argument)
{
    struct actor *actor = argument;
    struct stage *stage = actor->stage;

    while (!atomic_load(&stage->over)) {
        uint64_t least[GUARDED], first[GUARDED], again;
        uint64_t content[PAGE_SIZE / sizeof(uint64_t)];
        mpg_snapshot *taken;
        int result;

        for (unsigned k = 0; k < GUARDED; k++)
            least[k] = atomic_load(&stage->done[k]);
        result = mpg_snapshot_open(&taken, stage->pager);
        if (result == MPG_E_UNSUPPORTED)
            break;
        CHECK(result == 0);
        for (unsigned k = 0; k < GUARDED; k++) {
            CHECK(mpg_snapshot_read(content, taken, stage->guarded[k]) == 0);
            check_guarded(stage, k, content, least[k]);
            CHECK(is_stamped(content, k + 1, &first[k]));
        }
        for (unsigned k = 0; k < GUARDED; k++) {
            CHECK(mpg_snapshot_read(content, taken, stage->guarded[k]) == 0);
            CHECK(is_stamped(content, k + 1, &again) && again == first[k]);
        }
        mpg_snapshot_close(taken);
        atomic_fetch_add(&stage->looked, 1);
    }
    return NULL;
}

/* Iterators meet what is there all the time, in order. */
static void *walk(void *argument)
{
    struct actor *actor = argument;
    struct stage *stage = actor->stage;

    while (!atomic_load(&stage->over)) {
        mpg_protected_id guarded, none = {0};
        mpg_protected_iter guarded_iter;
        mpg_page_id page, last = {0};
        mpg_page_iter iter;
        unsigned met = 0;
        int result;

        mpg_protected_iter_begin(&guarded_iter, stage->pager, none);
        while ((result = mpg_protected_iter_next(&guarded, &guarded_iter)) == 1)
            met += guarded.value < GUARDED;
        CHECK(result == 0);
        CHECK(met == GUARDED);
        mpg_page_iter_begin(&iter, stage->pager, last);
        while ((result = mpg_page_iter_next(&page, &iter)) == 1) {
            CHECK(page.value > last.value);
            last = page;
        }
        CHECK(result == 0);
        atomic_fetch_add(&stage->looked, 1);
    }
    return NULL;
}

/* ---- the tests ---- */

static void set_up(struct stage *stage, const struct scratch *scratch, unsigned flags)
{
    mpg_options options = scratch_options(scratch, PAGE_SIZE);

    memset(stage, 0, sizeof(*stage));
    stage->path = scratch->path;
    options.flags = flags;
    assert_int_equal(mpg_create(&stage->pager, scratch->path, &options), 0);
    assert_int_equal(mpg_alloc_protected_bulk(stage->guarded, stage->pager, ALL_GUARDED), 0);
    assert_int_equal(mpg_sync(stage->pager), 0);
    assert_int_equal(mpg_open_readonly(&stage->reader, scratch->path, NULL), 0);
}

static uint64_t commits(const struct stage *stage)
{
    uint64_t sum = 0;

    for (unsigned k = 0; k < GUARDED; k++)
        sum += atomic_load(&stage->done[k]);
    return sum;
}

typedef void *(*part)(void *);

#define MOST_ACTORS 12
#define RUNS 4 /* in each format: what the seconds are shared by */

/* Until there were enough rounds, as `rounds` counts them, or the time is over. */
static void run(struct stage *stage, const part *parts, unsigned count,
                uint64_t (*rounds)(const struct stage *), uint64_t enough)
{
    const char *seconds = getenv("MPG_TEST_SECONDS");
    time_t end = seconds != NULL ? time(NULL) + (time_t)strtol(seconds, NULL, 10) / RUNS + 1 : 0;
    struct actor actors[MOST_ACTORS];

    assert_true(count <= MOST_ACTORS);
    for (unsigned i = 0; i < count; i++) {
        actors[i].stage = stage;
        actors[i].random = i + 1;
        assert_int_equal(pthread_create(&actors[i].thread, NULL, parts[i], &actors[i]), 0);
    }
    while (end != 0 ? time(NULL) < end : rounds(stage) < enough)
        (void)usleep(2000);
    atomic_store(&stage->over, true);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(pthread_join(actors[i].thread, NULL), 0);
    assert_true(atomic_load(&stage->looked) > 0);
}

#define RUN(stage, parts, rounds, enough)                                                          \
    run(stage, parts, sizeof(parts) / sizeof((parts)[0]), rounds, enough)

static void tear_down(struct stage *stage)
{
    assert_int_equal(mpg_close(stage->pager), 0);
    assert_int_equal(mpg_close(stage->reader), 0);
}

static const part everybody[] = {change_guarded, change_regular, refresh,       view,
                                 view,           copy,           point,         point,
                                 snapshot,       walk,           read_elsewhere};

static void readers_see_what_is_committed_and_nothing_else(void **state)
{
    struct stage stage;

    set_up(&stage, *state, 0);
    RUN(&stage, everybody, commits, COMMITS);
    tear_down(&stage);
}

static void so_they_do_where_allocation_is_deferred(void **state)
{
    struct stage stage;

    set_up(&stage, *state, MPG_DEFER_ALLOCATION);
    RUN(&stage, everybody, commits, COMMITS);
    tear_down(&stage);
}

/* Makes the file long, and short again, with commits in between. */
static void *compact(void *argument)
{
    struct actor *actor = argument;
    struct stage *stage = actor->stage;

    while (!atomic_load(&stage->over)) {
        mpg_page_id many[256];
        mpg_compact_result result;

        CHECK(mpg_alloc_bulk(many, stage->pager, 256, 0) == 0);
        for (unsigned i = 0; i < 8; i++)
            write_guarded(actor, choose(actor, GUARDED));
        CHECK(mpg_free_bulk(stage->pager, many, 256) == 0);
        CHECK(mpg_compact(&result, stage->pager, NULL) == 0);
        CHECK(result.pages_after < result.pages_before);
        atomic_fetch_add(&stage->compacted, 1);
    }
    return NULL;
}

static uint64_t compactions(const struct stage *stage)
{
    return atomic_load(&stage->compacted);
}

/* Views and snapshots stand in its way, and so are not among them. */
static void they_go_on_while_the_file_is_made_shorter(void **state)
{
    static const part parts[] = {compact, refresh, copy, copy, walk, read_elsewhere};
    struct stage stage;

    set_up(&stage, *state, 0);
    RUN(&stage, parts, compactions, 10);
    tear_down(&stage);
}

/* Closes the pager that writes, and opens it again. */
static void *come_and_go(void *argument)
{
    struct actor *actor = argument;
    struct stage *stage = actor->stage;

    while (!atomic_load(&stage->over)) {
        write_guarded(actor, choose(actor, GUARDED));
        CHECK(mpg_close(stage->pager) == 0);
        CHECK(mpg_open(&stage->pager, stage->path, NULL) == 0);
        atomic_fetch_add(&stage->reopened, 1);
    }
    return NULL;
}

static uint64_t openings(const struct stage *stage)
{
    return atomic_load(&stage->reopened);
}

static void a_reader_does_not_mind_who_opens_and_closes_to_write(void **state)
{
    static const part parts[] = {come_and_go, refresh, read_elsewhere, read_elsewhere};
    struct stage stage;

    set_up(&stage, *state, 0);
    RUN(&stage, parts, openings, 20);
    tear_down(&stage);
}

/* How a view fares that is taken without the lock, while its page is written again and again. */
static bool view_stays(const struct scratch *scratch)
{
    unsigned char content[PAGE_SIZE];
    struct stage stage;
    const void *data;
    uint64_t turn = 0;

    set_up(&stage, scratch, 0);
    for (int i = 0; i < 2; i++) { /* the first one is taken with the lock */
        assert_int_equal(mpg_protected_view(&data, stage.pager, stage.guarded[0]), 0);
        if (i == 0)
            mpg_protected_release(stage.pager, data);
    }
    for (unsigned i = 1; i <= 200 && turn == 0; i++) {
        mpg_txn *txn;

        stamp(content, 1, i);
        assert_int_equal(mpg_txn_begin(&txn, stage.pager), 0);
        for (unsigned k = 0; k < 3; k++)
            assert_int_equal(mpg_txn_protected_write(txn, stage.guarded[k], content, 0, PAGE_SIZE),
                             0);
        if (mpg_txn_commit(txn, 0) != 0)
            mpg_txn_abort(txn);
        turn = *(const uint64_t *)data;
    }
    mpg_protected_release(stage.pager, data);
    tear_down(&stage);
    return turn == 0;
}

static void what_a_view_shows_stays(void **state)
{
    assert_true(view_stays(*state));
}

static void it_would_not_if_views_were_not_looked_for(void **state)
{
    bool stays;

    mpgi_broken_rule = RULE_CLOSE_PINS;
    stays = view_stays(*state);
    mpgi_broken_rule = 0;
    assert_int_equal(stays,
                     POISON_MARKS); /* where marks are set all views are taken with the lock */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SCRATCH_TEST(what_a_view_shows_stays),
        SCRATCH_TEST(it_would_not_if_views_were_not_looked_for),
        SCRATCH_TEST(readers_see_what_is_committed_and_nothing_else),
        SCRATCH_TEST(so_they_do_where_allocation_is_deferred),
        SCRATCH_TEST(they_go_on_while_the_file_is_made_shorter),
        SCRATCH_TEST(a_reader_does_not_mind_who_opens_and_closes_to_write),
    };

    return SCRATCH_RUN("readers", tests);
}
