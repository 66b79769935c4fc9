/* SPDX-License-Identifier: MIT */
/*
 * Format 1: loading, facts, and the commit.
 *
 * seal        leaves first, then what refers to them, the root last: new slot, generation, CRC
 * write       nodes to the slots that are not current; the root to the page that is not durable
 * publish     after the sync: the written slots are the current ones
 */
#include "format_1/state.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "base/rules.h"

static void unload(struct format *format)
{
    struct format_1 *f = format_1_of(format);

    free(format->replaced);
    mpgi_cache_free(&f->cache);
    mpgi_versions_free(&f->root);
    free(f);
}

static int load_into(struct format_1 *f)
{
    struct node_space space;
    int error = mpgi_superblock_read(&f->superblock, f->head.file, f->head.read_only);

    if (error)
        return error;
    f->head.page_size = f->superblock.page_size;
    space.file = f->head.file;
    space.page_size = f->head.page_size;
    space.node_size = node_size_of(space.page_size);
    space.seed = crc_of(f->superblock.uuid, UUID_SIZE);
    space.salt = 0; /* drawn by recovery, for a writer */
    mpgi_tree_init(&f->space, TREE_SPACE, space.page_size);
    mpgi_tree_init(&f->directory, TREE_DIRECTORY, space.page_size);
    f->pairs = &mpgi_space_pairs;
    f->entry_freed = UINT64_MAX;
    mpgi_space_discarded(f);
    error = mpgi_cache_init(&f->cache, &space, f->head.cache_size);
    return error ? error : mpgi_recover_1(f);
}

static int load(struct format **format, struct file *file, bool read_only, size_t cache_size)
{
    struct format_1 *f = calloc(1, sizeof(*f));
    int error;

    if (f == NULL)
        return mpgi_fail_memory("open");
    f->head.ops = &mpgi_format_1;
    f->head.file = file;
    f->head.read_only = read_only;
    f->head.cache_size = cache_size;
    error = load_into(f);
    if (error) {
        unload(&f->head);
        return error;
    }
    *format = &f->head;
    return 0;
}

/* ---- Facts --------------------------------------------------------------------------------- */

static uint64_t total_pages(struct format *format, enum version version)
{
    return get_u64(mpgi_root_get(format_1_of(format), version) + ROOT_TOTAL);
}

static void facts(struct format *format, enum version version, struct mpg_stat *st)
{
    const struct format_1 *f = format_1_of(format);
    const unsigned char *root = mpgi_root_get(f, version);

    st->format = MPG_FORMAT_1;
    for (unsigned i = 0; i < 4; i++)
        st->version[i] = f->superblock.version[i];
    st->page_size = f->head.page_size;
    st->total_pages = get_u64(root + ROOT_TOTAL);
    st->free_pages = get_u64(root + ROOT_FREE);
    st->protected_pages = get_u64(root + ROOT_PROTECTED);
    st->metadata_pages = get_u64(root + ROOT_METADATA);
    st->regular_pages =
        st->total_pages - st->free_pages - st->metadata_pages - 2 * st->protected_pages;
    st->max_pages = f->space.limit;
    st->max_protected = f->directory.limit;
    st->generation = mpgi_root_generation(root);
    memcpy(st->features, f->superblock.features, sizeof(st->features));
    st->created = f->superblock.created;
    st->space_height = mpgi_tree_height(&f->space, root);
    st->directory_height = mpgi_tree_height(&f->directory, root);
    memcpy(st->uuid, f->superblock.uuid, UUID_SIZE);
    memcpy(st->label, f->superblock.label, sizeof(f->superblock.label));
}

static int set_total(struct format *format, uint64_t total)
{
    struct format_1 *f = format_1_of(format);
    int error = mpgi_root_edit(f);

    if (error)
        return error;
    mpgi_root_add(f, ROOT_FREE, (int64_t)(total - total_pages(format, VERSION_NEWEST)));
    put_u64(mpgi_root_pending(f) + ROOT_TOTAL, total);
    return 0;
}

static uint64_t next_generation(struct format *format, const struct entry *entry)
{
    (void)entry;
    return format_1_of(format)->next_generation;
}

static bool is_dirty(struct format *format)
{
    return format_1_of(format)->root.pending != NULL;
}

/* ---- A commit ------------------------------------------------------------------------------ */

static void seal(struct format *format, bool *ordered)
{
    struct format_1 *f = format_1_of(format);

    if (f->root.pending == NULL)
        return;
    if (f->cache.pending_count + f->changed_entries > SINGLE_SYNC_UNITS)
        *ordered = true;
    mpgi_tree_seal(f, &f->space);
    mpgi_tree_seal(f, &f->directory);
    mpgi_root_finish(&f->cache.space, mpgi_root_pending(f), f->next_generation, *ordered);
    mpgi_cache_freeze(&f->cache);
    mpgi_versions_freeze(&f->root);
    f->frozen_generation = f->next_generation++;
    /* Rule 7: by position. A recovery root, or a discarded commit, upsets any parity. */
    f->frozen_root_page = 3 - f->root_page;
    if (!RULE_HOLDS(7))
        f->frozen_root_page = 1 + f->frozen_generation % 2;
    f->changed_entries = 0;
    f->entry_freed = UINT64_MAX;
    mpgi_space_sealed(f);
}

