/* SPDX-License-Identifier: MIT */
/* Writers: a new content of one protected page, staged on the heap until its commit. */
#include "pager/writer.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/shared.h"
#include "pager/apply.h"
#include "pager/pager.h"
#include "pager/protected_write.h"

struct mpg_writer {
    mpg_pager *pager;
    struct protected_write write; /* its overlay is the staged content, all of it */
    struct range whole;           /* … as its one range */
};

/* Makes this writer the page's only one. */
static int claim(mpg_pager *pager, mpg_protected_id id)
{
    union id_value *value;
    int result = 0;

    pager_lock(pager);
    if (pager->read_only)
        result = mpgi_fail(MPG_E_READ_ONLY, "writer", id.value, "%s: opened read-only",
                           pager->file.path);
    else if (mpgi_id_map_find(&pager->writers, id.value) != NULL)
        result = mpgi_fail(MPG_E_BUSY, "writer", id.value,
                           "%s: protected page %llu has a writer already", pager->file.path,
                           (unsigned long long)id.value);
    else if ((value = mpgi_id_map_put(&pager->writers, id.value)) == NULL)
        result = mpgi_fail_memory("writer");
    else
        value->number = 1;
    pager_unlock(pager);
    return result;
}

static void unclaim(mpg_pager *pager, mpg_protected_id id)
{
    pager_lock(pager);
    mpgi_id_map_remove(&pager->writers, id.value);
    pager_unlock(pager);
}

int mpg_writer_open(mpg_writer **writer, mpg_pager *pager, mpg_protected_id id)
{
    mpg_writer *made = calloc(1, sizeof(*made));
    int result;

    if (made != NULL)
        made->write.overlay.bytes = mpgi_shared_new(pager->page_size);
    if (made == NULL || made->write.overlay.bytes == NULL) {
        free(made);
        return mpgi_fail_memory("writer");
    }
    made->pager = pager;
    made->whole.end = pager->page_size;
    made->write.id = id.value;
    made->write.overlay.ranges = &made->whole;
    made->write.overlay.count = 1;
    made->write.exposed = true;
    result = claim(pager, id);
    if (result == 0) {
        result = mpg_protected_read(made->write.overlay.bytes, pager, id);
        if (result != 0)
            unclaim(pager, id);
    }
    if (result != 0) {
        mpgi_shared_drop(made->write.overlay.bytes);
        free(made);
        return result;
    }
    *writer = made;
    return 0;
}

void *mpg_writer_data(mpg_writer *writer)
{
    return writer->write.overlay.bytes;
}

void mpgi_writer_prepare(mpg_writer *writer)
{
    mpgi_protected_write_prepare(&writer->write, writer->pager);
}

int mpgi_apply_writer(struct edit *edit, mpg_writer *writer)
{
    return mpgi_apply_protected_write(edit, &writer->write);
}

int mpg_writer_commit(mpg_writer *writer)
{
    mpg_pager *pager = writer->pager;
    struct edit edit;
    int result;

    mpgi_writer_prepare(writer);
    result = mpgi_edit_begin(&edit, pager, "commit");
    if (result != 0)
        return result;
    do {
        result = mpgi_apply_writer(&edit, writer);
    } while (mpgi_edit_again(&edit, &result, "commit"));
    result = mpgi_edit_end(&edit, result, WAIT_DURABLE);
    if (result == 0)
        mpg_writer_discard(writer);
    return result;
}

void mpgi_writer_free(mpg_writer *writer)
{
    mpgi_id_map_remove(&writer->pager->writers, writer->write.id);
    mpgi_protected_write_forget(&writer->write);
    mpgi_shared_drop(writer->write.overlay.bytes);
    free(writer);
}

void mpg_writer_discard(mpg_writer *writer)
{
    mpg_pager *pager;

    if (writer == NULL)
        return;
    pager = writer->pager;
    pager_lock(pager);
    mpgi_writer_free(writer);
    pager_unlock(pager);
}
