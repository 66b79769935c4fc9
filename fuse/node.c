/* SPDX-License-Identifier: MIT */
#include "node.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "map.h"

#define LOCKS 256
#define INCARNATION_MAX ((UINT64_C(1) << NODE_INCARNATION_BITS) - 1)

/* Values of a record, which a page has while its past or present node is not the plain one. */
enum {
    RECORD_CURRENT, /* the page's node, or 0: it has none, being freed, free or being made */
    RECORD_OLD,     /* nodes of its past that the kernel has not forgotten */
    RECORD_STATE,   /* the last incarnation given, and the flags below */
};
#define STATE_FORGOTTEN (UINT64_C(1) << 32) /* the kernel does not know the current node */
#define STATE_HELD (UINT64_C(1) << 33)      /* a rename is about to need the record */

/* Values of a node that stands for another page than its bits say. */
enum {
    FOREIGN_PAGE,    /* plain node of the page */
    FOREIGN_COUNTED, /* plain node of the page that its bits say, where it counts as old; or 0 */
};

/* Values of a node that has handles. */
enum { OPEN_HANDLES, OPEN_WRITERS, OPEN_FORGOTTEN };

struct nodes {
    pthread_mutex_t mutex;       /* for the tables */
    struct map records;          /* by plain node of the page */
    struct map foreign;          /* by node */
    struct map opens;            /* by node */
    atomic_size_t special;       /* entries of records and foreign: none for most of the time */
    pthread_rwlock_t use[LOCKS]; /* shared: a page's content is used; exclusive: it is retired */
};

struct nodes *nodes_new(void)
{
    struct nodes *nodes = calloc(1, sizeof(*nodes));

    if (nodes == NULL) {
        return NULL;
    }
    pthread_mutex_init(&nodes->mutex, NULL);
    for (int i = 0; i < LOCKS; i++) {
        pthread_rwlock_init(&nodes->use[i], NULL);
    }
    return nodes;
}

void nodes_free(struct nodes *nodes)
{
    if (nodes == NULL) {
        return;
    }
    map_free(&nodes->records);
    map_free(&nodes->foreign);
    map_free(&nodes->opens);
    for (int i = 0; i < LOCKS; i++) {
        pthread_rwlock_destroy(&nodes->use[i]);
    }
    pthread_mutex_destroy(&nodes->mutex);
    free(nodes);
}

static void lock(struct nodes *nodes)
{
    pthread_mutex_lock(&nodes->mutex);
}

static void unlock(struct nodes *nodes)
{
    atomic_store(&nodes->special, nodes->records.used + nodes->foreign.used);
    pthread_mutex_unlock(&nodes->mutex);
}

/* A node as its bits say, without the incarnation. */
static uint64_t strip(uint64_t node)
{
    return node & ~(INCARNATION_MAX << NODE_ID_BITS);
}

static uint64_t incarnate(uint64_t page, uint64_t incarnation)
{
    return page | incarnation << NODE_ID_BITS;
}

static pthread_rwlock_t *use_lock(struct nodes *nodes, const struct target *target)
{
    uint64_t plain = node_plain(target->kind, target->id);

    return &nodes->use[(plain * UINT64_C(0x9e3779b97f4a7c15)) >> 56];
}

/* The page that a node stands, or stood, for. */
static uint64_t page_of(const struct nodes *nodes, uint64_t node)
{
    const uint64_t *foreign = map_find(&nodes->foreign, node);

    return foreign != NULL ? foreign[FOREIGN_PAGE] : strip(node);
}

/* Drops the record of a page whose node is the plain one again, or can be. */
static void try_drop(struct nodes *nodes, uint64_t page)
{
    const uint64_t *record = map_find(&nodes->records, page);

    if (record == NULL || record[RECORD_OLD] > 0 || (record[RECORD_STATE] & STATE_HELD)) {
        return;
    }
    if (record[RECORD_CURRENT] == 0) {
        map_remove(&nodes->records, page);
    } else if (record[RECORD_CURRENT] == page || (record[RECORD_STATE] & STATE_FORGOTTEN)) {
        map_remove(&nodes->foreign, record[RECORD_CURRENT]);
        map_remove(&nodes->records, page);
    }
}

/* One node fewer of a page's past. */
static void forget_old(struct nodes *nodes, uint64_t page)
{
    uint64_t *record = map_find(&nodes->records, page);

    if (record != NULL && record[RECORD_OLD] > 0) {
        record[RECORD_OLD]--;
        try_drop(nodes, page);
    }
}

