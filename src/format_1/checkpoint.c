/* SPDX-License-Identifier: MIT */
/*
 * A checkpoint: nodes into the slots that are not current, and a root over the one that is not the
 * durable one.
 */
#include <sys/random.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/rules.h"
#include "format_1/state.h"

int mpgi_checkpoint_salt(unsigned char *root, const struct file *file)
{
    unsigned char salt[8];

    if (getrandom(salt, sizeof(salt), 0) != (ssize_t)sizeof(salt))
        return mpgi_fail(MPG_E_IO, "commit", MPG_NO_PAGE, "%s: the system gave no random numbers",
                         file->path);
    memcpy(root + ROOT_SALT, salt, sizeof(salt));
    return 0;
}

static size_t count_writing(const struct format_1 *f)
{
    size_t count = 0;

    for (const struct node *node = f->cache.writing; node != NULL; node = node->next_writing)
        count++;
    return count;
}

static void add_nodes(struct format_1 *f, bool fold, struct output *nodes)
{
    const struct node_space *space = &f->cache.space;

    for (const struct node *node = f->cache.writing; node != NULL; node = node->next_writing) {
        const struct versions *versions = &node->versions;
        const struct buffer *buffer =
            fold || versions->pending == NULL ? versions->durable : versions->pending;

        mpgi_output_add(nodes, slot_offset(space->page_size, node->pair, 1u - node->slot),
                        space->node_size, buffer->bytes, node->pair);
    }
}

int mpgi_checkpoint_seal(struct format_1 *f, uint64_t generation, bool ordered, bool fold,
                         struct output *nodes, struct output *root)
{
    const struct node_space *space = &f->cache.space;
    unsigned char *bytes = fold ? f->root.durable->bytes : f->root.pending->bytes;

    mpgi_cache_collect(&f->cache, !fold);
    mpgi_tree_seal(f, &f->space, generation, fold);
    mpgi_tree_seal(f, &f->directory, generation, fold);
    mpgi_root_finish(space, bytes, generation, ordered);
    /* Rule 7: by position. A recovery root, or a discarded commit, upsets any parity. */
    f->sealed.root_page = RULE_HOLDS(7) ? 3 - f->chain.root_page : 1 + generation % 2;
    if (!mpgi_output_reserve(nodes, count_writing(f)) || !mpgi_output_reserve(root, 2))
        return mpgi_fail_memory("commit");
    add_nodes(f, fold, nodes);
    mpgi_output_add(root, (uint64_t)f->sealed.root_page * space->page_size, space->node_size, bytes,
                    f->sealed.root_page);
    return 0;
}

void mpgi_checkpoint_let_go(struct format_1 *f, struct id_map *pages)
{
    for (size_t i = 0; i < pages->capacity; i++) {
        if (pages->slots[i].used)
            mpgi_space_let_go(&f->head, pages->slots[i].id);
    }
    mpgi_id_map_clear(pages);
}

/* Places that were named for records which were not written. */
static void let_go_places(struct format_1 *f)
{
    uint64_t places[] = {f->rest.next, f->rest.after};

    f->rest.next = f->rest.after = 0;
    for (unsigned i = 0; i < 2; i++) {
        if (places[i] != 0)
            mpgi_space_let_go(&f->head, places[i]);
    }
}

void mpgi_checkpoint_publish(struct format_1 *f)
{
    const unsigned char *root = f->root.durable->bytes;
    struct chain *chain = &f->chain;

    f->head.checkpoints++;
    mpgi_cache_written(&f->cache);
    memcpy(chain->other_head, chain->root, sizeof(chain->other_head));
    chain->other_unknown = false;
    chain->last_page = 0;
    memcpy(chain->root, root, f->cache.space.node_size);
    chain->root_page = f->sealed.root_page;
    chain->root_crc = chain->link = get_u32(root + NODE_CRC);
    chain->generation = mpgi_root_generation(root);
    chain->records = 0;
    chain->is_twice = false;
    chain->is_named = false;
    chain->to_annul = 0; /* no chain leads to it any more, and its page may be somebody's */
    mpgi_checkpoint_let_go(f, &f->rest.old);
    mpgi_rest_turn(&f->rest);
    let_go_places(f);
    f->rest.next = get_u64(root + ROOT_NEXT);
    f->rest.after = get_u64(root + ROOT_AFTER);
    f->pool.cursor = 0; /* leaves that had no free page may have some now */
    chain->second_is_due = f->rest.next != 0 && RULE_HOLDS(RULE_SECOND_ROOT);
    if (!RULE_HOLDS(RULE_SECOND_ROOT))
        mpgi_checkpoint_let_go(f, &f->rest.old);
}

int mpgi_checkpoint_restore(struct format_1 *f, const unsigned char *written)
{
    const struct node_space *space = &f->cache.space;
    int error;

    error = mpgi_look_at_root(f, written);
    if (error)
        return error;
    return mpgi_file_write(space->file, f->chain.root, space->node_size,
                           (uint64_t)f->sealed.root_page * space->page_size, f->sealed.root_page);
}
