/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "reading.h"

static void *work(void *argument)
{
    struct lane *lane = argument;
    struct team *team = lane->team;

    for (;;) {
        (void)pthread_barrier_wait(&team->begin);
        if (team->now == NULL)
            return NULL;
        lane->begin = now_ns();
        team->now->run(lane, team->operations);
        lane->end = now_ns();
        (void)pthread_barrier_wait(&team->end);
    }
}

void team_begin(struct team *team, unsigned count, void *context)
{
    void *lanes;

    if (posix_memalign(&lanes, 64, count * sizeof(struct lane)) != 0)
        die_errno("memory");
    team->lanes = lanes;
    team->count = count;
    (void)pthread_barrier_init(&team->begin, NULL, count + 1);
    (void)pthread_barrier_init(&team->end, NULL, count + 1);
    for (unsigned i = 0; i < count; i++) {
        team->lanes[i] = (struct lane){
            .team = team, .number = i, .lanes = count, .context = context, .random = i + 1};
        if (pthread_create(&team->lanes[i].thread, NULL, work, &team->lanes[i]) != 0)
            die_errno("thread");
    }
}

/* Nanoseconds from when the first began until all had done their operations. */
static double run(struct team *team, const struct reading *reading, unsigned operations)
{
    uint64_t begin = UINT64_MAX, end = 0;

    team->now = reading;
    team->operations = operations;
    (void)pthread_barrier_wait(&team->begin);
    if (reading == NULL)
        return 0;
    (void)pthread_barrier_wait(&team->end);
    for (unsigned i = 0; i < team->count; i++) {
        begin = team->lanes[i].begin < begin ? team->lanes[i].begin : begin;
        end = team->lanes[i].end > end ? team->lanes[i].end : end;
    }
    return (double)(end - begin);
}

void team_end(struct team *team)
{
    (void)run(team, NULL, 0);
    for (unsigned i = 0; i < team->count; i++)
        (void)pthread_join(team->lanes[i].thread, NULL);
    (void)pthread_barrier_destroy(&team->begin);
    (void)pthread_barrier_destroy(&team->end);
    free(team->lanes);
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static const struct reading *sampled;
static double *samples;

static void run_samples(struct lane *lane, unsigned operations)
{
    for (unsigned i = 0; i < operations; i++) {
        uint64_t begin = now_ns();

        sampled->run(lane, 1);
        samples[i] = (double)(now_ns() - begin);
    }
}

static void run_nothing(struct lane *lane, unsigned operations)
{
    (void)lane;
    (void)operations;
}

/* By one thread. */
static double percentile(struct team *team, const struct reading *reading, unsigned count,
                         unsigned of_thousand)
{
    static const struct reading one_by_one = {"samples", run_samples, 0};
    double value;

    sampled = reading;
    samples = must_alloc(count * sizeof(*samples));
    (void)run(team, &one_by_one, count);
    qsort(samples, count, sizeof(*samples), compare);
    value = samples[(uint64_t)count * of_thousand / 1000];
    free(samples);
    return value;
}

void team_measure(struct figures *figures, struct team *team, const struct reading *reading,
                  unsigned rounds, unsigned count)
{
    double *ns = must_alloc(rounds * sizeof(*ns));

    /* Until all that is read was read once by everybody. */
    for (int i = 0; i < 20; i++)
        (void)run(team, reading, reading->operations);
    for (unsigned i = 0; i < rounds; i++)
        ns[i] = run(team, reading, reading->operations) / reading->operations;
    figures->ns = median(ns, rounds);
    free(ns);
    if (count > 0)
        figures->p999 = percentile(team, reading, count, 999);
}

double clock_ns(void)
{
    static const struct reading nothing = {"nothing", run_nothing, 0};
    struct team one;
    double value;

    team_begin(&one, 1, NULL);
    value = percentile(&one, &nothing, 10000, 500);
    team_end(&one);
    return value;
}