int nodes_resolve(struct nodes *nodes, uint64_t node, struct target *target)
{
    uint64_t page = strip(node);
    uint64_t current = page;

    if (atomic_load(&nodes->special) > 0) {
        const uint64_t *record;

        lock(nodes);
        page = page_of(nodes, node);
        record = map_find(&nodes->records, page);
        current = record != NULL ? record[RECORD_CURRENT] : page;
        unlock(nodes);
    }
    target->kind = node_kind_of(page);
    target->id = page & (NODE_ID_LIMIT - 1);
    return current == node ? 0 : ESTALE;
}

int nodes_enter(struct nodes *nodes, uint64_t node, struct target *target)
{
    struct target now;
    int error = nodes_resolve(nodes, node, target);

    if (error != 0) {
        return error;
    }
    for (;;) {
        pthread_rwlock_rdlock(use_lock(nodes, target));
        error = nodes_resolve(nodes, node, &now);
        if (error == 0 && now.kind == target->kind && now.id == target->id) {
            return 0;
        }
        pthread_rwlock_unlock(use_lock(nodes, target));
        if (error != 0) {
            return error;
        }
        *target = now;
    }
}

void nodes_leave(struct nodes *nodes, const struct target *target)
{
    pthread_rwlock_unlock(use_lock(nodes, target));
}

uint64_t nodes_current(struct nodes *nodes, enum node_kind kind, uint64_t id)
{
    uint64_t current = node_plain(kind, id);
    uint64_t *record;

    if (atomic_load(&nodes->special) == 0) {
        return current;
    }
    lock(nodes);
    record = map_find(&nodes->records, current);
    if (record != NULL) {
        current = record[RECORD_CURRENT];
        record[RECORD_STATE] &= ~STATE_FORGOTTEN;
    }
    unlock(nodes);
    return current;
}

int nodes_retire(struct nodes *nodes, enum node_kind kind, uint64_t id, uint64_t *was)
{
    struct target target = {kind, id};
    uint64_t plain = node_plain(kind, id);
    pthread_rwlock_t *use = use_lock(nodes, &target);
    const uint64_t *existing;
    uint64_t *record;
    int error = 0;

    pthread_rwlock_wrlock(use);
    lock(nodes);
    existing = map_find(&nodes->records, plain);
    if (existing != NULL && existing[RECORD_CURRENT] == 0) {
        error = ENOENT;
    } else if (record = map_put(&nodes->records, plain), record == NULL) {
        error = ENOMEM;
    } else {
        *was = existing != NULL ? record[RECORD_CURRENT] : plain;
        record[RECORD_CURRENT] = 0;
        record[RECORD_OLD]++;
    }
    unlock(nodes);
    pthread_rwlock_unlock(use);
    return error;
}

void nodes_restore(struct nodes *nodes, enum node_kind kind, uint64_t id, uint64_t was)
{
    uint64_t plain = node_plain(kind, id);
    uint64_t *record;

    lock(nodes);
    record = map_put(&nodes->records, plain);
    if (record != NULL) {
        record[RECORD_CURRENT] = was;
        if (record[RECORD_OLD] > 0) {
            record[RECORD_OLD]--;
        }
        try_drop(nodes, plain);
    }
    unlock(nodes);
}

uint64_t nodes_create(struct nodes *nodes, enum node_kind kind, uint64_t id)
{
    uint64_t node = node_plain(kind, id);
    uint64_t *record;

    if (atomic_load(&nodes->special) == 0) {
        return node;
    }
    lock(nodes);
    record = map_find(&nodes->records, node);
    if (record != NULL && record[RECORD_CURRENT] != 0) {
        node = record[RECORD_CURRENT]; /* the create of another name of it came first */
    } else if (record != NULL) {
        uint64_t incarnation = (record[RECORD_STATE] & INCARNATION_MAX) + 1;

        if (incarnation > INCARNATION_MAX) {
            node = 0;
        } else {
            node = incarnate(node, incarnation);
            record[RECORD_CURRENT] = node;
            record[RECORD_STATE] = incarnation;
        }
    }
    unlock(nodes);
    return node;
}

void nodes_cancel_create(struct nodes *nodes, enum node_kind kind, uint64_t id)
{
    uint64_t plain = node_plain(kind, id);
    uint64_t *record;

    lock(nodes);
    record = map_find(&nodes->records, plain);
    if (record != NULL) {
        record[RECORD_CURRENT] = 0;
        try_drop(nodes, plain);
    }
    unlock(nodes);
}

