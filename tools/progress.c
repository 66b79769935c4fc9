/* SPDX-License-Identifier: MIT */

#include "progress.h"

#include "output.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MILLISECONDS 500 /* before anything is drawn */
#define STEP_MILLISECONDS 100
#define BAR_WIDTH 40

static uint64_t now(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

void progress_begin(struct progress *progress, const char *what, uint64_t total, bool quiet)
{
    progress->what = what;
    progress->total = total;
    progress->begun = now();
    progress->shown = progress->begun + WAIT_MILLISECONDS - STEP_MILLISECONDS;
    progress->active = !quiet && isatty(STDERR_FILENO);
    progress->drawn = false;
}

static void draw(const struct progress *progress, uint64_t done)
{
    double part = (double)done / (double)progress->total;
    int full = part < 1 ? (int)(part * BAR_WIDTH) : BAR_WIDTH;

    if (progress->total == 0) {
        fprintf(stderr, "\r%s %" PRIu64, progress->what, done);
        return;
    }
    fprintf(stderr, "\r%s [", progress->what);
    for (int i = 0; i < BAR_WIDTH; i++) {
        fputc(i < full ? '#' : ' ', stderr);
    }
    fprintf(stderr, "] %3.0f %%", part < 1 ? 100 * part : 100);
}

void progress_update(struct progress *progress, uint64_t done)
{
    uint64_t time;

    if (!progress->active) {
        return;
    }
    time = now();
    if (time < progress->shown + STEP_MILLISECONDS) {
        return;
    }
    progress->shown = time;
    progress->drawn = true;
    draw(progress, done);
}

bool progress_go_on(void *context, uint64_t done, uint64_t total)
{
    struct progress *progress = context;

    progress->total = total;
    progress_update(progress, done);
    return !asked_to_end();
}

void progress_end(struct progress *progress)
{
    if (progress->drawn) {
        fputs("\r\033[K", stderr);
    }
    progress->drawn = false;
}
