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
#include "workers.h"

/* Results that are remembered. */
#define RESULTS 256

/* An archive that is to be applied. */
struct job {
    struct work work;
    struct fs *fs;
    struct stage stage;
    uint64_t number;
    int spoilt;                  /* an errno: it is not whole, a write of it failed */
    char name[CLIENT_NAME_SIZE]; /* what messages call who wrote it */
    struct answer answer;
};

struct batch {
    struct workers *thread; /* one, that applies them */
    pthread_mutex_t mutex;  /* for everything below */
    uint64_t count;         /* of batches that were begun */
    char *results[RESULTS]; /* a line each: of batch N at N modulo this; owned */
};

struct batch *batch_new(void)
{
    struct batch *batch = calloc(1, sizeof(*batch));

    if (batch == NULL || (batch->thread = workers_new(1)) == NULL) {
        free(batch);
        return NULL;
    }
    pthread_mutex_init(&batch->mutex, NULL);
    return batch;
}

void batch_free(struct batch *batch)
{
    if (batch == NULL) {
        return;
    }
    workers_free(batch->thread);
    for (size_t i = 0; i < RESULTS; i++) {
        free(batch->results[i]);
    }
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
    char name[CLIENT_NAME_SIZE];

    pthread_mutex_lock(&batch->mutex);
    handle->batch = ++batch->count;
    pthread_mutex_unlock(&batch->mutex);
    handle->stage.page_size = fs->stage_limit;
    note(batch, handle->batch, client_name(name, client->thread), "nothing was written to it");
    last_note(fs->last, NODE_FIXED, handle->batch, client->thread, client->user);
}

/* ---- applying ---- */

static void run(struct work *work)
{
    struct job *job = (struct job *)work; /* its first member */
    struct batch_result result = {.error = job->spoilt};

    if (job->spoilt != 0) {
        snprintf(result.why, sizeof(result.why), "a write to it failed: %s", strerror(job->spoilt));
    } else {
        batch_apply(&result, job->fs, &job->stage);
    }
    stage_clear(&job->stage);
    if (result.error != 0) {
        log_limited(LOG_ERR, "batch %" PRIu64 " of %s: nothing was changed: %s", job->number,
                    job->name, result.why);
    }
    note_result(job->fs->batch, job, &result);
    job->answer.error = result.error;
    answer_now(&job->answer);
    free(job);
}

/* Takes what is due into the job; false: nothing is. */
static bool take(struct fs *fs, struct handle *handle, enum occasion occasion,
                 const struct client *client, struct job *job)
{
    switch (handle_take(fs, handle, occasion, client, &job->stage)) {
    case HANDLE_NOTHING:
        return false;
    case HANDLE_DROPPED:
        note(fs->batch, handle->batch, client_name(job->name, client->thread),
             "nothing was changed: who wrote it was killed");
        return false;
    case HANDLE_TAKEN:
        break;
    }
    job->number = handle->batch;
    job->spoilt = handle->spoilt;
    (void)client_name(job->name, stage_writer(&job->stage)->thread);
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
    job->work.run = run;
    job->fs = fs;
    job->answer = now;
    note(fs->batch, job->number, job->name, "not done yet");
    if (!workers_do(fs->batch->thread, &job->work)) {
        run(&job->work); /* no requests come any more */
    }
}

void batch_end(struct fs *fs, struct handle *handle)
{
    static const struct client nobody;
    const struct answer none = {.kind = ANSWER_NONE};

    batch_settle(fs, handle, OCCASION_END, &nobody, &none);
}

bool batch_start(struct fs *fs)
{
    bool started = workers_start(fs->batch->thread);

    if (!started) {
        log_line(LOG_ERR, "no thread for what is written to batch");
    }
    return started;
}

void batch_stop(struct batch *batch)
{
    if (batch != NULL) {
        workers_end(batch->thread);
    }
}
