/* SPDX-License-Identifier: MIT */
#include "batch.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch_apply.h"
#include "escape.h"
#include "last.h"
#include "log.h"

/* Results that are remembered. */
#define RESULTS 256

/* An archive that is to be applied. */
struct job {
    struct job *next;
    struct stage stage;
    uint64_t number;
    int spoilt;                   /* an errno: it is not whole, a write of it failed */
    char name[PROCESS_NAME_SIZE]; /* what messages call who wrote it */
    struct answer answer;
};

struct batch {
    struct fs *fs;
    pthread_t thread;
    pthread_mutex_t mutex; /* for everything below */
    pthread_cond_t work;   /* a job, or the end */
    bool running;
    struct job *first, *last;
    uint64_t count;         /* of batches that were begun */
    char *results[RESULTS]; /* a line each: of batch N at N modulo this; owned */
};

struct batch *batch_new(void)
{
    struct batch *batch = calloc(1, sizeof(*batch));

    if (batch != NULL) {
        pthread_mutex_init(&batch->mutex, NULL);
        pthread_cond_init(&batch->work, NULL);
    }
    return batch;
}

void batch_free(struct batch *batch)
{
    if (batch == NULL) {
        return;
    }
    for (size_t i = 0; i < RESULTS; i++) {
        free(batch->results[i]);
    }
    pthread_cond_destroy(&batch->work);
    pthread_mutex_destroy(&batch->mutex);
    free(batch);
}

/* ---- what became of them ---- */

/* Notes what became of a batch. Without memory there is no word of it but in the log. */
static void note(struct batch *batch, uint64_t number, const char *name, const char *became)
{
    char *line = NULL;
    char **place = &batch->results[number % RESULTS];

    if (asprintf(&line, "batch %" PRIu64 " of %s: %s\n", number, name, became) < 0) {
        line = NULL;
    }
    pthread_mutex_lock(&batch->mutex);
    free(*place);
    *place = line;
    pthread_mutex_unlock(&batch->mutex);
}

static void note_result(struct batch *batch, const struct job *job,
                        const struct batch_result *result)
{
    char *why = result->error != 0 ? escape_copy(result->why) : NULL;
    char text[4 * sizeof(result->why) + 64];

    if (result->error != 0) {
        snprintf(text, sizeof(text), "nothing was changed: %s",
                 why != NULL ? why : strerror(result->error));
    } else {
        snprintf(text, sizeof(text),
                 "committed: %" PRIu64 " regular and %" PRIu64 " protected pages, %" PRIu64
                 " of them new",
                 result->regular, result->protected, result->created);
    }
    free(why);
    note(batch, job->number, job->name, text);
}

int batch_text(char **text, size_t *length, const struct fs *fs, const struct client *client)
{
    struct batch *batch = fs->batch;
    const char *line = NULL;
    uint64_t number;

    if (!last_find(&number, fs->last, NODE_FIXED, client->thread, client->user)) {
        number = 0;
    }
    pthread_mutex_lock(&batch->mutex);
    number = number != 0 ? number : batch->count;
    if (number != 0 && batch->count - number < RESULTS) {
        line = batch->results[number % RESULTS];
    }
    *text = strdup(line != NULL ? line : "");
    pthread_mutex_unlock(&batch->mutex);
    *length = *text != NULL ? strlen(*text) : 0;
    return *text != NULL ? 0 : ENOMEM;
}

/* ---- writing ---- */

void batch_begin(struct fs *fs, struct handle *handle, const struct client *client)
{
    struct batch *batch = fs->batch;
    char name[PROCESS_NAME_SIZE];

    pthread_mutex_lock(&batch->mutex);
    handle->batch = ++batch->count;
    pthread_mutex_unlock(&batch->mutex);
    handle->stage.page_size = fs->stage_limit;
    note(batch, handle->batch, process_name(name, client->thread), "nothing was written to it");
    last_note(fs->last, NODE_FIXED, handle->batch, client->thread, client->user);
}

