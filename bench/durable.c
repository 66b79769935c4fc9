/* SPDX-License-Identifier: MIT */
/* Durable operations of one thread, in both formats, against the floor and against other stores. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "library.h"
#include "pager/look_again.h"

/* As many as format 0.2 can hold, about, so that both formats have the same file. */
#define FILE_PAGES 30000u
/* Pages that are there before the clock starts. */
#define OLD_PAGES 1000u
#define OPERATIONS 50u

/* One kind of operation on a file of its own. */
struct subject {
    mpg_pager *pager;
    char *path;
    uint64_t random;
    mpg_page_id pages[OPERATIONS];          /* allocated by alloc, or for free */
    mpg_protected_id protected[OPERATIONS]; /* … */
    unsigned held;                          /* how many of these */
    unsigned char content[PAGE_SIZE_USED];
};

enum kind { ALLOC, FREE, COMMIT, ALLOC_PROTECTED, FREE_PROTECTED, KINDS };

static const struct {
    const char *name;
    double target;     /* of format 1, as a part of the floor's rate */
    double target_0_2; /* … of format 0.2 */
} kinds[KINDS] = {
    [ALLOC] = {"alloc", 0.95, 0.8},
    [FREE] = {"free", 0.95, 0.8},
    [COMMIT] = {"protected commit", 0.92, 0.45},
    [ALLOC_PROTECTED] = {"alloc_protected", 0.75, 0.45},
    [FREE_PROTECTED] = {"free_protected", 0.75, 0.45},
};

static struct subject *subject_open(const struct place *place, int format, enum kind kind)
{
    struct subject *subject = must_alloc(sizeof(*subject));
    mpg_page_id pages[OLD_PAGES];
    mpg_protected_id protected[OLD_PAGES];
    char name[64];

    (void)snprintf(name, sizeof(name), "subject-%d-%d", format, (int)kind);
    subject->pager = fresh_pager(place, name, format, FILE_PAGES, 0, &subject->path);
    must(mpg_alloc_bulk(pages, subject->pager, OLD_PAGES, 0), "alloc_bulk");
    must(mpg_alloc_protected_bulk(protected, subject->pager, OLD_PAGES), "alloc_protected_bulk");
    memset(subject->content, 0xa5, sizeof(subject->content));
    /* As with the floor, what is measured is not a first write, nor a file that was never used. */
    wear(subject->pager, protected, OLD_PAGES);
    return subject;
}

static void subject_close(struct subject *subject)
{
    forget(subject->pager, subject->path);
    free(subject);
}

static void prepare_alloc(void *context, unsigned operations)
{
    struct subject *subject = context;

    (void)operations;
    must(mpg_free_bulk(subject->pager, subject->pages, subject->held), "free_bulk");
    subject->held = 0;
}

static void run_alloc(void *context, unsigned operations)
{
    struct subject *subject = context;

    for (unsigned i = 0; i < operations; i++)
        must(mpg_alloc(&subject->pages[subject->held++], subject->pager, 0), "alloc");
}

static void prepare_free(void *context, unsigned operations)
{
    struct subject *subject = context;

    must(mpg_alloc_bulk(subject->pages, subject->pager, operations, 0), "alloc_bulk");
}

static void run_free(void *context, unsigned operations)
{
    struct subject *subject = context;

    for (unsigned i = 0; i < operations; i++)
        must(mpg_free(subject->pager, subject->pages[i]), "free");
}

static void run_commit(void *context, unsigned operations)
{
    struct subject *subject = context;

    for (unsigned i = 0; i < operations; i++) {
        mpg_protected_id id = {next_random(&subject->random) % OLD_PAGES};
        mpg_writer *writer;

        must(mpg_writer_open(&writer, subject->pager, id), "writer_open");
        memcpy(mpg_writer_data(writer), subject->content, PAGE_SIZE_USED);
        must(mpg_writer_commit(writer), "writer_commit");
    }
}

static void prepare_alloc_protected(void *context, unsigned operations)
{
    struct subject *subject = context;

    (void)operations;
    must(mpg_free_protected_bulk(subject->pager, subject->protected, subject->held),
         "free_protected_bulk");
    subject->held = 0;
}

static void run_alloc_protected(void *context, unsigned operations)
{
    struct subject *subject = context;

    for (unsigned i = 0; i < operations; i++)
        must(mpg_alloc_protected(&subject->protected[subject->held++], subject -> pager),
             "alloc_protected");
}

static void prepare_free_protected(void *context, unsigned operations)
{
    struct subject *subject = context;

    must(mpg_alloc_protected_bulk(subject->protected, subject->pager, operations),
         "alloc_protected_bulk");
}

