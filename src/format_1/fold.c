/* SPDX-License-Identifier: MIT */
/*
 * Folding: a checkpoint without a batch, and its root twice. Afterwards no chain follows the root,
 * and nothing rests, but the places of the records to come where they are wanted.
 *
 *     nodes · sync · root · sync · the same root over the other one · sync
 *
 * So a file is closed, so opening begins after a crash, and so pages come back that a full file
 * needs.
 */
#include "base/bytes.h"
#include "base/error.h"
#include "base/rules.h"
#include "format_1/state.h"

static bool rests_nothing(const struct format_1 *f)
{
    return f->rest.next == 0 && f->rest.current.count == 0 && f->rest.old.count == 0;
}

/* The places of the two records that follow it, as far as there are any. */
static int name_places(struct format_1 *f, unsigned char *root)
{
    uint64_t next = 0, after = 0;
    int error = mpgi_place_record(f, 0, 0, 1, &next);

    if (error == 0)
        error = mpgi_place_record(f, 0, next, 1, &after);
    put_u64(root + ROOT_NEXT, next);
    put_u64(root + ROOT_AFTER, after);
    return error == 1 ? 0 : error;
}

/* `closing`: what nobody changes any more is to be there twice. */
static int begin(struct format_1 *f, bool closing)
{
    struct format *format = &f->head;
    unsigned char *root = f->root.durable->bytes;
    int error;

    f->folding = true;
    f->twice_before = get_u64(root + ROOT_TWICE);
    f->closing = closing;
    if (closing)
        put_u64(root + ROOT_TWICE, f->next_generation);
    put_u64(root + ROOT_NEXT, 0);
    put_u64(root + ROOT_AFTER, 0);
    error = f->wants_chain ? name_places(f, root) : 0;
    if (error == 0)
        error = mpgi_checkpoint_salt(root, format->file);
    if (error == 0)
        error = mpgi_checkpoint_seal(f, f->next_generation++, true, true, &f->sealed.contents,
                                     &f->sealed.marks);
    if (error)
        mpgi_fold_end(format, error);
    return error;
}

int mpgi_fold_begin(struct format *format)
{
    struct format_1 *f = format_1_of(format);

    return rests_nothing(f) && !f->wants_chain ? 1 : begin(f, false);
}

/* Nor is put back over somebody else's work what was there before it (rule 12). */
static void put_back(struct format_1 *f)
{
    mpg_error_info info;

    (void)mpg_last_error(&info);
    if (mpgi_look_folding(f, FOLD_FAILED) == 0)
        (void)mpgi_checkpoint_restore(f, f->root.durable->bytes);
    (void)mpgi_fail_again(&info);
}

/*
 * The root over the one that is not durable, and a sync. Not where somebody else has been (rule
 * 12).
 */
static int write_root(struct format_1 *f, bool *unavailable)
{
    int error = mpgi_look_folding(f, FOLD_NODES);

    *unavailable = error != 0;
    if (error)
        return error;
    error = mpgi_output_write(&f->sealed.marks, f->head.file);
    if (error == MPG_E_NO_SPACE && RULE_HOLDS(13)) {
        /* A root that was written in part is none, and the durable one is as it was. */
        put_back(f);
        f->chain.other_unknown = true;
        return error;
    }
    if (error == 0)
        error = mpgi_file_sync(f->head.file);
    *unavailable = error != 0;
    if (error != 0)
        put_back(f);
    return error != 0 ? error : mpgi_look_folding(f, FOLD_ONCE);
}

/*
 * Over the root that was the durable one before; it says the same, so there is nothing to put back.
 * Nor does anybody need the slots that only that one named.
 */
static int write_second(struct format_1 *f)
{
    const struct node_space *space = &f->cache.space;
    const unsigned char *root = f->root.durable->bytes;
    unsigned page = 3 - f->sealed.root_page;
    int error = f->closing ? mpgi_twins_write(f, root, f->twice_before) : 0;

    if (error == 0)
        error = mpgi_file_write(space->file, root, space->node_size,
                                (uint64_t)page * space->page_size, page);

    if (error == 0)
        error = mpgi_file_sync(f->head.file);
    return error ? error : mpgi_look_folding(f, FOLD_TWICE);
}