/* ---- applying ---- */

static void run_job(struct fs *fs, struct job *job)
{
    struct batch_result result = {.error = job->spoilt};

    if (job->spoilt != 0) {
        snprintf(result.why, sizeof(result.why), "a write to it failed: %s", strerror(job->spoilt));
    } else {
        batch_apply(&result, fs, &job->stage);
    }
    stage_clear(&job->stage);
    if (result.error != 0) {
        log_limited(LOG_ERR, "batch %" PRIu64 " of %s: nothing was changed: %s", job->number,
                    job->name, result.why);
    }
    note_result(fs->batch, job, &result);
    job->answer.error = result.error;
    answer_now(&job->answer);
    free(job);
}

/* Hands a job over; false if there is no thread. */
static bool hand_over(struct batch *batch, struct job *job)
{
    bool running;

    pthread_mutex_lock(&batch->mutex);
    running = batch->running;
    if (running) {
        *(batch->first != NULL ? &batch->last->next : &batch->first) = job;
        batch->last = job;
        pthread_cond_signal(&batch->work);
    }
    pthread_mutex_unlock(&batch->mutex);
    return running;
}

/* Takes what is due into the job; false: nothing is. */
static bool take(struct fs *fs, struct handle *handle, enum occasion occasion,
                 const struct client *client, struct job *job)
{
    switch (handle_take(fs, handle, occasion, client, &job->stage)) {
    case HANDLE_NOTHING:
        return false;
    case HANDLE_DROPPED:
        note(fs->batch, handle->batch, process_name(job->name, client->thread),
             "nothing was changed: who wrote it was killed");
        return false;
    case HANDLE_TAKEN:
        break;
    }
    job->number = handle->batch;
    job->spoilt = handle->spoilt;
    (void)process_name(job->name, stage_writer(&job->stage)->thread);
    return true;
}

void batch_settle(struct fs *fs, struct handle *handle, enum occasion occasion,
                  const struct client *client, const struct answer *answer)
{
    struct job *job = calloc(1, sizeof(*job));
    struct answer now = *answer;

    if (job == NULL) {
        now.error = ENOMEM;
        answer_now(&now);
        return;
    }
    if (!take(fs, handle, occasion, client, job)) {
        free(job);
        answer_now(&now);
        return;
    }
    job->answer = now;
    note(fs->batch, job->number, job->name, "not done yet");
    if (!hand_over(fs->batch, job)) {
        run_job(fs, job); /* no requests come any more */
    }
}

void batch_end(struct fs *fs, struct handle *handle)
{
    static const struct client nobody;
    const struct answer none = {.kind = ANSWER_NONE};

    batch_settle(fs, handle, OCCASION_END, &nobody, &none);
}

static void *run(void *argument)
{
    struct batch *batch = argument;

    pthread_mutex_lock(&batch->mutex);
    while (batch->running || batch->first != NULL) {
        struct job *job = batch->first;

        if (job == NULL) {
            pthread_cond_wait(&batch->work, &batch->mutex);
            continue;
        }
        batch->first = job->next;
        pthread_mutex_unlock(&batch->mutex);
        run_job(batch->fs, job);
        pthread_mutex_lock(&batch->mutex);
    }
    pthread_mutex_unlock(&batch->mutex);
    return NULL;
}

bool batch_start(struct fs *fs)
{
    struct batch *batch = fs->batch;

    batch->fs = fs;
    batch->running = true;
    if (pthread_create(&batch->thread, NULL, run, batch) != 0) {
        batch->running = false;
        log_line(LOG_ERR, "no thread for what is written to batch");
    }
    return batch->running;
}

void batch_stop(struct batch *batch)
{
    bool running;

    if (batch == NULL) {
        return;
    }
    pthread_mutex_lock(&batch->mutex);
    running = batch->running;
    batch->running = false;
    pthread_cond_signal(&batch->work);
    pthread_mutex_unlock(&batch->mutex);
    if (running) {
        pthread_join(batch->thread, NULL);
    }
}
