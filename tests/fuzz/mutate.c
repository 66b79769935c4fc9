/* SPDX-License-Identifier: MIT */
/* Mutating what an image claims. */
#include <stdbool.h>

#include "base/bytes.h"
#include "fuzz/image.h"
#include "support/harness.h"

static const uint64_t special[] = {
    0,
    1,
    2,
    3,
    UINT32_MAX - 1,
    UINT32_MAX,
    UINT64_C(1) << 32,
    (UINT64_C(1) << 53) - 1,
    UINT64_C(1) << 53,
    UINT64_C(1) << 54,
    (UINT64_C(1) << 62) - 1,
    UINT64_C(1) << 62,
    (UINT64_C(1) << 63) - 1,
    UINT64_C(1) << 63,
    UINT64_MAX - 1,
    UINT64_MAX,
};

static uint64_t get_field(const unsigned char *bytes, const struct field *field)
{
    const unsigned char *at = bytes + field->offset;

    return field->width == 8 ? get_u64(at) : field->width == 4 ? get_u32(at) : *at;
}

static void put_field(unsigned char *bytes, const struct field *field, uint64_t value)
{
    unsigned char *at = bytes + field->offset;

    if (field->width == 8)
        put_u64(at, value);
    else if (field->width == 4)
        put_u32(at, (uint32_t)value);
    else
        *at = (unsigned char)value;
}

/* The value of another field of the kind, if a few tries find one. */
static uint64_t value_of_another(const unsigned char *bytes, const struct field_list *list,
                                 const struct field *field, uint64_t *random)
{
    for (unsigned i = 0; i < 16; i++) {
        const struct field *other = &list->fields[random_below(random, list->count)];

        if (other->kind == field->kind)
            return get_field(bytes, other);
    }
    return get_field(bytes, field) ^ 1;
}

static void change_field(unsigned char *bytes, size_t size, const struct field_list *list,
                         uint64_t *random)
{
    const struct field *field = &list->fields[random_below(random, list->count)];
    unsigned log2 = bytes[8] & 31;
    uint64_t pages = (size >> log2) + 2;
    uint64_t value = get_field(bytes, field);

    switch (random_below(random, field->kind == FIELD_BYTE ? 3 : 6)) {
    case 0:
        value ^= UINT64_C(1) << random_below(random, field->width * 8u);
        break;
    case 1:
        value =
            field->kind == FIELD_BYTE && random_below(random, 2) == 0 ? 0xee : random_next(random);
        if (field->kind != FIELD_BYTE)
            value = special[random_below(random, sizeof(special) / sizeof(special[0]))];
        break;
    case 2:
        value = value_of_another(bytes, list, field, random);
        break;
    case 3:
        value += random_below(random, 9) - 4;
        break;
    case 4:
        value = random_below(random, field->kind == FIELD_SMALL ? 12 : pages);
        break;
    default:
        value = random_below(random, 2 * pages);
        break;
    }
    put_field(bytes, field, value);
}

static void change_bytes(unsigned char *bytes, size_t size, uint64_t *random)
{
    size_t at = random_below(random, size);

    bytes[at] = (unsigned char)random_next(random);
}

/* One page's content in the place of another's. */
static void copy_page(unsigned char *bytes, size_t size, uint64_t *random)
{
    size_t page_size = (size_t)1 << (bytes[8] & 31);
    size_t pages = size / page_size;

    if (page_size < 1024 || pages < 4)
        return;
    memmove(bytes + page_size * (1 + random_below(random, pages - 1)),
            bytes + page_size * (1 + random_below(random, pages - 1)), page_size);
}

static size_t change_size(unsigned char *bytes, size_t size, size_t capacity, uint64_t *random)
{
    size_t to = size / 2 + random_below(random, size) + 1;

    if (random_below(random, 2) == 0)
        to = to / 1024 * 1024;
    if (to > capacity)
        to = capacity;
    if (to > size)
        memset(bytes + size, 0, to - size);
    return to;
}

/* Format 1: one more level for a tree, in two pages that the file gets for it. */
static size_t raise_tree(unsigned char *bytes, size_t size, size_t capacity, uint64_t *random)
{
    unsigned tree = (unsigned)random_below(random, 2);
    size_t page_size = (size_t)1 << (bytes[8] & 31);
    uint64_t pages = size / page_size;
    uint32_t area = ((uint32_t)page_size - 160) / 2;
    uint64_t pair = pages;

    if (bytes[4] != 1 || page_size < 1024 || page_size > 4096 || pages < 4 ||
        size + 2 * page_size > capacity)
        return size;
    memset(bytes + size, 0, capacity - size < 2 * page_size ? 0 : 2 * page_size);
    for (unsigned page = 1; page <= 2; page++) {
        unsigned char *root = bytes + page * page_size;
        unsigned char *content = root + 152 + tree * area;

        if (root[88 + tree] >= 10)
            continue;
        /* Slot 0 for one root, slot 1 for the other. */
        memcpy(bytes + (pair + page - 1) * page_size + 32, content, area);
        memset(content, 0, area);
        put_u64(content, pair * 2 + page - 1);
        memcpy(content + 8, root + 16, 8);
        put_u32(content + 20, 4000);
        root[88 + tree]++;
        put_u64(root + 56, max_u64(get_u64(root + 56), pair + 2));
        put_u64(root + 80, get_u64(root + 80) + 2);
        if (root[88] == 0 && pair + 2 < area * 4)
            root[152 + pair / 4] |= (unsigned char)(0xf << 2 * (pair % 4));
    }
    return size + 2 * page_size;
}

