/* SPDX-License-Identifier: MIT */
/*
 * Rule 12: whether the file is still as this pager left it. Both root pages, for another writer's newer root leaves the
 * durable one as it is; and the last record, for a backup of the file may have the same roots.
 */
#include "base/bytes.h"
#include "base/rules.h"
#include "format_1/state.h"

static int shows(bool *same, const struct format_1 *f, const void *bytes, size_t length,
                 uint64_t page)
{
    const struct node_space *space = &f->cache.space;

    if (!*same)
        return 0;
    return mpgi_file_shows(same, space->file, bytes, length, page * space->page_size, page);
}

/* What the commit in flight has just made durable. */
static int shows_sealed(bool *same, const struct format_1 *f)
{
    const struct sealed *sealed = &f->sealed;
    uint32_t node_size = f->cache.space.node_size;
    unsigned other = 3 - f->chain.root_page;
    int error;

    if (sealed->kind == SEALED_ROOT)
        return shows(same, f, f->root.frozen->bytes, node_size, sealed->root_page);
    error = shows(same, f, sealed->blocks, node_size, sealed->record.page);
    if (error || !sealed->second)
        return error;
    return shows(same, f, f->chain.root, node_size, other);
}

int mpgi_look_1(struct format *format, enum look look, bool *same)
{
    const struct format_1 *f = format_1_of(format);
    const struct chain *chain = &f->chain;
    bool in_flight = f->root.frozen != NULL;
    int error;

    *same = true;
    if (!RULE_HOLDS(7))
        return 0; /* its own roots are not where they belong */
    if (look == LOOK_ASIDE && f->folding)
        return 0; /* they are being written */
    error = shows(same, f, chain->root, f->cache.space.node_size, chain->root_page);
    if (error == 0 && chain->last_page != 0)
        error = shows(same, f, chain->last_head, sizeof(chain->last_head), chain->last_page);
    if (error)
        return error;
    if (look == LOOK_AFTER && in_flight)
        return shows_sealed(same, f);
    /* A commit may be writing there. */
    if ((look == LOOK_ASIDE && in_flight) || chain->other_unknown)
        return 0;
    return shows(same, f, chain->other_head, sizeof(chain->other_head), 3 - chain->root_page);
}

/* Whether the last record is the one that was loaded. A backup may have the same roots. */
static bool has_same_end(const struct format_1 *f)
{
    struct record record;

    return f->chain.end_page == 0 ||
           (mpgi_record_read(&record, &f->cache.space, f->chain.end_page) == 0 &&
            record.crc == f->chain.link);
}

/* Whether nothing is where the next record belongs; the one there may be one that was not whole. */
static bool has_no_successor(struct format_1 *f)
{
    struct chain_end end = {.root_generation = mpgi_root_generation(f->chain.root),
                            .root_crc = f->chain.root_crc,
                            .link = f->chain.link,
                            .generation = f->chain.generation};
    struct record record;
    int result = mpgi_chain_read(f, &end, f->rest.next, true, &record);

    if (result == 0)
        mpgi_record_free(&record);
    return result == 1;
}

int mpgi_look_newer_1(struct format *format, bool *newest)
{
    struct format_1 *f = format_1_of(format);
    const struct chain *chain = &f->chain;
    int error = 0;

    /* The other root may be a newer one that was not whole. */
    *newest = mpgi_root_generation(chain->other_head) <= mpgi_root_generation(chain->root);
    error = shows(newest, f, chain->root, f->cache.space.node_size, chain->root_page);
    if (error == 0)
        error =
            shows(newest, f, chain->other_head, sizeof(chain->other_head), 3 - chain->root_page);
    if (error == 0 && *newest)
        *newest = has_same_end(f) && has_no_successor(f);
    return error;
}