int nodes_prepare_adopt(struct nodes *nodes, uint64_t node, enum node_kind kind, uint64_t id)
{
    uint64_t plain = node_plain(kind, id);
    const bool known = node_kind_of(node) != NODE_SCRATCH;
    uint64_t *record, *foreign;
    int error = ENOMEM;

    lock(nodes);
    record = map_put(&nodes->records, plain);
    if (record != NULL) {
        record[RECORD_STATE] |= STATE_HELD;
        foreign = map_find(&nodes->foreign, node);
        if (foreign == NULL && (foreign = map_put(&nodes->foreign, node)) != NULL) {
            foreign[FOREIGN_PAGE] = strip(node);
            foreign[FOREIGN_COUNTED] = known ? strip(node) : 0;
        }
        error = foreign != NULL ? 0 : ENOMEM;
    }
    unlock(nodes);
    return error;
}

void nodes_adopt(struct nodes *nodes, uint64_t node, enum node_kind kind, uint64_t id)
{
    uint64_t plain = node_plain(kind, id);
    uint64_t *foreign, *record;

    lock(nodes);
    foreign = map_find(&nodes->foreign, node);
    record = map_find(&nodes->records, plain);
    if (foreign != NULL && record != NULL) {
        uint64_t before = foreign[FOREIGN_PAGE];

        foreign[FOREIGN_PAGE] = plain;
        record[RECORD_CURRENT] = node;
        record[RECORD_STATE] &= ~(STATE_HELD | STATE_FORGOTTEN);
        if (plain == foreign[FOREIGN_COUNTED]) {
            foreign[FOREIGN_COUNTED] = 0; /* back where its bits say: not old any more */
            record[RECORD_OLD]--;
        }
        if (before != foreign[FOREIGN_COUNTED]) {
            /* A page that only had the node for a while: a new node of it cannot be this one. */
            forget_old(nodes, before);
        }
    }
    unlock(nodes);
}

void nodes_cancel_adopt(struct nodes *nodes, uint64_t node, enum node_kind kind, uint64_t id)
{
    uint64_t plain = node_plain(kind, id);
    const uint64_t *foreign;
    uint64_t *record;

    lock(nodes);
    foreign = map_find(&nodes->foreign, node);
    if (foreign != NULL && foreign[FOREIGN_PAGE] == strip(node)) {
        map_remove(&nodes->foreign, node);
    }
    record = map_find(&nodes->records, plain);
    if (record != NULL) {
        record[RECORD_STATE] &= ~STATE_HELD;
        try_drop(nodes, plain);
    }
    unlock(nodes);
}

static void forget(struct nodes *nodes, uint64_t node)
{
    uint64_t page = page_of(nodes, node);
    const uint64_t *foreign = map_find(&nodes->foreign, node);
    uint64_t counted = foreign != NULL ? foreign[FOREIGN_COUNTED] : 0;
    uint64_t *record = map_find(&nodes->records, page);

    if (record != NULL && record[RECORD_CURRENT] == node) {
        record[RECORD_STATE] |= STATE_FORGOTTEN;
        try_drop(nodes, page);
    } else {
        if (foreign != NULL) {
            map_remove(&nodes->foreign, node);
        }
        forget_old(nodes, page);
    }
    if (counted != 0 && counted != page) {
        forget_old(nodes, counted);
    }
}

void nodes_forget(struct nodes *nodes, uint64_t node)
{
    uint64_t *open;

    if (atomic_load(&nodes->special) == 0) {
        return;
    }
    lock(nodes);
    open = map_find(&nodes->opens, node);
    if (open != NULL) {
        open[OPEN_FORGOTTEN] = 1;
    } else {
        forget(nodes, node);
    }
    unlock(nodes);
}

int nodes_opened(struct nodes *nodes, uint64_t node, bool for_writing)
{
    uint64_t *open;

    lock(nodes);
    open = map_put(&nodes->opens, node);
    if (open != NULL) {
        open[OPEN_HANDLES]++;
        open[OPEN_WRITERS] += for_writing;
        open[OPEN_FORGOTTEN] = 0;
    }
    unlock(nodes);
    return open != NULL ? 0 : ENOMEM;
}

void nodes_closed(struct nodes *nodes, uint64_t node, bool for_writing)
{
    uint64_t *open;

    lock(nodes);
    open = map_find(&nodes->opens, node);
    if (open != NULL) {
        open[OPEN_WRITERS] -= for_writing;
        if (--open[OPEN_HANDLES] == 0) {
            bool forgotten = open[OPEN_FORGOTTEN] != 0;

            map_remove(&nodes->opens, node);
            if (forgotten) {
                forget(nodes, node);
            }
        }
    }
    unlock(nodes);
}

bool nodes_has_writers(struct nodes *nodes, uint64_t node)
{
    const uint64_t *open;
    bool writers;

    lock(nodes);
    open = map_find(&nodes->opens, node);
    writers = open != NULL && open[OPEN_WRITERS] > 0;
    unlock(nodes);
    return writers;
}
