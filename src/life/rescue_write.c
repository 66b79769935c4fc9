/* SPDX-License-Identifier: MIT */
/*
 * Rescuing: the new file. The regular pages' places are kept clear while it is filled, so that
 * nothing of its own comes to lie there; they are allocated first, then written, then come the
 * protected pages.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "format/format.h"
#include "life/rescue.h"
#include "pager/create.h"
#include "pager/pager.h"

/* Contents of protected pages are committed so many at a time, or so many bytes. */
#define BATCH_PAGES 512
#define BATCH_BYTES (UINT32_C(4) << 20)

int mpgi_rescue_progress(const struct rescue *rescue, uint64_t done, uint64_t total)
{
    if (rescue->options.progress == NULL ||
        rescue->options.progress(rescue->options.context, done, total))
        return 0;
    return mpgi_fail(MPG_E_CANCELLED, "rescue", MPG_NO_PAGE, "%s: given up", rescue->source.path);
}

/* So many pages are written: asks whether to go on. */
static int progress(const struct rescue *rescue, uint64_t done)
{
    uint64_t looked = rescue->salvage.pages;

    return mpgi_rescue_progress(rescue, looked + done,
                                looked + rescue->wanted_count + rescue->salvage.entry_count);
}

/* ---- Regular pages ------------------------------------------------------------------------- */

static int allocate(struct rescue *rescue, mpg_pager *pager, uint64_t total)
{
    int error = 0;

    for (uint64_t page = 0; error == 0; page++) {
        page = mpgi_sheet_next_bit(rescue->wanted, page);
        if (page >= total)
            break;
        error = mpg_alloc_at(pager, (mpg_page_id){page}, 0);
    }
    return error;
}

static int compare_redos(const void *a, const void *b)
{
    const struct salvage_redo *left = a;
    const struct salvage_redo *right = b;

    return compare_u64(&left->page, &right->page);
}

/* What the last commit was giving a page, or NULL. */
static const struct salvage_redo *find_redo(const struct salvage *salvage, uint64_t page)
{
    const struct salvage_redo key = {.page = page};

    return salvage->redo_count == 0
               ? NULL
               : bsearch(&key, salvage->redos, salvage->redo_count, sizeof(key), compare_redos);
}

/*
 * The page that has the content of a regular page: another one, where the last commit did not get
 * to put it there.
 */
static uint64_t source_of(struct rescue *rescue, uint64_t page)
{
    const struct salvage_redo *redo = find_redo(&rescue->salvage, page);
    uint32_t crc = 0;

    if (redo == NULL)
        return page;
    for (uint32_t done = 0; done < rescue->salvage.page_size; done += rescue->piece_size) {
        if (mpgi_file_read(&rescue->source, rescue->piece, rescue->piece_size,
                           redo->from * rescue->salvage.page_size + done, redo->from) != 0)
            return page;
        crc = crc_extend(crc, rescue->piece, rescue->piece_size);
    }
    return crc == redo->crc ? redo->from : page;
}

static int copy_page(struct rescue *rescue, mpg_pager *pager, uint64_t page)
{
    uint64_t at = source_of(rescue, page) * rescue->salvage.page_size;
    bool whole = true;
    int error = 0;

    for (uint32_t done = 0; done < rescue->salvage.page_size && error == 0;
         done += rescue->piece_size) {
        if (mpgi_file_is_hole(&rescue->source, at + done, rescue->piece_size))
            continue;
        whole &= mpgi_file_read_sectors(&rescue->source, rescue->piece, rescue->piece_size,
                                        at + done, page);
        /* What was never written in a new file is zeros. */
        if (!is_zero(rescue->piece, rescue->piece_size))
            error =
                mpg_page_write(pager, (mpg_page_id){page}, rescue->piece, done, rescue->piece_size);
    }
    if (whole)
        return error;
    rescue->result.regular_damaged++;
    mpgi_salvage_note(&rescue->salvage, "unreadable", page,
                      "a part of regular page %" PRIu64 " cannot be read: it is zeros now", page);
    return error;
}

