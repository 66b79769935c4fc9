/* SPDX-License-Identifier: MIT */
/*
 * Changing the label of a file: no batch, but written and synced in a commit's turn, as everything
 * is.
 */
#include <string.h>

#include "base/error.h"
#include "pager/edit.h"
#include "pager/look_again.h"
#include "pager/pager.h"

/* Takes the lock when no commit is in flight. On error it is not held. */
static int begin(struct edit *edit, mpg_pager *pager)
{
    int result = mpgi_edit_begin(edit, pager, "label");

    while (result == 0 && pager->in_flight != NULL) {
        while (pager->in_flight != NULL)
            (void)pthread_cond_wait(&pager->settled, &pager->lock);
        (void)mpgi_edit_cancel(edit, 0);
        result = mpgi_edit_begin(edit, pager, "label");
    }
    return result;
}

/* Without the lock. *unavailable: nobody knows what the disk holds. */
static int write_label(mpg_pager *pager, const char *label, uint64_t bytes, bool *unavailable)
{
    int result = mpgi_look_again_committing(pager, bytes, LOOK_BEFORE);

    *unavailable = result == MPG_E_CHANGED;
    if (result == 0)
        result = pager->ops->write_label(pager->format, label);
    if (result != 0)
        return result;
    result = mpgi_file_sync(&pager->file);
    if (result == 0)
        result = mpgi_look_again_committing(pager, bytes, LOOK_BEFORE);
    *unavailable = result != 0;
    return result;
}

static int set_label(mpg_pager *pager, const char *label)
{
    struct batch nothing = {0};
    struct edit edit;
    mpg_error_info error;
    bool unavailable = false;
    uint64_t bytes;
    int result = begin(&edit, pager);

    if (result != 0)
        return result;
    bytes = pager->file.bytes;
    pager->in_flight = &nothing;
    pager_unlock(pager);
    mpgi_gate_enter(&pager->gate, &pager->file, NULL);
    result = write_label(pager, label, bytes, &unavailable);
    mpgi_gate_leave(&pager->gate, &pager->file);
    (void)mpg_last_error(&error);
    pager_lock(pager);
    if (result == 0)
        pager->ops->label_written(pager->format, label);
    pager->unavailable |= unavailable;
    pager->in_flight = NULL;
    (void)mpgi_edit_cancel(&edit, 0);
    (void)pthread_cond_broadcast(&pager->settled);
    return result != 0 ? mpgi_fail_again(&error) : 0;
}

int mpg_set_label(mpg_pager *pager, const char *label)
{
    size_t length = label != NULL ? strlen(label) : 0;

    if (pager->ops->write_label == NULL)
        return mpgi_fail(MPG_E_INVALID, "label", MPG_NO_PAGE,
                         "%s: files of format 0.2 have no label", pager->file.path);
    if (length > MPG_LABEL_MAX)
        return mpgi_fail(MPG_E_INVALID, "label", MPG_NO_PAGE,
                         "%s: a label of %zu bytes is longer than %d", pager->file.path, length,
                         MPG_LABEL_MAX);
    return set_label(pager, label != NULL ? label : "");
}
