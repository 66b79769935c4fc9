/* SPDX-License-Identifier: MIT */
#include "last.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kin.h"

/* Creations that are remembered. */
#define NOTES 4096
/* Generations that are looked through. */
#define GENERATIONS_MAX 32

struct note {
    uint64_t id;
    enum node_kind kind; /* of page; NODE_FIXED: it was a batch */
    pid_t thread;        /* who created it */
    uid_t uid;
    struct kin kin;
    uint64_t time; /* when, in nanoseconds since the machine was started */
};

struct last {
    pthread_mutex_t mutex;
    uint64_t count;           /* of all that were noted */
    struct note notes[NOTES]; /* the newest of them, in a ring */
};

struct last *last_new(void)
{
    struct last *last = calloc(1, sizeof(*last));

    if (last != NULL) {
        pthread_mutex_init(&last->mutex, NULL);
    }
    return last;
}

void last_free(struct last *last)
{
    if (last != NULL) {
        pthread_mutex_destroy(&last->mutex);
        free(last);
    }
}

void last_note(struct last *last, enum node_kind kind, uint64_t id, pid_t thread, uid_t uid)
{
    struct note note = {.id = id, .kind = kind, .thread = thread, .uid = uid};
    struct timespec now;

    (void)kin_read(&note.kin, thread);
    clock_gettime(CLOCK_BOOTTIME, &now);
    note.time = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    pthread_mutex_lock(&last->mutex);
    last->notes[last->count++ % NOTES] = note;
    pthread_mutex_unlock(&last->mutex);
}

/* Who asks, and for what. */
struct question {
    enum node_kind kind;
    pid_t thread;
    uid_t uid;
    struct kin self;     /* of who asks; process 0: unknown */
    struct kin ancestor; /* who is looked at now: himself at first */
};

typedef bool (*matches)(const struct note *note, const struct question *question);

static bool by_thread(const struct note *note, const struct question *question)
{
    return question->thread > 0 && note->thread == question->thread && note->uid == question->uid;
}

/* A number is another process's if that began after the note was made. */
static bool by_ancestor(const struct note *note, const struct question *question)
{
    const struct kin *ancestor = &question->ancestor;

    return (note->kin.process == ancestor->process || note->kin.parent == ancestor->process) &&
           ancestor->started <= note->time;
}

static bool by_session(const struct note *note, const struct question *question)
{
    return question->self.session > 0 && note->kin.session == question->self.session;
}

static bool by_user(const struct note *note, const struct question *question)
{
    return note->uid == question->uid;
}

/* The newest note that matches, or NULL. Called with the lock held. */
static const struct note *find(const struct last *last, const struct question *question,
                               matches match)
{
    for (uint64_t i = last->count; i > 0 && last->count - i < NOTES; i--) {
        const struct note *note = &last->notes[(i - 1) % NOTES];

        if (note->kind == question->kind && match(note, question)) {
            return note;
        }
    }
    return NULL;
}

/* Looks at the process itself, and those that it comes from, within its session. */
static const struct note *find_kin(struct last *last, struct question *question)
{
    const struct note *note = NULL;

    for (int i = 0; i < GENERATIONS_MAX && note == NULL; i++) {
        const pid_t parent = question->ancestor.parent;

        note = find(last, question, by_ancestor);
        if (note == NULL && (parent <= 0 || !kin_read(&question->ancestor, parent) ||
                             question->ancestor.session != question->self.session)) {
            break;
        }
    }
    return note;
}

/* Called with the lock held. */
static const struct note *find_nearest(struct last *last, struct question *question)
{
    const struct note *note = NULL;

    if (!kin_read(&question->self, question->thread)) {
        note = find(last, question, by_thread);
    } else if (question->kind != NODE_FIXED) {
        question->ancestor = question->self;
        note = find_kin(last, question);
    }
    if (note == NULL) {
        note = find(last, question, by_session);
    }
    return note != NULL ? note : find(last, question, by_user);
}

bool last_find(uint64_t *id, struct last *last, enum node_kind kind, pid_t thread, uid_t uid)
{
    struct question question = {.kind = kind, .thread = thread, .uid = uid};
    const struct note *note;

    pthread_mutex_lock(&last->mutex);
    note = find_nearest(last, &question);
    if (note != NULL) {
        *id = note->id;
    }
    pthread_mutex_unlock(&last->mutex);
    return note != NULL;
}

int last_text(char **text, size_t *length, struct last *last, enum node_kind kind, pid_t thread,
              uid_t uid)
{
    char line[32] = "";
    uint64_t id;

    if (last_find(&id, last, kind, thread, uid)) {
        snprintf(line, sizeof(line), "%" PRIu64 "\n", id);
    }
    *text = strdup(line);
    *length = strlen(line);
    return *text != NULL ? 0 : ENOMEM;
}
