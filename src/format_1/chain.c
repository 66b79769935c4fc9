/* SPDX-License-Identifier: MIT */
/* Which records there are behind a root. */
#include "base/bytes.h"
#include "base/rules.h"
#include "format_1/state.h"

void mpgi_chain_begin(struct chain_end *end, const unsigned char *root)
{
    end->root_generation = end->generation = mpgi_root_generation(root);
    end->root_crc = end->link = get_u32(root + NODE_CRC);
    end->next = get_u64(root + ROOT_NEXT);
    end->after = get_u64(root + ROOT_AFTER);
}

void mpgi_chain_loaded(struct chain_end *end, const struct format_1 *f)
{
    mpgi_chain_begin(end, f->chain.root);
    end->link = f->chain.link;
    end->generation = f->chain.generation;
    end->next = f->rest.next;
    end->after = f->rest.after;
}

void mpgi_chain_advance(struct chain_end *end, const struct record *record)
{
    end->link = record->crc;
    end->generation = record->generation;
    end->next = record->next;
    end->after = record->after;
}

static bool is_page(const struct format_1 *f, uint64_t page)
{
    return page >= FIRST_USER_PAGE && page < f->head.file->bytes / f->head.page_size;
}

static bool is_place(const struct record *record, uint64_t page)
{
    return page == 0 || (page >= FIRST_USER_PAGE && page < record->total);
}

/* Whether a whole record belongs behind the end of the chain. */
static bool fits(const struct format_1 *f, const struct chain_end *end, bool gap,
                 const struct record *record)
{
    /* Rule L2: its root, what it follows, and a rising generation. */
    if (RULE_HOLDS(RULE_EPOCH) &&
        (record->root_generation != end->root_generation || record->root_crc != end->root_crc ||
         record->generation <= end->generation || (!gap && record->link != end->link)))
        return false;
    /* Rule 9: the file was grown before a record that counts the pages. */
    if (RULE_HOLDS(9) && record->total > f->head.file->bytes / f->head.page_size)
        return false;
    for (unsigned i = 0; i < record->part_count; i++) {
        if (!is_page(f, record->parts[i].page))
            return false;
    }
    return is_place(record, record->next) && is_place(record, record->after) &&
           (gap || record->next == end->after || !RULE_HOLDS(RULE_TWO_AHEAD));
}

static bool has_pages_of_redos(const struct format_1 *f, const struct record *record)
{
    for (uint32_t i = 0; i < record->redo_count; i++) {
        if (!is_page(f, record->redos[i].from) || !is_page(f, record->redos[i].page))
            return false;
    }
    return true;
}

int mpgi_chain_read(struct format_1 *f, const struct chain_end *end, uint64_t place, bool gap,
                    struct record *record)
{
    int error;

    if (!is_page(f, place))
        return 1;
    error = mpgi_record_read(record, &f->cache.space, place);
    if (error)
        return error;
    if (!fits(f, end, gap, record))
        return 1;
    error = mpgi_record_read_changes(record, &f->cache.space);
    if (error == 0 && !has_pages_of_redos(f, record))
        error = 1;
    if (error)
        mpgi_record_free(record);
    return error;
}
