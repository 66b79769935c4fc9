/* SPDX-License-Identifier: MIT */
/*
 * Opening: from which of the two roots to begin, how far its chain goes, and whether the last
 * commit is complete.
 *
 * The last one was written with one sync, so something of it may be missing: then it never
 * finished, nobody was told that it had, and the state is the one before. That there is a last one
 * proves that those before it were durable, so they are not doubted; their contents may rightly
 * have been overwritten since. A record that is there behind a gap proves as much of what is
 * missing: that is damage.
 *
 * After that no generation may be used a second time (rule 8), and nothing that is written next may
 * complete what was rejected. So a file that was not closed is folded first: its state goes into
 * both roots, with a number higher than all that were seen, and no chain is left.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/rules.h"
#include "format_1/state.h"

/* How often a reader starts again because a writer replaced what it was reading. */
#define READER_ATTEMPTS 64

/* How often it finds the same fault in a file whose roots nobody changes, until it believes it. */
#define ENOUGH_LOOKS 3

/* A reader met something that a writer has replaced meanwhile, perhaps. */
#define LOOK_AGAIN 1

/* The two roots, as read. */
struct candidates {
    unsigned char root[2][NODE_SIZE_MAX];
    bool valid[2];
    uint64_t generation[2];
    const char *why[2];
};

static int read_candidates(struct format_1 *f, struct candidates *c)
{
    const struct node_space *space = &f->cache.space;

    memset(c, 0, sizeof(*c));
    for (unsigned i = 0; i < 2; i++) {
        int error = mpgi_file_read(space->file, c->root[i], space->node_size,
                                   (uint64_t)(i + 1) * space->page_size, i + 1);

        if (error)
            return error;
        c->valid[i] = mpgi_root_valid(f, c->root[i], &c->why[i]);
        c->generation[i] = mpgi_root_generation(c->root[i]);
    }
    return 0;
}

/* ---- In memory ----------------------------------------------------------------------------- */

static int set_root(struct format_1 *f, const unsigned char *root, unsigned page)
{
    uint32_t size = f->cache.space.node_size;
    struct buffer *buffer = mpgi_buffer_new(size);

    if (buffer == NULL)
        return mpgi_fail_memory("open");
    memcpy(buffer->bytes, root, size);
    f->root.durable = buffer;
    memcpy(f->chain.root, root, size);
    f->chain.root_page = page;
    f->chain.root_crc = f->chain.link = get_u32(root + NODE_CRC);
    f->chain.generation = mpgi_root_generation(root);
    f->chain.end_page = 0;
    f->rest.next = get_u64(root + ROOT_NEXT);
    f->rest.after = get_u64(root + ROOT_AFTER);
    return 0;
}

/* Back to before anything was loaded. */
static int start_again(struct format_1 *f)
{
    struct node_space space = f->cache.space;

    mpgi_commit_forget(f);
    mpgi_versions_free(&f->root);
    mpgi_rest_free(&f->rest);
    mpgi_record_free(&f->recovered.last);
    memset(&f->recovered, 0, sizeof(f->recovered));
    mpgi_redo_forget(&f->head);
    memset(&f->rest, 0, sizeof(f->rest));
    f->chain.records = 0;
    mpgi_cache_free(&f->cache);
    return mpgi_cache_init(&f->cache, &space, f->head.cache_size);
}

/* ---- The chain ----------------------------------------------------------------------------- */

/* The end of the chain has moved behind a record. */
static int note_record(struct format_1 *f, const struct record *record)
{
    if (!mpgi_rest_reserve(&f->rest, 1 + (size_t)record->part_count + record->redo_count))
        return mpgi_fail_memory("open");
    mpgi_rest_add(&f->rest, record->page);
    for (uint32_t i = 0; i < record->redo_count; i++)
        mpgi_rest_add(&f->rest, record->redos[i].from);
    for (unsigned i = 0; i < record->part_count; i++)
        mpgi_rest_add(&f->rest, record->parts[i].page);
    f->chain.records++;
    f->chain.link = record->crc;
    f->chain.generation = record->generation;
    f->chain.end_page = record->page;
    f->rest.next = record->next;
    f->rest.after = record->after;
    return 0;
}

