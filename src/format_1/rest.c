/* SPDX-License-Identifier: MIT */
#include "format_1/rest.h"

#include "base/rules.h"

bool mpgi_rest_has(const struct rest *rest, uint64_t page)
{
    if (RULE_HOLDS(RULE_PLACES_REST) && (page == rest->next || page == rest->after))
        return page != 0;
    if (mpgi_id_map_find(&rest->chosen, page) != NULL)
        return true;
    if (RULE_HOLDS(RULE_RECORDS_REST) && mpgi_id_map_find(&rest->current, page) != NULL)
        return true;
    return RULE_HOLDS(RULE_OLD_CHAIN_RESTS) && mpgi_id_map_find(&rest->old, page) != NULL;
}

uint64_t mpgi_rest_lowest(const struct id_map *pages, uint64_t first, uint64_t end)
{
    for (size_t i = 0; i < pages->capacity; i++) {
        uint64_t page = pages->slots[i].id;

        if (pages->slots[i].used && page >= first && page < end)
            end = page;
    }
    return end;
}

static uint64_t lower(uint64_t page, uint64_t first, uint64_t end)
{
    return page >= first && page < end ? page : end;
}

uint64_t mpgi_rest_before(const struct rest *rest, uint64_t first, uint64_t end)
{
    end = mpgi_rest_lowest(&rest->current, first, end);
    end = mpgi_rest_lowest(&rest->old, first, end);
    end = lower(rest->next, first, end);
    end = lower(rest->after, first, end);
    return mpgi_rest_lowest(&rest->chosen, first, end);
}

bool mpgi_rest_reserve(struct rest *rest, size_t more)
{
    return mpgi_id_map_reserve(&rest->current, more);
}

void mpgi_rest_add(struct rest *rest, uint64_t page)
{
    (void)mpgi_id_map_put(&rest->current, page);
}

void mpgi_rest_turn(struct rest *rest)
{
    rest->old = rest->current;
    rest->current = (struct id_map){0};
}

void mpgi_rest_free(struct rest *rest)
{
    mpgi_id_map_clear(&rest->current);
    mpgi_id_map_clear(&rest->old);
    mpgi_id_map_clear(&rest->chosen);
}
