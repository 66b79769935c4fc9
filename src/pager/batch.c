/* SPDX-License-Identifier: MIT */
#include "pager/batch.h"

#include <stdlib.h>

struct batch *mpgi_batch_new(void)
{
    struct batch *batch = calloc(1, sizeof(*batch));

    if (batch != NULL)
        batch->completions_end = &batch->completions;
    return batch;
}

void mpgi_batch_free(struct batch *batch)
{
    if (batch == NULL)
        return;
    for (size_t i = 0; i < batch->stage.capacity; i++)
        if (batch->stage.slots[i].used)
            free(batch->stage.slots[i].value.pointer);
    mpgi_id_map_clear(&batch->stage);
    free(batch);
}