static int accept(struct format_1 *f, const struct record *record)
{
    int error = mpgi_replay(f, record);

    return error ? error : note_record(f, record);
}

/* A record that another one follows. */
static int accept_earlier(struct format_1 *f, const struct record *record)
{
    /* Rule 4c: its contents are not looked at. */
    int error = RULE_HOLDS(RULE_EARLIER_ARE_NOT) ? 0 : mpgi_verify_record(f, record, false);

    return error ? error : accept(f, record);
}

/*
 * Applies all records but the last, which is returned, to be freed; *end is behind it. 1 if there
 * is none at all: then, and on failure, there is nothing to free.
 */
static int follow(struct format_1 *f, struct chain_end *end, struct record *last)
{
    struct record record;
    bool any = false;
    int error = 0;

    for (unsigned i = f->chain.records; i < RECORDS_MAX && error == 0; i++) {
        int read = mpgi_chain_read(f, end, end->next, false, &record);

        if (read < 0 && any)
            mpgi_record_free(last);
        if (read != 0)
            return read < 0 ? read : !any;
        if (any) {
            error = accept_earlier(f, last);
            mpgi_record_free(last);
        }
        *last = record;
        any = true;
        mpgi_chain_advance(end, &record);
    }
    if (error)
        mpgi_record_free(last);
    return error;
}

/*
 * Rule L10: a later record, behind one that cannot be read, proves that what is missing was
 * durable.
 */
static int check_gap(struct format_1 *f, const struct chain_end *end)
{
    struct record record;
    int error = end->next != 0 && end->after != 0 && RULE_HOLDS(RULE_GAP_IS_DAMAGE)
                    ? mpgi_chain_read(f, end, end->after, true, &record)
                    : 1;

    if (error != 0)
        return error == 1 ? 0 : error;
    mpgi_record_free(&record);
    if (f->head.read_only)
        return LOOK_AGAIN; /* it came while we were looking */
    return mpgi_fail(MPG_E_CORRUPT_METADATA, "open", end->next,
                     "%s: the record of a commit in page %" PRIu64
                     " cannot be read, and there is a later one in page %" PRIu64,
                     f->head.file->path, end->next, end->after);
}

/*
 * Rule P10: a reader that would not believe the last commit looks whether there is one behind it by
 * now.
 */
static bool has_successor(struct format_1 *f, const struct chain_end *end)
{
    struct record record;

    if (!f->head.read_only || !RULE_HOLDS(RULE_LOOK_AGAIN) ||
        mpgi_chain_read(f, end, end->next, false, &record) != 0)
        return false;
    mpgi_record_free(&record);
    return true;
}

/* A reader finds something else in the page beside where a writer has gone on. */
static int load_redo(struct format_1 *f, const struct record *last)
{
    int error = mpgi_redo_load(f, last);

    return error == MPG_E_CORRUPT_PAGE && f->head.read_only ? LOOK_AGAIN : error;
}

/* The last record: taken if it is complete. */
static int decide(struct format_1 *f, const struct chain_end *end, struct record *last)
{
    bool marked;
    int error = mpgi_redo_is_marked(&marked, f, last);
    bool doubted = (!last->ordered || last->redo_count != 0) && !marked;

    if (error == 0 && doubted && RULE_HOLDS(RULE_LAST_IS_VERIFIED) && RULE_HOLDS(4))
        error = mpgi_verify_record(f, last, false);
    if (error == 0) {
        error = accept(f, last);
        if (error == 0 && !marked)
            error = load_redo(f, last);
        if (error == 0 && doubted) {
            f->recovered.last_verified = true;
            f->recovered.last = *last;
            return 0;
        }
    } else if (mpgi_is_about_the_file(error)) {
        f->recovered.unfinished = last->generation;
        error = has_successor(f, end) ? LOOK_AGAIN : 0;
    }
    mpgi_record_free(last);
    return error;
}

