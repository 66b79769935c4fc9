/* SPDX-License-Identifier: MIT */
/*
 * Random operations against a model, while other threads read: what readers keep beside the lock
 * must be forgotten in time, whatever changes.
 *
 * Some threads look while the file changes. They cannot know what is there, but a protected page
 * shows one of the contents that are ever written, whole, and no answer is one that no state could
 * give. Others look between two operations: they must find what the model has, all of it, by every
 * way of reading.
 *
 *     MPG_MODEL_SEEDS    how many seeds for each kind of file (default 8)
 *     MPG_MODEL_SEED     run only this seed (a failure prints it)
 *     MPG_TEST_SECONDS   go on for so long, with more seeds
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "crash/model.h"
#include "support/harness.h"
#include "support/locked_disk.h"

#define DEFAULT_SEEDS 8
#define BESIDE 2  /* threads that look while the file changes */
#define BETWEEN 2 /* threads that look between operations */
#define KINDS 4   /* of model_kinds: those with small pages */

struct audience {
    struct actor *actor;
    /* Held for writing by whoever operates; for reading by who looks in between. */
    pthread_rwlock_t model;
    pthread_rwlock_t open; /* held for reading while the pager is used */
    atomic_bool over;
    atomic_uint_least64_t looks[2]; /* … beside, and between */
    pthread_mutex_t why_lock;
    char why[200]; /* what was wrong; "": nothing */
};

struct reader {
    pthread_t thread;
    struct audience *audience;
    uint64_t random;
    unsigned char *buffer; /* room for a page */
};

static void complain(struct audience *audience, const char *what, uint64_t id, int error)
{
    (void)pthread_mutex_lock(&audience->why_lock);
    if (audience->why[0] == '\0')
        snprintf(audience->why, sizeof(audience->why), "%s, page %" PRIu64 ": %s", what, id,
                 error != 0 ? mpg_strerror(error) : "another answer");
    (void)pthread_mutex_unlock(&audience->why_lock);
}

static bool has_complained(struct audience *audience)
{
    bool complained;

    (void)pthread_mutex_lock(&audience->why_lock);
    complained = audience->why[0] != '\0';
    (void)pthread_mutex_unlock(&audience->why_lock);
    return complained;
}

/* ---- while the file changes ---- */

static bool is_a_content(const unsigned char *page, size_t size)
{
    for (unsigned content = CONTENT_ZERO; content < pool_size(); content++) {
        if (memcmp(page, pool_content(content), size) == 0)
            return true;
    }
    return false;
}

static void read_some_protected(struct reader *reader)
{
    struct audience *audience = reader->audience;
    const mpg_pager *pager = audience->actor->pager;
    mpg_protected_id id = {random_below(&reader->random, 50)};
    mpg_protected_info info;
    int error = mpg_protected_read(reader->buffer, pager, id);

    if (error != 0 && error != MPG_E_NOT_ALLOCATED)
        complain(audience, "read", id.value, error);
    if (error == 0 && !is_a_content(reader->buffer, audience->actor->options.page_size))
        complain(audience, "read", id.value, 0);
    error = mpg_protected_stat(&info, pager, id);
    if (error != 0 && error != MPG_E_NOT_ALLOCATED)
        complain(audience, "stat", id.value, error);
}

static void look_at_some_regular(struct reader *reader)
{
    struct audience *audience = reader->audience;
    const mpg_pager *pager = audience->actor->pager;
    mpg_page_id id = {random_below(&reader->random, 200)};
    enum mpg_page_use use;
    const void *data;
    int error = mpg_page_get(&data, pager, id);

    if (error != 0 && error != MPG_E_NOT_ALLOCATED && error != MPG_E_NOT_REGULAR &&
        error != MPG_E_RESERVED_PAGE && error != MPG_E_OUT_OF_BOUNDS)
        complain(audience, "get", id.value, error);
    error = mpg_page_use(&use, pager, id.value);
    if (error != 0 && error != MPG_E_OUT_OF_BOUNDS)
        complain(audience, "use", id.value, error);
}

static void walk(struct reader *reader)
{
    struct audience *audience = reader->audience;
    mpg_page_id id, last = {random_below(&reader->random, 100)};
    mpg_page_iter iter;
    bool first = true;
    int result;

    mpg_page_iter_begin(&iter, audience->actor->pager, last);
    for (; (result = mpg_page_iter_next(&id, &iter)) == 1; first = false, last = id) {
        if (id.value < last.value || (!first && id.value == last.value))
            complain(audience, "iterate: not in order", id.value, 0);
    }
    if (result != 0)
        complain(audience, "iterate", id.value, result);
}

static void *look_beside(void *argument)
{
    static void (*const looks[])(struct reader *) = {read_some_protected, read_some_protected,
                                                     look_at_some_regular, walk};
    struct reader *reader = argument;
    struct audience *audience = reader->audience;

    while (!atomic_load(&audience->over)) {
        (void)pthread_rwlock_rdlock(&audience->open);
        if (audience->actor->pager != NULL)
            looks[random_below(&reader->random, 4)](reader);
        (void)pthread_rwlock_unlock(&audience->open);
        atomic_fetch_add(&audience->looks[0], 1);
    }
    return NULL;
}

/* ---- between two operations ---- */

static void view_all(struct reader *reader)
{
    struct audience *audience = reader->audience;
    const struct actor *actor = audience->actor;
    const struct page_set *set = &actor->now.protected_pages;

    for (size_t i = 0; i < set->count; i++) {
        mpg_protected_id id = {set->pages[i].id};
        const void *data;
        int error = mpg_protected_view(&data, actor->pager, id);

        if (error != 0) {
            complain(audience, "view", id.value, error);
            continue;
        }
        if (memcmp(data, pool_content(set->pages[i].content), actor->options.page_size) != 0)
            complain(audience, "view", id.value, 0);
        mpg_protected_release(actor->pager, data);
    }
}

