/* SPDX-License-Identifier: MIT */
/* A pager in memory: made, completed with what its file says, and freed. */
#include "pager/pager.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/crc.h"
#include "base/error.h"

static void init_locks(mpg_pager *pager)
{
    pthread_mutexattr_t adaptive;
    pthread_condattr_t monotonic;

    (void)pthread_mutexattr_init(&adaptive);
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
    /* It is held for a microsecond or two, and sleeping takes longer than that. */
    (void)pthread_mutexattr_settype(&adaptive, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
    (void)pthread_mutex_init(&pager->lock, &adaptive);
    (void)pthread_mutexattr_destroy(&adaptive);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&pager->settled, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

static bool make_tables(mpg_pager *pager)
{
    mpgi_known_init(&pager->regular, REGULAR_WORDS_LOG2);
    mpgi_known_init(&pager->writable, WRITABLE_WORDS_LOG2);
    if (!pager->read_only)
        pager->gathering = mpgi_batch_new();
    return pager->read_only || pager->gathering != NULL;
}

static void free_tables(mpg_pager *pager)
{
    mpgi_batch_free(pager->gathering);
    mpgi_batch_free(pager->spare);
    mpgi_known_free(&pager->regular);
    mpgi_known_free(&pager->writable);
    mpgi_entries_free(&pager->entries);
    mpgi_pins_free(&pager->pins);
}

mpg_pager *mpgi_pager_new(bool read_only)
{
    mpg_pager *pager = calloc(1, sizeof(*pager));

    if (pager == NULL)
        return NULL;
    pager->file.fd = -1;
    pager->read_only = read_only;
    if (!make_tables(pager)) {
        free_tables(pager);
        free(pager);
        return NULL;
    }
    init_locks(pager);
    return pager;
}

int mpgi_pager_free(mpg_pager *pager)
{
    int result = 0;

    if (pager->format != NULL)
        pager->format->ops->unload(pager->format);
    if (pager->file.io != NULL) {
        mpgi_map_release(&pager->map, &pager->file);
        result = mpgi_file_close(&pager->file);
    }
    free_tables(pager);
    for (size_t i = 0; i < pager->outlived_count; i++)
        free(pager->outlived[i]);
    free(pager->outlived);
    mpgi_gate_free(&pager->gate);
    mpgi_id_map_clear(&pager->lingering);
    mpgi_id_map_clear(&pager->held);
    mpgi_id_map_clear(&pager->writers);
    mpgi_id_map_clear(&pager->reserved);
    mpgi_id_map_clear(&pager->reserved_protected);
    mpgi_id_map_clear(&pager->freed);
    mpgi_id_map_clear(&pager->verified);
    (void)pthread_cond_destroy(&pager->settled);
    (void)pthread_mutex_destroy(&pager->lock);
    free(pager);
    return result;
}

bool mpgi_is_pinned(const mpg_pager *pager, uint64_t page)
{
    unsigned char *data = mpgi_map_look(&pager->map, offset_of_page(pager, page), pager->page_size);

    return mpgi_pins_close(&pager->pins, page, data);
}

static bool is_pinned(const void *pager, uint64_t page)
{
    return mpgi_is_pinned(pager, page);
}

void mpgi_pager_tell(mpg_pager *pager, struct format *format)
{
    format->reserved = &pager->reserved;
    format->pager = pager;
    format->is_pinned = is_pinned;
    format->lingering = &pager->lingering;
}

void mpgi_pager_set_up(mpg_pager *pager, const mpg_options *options)
{
    pager->page_size = pager->format->page_size;
    pager->ops = pager->format->ops;
    mpgi_pager_tell(pager, pager->format);
    pager->pins.page_shift = (unsigned)__builtin_ctz(pager->page_size);
    pager->zero_crc = mpgi_crc_extend_zeros(0, pager->page_size);
    pager->deferred = !pager->read_only && (options->flags & MPG_DEFER_ALLOCATION) != 0;
    pager->discard = !pager->read_only && (options->flags & MPG_DISCARD) != 0;
    pager->file.counts = &pager->io_counts;
    pager->opened_at = now();
    pager->file.map = &pager->map;
    pager->file.unfault = mpgi_map_unfault;
    /* A lock that reaches everybody keeps what was read as it is; a reader without one must ask. */
    pager->file.ask =
        pager->read_only && (!pager->file.holds_lock || pager->file.sharing.lock_is_local);
    mpgi_map_init(&pager->map, &pager->file, options->address_space, pager->page_size);
}

int mpgi_pager_lock_to_write(mpg_pager *pager, unsigned flags)
{
    const struct sharing *sharing = &pager->file.sharing;

    if (!sharing->is_meeting || (flags & MPG_LOCAL_LOCK) != 0) {
        int result = mpgi_file_lock(&pager->file, IO_LOCK_EXCLUSIVE);

        if (result == 0)
            mpgi_gate_begin(&pager->file);
        return result;
    }
    if (sharing->unknown)
        return mpgi_fail(MPG_E_LOCAL_LOCK, "lock", MPG_NO_PAGE,
                         "%s: it cannot be told (/proc/self/mountinfo) whether a lock on this "
                         "filesystem keeps other writers out; MPG_LOCAL_LOCK (--local-lock, "
                         "-o local_lock) writes all the same",
                         pager->file.path);
    return mpgi_fail(MPG_E_LOCAL_LOCK, "lock", MPG_NO_PAGE,
                     "%s: on %s a lock does not keep out who comes to the file by another path or "
                     "from another machine; if nobody does, MPG_LOCAL_LOCK (--local-lock, "
                     "-o local_lock) writes all the same",
                     pager->file.path, sharing->type);
}
