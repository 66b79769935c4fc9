/* SPDX-License-Identifier: MIT */
#include "budget.h"

#include <pthread.h>
#include <stdlib.h>

struct payer {
    struct payer *next, *previous;
    uint64_t process; /* its table of descriptors, or the thread if the kernel did not name that */
    uid_t user;
    unsigned references; /* who entered and did not leave */
    uint64_t used;       /* bytes */
};

struct budget {
    pthread_mutex_t mutex; /* for everything */
    struct payer *payers;  /* owned */
    uint64_t used, limit;  /* bytes */
};

struct budget *budget_new(uint64_t limit)
{
    struct budget *budget = calloc(1, sizeof(*budget));

    if (budget != NULL) {
        pthread_mutex_init(&budget->mutex, NULL);
        budget->limit = limit;
    }
    return budget;
}

void budget_free(struct budget *budget)
{
    if (budget == NULL) {
        return;
    }
    while (budget->payers != NULL) {
        struct payer *payer = budget->payers;

        budget->payers = payer->next;
        free(payer);
    }
    pthread_mutex_destroy(&budget->mutex);
    free(budget);
}

/* The payer for a client, made if there is none. Called with the lock held. */
static struct payer *find_or_make(struct budget *budget, const struct client *client)
{
    const uint64_t process = client->files != 0 ? client->files : (uint64_t)client->thread;
    struct payer *payer = budget->payers;

    while (payer != NULL && (payer->process != process || payer->user != client->user)) {
        payer = payer->next;
    }
    if (payer != NULL || (payer = calloc(1, sizeof(*payer))) == NULL) {
        return payer;
    }
    payer->process = process;
    payer->user = client->user;
    payer->next = budget->payers;
    if (payer->next != NULL) {
        payer->next->previous = payer;
    }
    budget->payers = payer;
    return payer;
}

struct payer *budget_enter(struct budget *budget, const struct client *client)
{
    struct payer *payer;

    pthread_mutex_lock(&budget->mutex);
    payer = find_or_make(budget, client);
    if (payer != NULL) {
        payer->references++;
    }
    pthread_mutex_unlock(&budget->mutex);
    return payer;
}

void budget_leave(struct budget *budget, struct payer *payer)
{
    pthread_mutex_lock(&budget->mutex);
    if (--payer->references == 0) {
        if (payer->next != NULL) {
            payer->next->previous = payer->previous;
        }
        *(payer->previous != NULL ? &payer->previous->next : &budget->payers) = payer->next;
        free(payer);
    }
    pthread_mutex_unlock(&budget->mutex);
}

/* Whether one who uses `used` bytes, of which others use the rest, may have that many more. */
static bool leaves_some(const struct budget *budget, uint64_t used, uint64_t bytes)
{
    uint64_t left = budget->limit - (budget->used - used); /* by others */

    return used + bytes <= left - left / 16;
}

static uint64_t used_by_user(const struct budget *budget, uid_t user)
{
    uint64_t used = 0;

    for (const struct payer *payer = budget->payers; payer != NULL; payer = payer->next) {
        used += payer->user == user ? payer->used : 0;
    }
    return used;
}

/* Called with the lock held. */
static bool may_take(const struct budget *budget, const struct payer *payer, uint64_t bytes)
{
    if (bytes > budget->limit - budget->used) {
        return false;
    }
    return budget->used + bytes <= budget->limit / 2 ||
           (leaves_some(budget, payer->used, bytes) &&
            leaves_some(budget, used_by_user(budget, payer->user), bytes));
}

bool budget_take(struct budget *budget, struct payer *payer, uint64_t bytes)
{
    bool may;

    pthread_mutex_lock(&budget->mutex);
    may = may_take(budget, payer, bytes);
    if (may) {
        budget->used += bytes;
        payer->used += bytes;
    }
    pthread_mutex_unlock(&budget->mutex);
    return may;
}

void budget_give(struct budget *budget, struct payer *payer, uint64_t bytes)
{
    pthread_mutex_lock(&budget->mutex);
    budget->used -= bytes;
    payer->used -= bytes;
    pthread_mutex_unlock(&budget->mutex);
}