/* ---- One root ------------------------------------------------------------------------------ */

static int check_length(const struct format_1 *f, const unsigned char *root)
{
    uint64_t bytes = get_u64(root + ROOT_TOTAL) * f->head.page_size;

    if (bytes <= f->head.file->bytes)
        return 0;
    return mpgi_fail(MPG_E_TRUNCATED, "open", MPG_NO_PAGE,
                     "%s: the file has %" PRIu64 " bytes, and commit %" PRIu64 " asks for %" PRIu64,
                     f->head.file->path, f->head.file->bytes, mpgi_root_generation(root), bytes);
}

/* Whether a root's own commit is complete. One that a record follows was durable (rule 4d). */
static int check_root(struct format_1 *f, const unsigned char *root)
{
    struct chain_end end;
    struct record first;
    int error;

    mpgi_chain_begin(&end, root);
    if (get_u32(root + ROOT_FLAGS) & ROOT_ORDERED)
        return 0;
    error = RULE_HOLDS(RULE_FOLLOWED_ROOT_IS_NOT)
                ? mpgi_chain_read(f, &end, end.next, false, &first)
                : 1;
    if (error == 0) {
        mpgi_record_free(&first);
        return 0;
    }
    if (error < 0)
        return error;
    f->recovered.root_verified = true;
    error = mpgi_verify_root(f, root, false);
    return mpgi_is_about_the_file(error) && has_successor(f, &end) ? LOOK_AGAIN : error;
}

/* From the end of what is loaded. */
static int follow_chain(struct format_1 *f)
{
    struct chain_end end;
    struct record last = {0};
    int error, gap;
    bool any;

    mpgi_chain_loaded(&end, f);
    error = follow(f, &end, &last);
    if (error < 0)
        return error;
    any = error == 0;
    gap = check_gap(f, &end);
    if (gap != 0) {
        if (any)
            mpgi_record_free(&last);
        return gap;
    }
    if (any && f->next_generation < last.generation)
        f->next_generation = last.generation;
    return any ? decide(f, &end, &last) : 0;
}

/* ---- Both ---------------------------------------------------------------------------------- */

/*
 * Whether nothing was cut short: no chain, and the other root says the same, or is older and
 * without a chain, so that it would lead nowhere else if this one went bad.
 */
static bool is_clean(const struct format_1 *f, const struct candidates *c, unsigned chosen)
{
    const unsigned char *root = c->root[chosen];
    const unsigned char *other = c->root[!chosen];

    if (!c->valid[!chosen] || get_u64(root + ROOT_NEXT) != 0)
        return false;
    if (memcmp(root, other, f->cache.space.node_size) == 0)
        return true;
    if (c->generation[!chosen] >= c->generation[chosen])
        return false;
    return get_u64(other + ROOT_NEXT) == 0 || !RULE_HOLDS(RULE_CLEAN_OPENING);
}

/*
 * A root that says of its own generation that all is there twice, and is not there twice itself:
 * closing was cut short before that was so.
 */
static uint64_t twice_of(const struct candidates *c, const struct format_1 *f, unsigned chosen)
{
    const unsigned char *root = c->root[chosen], *other = c->root[!chosen];

    if (get_u64(root + ROOT_TWICE) != c->generation[chosen] ||
        memcmp(root, other, f->cache.space.node_size) == 0)
        return get_u64(root + ROOT_TWICE);
    return c->valid[!chosen] ? min_u64(get_u64(other + ROOT_TWICE), c->generation[chosen]) : 0;
}