static int copy_regular(struct rescue *rescue, mpg_pager *pager, uint64_t total)
{
    uint64_t done = 0;
    int error = 0;

    for (uint64_t page = 0; error == 0; page++) {
        page = mpgi_sheet_next_bit(rescue->wanted, page);
        if (page >= total)
            break;
        error = copy_page(rescue, pager, page);
        if (error == 0 && ++done % 256 == 0)
            error = progress(rescue, done);
    }
    return error;
}

/* ---- Protected pages ----------------------------------------------------------------------- */

/* Stages one. What was whole a moment ago and no longer is, is an error. */
static int stage(const struct rescue *rescue, mpg_txn *txn, const struct salvage_entry *entry,
                 unsigned char *data)
{
    uint32_t page_size = rescue->salvage.page_size;
    mpg_protected_id id = {entry->id};
    int error =
        mpgi_file_read(&rescue->source, data, page_size, entry->page * page_size, entry->page);

    if (error == 0 && crc_of(data, page_size) != entry->crc)
        error = mpgi_fail_crc(MPG_E_IO, "rescue", entry->page, entry->crc, crc_of(data, page_size),
                              rescue->source.path, "a page that was read before");
    if (error == 0)
        error = mpg_txn_alloc_protected_at(txn, id);
    return error ? error : mpg_txn_protected_write(txn, id, data, 0, page_size);
}

static int copy_batch(const struct rescue *rescue, mpg_pager *pager, size_t first, size_t count,
                      unsigned char *data)
{
    mpg_txn *txn;
    mpg_error_info info;
    int error = mpg_txn_begin(&txn, pager);

    if (error)
        return error;
    for (size_t i = 0; i < count && error == 0; i++)
        error = stage(rescue, txn, &rescue->salvage.entries[first + i], data);
    if (error == 0)
        error = mpg_txn_commit(txn, 0);
    if (error == 0)
        return 0;
    (void)mpg_last_error(&info);
    mpg_txn_abort(txn);
    return mpgi_fail_again(&info);
}

static int copy_protected(const struct rescue *rescue, mpg_pager *pager)
{
    uint32_t page_size = rescue->salvage.page_size;
    size_t most = min_u64(BATCH_PAGES, max_u64(1, BATCH_BYTES / page_size));
    size_t count = rescue->salvage.entry_count;
    unsigned char *data = malloc(page_size);
    int error = data != NULL ? 0 : mpgi_fail_memory("rescue");

    for (size_t i = 0; i < count && error == 0; i += most) {
        error = copy_batch(rescue, pager, i, min_u64(most, count - i), data);
        if (error == 0)
            error = progress(rescue, rescue->wanted_count + min_u64(count, i + most));
    }
    free(data);
    return error;
}

/* ---- The file ------------------------------------------------------------------------------ */

static int fill(void *context, mpg_pager *pager)
{
    struct rescue *rescue = context;
    uint64_t total = pager->ops->total_pages(pager->format, VERSION_DURABLE);
    int error;

    rescue->result.regular_damaged = 0;
    pager->format->kept = rescue->wanted;
    error = allocate(rescue, pager, total);
    pager->format->kept = NULL;
    if (error == 0)
        error = mpg_sync(pager);
    if (error == 0)
        error = copy_regular(rescue, pager, total);
    if (error == 0)
        error = copy_protected(rescue, pager);
    return error ? error : mpg_sync(pager);
}

uint64_t mpgi_rescue_pages(const struct rescue *rescue)
{
    const struct salvage *salvage = &rescue->salvage;
    uint64_t total = min_u64(salvage->total, salvage->pages), page;

    while ((page = mpgi_sheet_next_bit(rescue->wanted, total)) < salvage->pages)
        total = page + 1;
    return total;
}

int mpgi_rescue_write(struct rescue *rescue, const char *destination)
{
    const struct salvage *salvage = &rescue->salvage;
    mpg_options options = MPG_OPTIONS_INIT;
    mpg_pager *pager;
    int error;

    options.format = salvage->format;
    options.page_size = salvage->page_size;
    options.initial_pages = mpgi_rescue_pages(rescue);
    options.label = salvage->format == MPG_FORMAT_1 ? salvage->label : NULL;
    options.flags = MPG_SPARSE | MPG_DEFER_ALLOCATION;
    error = mpgi_create_filled(&pager, destination, &options, fill, rescue);
    return error ? error : mpg_close(pager);
}
