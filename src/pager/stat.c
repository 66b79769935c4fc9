/* SPDX-License-Identifier: MIT */
/* Facts about an open file and about the library. */
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "pager/pager.h"

int mpg_stat(struct mpg_stat *st, const mpg_pager *pager)
{
    struct mpg_stat facts;

    if (st->size != sizeof(facts))
        return mpgi_fail(MPG_E_INVALID, "stat", MPG_NO_PAGE,
                         "struct mpg_stat of %zu bytes is not of this version (%zu)", st->size,
                         sizeof(facts));
    memset(&facts, 0, sizeof(facts));
    pager_lock(pager);
    pager->ops->facts(pager->format, visible_version(pager), &facts);
    facts.file_bytes = pager->file.bytes;
    pager_unlock(pager);
    facts.size = sizeof(facts);
    facts.format = pager->ops->id;
    facts.page_size = pager->page_size;
    facts.read_only = pager->read_only;
    facts.name_unsure = pager->file.name_unsure;
    facts.lock_unsure = !pager->read_only && pager->file.sharing.lock_is_local;
    *st = facts;
    return 0;
}

static uint64_t value_of(const atomic_uint_least64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void add_io(struct mpg_counters *counters, const struct io_counts *counts)
{
    counters->syncs = value_of(&counts->syncs);
    counters->sync_time = value_of(&counts->sync_time);
    for (unsigned i = 0; i < READ_COUNTS; i++) {
        counters->reads += value_of(&counts->read[i].reads);
        counters->bytes_read += value_of(&counts->read[i].bytes);
    }
    counters->writes = value_of(&counts->writes);
    counters->bytes_written = value_of(&counts->bytes_written);
    counters->bytes_grown = value_of(&counts->bytes_grown);
}

static void add_commits(struct mpg_counters *counters, const struct commit_counts *counts)
{
    counters->commits = counts->commits;
    counters->failed_commits = counts->failed;
    counters->operations = counts->operations;
    counters->largest_commit = counts->largest;
    counters->commit_time = counts->time;
    counters->longest_commit = counts->longest;
    counters->waits = counts->waits;
    counters->wait_time = counts->wait_time;
    counters->longest_wait = counts->longest_wait;
    counters->pages_allocated = counts->tally.allocated;
    counters->pages_freed = counts->tally.freed;
    counters->protected_allocated = counts->tally.protected_allocated;
    counters->protected_freed = counts->tally.protected_freed;
    counters->protected_written = counts->tally.protected_written;
}

int mpg_counters(struct mpg_counters *counters, const mpg_pager *pager)
{
    struct mpg_counters counted = {.size = sizeof(counted)};
    struct timespec time;

    if (counters->size != sizeof(counted))
        return mpgi_fail(MPG_E_INVALID, "counters", MPG_NO_PAGE,
                         "struct mpg_counters of %zu bytes is not of this version (%zu)",
                         counters->size, sizeof(counted));
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    counted.time =
        (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec - pager->opened_at;
    add_io(&counted, &pager->io_counts);
    pager_lock(pager);
    add_commits(&counted, &pager->counts);
    counted.checkpoints = pager->format->checkpoints;
    pager_unlock(pager);
    *counters = counted;
    return 0;
}

size_t mpg_page_size(const mpg_pager *pager)
{
    return pager->page_size;
}

int mpg_descriptor(const mpg_pager *pager)
{
    return pager->file.fd;
}

void mpg_version(int *major, int *minor, int *patch)
{
    *major = MPG_VERSION_MAJOR;
    *minor = MPG_VERSION_MINOR;
    *patch = MPG_VERSION_PATCH;
}
