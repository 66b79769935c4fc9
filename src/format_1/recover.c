/* SPDX-License-Identifier: MIT */
/*
 * Format 1: opening. Which of the two roots is the state to work on, and is its commit complete?
 *
 * A commit is written with one sync, so its root may be there and something that it refers to may
 * not (rule 4). What it wrote carries its generation: all of that is read and checked, unless the
 * root says that it was written after a sync of its own. If something is missing, the commit never
 * finished and nobody was told that it had; the other root is the state before it.
 *
 * Whoever wrote it may have died between a sync that failed and putting the root back. Then the page
 * cache has it all, takes it for clean, and the disk may lack any of it. So a writer writes all that
 * was verified once more, and the root, before the sync that opening ends with (rule 6).
 *
 * After that no generation may be used a second time (rule 8): a root of the rejected commit must
 * not come to match nodes of a later one. So the chosen state is written again over the rejected
 * root, with a number that is higher than all that were seen.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "base/rules.h"
#include "format_1/state.h"

/* Protected data is read in pieces of this size. */
#define PIECE 65536

/* How often a reader starts again because a writer replaced what it was reading. */
#define READER_ATTEMPTS 32

struct verification {
    struct format_1 *f;
    const unsigned char *root;
    uint64_t generation;
    uint64_t total;
    unsigned units;   /* nodes and entries seen that this commit wrote */
    bool write_again; /* what is verified */
    unsigned char *piece;
};

/* What is known of the two roots. */
struct candidates {
    struct buffer *root[2]; /* as read; owned */
    bool valid[2];
    uint64_t generation[2];
    const char *why[2];
};

static int count_unit(struct verification *v)
{
    if (++v->units > SINGLE_SYNC_UNITS)
        return mpgi_fail(MPG_E_CORRUPT_METADATA, "open", MPG_NO_PAGE,
                         "%s: commit %" PRIu64 " wrote more than one sync may carry",
                         v->f->head.file->path, v->generation);
    return 0;
}

/* ---- Is its commit complete? --------------------------------------------------------------- */

static int verify_data(struct verification *v, uint64_t id, const struct entry *entry)
{
    struct file *file = v->f->head.file;
    uint32_t page_size = v->f->head.page_size;
    uint64_t page = entry->page[entry->current];
    uint32_t crc = 0;

    if (page < FIRST_USER_PAGE || page >= v->total)
        return mpgi_fail(MPG_E_CORRUPT_PROTECTED_DIRECTORY, "open", page,
                         "%s: a copy of protected page %" PRIu64 " is said to be page %" PRIu64,
                         v->f->head.file->path, id, page);
    for (uint32_t at = 0; at < page_size; at += PIECE) {
        uint32_t length = page_size < PIECE ? page_size : PIECE;
        int error = mpgi_file_read(file, v->piece, length, page * page_size + at, page);

        if (error == 0 && v->write_again)
            error = mpgi_file_write(file, v->piece, length, page * page_size + at, page);
        if (error)
            return error;
        crc = crc_extend(crc, v->piece, length);
    }
    if (crc != entry->crc)
        return mpgi_fail_crc(MPG_E_CORRUPT_PAGE, "open", id, entry->crc, crc, file->path,
                             "protected page");
    return 0;
}

static int verify_entries(struct verification *v, const unsigned char *content, uint64_t first,
                          uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct entry entry;
        int error;

        mpgi_entry_read(&entry, content + i * ENTRY_SIZE);
        if (!entry.in_use || entry.generation != v->generation)
            continue;
        error = count_unit(v);
        if (error == 0)
            error = verify_data(v, first + i, &entry);
        if (error)
            return error;
    }
    return 0;
}

/* The nodes that the commit wrote below these references, to children of `level`. */
static int verify_refs(struct verification *v, const struct tree *tree, const unsigned char *refs,
                       unsigned count, unsigned level, uint64_t first)
{
    const struct node_space *space = &v->f->cache.space;
    unsigned char *bytes = malloc(space->node_size);
    int error = bytes != NULL ? 0 : mpgi_fail_memory("open");

    for (unsigned i = 0; i < count && error == 0; i++) {
        struct node_reference reference;

        mpgi_reference_get(&reference, refs + i * REF_SIZE, tree->kind, level, first + i);
        if (reference.pair == 0 || reference.generation != v->generation)
            continue;
        error = count_unit(v);
        if (error == 0)
            error = mpgi_node_read(space, bytes, &reference, v->total);
        if (error == 0 && v->write_again)
            error = mpgi_file_write(space->file, bytes, space->node_size,
                                    slot_offset(space->page_size, reference.pair, reference.slot),
                                    reference.pair);
        if (error)
            break;
        if (level > 0)
            error = verify_refs(v, tree, bytes + NODE_BODY, tree->node_refs, level - 1,
                                (first + i) * tree->node_refs);
        else if (tree->kind == TREE_DIRECTORY)
            error = verify_entries(v, bytes + NODE_BODY, (first + i) * tree->leaf_units,
                                   tree->leaf_units);
    }
    free(bytes);
    return error;
}