/* The valid root with the highest generation whose commit is complete, and what follows it. */
static int choose(struct format_1 *f, const struct candidates *c, unsigned *chosen)
{
    unsigned newer = c->valid[1] && (!c->valid[0] || c->generation[1] > c->generation[0]);
    int error;

    if (!c->valid[0] && !c->valid[1])
        return mpgi_fail(MPG_E_CORRUPT_METADATA, "open", 1,
                         "%s: neither page 1 (%s) nor page 2 (%s) holds the root of the file",
                         f->head.file->path, c->why[0], c->why[1]);
    *chosen = newer;
    error = check_length(f, c->root[newer]);
    if (error == 0)
        error = check_root(f, c->root[newer]);
    if (mpgi_is_about_the_file(error) && error != LOOK_AGAIN && c->valid[!newer]) {
        f->recovered.root_verified = false;
        f->recovered.unfinished = c->generation[newer];
        *chosen = !newer;
        error = check_length(f, c->root[!newer]);
        if (error == 0)
            error = check_root(f, c->root[!newer]);
    }
    if (error == 0)
        error = set_root(f, c->root[*chosen], *chosen + 1);
    if (error == 0)
        error = follow_chain(f);
    if (error == 0)
        put_u64(f->root.durable->bytes + ROOT_TWICE, twice_of(c, f, *chosen));
    return error;
}

/*
 * Two more than the highest that can have been used: one commit may have left no trace that is
 * seen.
 */
static void set_next_generation(struct format_1 *f, const struct candidates *c)
{
    uint64_t highest = max_u64(f->next_generation, f->chain.generation);

    for (unsigned i = 0; i < 2; i++) {
        if (c->valid[i])
            highest = max_u64(highest, c->generation[i]);
    }
    f->next_generation = RULE_HOLDS(8) ? highest + 2 : f->chain.generation + 1;
}

static int load_as_writer(struct format_1 *f)
{
    struct candidates c;
    unsigned chosen = 0;
    int error = read_candidates(f, &c);

    if (error == 0)
        error = choose(f, &c, &chosen);
    if (error)
        return error;
    f->recovered.clean = is_clean(f, &c, chosen);
    memcpy(f->chain.other_head, c.root[!chosen], sizeof(f->chain.other_head));
    f->chain.is_twice = f->recovered.clean;
    set_next_generation(f, &c);
    if (f->next_generation > GENERATION_MOST)
        return mpgi_fail(MPG_E_CORRUPT_METADATA, "open", f->chain.root_page,
                         "%s: page %u says that commit %" PRIu64
                         " wrote it: there cannot have been so many",
                         f->head.file->path, f->chain.root_page, f->chain.generation);
    return 0;
}

/* ---- A reader beside a writer -------------------------------------------------------------- */

/* Rule L13: whether the roots are still what they were. */
static bool roots_are(struct format_1 *f, const struct candidates *c)
{
    struct candidates now;
    uint32_t size = f->cache.space.node_size;

    return read_candidates(f, &now) == 0 && memcmp(c->root[0], now.root[0], size) == 0 &&
           memcmp(c->root[1], now.root[1], size) == 0;
}

/* One look. LOOK_AGAIN where a writer got in the way. */
static int look(struct format_1 *f, bool *unchanged)
{
    struct candidates c;
    unsigned chosen = 0;
    int error = mpgi_file_reload_size(f->head.file);
    mpg_error_info info;

    *unchanged = false;
    if (error == 0)
        error = read_candidates(f, &c);
    if (error)
        return error;
    error = choose(f, &c, &chosen);
    if (error != 0 && !mpgi_is_about_the_file(error))
        return error;
    memcpy(f->chain.other_head, c.root[!chosen], sizeof(f->chain.other_head));
    f->recovered.clean = error == 0 && is_clean(f, &c, chosen);
    if (error < 0)
        (void)mpg_last_error(&info);
    *unchanged = !RULE_HOLDS(RULE_READ_ROOTS_AGAIN) || roots_are(f, &c);
    if (error < 0)
        return mpgi_fail_again(&info);
    return error == 0 && !*unchanged ? LOOK_AGAIN : error;
}

