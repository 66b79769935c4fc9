/* SPDX-License-Identifier: MIT */
/*
 * Rule 12: whether the file is still as this pager left it. Both root pages, for another writer's
 * newer root leaves the durable one as it is; and the last record, for a backup of the file may
 * have the same roots.
 */
#include "base/bytes.h"
#include "base/error.h"
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

/*
 * ---- While the file is folded ------------------------------------------------------------------
 */

/* The length that the durable state needs; another thread may make the file longer meanwhile. */
static int is_long_enough(bool *same, const struct format_1 *f)
{
    uint64_t pages = get_u64(f->root.durable->bytes + ROOT_TOTAL);
    uint64_t bytes;
    int error = mpgi_file_length_now(f->head.file, &bytes);

    *same = error == 0 && bytes / f->head.page_size >= pages;
    return error;
}

static int shows_fold(bool *same, const struct format_1 *f, enum fold_step step)
{
    const struct chain *chain = &f->chain;
    const unsigned char *folded = f->root.durable->bytes;
    uint32_t node_size = f->cache.space.node_size;
    unsigned own = chain->root_page;
    int error = is_long_enough(same, f);

    if (error == 0)
        error = shows(same, f, step == FOLD_TWICE ? folded : chain->root, node_size, own);
    if (error == 0 && chain->last_page != 0)
        error = shows(same, f, chain->last_head, sizeof(chain->last_head), chain->last_page);
    if (error || step == FOLD_FAILED)
        return error;
    if (step != FOLD_NODES)
        return shows(same, f, folded, node_size, 3 - own);
    return chain->other_unknown
               ? 0
               : shows(same, f, chain->other_head, sizeof(chain->other_head), 3 - own);
}

static int fail_changed(const struct format_1 *f)
{
    return mpgi_file_fail_changed(f->head.file,
                                  "what it says is current is not what this program left there");
}

int mpgi_look_folding(const struct format_1 *f, enum fold_step step)
{
    bool same = true;
    int error = 0;

    if (!RULE_HOLDS(12) || !RULE_HOLDS(7))
        return 0;
    error = shows_fold(&same, f, step);
    if (error != 0 && error != MPG_E_TRUNCATED)
        return error;
    return error == 0 && same ? 0 : fail_changed(f);
}

/*
 * ---- Before something is taken back ------------------------------------------------------------
 */

int mpgi_look_at_root(const struct format_1 *f, const unsigned char *written)
{
    const struct node_space *space = &f->cache.space;
    unsigned page = f->sealed.root_page;
    bool same = true;
    int error;

    if (!RULE_HOLDS(12) || !RULE_HOLDS(7) || f->chain.other_unknown)
        return 0;
    error = mpgi_file_shows_written(&same, space->file, written, f->chain.other_head, NODE_BODY,
                                    (uint64_t)page * space->page_size, page);
    return error != 0 || same ? error : fail_changed(f);
}

int mpgi_look_at_record(const struct format_1 *f)
{
    const struct record *own = &f->sealed.record;
    struct record there;
    int result = RULE_HOLDS(12) ? mpgi_record_read(&there, &f->cache.space, own->page) : 1;

    if (result != 0)
        return result == 1 ? 0 : result;
    return there.root_crc != own->root_crc || there.link != own->link || there.crc == own->crc
               ? 0
               : fail_changed(f);
}

/*
 * ---- For readers -------------------------------------------------------------------------------
 */

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
    struct chain_end end;
    struct record record;
    int result;

    mpgi_chain_loaded(&end, f);
    result = mpgi_chain_read(f, &end, end.next, true, &record);
    if (result == 0)
        mpgi_record_free(&record);
    return result == 1;
}

int mpgi_look_same_1(struct format_1 *f, bool *same)
{
    const struct chain *chain = &f->chain;
    int error;

    /* The other root may be a newer one that was not whole. */
    *same = mpgi_root_generation(chain->other_head) <= mpgi_root_generation(chain->root);
    error = shows(same, f, chain->root, f->cache.space.node_size, chain->root_page);
    if (error == 0)
        error = shows(same, f, chain->other_head, sizeof(chain->other_head), 3 - chain->root_page);
    *same = error == 0 && *same && has_same_end(f);
    return error;
}

int mpgi_look_newer_1(struct format *format, bool *newest)
{
    struct format_1 *f = format_1_of(format);
    int error = mpgi_look_same_1(f, newest);

    *newest = error == 0 && *newest && has_no_successor(f);
    return error;
}
