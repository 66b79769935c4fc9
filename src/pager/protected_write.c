/* SPDX-License-Identifier: MIT */
#include "pager/protected_write.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "base/error.h"
#include "base/shared.h"
#include "pager/pager.h"

int mpgi_read_entry(void *data, const mpg_pager *pager, uint64_t id, const struct entry *entry)
{
    uint64_t page = entry_page(entry);
    uint64_t offset = offset_of_page(pager, page);
    uint32_t found = 0;
    int result;

    if (data == NULL) {
        result = mpgi_file_crc(&pager->file, &found, pager->page_size, offset, page);
    } else {
        result = mpgi_file_read(&pager->file, data, pager->page_size, offset, page);
        if (result == 0)
            found = crc_of(data, pager->page_size);
    }
    if (result != 0)
        return result;
    if (found == entry->crc)
        return 0;
    return mpgi_fail_crc(MPG_E_CORRUPT_PAGE, "read", id, entry->crc, found, pager->file.path,
                         "protected page");
}

bool mpgi_same_content(const struct entry *a, const struct entry *b)
{
    return entry_page(a) == entry_page(b) && a->generation == b->generation && a->crc == b->crc;
}

static bool is_whole(const struct protected_write *write, const mpg_pager *pager)
{
    return mpgi_overlay_is_whole(&write->overlay, pager->page_size);
}

void mpgi_protected_write_forget(struct protected_write *write)
{
    mpgi_shared_drop(write->ready);
    write->ready = NULL;
}

void mpgi_protected_write_prepare(struct protected_write *write, mpg_pager *pager)
{
    int result = 0;

    mpgi_protected_write_forget(write);
    if (is_whole(write, pager) && !write->exposed) {
        write->ready = mpgi_shared_hold(write->overlay.bytes);
        write->ready_crc = crc_of(write->ready, pager->page_size);
        return;
    }
    if (!is_whole(write, pager)) {
        pager_lock(pager);
        result = pager->ops->get_entry(pager->format, VERSION_DURABLE, write->id, &write->base);
        pager_unlock(pager);
    }
    if (result == 0)
        write->ready = mpgi_shared_new(pager->page_size);
    if (write->ready == NULL)
        return;
    /* Two commits of others may overwrite it meanwhile; then it does not match its checksum. */
    if (!is_whole(write, pager) &&
        mpgi_read_entry(write->ready, pager, write->id, &write->base) != 0) {
        mpgi_protected_write_forget(write);
        return;
    }
    mpgi_overlay_apply(&write->overlay, write->ready);
    write->ready_crc = crc_of(write->ready, pager->page_size);
}

/*
 * What a batch has for a protected page: bytes, or NULL; *fresh: zeros, since it allocates the
 * page.
 */
static const void *content_in(const struct batch *batch, uint64_t id, bool *fresh)
{
    const union id_value *value = batch != NULL ? mpgi_id_map_find(&batch->contents, id) : NULL;

    *fresh = batch != NULL && mpgi_id_map_find(&batch->fresh, id) != NULL;
    return value != NULL ? value->pointer : NULL;
}

/*
 * The newest content, that is not in the file yet, or is: the batch that gathers, that in flight,
 * the file.
 */
static int read_newest(unsigned char *data, const mpg_pager *pager, uint64_t id,
                       const struct entry *entry)
{
    const struct batch *const batches[] = {pager->gathering, pager->in_flight};

    for (size_t i = 0; i < 2; i++) {
        bool fresh;
        const void *content = content_in(batches[i], id, &fresh);

        if (content != NULL)
            memcpy(data, content, pager->page_size);
        else if (fresh)
            memset(data, 0, pager->page_size);
        if (content != NULL || fresh)
            return 0;
    }
    return mpgi_read_entry(data, pager, id, entry);
}

/* Makes the new content on top of that of `old`, or takes what is ready. The caller's to drop. */
static int make_content(unsigned char **data, uint32_t *crc, const struct edit *edit,
                        struct protected_write *write, const struct entry *old)
{
    const mpg_pager *pager = edit->pager;
    bool whole = is_whole(write, pager);
    unsigned char *made;
    int result = 0;

    if (write->ready != NULL && (whole || mpgi_same_content(old, &write->base))) {
        *data = write->ready;
        *crc = write->ready_crc;
        write->ready = NULL;
        return 0;
    }
    made = mpgi_shared_new(pager->page_size);
    if (made == NULL)
        return mpgi_fail_memory("write");
    if (!whole)
        result = read_newest(made, pager, write->id, old);
    if (result != 0) {
        mpgi_shared_drop(made);
        return result;
    }
    mpgi_overlay_apply(&write->overlay, made);
    *crc = crc_of(made, pager->page_size);
    *data = made;
    return 0;
}

int mpgi_apply_protected_write(struct edit *edit, struct protected_write *write)
{
    mpg_pager *pager = edit->pager;
    struct entry old, entry;
    unsigned char *data = NULL;
    const void *content;
    bool fresh;
    int result = pager->ops->get_entry(pager->format, VERSION_NEWEST, write->id, &old);

    if (result == MPG_E_NOT_ALLOCATED)
        return mpgi_fail(MPG_E_NOT_ALLOCATED, "write", write->id,
                         "%s: there is no protected page %llu", pager->file.path,
                         (unsigned long long)write->id);
    if (result != 0)
        return result;
    content = content_in(pager->gathering, write->id, &fresh);
    /*
     * Where contents alternate between two pages, one in flight leaves none: readers look at the
     * other.
     */
    if (pager->ops->copies != 0 && content == NULL &&
        content_in(pager->in_flight, write->id, &fresh) != NULL)
        return EDIT_RESTART;
    result = pager->ops->renew_entry(pager->format, write->id, &old, content != NULL, &entry);
    if (result != 0)
        return result;
    result = make_content(&data, &entry.crc, edit, write, &old);
    if (result != 0)
        return result;
    pager->gathering->protected_pages++;
    result = mpgi_edit_content(edit, write->id, data);
    return result != 0 ? result : mpgi_edit_entry(edit, write->id, &old, &entry);
}
