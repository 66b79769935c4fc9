/* SPDX-License-Identifier: MIT */
#include "base/id_set.h"

#define MASK ((UINT64_C(1) << ID_SET_BITS) - 1)

bool mpgi_id_set_add(struct id_set *set, uint64_t id)
{
    /* From below: what a level names is there. */
    for (unsigned level = 0; level < ID_SET_LEVELS; level++) {
        union id_value *mask = mpgi_id_map_put(&set->levels[level], id >> ID_SET_BITS);

        if (mask == NULL)
            return false;
        mask->number |= (uintptr_t)1 << (id & MASK);
        id >>= ID_SET_BITS;
    }
    return true;
}

static unsigned lowest_bit(const struct id_set *set, unsigned level, uint64_t number)
{
    const union id_value *mask = mpgi_id_map_find(&set->levels[level], number);

    return mask != NULL ? (unsigned)__builtin_ctzll(mask->number) : 0;
}

bool mpgi_id_set_next(const struct id_set *set, uint64_t from, uint64_t *id)
{
    uint64_t unit = from;

    for (unsigned level = 0; level < ID_SET_LEVELS; level++) {
        const union id_value *mask = mpgi_id_map_find(&set->levels[level], unit >> ID_SET_BITS);
        /* Above the lowest level what is below `unit` itself was looked at. */
        uint64_t above = (level == 0 ? UINT64_MAX : UINT64_MAX - 1) << (unit & MASK);
        uint64_t found = mask != NULL ? mask->number & above : 0;

        if (found != 0) {
            unit = (unit & ~MASK) | (unsigned)__builtin_ctzll(found);
            while (level-- > 0)
                unit = unit << ID_SET_BITS | lowest_bit(set, level, unit);
            *id = unit;
            return true;
        }
        unit >>= ID_SET_BITS;
    }
    return false;
}

void mpgi_id_set_clear(struct id_set *set)
{
    for (unsigned level = 0; level < ID_SET_LEVELS; level++)
        mpgi_id_map_clear(&set->levels[level]);
}