static int load_as_reader(struct format_1 *f)
{
    unsigned same = 0; /* faults found while nobody changed the roots */
    bool unchanged;
    int error = look(f, &unchanged);

    for (unsigned i = 0; error != 0 && i < READER_ATTEMPTS; i++) {
        if (!mpgi_is_about_the_file(error))
            return error;
        same = unchanged && error != LOOK_AGAIN ? same + 1 : 0;
        if (same == ENOUGH_LOOKS)
            return error;
        error = start_again(f);
        if (error == 0)
            error = look(f, &unchanged);
    }
    if (error != LOOK_AGAIN)
        return error;
    return mpgi_fail(MPG_E_STALE, "open", MPG_NO_PAGE,
                     "%s: a writer commits faster than the file can be read", f->head.file->path);
}

int mpgi_recover_1(struct format_1 *f)
{
    return f->head.read_only ? load_as_reader(f) : load_as_writer(f);
}

/* The label can be another one without any commit. */
static int read_superblock(struct format_1 *f)
{
    struct superblock superblock = {0};
    int error = mpgi_superblock_read(&superblock, f->head.file, true);

    if (error == 0)
        f->superblock = superblock;
    return error;
}

int mpgi_follow_1(struct format *format, bool *newest)
{
    struct format_1 *f = format_1_of(format);
    bool same = false;
    int error = format->redo.count == 0 ? mpgi_look_same_1(f, &same) : 0;

    *newest = false;
    if (error || !same)
        return error;
    mpgi_record_free(&f->recovered.last); /* only a writer would want it */
    f->recovered.last = (struct record){0};
    f->recovered.clean = false;
    f->recovered.unfinished = 0;
    error = follow_chain(f);
    if (error == 0)
        error = read_superblock(f);
    if (error)
        return error == LOOK_AGAIN ? 0 : error;
    /* Rule L13, as when it is loaded. */
    return mpgi_look_same_1(f, newest);
}

/* ---- A writer begins ----------------------------------------------------------------------- */

/*
 * Rule 6c: a process may have died after a sync that failed, and before it could take anything
 * back. What it wrote is then in the page cache, marked clean, and no sync would write it. Written
 * again it is dirty again.
 */
static int write_again(struct format_1 *f)
{
    const struct node_space *space = &f->cache.space;
    int error =
        mpgi_file_write(space->file, f->chain.root, space->node_size,
                        (uint64_t)f->chain.root_page * space->page_size, f->chain.root_page);

    if (error == 0 && (f->chain.generation <= FIRST_GENERATION || f->superblock.relabelled))
        error = mpgi_superblock_write_again(&f->superblock, f->head.file);
    if (error == 0 && f->recovered.root_verified)
        error = mpgi_verify_root(f, f->chain.root, true);
    if (error == 0 && f->recovered.last_verified)
        error = mpgi_verify_record(f, &f->recovered.last, true);
    return error ? error : mpgi_redo_write_again(f, &f->recovered.last);
}

int mpgi_settle_1(struct format *format)
{
    struct format_1 *f = format_1_of(format);
    bool unavailable; /* whatever fails here, it does not go on */
    int error = RULE_HOLDS(RULE_6_AGAIN) ? write_again(f) : 0;

    /* Rule 1: before anything is built on what was found. */
    if (error == 0 && RULE_HOLDS(1) && (f->recovered.clean || RULE_HOLDS(RULE_1_RECOVERY)))
        error = mpgi_file_sync(format->file);
    if (error == 0)
        error = mpgi_redo_carry_out(f);
    if (error == 0 && !f->recovered.clean && RULE_HOLDS(RULE_NEW_EPOCH))
        error = mpgi_fold(f, &unavailable);
    if (error == 0) {
        mpgi_record_free(&f->recovered.last);
        format->redo.count = 0;
    }
    return error;
}