static int verify_tree(struct verification *v, const struct tree *tree)
{
    unsigned height = mpgi_tree_height(tree, v->root);
    const unsigned char *area = v->root + tree->area;

    if (height > 0)
        return verify_refs(v, tree, area, tree->root_refs, height - 1, 0);
    if (tree->kind == TREE_DIRECTORY)
        return verify_entries(v, area, 0, tree->root_units);
    return 0;
}

/*
 * Whether all that the root's commit wrote is there; with `write_again` it is written once more, for
 * the disk may not have what the page cache shows.
 */
static int verify_commit(struct format_1 *f, const unsigned char *root, bool write_again)
{
    struct verification v = {
        .f = f,
        .root = root,
        .generation = mpgi_root_generation(root),
        .total = get_u64(root + ROOT_TOTAL),
        .write_again = write_again,
    };
    uint64_t bytes = v.total * f->head.page_size;
    int error;

    if (bytes > f->head.file->bytes)
        return mpgi_fail(MPG_E_TRUNCATED, "open", MPG_NO_PAGE,
                         "%s: the file has %" PRIu64 " bytes, and commit %" PRIu64
                         " asks for %" PRIu64,
                         f->head.file->path, f->head.file->bytes, v.generation, bytes);
    if (get_u32(root + ROOT_FLAGS) & ROOT_ORDERED || !RULE_HOLDS(4))
        return 0;
    v.piece = malloc(PIECE);
    if (v.piece == NULL)
        return mpgi_fail_memory("open");
    error = verify_tree(&v, &f->space);
    if (error == 0)
        error = verify_tree(&v, &f->directory);
    free(v.piece);
    return error;
}

/* ---- Choosing ------------------------------------------------------------------------------ */

static void free_candidates(struct candidates *c)
{
    free(c->root[0]);
    free(c->root[1]);
    memset(c, 0, sizeof(*c));
}

static int read_candidates(struct format_1 *f, struct candidates *c)
{
    const struct node_space *space = &f->cache.space;

    memset(c, 0, sizeof(*c));
    for (unsigned i = 0; i < 2; i++) {
        int error;

        c->root[i] = mpgi_buffer_new(space->node_size);
        if (c->root[i] == NULL) {
            free_candidates(c);
            return mpgi_fail_memory("open");
        }
        error = mpgi_file_read(space->file, c->root[i]->bytes, space->node_size,
                               (uint64_t)(i + 1) * space->page_size, i + 1);
        if (error) {
            free_candidates(c);
            return error;
        }
        c->valid[i] = mpgi_root_valid(f, c->root[i]->bytes, &c->why[i]);
        c->generation[i] = mpgi_root_generation(c->root[i]->bytes);
    }
    return 0;
}

/* Whether an error says something about the file, rather than about reading it. */
static bool is_about_the_file(int error)
{
    return error != 0 && error != MPG_E_IO && error != MPG_E_NO_MEMORY;
}

/*
 * The valid root with the highest generation whose commit is complete. *clean says that the other
 * one is a valid older root, as it is when nothing went wrong.
 */
static int choose(struct format_1 *f, struct candidates *c, unsigned *chosen, bool *clean)
{
    unsigned newer = c->valid[1] && (!c->valid[0] || c->generation[1] > c->generation[0]);
    int error;

    if (!c->valid[0] && !c->valid[1])
        return mpgi_fail(MPG_E_CORRUPT_METADATA, "open", 1,
                         "%s: neither page 1 (%s) nor page 2 (%s) holds the root of the file",
                         f->head.file->path, c->why[0], c->why[1]);
    *chosen = newer;
    error = verify_commit(f, c->root[newer]->bytes, false);
    *clean = error == 0 && c->valid[!newer] && c->generation[!newer] < c->generation[newer];
    if (!is_about_the_file(error) || !c->valid[!newer])
        return error;
    *chosen = !newer;
    return verify_commit(f, c->root[!newer]->bytes, false);
}

/* A reader may meet a root that is just being written, or nodes that a later commit replaces. */
static int choose_while_written(struct format_1 *f, struct candidates *c, unsigned *chosen,
                                bool *clean)
{
    for (unsigned attempt = 0;; attempt++) {
        uint32_t size = f->cache.space.node_size;
        struct candidates again;
        bool same;
        int error;
        int failed;

        error = mpgi_file_reload_size(f->head.file);
        if (error)
            return error;
        failed = choose(f, c, chosen, clean);
        if ((failed == 0 && *clean) || (failed != 0 && !is_about_the_file(failed)) ||
            attempt == READER_ATTEMPTS)
            return failed;
        error = read_candidates(f, &again);
        if (error)
            return error;
        same = memcmp(c->root[0]->bytes, again.root[0]->bytes, size) == 0 &&
               memcmp(c->root[1]->bytes, again.root[1]->bytes, size) == 0;
        free_candidates(c);
        *c = again;
        if (same) {
            /* Nobody is writing: what was found holds. Its details must be the last failure. */
            return failed == 0 ? 0 : choose(f, c, chosen, clean);
        }
    }
}

