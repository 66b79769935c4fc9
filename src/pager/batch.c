/* SPDX-License-Identifier: MIT */
#include "pager/batch.h"

#include <stdlib.h>

#include "base/shared.h"

struct batch *mpgi_batch_new(void)
{
    struct batch *batch = calloc(1, sizeof(*batch));

    if (batch != NULL)
        batch->completions_end = &batch->completions;
    return batch;
}

static void free_staged(struct id_map *staged)
{
    for (size_t i = 0; i < staged->capacity; i++)
        if (staged->slots[i].used)
            mpgi_shared_drop(staged->slots[i].value.pointer);
    mpgi_id_map_clear(staged);
}

void mpgi_batch_free(struct batch *batch)
{
    if (batch == NULL)
        return;
    free_staged(&batch->stage);
    free_staged(&batch->contents);
    mpgi_id_map_clear(&batch->fresh);
    mpgi_id_map_clear(&batch->freed);
    mpgi_spans_free(&batch->regular);
    free(batch);
}