static int write_nodes(struct format *format)
{
    return mpgi_cache_write(&format_1_of(format)->cache);
}

static int put_root(struct format_1 *f, const struct buffer *root)
{
    const struct node_space *space = &f->cache.space;

    if (root == NULL)
        return 0;
    return mpgi_file_write(space->file, root->bytes, space->node_size,
                           (uint64_t)f->frozen_root_page * space->page_size, f->frozen_root_page);
}

static int write_root(struct format *format)
{
    struct format_1 *f = format_1_of(format);

    return put_root(f, f->root.frozen);
}

static int shows_root(bool *same, const struct format_1 *f, const unsigned char *bytes,
                      uint32_t length, unsigned page)
{
    const struct node_space *space = &f->cache.space;

    return mpgi_file_shows(same, space->file, bytes, length, (uint64_t)page * space->page_size,
                           page);
}

/* Rule 12: both root pages, for another writer's newer root leaves the durable one as it is. */
static int look_again(struct format *format, enum look look, bool *same)
{
    const struct format_1 *f = format_1_of(format);
    uint32_t node_size = f->cache.space.node_size;
    unsigned other_page = 3 - f->root_page;
    int error;

    *same = true;
    if (!RULE_HOLDS(7))
        return 0; /* its own roots are not where they belong */
    error = shows_root(same, f, f->root.durable->bytes, node_size, f->root_page);
    if (error || !*same)
        return error;
    if (look == LOOK_AFTER)
        return shows_root(same, f, f->root.frozen->bytes, node_size, f->frozen_root_page);
    /* A commit may be writing there. */
    if (look == LOOK_ASIDE && f->root.frozen != NULL)
        return 0;
    return shows_root(same, f, f->other_root, NODE_BODY, other_page);
}

static int restore_root(struct format *format)
{
    struct format_1 *f = format_1_of(format);
    const struct node_space *space = &f->cache.space;
    int result = put_root(f, f->root.durable);

    /* On a full disk neither of the two may have been written as a whole: what is there is known. */
    if (result == MPG_E_NO_SPACE &&
        mpgi_file_read(space->file, f->other_root, NODE_BODY,
                       (uint64_t)f->frozen_root_page * space->page_size, f->frozen_root_page) != 0)
        return MPG_E_IO;
    if (result == 0 && f->root.durable != NULL)
        memcpy(f->other_root, f->root.durable->bytes, NODE_BODY);
    return result;
}

/* The same state as another commit, one that need not be verified when it is opened. */
static int write_closing(struct format *format, bool *written)
{
    struct format_1 *f = format_1_of(format);
    const struct node_space *space = &f->cache.space;
    const unsigned char *durable = mpgi_root_get(f, VERSION_DURABLE);
    struct buffer *closing;
    int result;

    if (get_u32(durable + ROOT_FLAGS) & ROOT_ORDERED)
        return 0;
    closing = mpgi_buffer_new(space->node_size);
    if (closing == NULL)
        return mpgi_fail_memory("close");
    memcpy(closing->bytes, durable, space->node_size);
    mpgi_root_finish(space, closing->bytes, f->next_generation++, true);
    f->frozen_root_page = 3 - f->root_page;
    *written = true;
    result = put_root(f, closing);
    free(closing);
    return result;
}

static void publish(struct format *format)
{
    struct format_1 *f = format_1_of(format);

    if (f->root.frozen == NULL)
        return;
    mpgi_cache_publish(&f->cache, f->frozen_generation);
    memcpy(f->other_root, f->root.durable->bytes, NODE_BODY);
    mpgi_versions_publish(&f->root);
    f->root_page = f->frozen_root_page;
    mpgi_space_published(f);
}

static void discard(struct format *format)
{
    struct format_1 *f = format_1_of(format);

    mpgi_cache_discard(&f->cache);
    mpgi_versions_discard(&f->root);
    f->space.edit.content = NULL;
    f->directory.edit.content = NULL;
    f->changed_entries = 0;
    f->entry_hint = 0;
    f->entry_freed = UINT64_MAX;
    mpgi_space_discarded(f);
    /* Rule 8: nodes of the discarded commit may be on the disk, so its generation is used up. */
    if (!RULE_HOLDS(8))
        f->next_generation = mpgi_root_generation(mpgi_root_get(f, VERSION_DURABLE)) + 1;
}

const struct format_ops mpgi_format_1 = {
    .id = MPG_FORMAT_1,
    .create = mpgi_create_1,
    .load = load,
    .unload = unload,
    .facts = facts,
    .total_pages = total_pages,
    .get_use = mpgi_space_get_use,
    .set_use = mpgi_space_set_use,
    .find_free = mpgi_space_find_free,
    .free_run = mpgi_space_free_run,
    .set_use_run = mpgi_space_set_use_run,
    .set_total = set_total,
    .scan_use = mpgi_space_scan,
    .get_entry = mpgi_directory_get,
    .put_entry = mpgi_directory_put,
    .find_free_entry = mpgi_directory_find_free,
    .scan_entries = mpgi_directory_scan,
    .next_generation = next_generation,
    .seal = seal,
    .write_nodes = write_nodes,
    .look_again = look_again,
    .write_root = write_root,
    .restore_root = restore_root,
    .publish = publish,
    .discard = discard,
    .write_closing = write_closing,
    .is_dirty = is_dirty,
    .walk = mpgi_walk_1,
};