int mpgi_fold_write(struct format *format, bool *unavailable)
{
    struct format_1 *f = format_1_of(format);
    int error;

    *unavailable = false;
    mpgi_output_sort(&f->sealed.contents);
    error = mpgi_output_write(&f->sealed.contents, format->file);
    if (error)
        return error;
    /* Rule L7: nobody looks again whether what this root refers to is there. */
    if (RULE_HOLDS(RULE_CHECKPOINT_SYNC))
        error = mpgi_file_sync(format->file);
    *unavailable = error != 0;
    if (error == 0)
        error = write_root(f, unavailable);
    *unavailable |= error == MPG_E_CHANGED;
    if (error == 0) {
        error = write_second(f);
        *unavailable = error != 0;
    }
    return error;
}

void mpgi_fold_end(struct format *format, int result)
{
    struct format_1 *f = format_1_of(format);

    bool named = f->wants_chain;

    f->folding = false;
    f->wants_chain = false;
    mpgi_output_clear(&f->sealed.contents);
    mpgi_output_clear(&f->sealed.marks);
    if (result != 0) {
        mpgi_cache_not_written(&f->cache);
        put_u64(f->root.durable->bytes + NODE_GENERATION, f->chain.generation);
        put_u64(f->root.durable->bytes + ROOT_TWICE, f->twice_before);
        mpgi_checkpoint_let_go(f, &f->rest.chosen);
        return;
    }
    mpgi_checkpoint_publish(f);
    mpgi_checkpoint_let_go(f, &f->rest.old);
    memcpy(f->chain.other_head, f->chain.root, sizeof(f->chain.other_head));
    f->chain.second_is_due = false;
    f->chain.is_twice = f->rest.next == 0;
    f->chain.is_named = named;
    mpgi_id_map_clear(&f->rest.chosen);
}

static int fold(struct format_1 *f, bool closing, bool *unavailable)
{
    int error = begin(f, closing);

    *unavailable = false;
    if (error)
        return error;
    error = mpgi_fold_write(&f->head, unavailable);
    mpgi_fold_end(&f->head, error);
    return error;
}

int mpgi_fold(struct format_1 *f, bool *unavailable)
{
    return fold(f, false, unavailable);
}

/*
 * The state of a root that nothing follows, once more, as a commit that need not be verified. The
 * root that it comes over is not needed any more, nor are the slots that only that one names.
 */
static int write_closing(struct format_1 *f)
{
    unsigned char *root = f->root.durable->bytes;
    bool unavailable;
    int error = mpgi_look_folding(f, FOLD_NODES);

    if (error == 0)
        error = mpgi_twins_write(f, root, get_u64(root + ROOT_TWICE));
    if (error == 0)
        error = mpgi_checkpoint_salt(root, f->head.file);
    put_u64(root + ROOT_TWICE, f->chain.generation);
    if (error == 0)
        error = mpgi_checkpoint_seal(f, f->next_generation++, true, true, &f->sealed.contents,
                                     &f->sealed.marks);
    if (error == 0)
        error = write_root(f, &unavailable);
    mpgi_output_clear(&f->sealed.contents);
    mpgi_output_clear(&f->sealed.marks);
    if (error == 0)
        mpgi_checkpoint_publish(f);
    return error;
}

int mpgi_close_1(struct format *format)
{
    struct format_1 *f = format_1_of(format);
    bool unavailable; /* nothing is changed any more in any case */

    if (!RULE_HOLDS(RULE_CLOSE_FOLDS) ||
        (f->chain.is_twice && !mpgi_twins_missing(f, f->root.durable->bytes)))
        return 0;
    return rests_nothing(f) ? write_closing(f) : fold(f, true, &unavailable);
}