/*
 * Rule 12: two writers, by whatever paths they came to the file, must not write the same root. So
 * the salt is another one than those of the roots that are there.
 */
static int draw_salt(struct format_1 *f, const struct candidates *c)
{
    uint16_t *salt = &f->cache.space.salt;

    do {
        if (getrandom(salt, sizeof(*salt), 0) != (ssize_t)sizeof(*salt))
            return mpgi_fail(MPG_E_IO, "open", MPG_NO_PAGE, "%s: the system gave no random numbers",
                             f->head.file->path);
    } while (*salt == get_u16(c->root[0]->bytes + ROOT_SALT) ||
             *salt == get_u16(c->root[1]->bytes + ROOT_SALT));
    return 0;
}

/* ---- What a writer writes ------------------------------------------------------------------ */

static int write_root_at(struct format_1 *f, const struct buffer *root, unsigned page)
{
    const struct node_space *space = &f->cache.space;

    return mpgi_file_write(f->head.file, root->bytes, space->node_size,
                           (uint64_t)page * space->page_size, page);
}

/* Rule 6: the chosen root, and what its commit wrote; of a new file that is page 0 as well. */
static int write_commit_again(struct format_1 *f, const struct buffer *root, unsigned page)
{
    int error = verify_commit(f, root->bytes, true);

    if (error == 0 && mpgi_root_generation(root->bytes) <= FIRST_GENERATION)
        error = mpgi_superblock_write_again(&f->superblock, f->head.file);
    return error ? error : write_root_at(f, root, page);
}

/* Writes the chosen state over the other root, with a generation that was never used. */
static int write_recovery_root(struct format_1 *f, struct buffer *root, unsigned page)
{
    /* Its nodes will not be verified again, so they must be on the disk before it (rule 1). */
    int error = RULE_HOLDS(RULE_1_RECOVERY) ? mpgi_file_sync(f->head.file) : 0;

    if (error)
        return error;
    mpgi_root_finish(&f->cache.space, root->bytes, f->next_generation++, true);
    return write_root_at(f, root, page);
}

/* The highest generation that a commit may have used. */
static uint64_t highest_used(const struct candidates *c, unsigned chosen)
{
    uint64_t highest = c->generation[chosen];

    if (!RULE_HOLDS(8))
        return highest;
    /* Unreadable, or the same because a failed commit's root was put back: it was one more. */
    if (!c->valid[!chosen] || c->generation[!chosen] == highest)
        return highest + 1;
    return max_u64(highest, c->generation[!chosen]);
}

int mpgi_recover_1(struct format_1 *f)
{
    struct candidates c;
    unsigned chosen = 0;
    bool clean = false;
    int error = read_candidates(f, &c);

    if (error)
        return error;
    if (f->head.read_only)
        error = choose_while_written(f, &c, &chosen, &clean);
    else
        error = choose(f, &c, &chosen, &clean);
    if (error == 0) {
        f->next_generation = highest_used(&c, chosen) + 1;
        f->root_page = chosen + 1;
        if (!f->head.read_only && f->next_generation > GENERATION_MOST)
            error = mpgi_fail(MPG_E_CORRUPT_METADATA, "open", f->root_page,
                              "%s: page %u says that commit %" PRIu64
                              " wrote it: there cannot have been so many",
                              f->head.file->path, f->root_page, c.generation[chosen]);
    }
    if (error == 0 && !f->head.read_only)
        error = draw_salt(f, &c);
    if (error == 0 && !f->head.read_only && RULE_HOLDS(RULE_6_AGAIN))
        error = write_commit_again(f, c.root[chosen], f->root_page);
    if (error == 0) {
        memcpy(f->other_root, c.root[!chosen]->bytes, NODE_BODY);
        if (!clean && !f->head.read_only && RULE_HOLDS(8)) {
            memcpy(f->other_root, c.root[chosen]->bytes, NODE_BODY);
            f->root_page = 2 - chosen;
            f->head.replaced = c.root[!chosen];
            f->head.replaced_at = (uint64_t)f->root_page * f->cache.space.page_size;
            c.root[!chosen] = NULL;
            error = write_recovery_root(f, c.root[chosen], f->root_page);
        }
    }
    if (error == 0) {
        f->root.durable = c.root[chosen];
        c.root[chosen] = NULL;
    }
    free_candidates(&c);
    return error;
}