/* The end of the chain behind the newer root: the root, or a record. */
static unsigned char *end_of_chain(unsigned char *bytes, size_t page_size, uint64_t pages)
{
    unsigned char *root = bytes + page_size, *end;

    if (get_u64(root + page_size + 16) > get_u64(root + 16))
        root += page_size;
    end = root;
    for (unsigned i = 0; i < 16; i++) {
        uint64_t next = get_u64(end + (end == root ? 120 : 72));

        if (next < 3 || next >= pages || memcmp(bytes + next * page_size, "MPGL", 4) != 0)
            break;
        end = bytes + next * page_size;
    }
    return end;
}

/* Deltas for a record: small ids, any pages. */
static void put_deltas(unsigned char *at, uint32_t entries, uint32_t spaces, uint64_t pages,
                       uint64_t *random)
{
    for (uint32_t i = 0; i < entries; i++, at += 24) {
        put_u64(at, i + random_below(random, 3) * (i + 1));
        put_u64(at + 8, 3 + random_below(random, pages - 3));
        at[20] = random_below(random, 4) != 0;
    }
    for (uint32_t i = 0; i < spaces; i++, at += 16) {
        put_u64(at, 3 + random_below(random, pages - 3));
        put_u32(at + 8, 1 + (uint32_t)random_below(random, 3));
        at[12] = (unsigned char)random_below(random, 2);
    }
}

/* Format 1: one more record, which says something that may even be true. */
static void add_record(unsigned char *bytes, size_t size, uint64_t *random)
{
    size_t page_size = (size_t)1 << (bytes[8] & 31);
    uint64_t pages = page_size < 1024 ? 0 : size / page_size;
    uint32_t entries = (uint32_t)random_below(random, 4),
             spaces = (uint32_t)random_below(random, 3),
             redos = random_below(random, 3) == 0 ? 1 + (uint32_t)random_below(random, 3) : 0;
    unsigned char *end, *record, *places;
    bool is_root;

    if (bytes[4] != 1 || page_size > 65536 || pages < 8)
        return;
    end = end_of_chain(bytes, page_size, pages);
    is_root = end < bytes + 3 * page_size;
    places = end + (is_root ? 120 : 72);
    if (get_u64(places) < 3 || get_u64(places) >= pages) {
        put_u64(places, 3 + random_below(random, pages - 3));
        put_u64(places + 8, 3 + random_below(random, pages - 3));
    }
    record = bytes + get_u64(places) * page_size;
    memset(record, 0, page_size);
    memcpy(record, "MPGL", 4);
    put_u32(record + 4, 104 + 24 * redos + 24 * entries + 16 * spaces);
    put_u64(record + 8, get_u64(end + (is_root ? 16 : 8)) + 1);
    put_u64(record + 16, (uint64_t)(record - bytes) / page_size);
    put_u32(record + 44, (uint32_t)random_below(random, 2));
    memcpy(record + 48, end + (is_root ? 56 : 48), 24);
    put_u64(record + 72, get_u64(places + 8));
    put_u64(record + 80, random_below(random, pages));
    put_u32(record + 88, entries);
    put_u32(record + 92, spaces);
    put_u32(record + 100, redos);
    for (uint32_t i = 0; i < redos; i++) {
        put_u64(record + 104 + 24 * i, 3 + random_below(random, pages - 3));
        put_u64(record + 112 + 24 * i, 3 + random_below(random, pages - 3));
    }
    put_deltas(record + 104 + 24 * redos, entries, spaces, pages, random);
}

size_t image_mutate(unsigned char *bytes, size_t size, size_t capacity, uint64_t seed)
{
    static struct field_list list;
    uint64_t random = seed;
    unsigned changes = 1 + (unsigned)random_below(&random, 4);

    if (size < 16)
        return size;
    while (changes-- > 0) {
        image_seal(bytes, size, &list);
        switch (random_below(&random, 26)) {
        case 0:
            change_bytes(bytes, size, &random);
            break;
        case 1:
            copy_page(bytes, size, &random);
            break;
        case 2:
            size = change_size(bytes, size, capacity, &random);
            if (size < 16)
                return size;
            break;
        case 3:
            size = raise_tree(bytes, size, capacity, &random);
            break;
        case 4:
        case 5:
            add_record(bytes, size, &random);
            break;
        default:
            if (list.count > 0)
                change_field(bytes, size, &list, &random);
            break;
        }
    }
    image_seal(bytes, size, NULL);
    return size;
}