/* Every page that could be there: it is what the model has. */
static void use_all(struct audience *audience)
{
    const struct actor *actor = audience->actor;
    struct mpg_stat st = {.size = sizeof(st)};

    must(mpg_stat(&st, actor->pager) == 0);
    for (uint64_t page = 0; page < st.total_pages; page++) {
        bool is_there = page_set_find(&actor->now.regular, page) != NULL;
        enum mpg_page_use use;
        const void *data;
        int error = mpg_page_use(&use, actor->pager, page);

        if (error != 0 || (use == MPG_USE_REGULAR) != is_there)
            complain(audience, "use", page, error);
        error = mpg_page_get(&data, actor->pager, (mpg_page_id){page});
        if ((error == 0) != is_there)
            complain(audience, "get", page, error);
    }
}

static void *look_between(void *argument)
{
    struct reader *reader = argument;
    struct audience *audience = reader->audience;

    while (!atomic_load(&audience->over)) {
        char why[150];

        (void)pthread_rwlock_rdlock(&audience->model);
        if (audience->actor->pager != NULL && !audience->actor->failed) {
            view_all(reader);
            use_all(audience);
            if (!state_matches(&audience->actor->now, audience->actor->pager, reader->buffer, why,
                               sizeof(why)))
                complain(audience, why, 0, 0);
        }
        (void)pthread_rwlock_unlock(&audience->model);
        atomic_fetch_add(&audience->looks[1], 1);
    }
    return NULL;
}

/* ---- all together ---- */

static void audience_begin(struct audience *audience, struct reader *readers, struct actor *actor)
{
    pthread_rwlockattr_t fair;

    memset(audience, 0, sizeof(*audience));
    audience->actor = actor;
    (void)pthread_rwlockattr_init(&fair);
    (void)pthread_rwlockattr_setkind_np(&fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    (void)pthread_rwlock_init(&audience->model, &fair);
    (void)pthread_rwlock_init(&audience->open, &fair);
    (void)pthread_mutex_init(&audience->why_lock, NULL);
    actor->closed = &audience->open;
    for (unsigned i = 0; i < BESIDE + BETWEEN; i++) {
        readers[i] = (struct reader){.audience = audience, .random = actor->random + i};
        readers[i].buffer = must_realloc(NULL, actor->options.page_size);
        must(pthread_create(&readers[i].thread, NULL, i < BESIDE ? look_beside : look_between,
                            &readers[i]) == 0);
    }
}

static void audience_end(struct audience *audience, struct reader *readers)
{
    atomic_store(&audience->over, true);
    for (unsigned i = 0; i < BESIDE + BETWEEN; i++) {
        must(pthread_join(readers[i].thread, NULL) == 0);
        free(readers[i].buffer);
    }
    (void)pthread_rwlock_destroy(&audience->model);
    (void)pthread_rwlock_destroy(&audience->open);
    (void)pthread_mutex_destroy(&audience->why_lock);
}

static uint64_t looks[2];

static bool run(const struct model_kind *kind, int format, uint64_t seed)
{
    struct reader readers[BESIDE + BETWEEN];
    struct audience audience;
    struct memory_disk disk;
    struct actor actor;
    const char *why;
    bool fine;

    model_begin(&actor, &disk, kind, format, seed);
    actor.io = &locked_disk_io;
    actor_create(&actor);
    audience_begin(&audience, readers, &actor);
    for (unsigned i = 0; i < kind->steps && !actor.failed && !has_complained(&audience); i++) {
        (void)pthread_rwlock_wrlock(&audience.model);
        model_step(&actor);
        (void)pthread_rwlock_unlock(&audience.model);
    }
    audience_end(&audience, readers);
    actor_verify(&actor);
    fine = !actor.failed && audience.why[0] == '\0';
    why = actor.failed ? actor.why : audience.why;
    if (!fine)
        printf("FAILED: format %s, pages of %u bytes, flags %u, MPG_MODEL_SEED=%" PRIu64 ": %s\n",
               format == MPG_FORMAT_1 ? "1" : "0.2", (unsigned)kind->page_size, kind->flags, seed,
               why);
    for (int i = 0; i < 2; i++)
        looks[i] += atomic_load(&audience.looks[i]);
    actor_end(&actor);
    memory_disk_destroy(&disk);
    return fine;
}

static bool run_all_kinds(uint64_t seed)
{
    static const int formats[] = {MPG_FORMAT_0_2, MPG_FORMAT_1};
    bool fine = true;

    for (size_t k = 0; k < KINDS; k++)
        for (size_t f = 0; f < 2 && fine; f++)
            fine = run(&model_kinds[k], formats[f], seed);
    return fine;
}

int main(void)
{
    uint64_t seeds = setting("MPG_MODEL_SEEDS", DEFAULT_SEEDS);
    uint64_t only = setting("MPG_MODEL_SEED", 0);
    time_t end = time(NULL) + (time_t)setting("MPG_TEST_SECONDS", 0);
    uint64_t seed = only != 0 ? only : 1;
    bool fine;

    do {
        fine = run_all_kinds(seed++);
    } while (fine && only == 0 && (seed <= seeds || time(NULL) < end));
    printf("%" PRIu64 " seeds, %" PRIu64 " looks beside operations, %" PRIu64 " between them\n",
           only != 0 ? 1 : seed - 1, looks[0], looks[1]);
    pool_free();
    return fine ? 0 : 1;
}
