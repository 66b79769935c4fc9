/* SPDX-License-Identifier: MIT */
/* Format 1: loading, facts, and the table. */
#include "format_1/state.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "base/rules.h"

static void unload(struct format *format)
{
    struct format_1 *f = format_1_of(format);

    mpgi_record_free(&f->recovered.last);
    mpgi_redo_forget(format);
    mpgi_changes_free(&f->sealed.changes);
    free(f->sealed.replaced);
    free(f->sealed.blocks);
    mpgi_output_free(&f->sealed.contents);
    mpgi_output_free(&f->sealed.marks);
    mpgi_numbers_free(&f->gathered.entries);
    mpgi_numbers_free(&f->gathered.runs);
    mpgi_numbers_free(&f->freed);
    mpgi_pool_reset(&f->pool);
    mpgi_rest_free(&f->rest);
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
    mpgi_tree_init(&f->space, TREE_SPACE, space.page_size);
    mpgi_tree_init(&f->directory, TREE_DIRECTORY, space.page_size);
    f->pairs = &mpgi_space_pairs;
    mpgi_pool_init(&f->pool, f->space.leaf_units);
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
    if (version == VERSION_NEWEST)
        st->free_pages -= f->gathered.unplaced;
    st->protected_pages = get_u64(root + ROOT_PROTECTED);
    st->metadata_pages = get_u64(root + ROOT_METADATA);
    st->regular_pages = st->total_pages - st->free_pages - st->metadata_pages - st->protected_pages;
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
    uint64_t old = total_pages(format, VERSION_NEWEST);
    int error = mpgi_root_edit(f);

    if (error)
        return error;
    mpgi_root_add(f, ROOT_FREE, (int64_t)(total - old));
    put_u64(mpgi_root_pending(f) + ROOT_TOTAL, total);
    /* Of the leaf in which the file ended more can be had now. */
    mpgi_pool_forget(&f->pool, old);
    return 0;
}

static bool is_dirty(struct format *format)
{
    return format_1_of(format)->root.pending != NULL;
}

/* Rule P9: a number alone is not enough, for one of a commit that was taken back may come again. */
static bool same_state(const struct format *a, const struct format *b)
{
    const struct chain *one = &((const struct format_1 *)(const void *)a)->chain;
    const struct chain *other = &((const struct format_1 *)(const void *)b)->chain;

    return one->generation == other->generation &&
           (one->link == other->link || !RULE_HOLDS(RULE_IDENTITY));
}

static int rests(struct format *format, uint64_t page, bool *rests)
{
    *rests = mpgi_rest_has(&format_1_of(format)->rest, page);
    return 0;
}

const struct format_ops mpgi_format_1 = {
    .id = MPG_FORMAT_1,
    .create = mpgi_create_1,
    .copies = 0,
    .load = load,
    .settle = mpgi_settle_1,
    .same_state = same_state,
    .unload = unload,
    .facts = facts,
    .total_pages = total_pages,
    .get_use = mpgi_space_get_use,
    .set_use = mpgi_space_set_use,
    .find_free = mpgi_space_find_free,
    .free_run = mpgi_space_free_run,
    .set_use_run = mpgi_space_set_use_run,
    .spare = mpgi_space_spare,
    .rests = rests,
    .let_go = mpgi_space_let_go,
    .set_total = set_total,
    .scan_use = mpgi_space_scan,
    .get_entry = mpgi_directory_get,
    .put_entry = mpgi_directory_put,
    .find_owner = mpgi_directory_find_owner,
    .find_free_entry = mpgi_directory_find_free,
    .scan_entries = mpgi_directory_scan,
    .mark_entries = mpgi_directory_mark,
    .renew_entry = mpgi_directory_renew,
    .seal = mpgi_commit_seal,
    .write_contents = mpgi_commit_write_contents,
    .write_root = mpgi_commit_write_root,
    .look_again = mpgi_look_1,
    .look_newer = mpgi_look_newer_1,
    .follow = mpgi_follow_1,
    .take_back = mpgi_commit_take_back,
    .publish = mpgi_commit_publish,
    .discard = mpgi_commit_discard,
    .make_room_begin = mpgi_fold_begin,
    .make_room_write = mpgi_fold_write,
    .make_room_end = mpgi_fold_end,
    .redo_prepare = mpgi_redo_prepare,
    .redo_stage = mpgi_redo_stage,
    .redo_check = mpgi_redo_check,
    .redo_cancel = mpgi_redo_cancel,
    .redo_is_sealed = mpgi_redo_is_sealed,
    .redo_write = mpgi_redo_write,
    .redo_mark = mpgi_redo_mark,
    .close = mpgi_close_1,
    .write_label = mpgi_label_write_1,
    .label_written = mpgi_label_written_1,
    .begin_anew = mpgi_begin_anew_1,
    .is_dirty = is_dirty,
    .walk = mpgi_walk_1,
};