static void run_free_protected(void *context, unsigned operations)
{
    struct subject *subject = context;

    for (unsigned i = 0; i < operations; i++)
        must(mpg_free_protected(subject->pager, subject->protected[i]), "free_protected");
}

/* What a commit spends on rule 12: it looks before it writes, before page 0, and at the end. */
static void run_looks(void *context, unsigned operations)
{
    struct subject *subject = context;
    unsigned looks = subject->pager->format->ops->id == MPG_FORMAT_0_2 ? 3 : 2;

    for (unsigned i = 0; i < operations * looks; i++)
        must(mpgi_look_again_committing(subject->pager, subject->pager->file.bytes, LOOK_BEFORE),
             "look again");
}

static struct contestant contestant_of(enum kind kind, struct subject *subject)
{
    static const struct contestant models[KINDS] = {
        [ALLOC] = {.prepare = prepare_alloc, .run = run_alloc},
        [FREE] = {.prepare = prepare_free, .run = run_free},
        [COMMIT] = {.run = run_commit},
        [ALLOC_PROTECTED] = {.prepare = prepare_alloc_protected, .run = run_alloc_protected},
        [FREE_PROTECTED] = {.prepare = prepare_free_protected, .run = run_free_protected},
    };
    struct contestant contestant = models[kind];

    contestant.name = kinds[kind].name;
    contestant.context = subject;
    contestant.operations = OPERATIONS;
    return contestant;
}

const struct other_store *const other_stores[] = {
#ifdef WITH_LMDB
    &lmdb_store,
#endif
#ifdef WITH_SQLITE
    &sqlite_store,
#endif
    NULL,
};

static void report_format(const char *format, const struct contestant *all,
                          const struct contestant *floor, unsigned rounds, bool is_0_2)
{
    for (int kind = 0; kind < KINDS; kind++) {
        char what[80];

        (void)snprintf(what, sizeof(what), "%s%s / floor", format, kinds[kind].name);
        report(what, times_faster(&all[kind], floor, rounds), "x", AT_LEAST,
               is_0_2 ? kinds[kind].target_0_2 : kinds[kind].target);
    }
}

void bench_durable(const struct place *place)
{
    static const int formats[] = {MPG_FORMAT_1, MPG_FORMAT_0_2};
    unsigned rounds = place->quick ? 5 : 41;
    struct contestant all[1 + 2 * KINDS + 2 + 2];
    struct subject *subjects[2 * KINDS];
    void *stores[2];
    size_t count = 0;

    all[count++] = (struct contestant){
        .name = "floor", .run = floor_run, .context = floor_open(place), .operations = OPERATIONS};
    for (int i = 0; i < 2 * KINDS; i++) {
        enum kind kind = (enum kind)(i % KINDS);

        subjects[i] = subject_open(place, formats[i / KINDS], kind);
        all[count++] = contestant_of(kind, subjects[i]);
    }
    for (int i = 0; i < 2; i++)
        all[count++] = (struct contestant){.name = "looks",
                                           .run = run_looks,
                                           .context = subjects[i * KINDS + COMMIT],
                                           .operations = OPERATIONS};
    for (size_t i = 0; other_stores[i] != NULL; i++) {
        stores[i] = other_stores[i]->open(place, OLD_PAGES);
        all[count++] = (struct contestant){.name = other_stores[i]->name,
                                           .run = other_stores[i]->put,
                                           .context = stores[i],
                                           .operations = OPERATIONS};
    }
    measure(all, count, rounds);
    report("floor: pwrite of 4 KiB + fdatasync", median_ns(&all[0], rounds) / 1000, "us", NO_TARGET,
           0);
    report_format("", all + 1, all, rounds, false);
    report_format("format 0.2: ", all + 1 + KINDS, all, rounds, true);
    for (int i = 0; i < 2; i++)
        report(i == 0 ? "looks of a commit (rule 12) / protected commit"
                      : "format 0.2: looks of a commit / protected commit",
               100 / times_faster(&all[1 + 2 * KINDS + i], &all[1 + i * KINDS + COMMIT], rounds),
               "%", AT_MOST, 2);
    for (size_t i = 0; other_stores[i] != NULL; i++)
        report(other_stores[i]->what,
               times_faster(&all[1 + COMMIT], &all[1 + 2 * KINDS + 2 + i], rounds), "x", AT_LEAST,
               other_stores[i]->target);
    for (size_t i = 0; other_stores[i] != NULL; i++)
        other_stores[i]->close(stores[i]);
    for (int i = 0; i < 2 * KINDS; i++)
        subject_close(subjects[i]);
    floor_close(all[0].context);
    for (size_t i = 0; i < count; i++)
        free(all[i].ns);
}
