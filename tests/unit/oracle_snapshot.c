/* SPDX-License-Identifier: MIT */
/* Snapshots, against what the oracle knew when they were opened. */
#include <stdlib.h>
#include <string.h>

#include "support/harness.h"
#include "unit/oracle.h"

static void close_one(struct known_snapshot *known)
{
    mpg_snapshot_close(known->snapshot);
    for (uint64_t id = 0; id < MOST_GUARDED; id++)
        free(known->contents[id]);
    memset(known, 0, sizeof(*known));
}

static void open_one(struct oracle *oracle, struct known_snapshot *known)
{
    int wanted = oracle_moves(oracle) ? 0 : MPG_E_UNSUPPORTED;

    /* What is put off is not in it. */
    oracle_expect(oracle, mpg_sync(oracle->pager), 0);
    if (!oracle_expect(oracle, mpg_snapshot_open(&known->snapshot, oracle->pager), wanted) ||
        wanted != 0)
        return;
    for (uint64_t id = 0; id < MOST_GUARDED; id++) {
        if (!oracle->guarded[id].in_use)
            continue;
        known->contents[id] = malloc(oracle->page_size);
        must(known->contents[id]);
        memcpy(known->contents[id], oracle->guarded[id].content, oracle->page_size);
        known->count++;
    }
}

static void read_one(struct oracle *oracle, const struct known_snapshot *known, uint64_t id)
{
    int result = mpg_snapshot_read(oracle->buffer, known->snapshot, (mpg_protected_id){id});

    if (!oracle_expect(oracle, result, known->contents[id] != NULL ? 0 : MPG_E_NOT_ALLOCATED) ||
        result != 0)
        return;
    if (memcmp(oracle->buffer, known->contents[id], oracle->page_size) != 0)
        oracle_fail(oracle, "protected page %llu: another content", (unsigned long long)id);
}

static void walk(struct oracle *oracle, const struct known_snapshot *known)
{
    uint64_t from = oracle_any(oracle, 80), next = from;
    mpg_snapshot_iter iter;
    mpg_protected_id id;

    mpg_snapshot_iter_begin(&iter, known->snapshot, (mpg_protected_id){from});
    while (mpg_snapshot_iter_next(&id, &iter) == 1) {
        while (next < MOST_GUARDED && known->contents[next] == NULL)
            next++;
        if (id.value != next++)
            oracle_fail(oracle, "it came to protected page %llu", (unsigned long long)id.value);
    }
    for (; next < MOST_GUARDED; next++)
        if (known->contents[next] != NULL)
            oracle_fail(oracle, "it left out protected page %llu", (unsigned long long)next);
}

static void verify_one(struct oracle *oracle, const struct known_snapshot *known)
{
    mpg_snapshot_info info;

    mpg_snapshot_stat(&info, known->snapshot);
    if (info.protected_pages != known->count)
        oracle_fail(oracle, "%llu pages, not %llu", (unsigned long long)info.protected_pages,
                    (unsigned long long)known->count);
    walk(oracle, known);
    for (uint64_t id = 0; id < MOST_GUARDED; id++)
        if (known->contents[id] != NULL)
            read_one(oracle, known, id);
}

void oracle_do_snapshot(struct oracle *oracle)
{
    struct known_snapshot *known = &oracle->snapshots[oracle_any(oracle, MOST_SNAPSHOTS)];

    oracle->operation = "snapshot";
    if (known->snapshot == NULL) {
        open_one(oracle, known);
        return;
    }
    read_one(oracle, known, oracle_any(oracle, 70));
    if (!oracle_once_in(oracle, 3))
        return;
    verify_one(oracle, known);
    close_one(known);
}

void oracle_verify_snapshots(struct oracle *oracle)
{
    oracle->operation = "snapshot";
    for (unsigned i = 0; i < MOST_SNAPSHOTS; i++)
        if (oracle->snapshots[i].snapshot != NULL)
            verify_one(oracle, &oracle->snapshots[i]);
    oracle->operation = "verify";
}

void oracle_close_snapshots(struct oracle *oracle)
{
    for (unsigned i = 0; i < MOST_SNAPSHOTS; i++)
        close_one(&oracle->snapshots[i]);
}

uint64_t oracle_held(const struct oracle *oracle)
{
    mpg_snapshot_info info = {.held = 0};

    for (unsigned i = 0; i < MOST_SNAPSHOTS; i++)
        if (oracle->snapshots[i].snapshot != NULL)
            mpg_snapshot_stat(&info, oracle->snapshots[i].snapshot);
    return info.held;
}
