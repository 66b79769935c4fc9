/* SPDX-License-Identifier: MIT */
#include "format_1/node.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "mappedpages.h"

/* A walk from a root to a leaf and back touches fewer; what it holds must not leave the cache. */
#define CLEAN_MIN 64

static const char *type_of(enum tree_kind tree)
{
    return tree == TREE_SPACE ? TYPE_SPACE : TYPE_DIRECTORY;
}

static const char *name_of(enum tree_kind tree)
{
    return tree == TREE_SPACE ? "space" : "directory";
}

int mpgi_tree_error(enum tree_kind tree)
{
    return tree == TREE_SPACE ? MPG_E_CORRUPT_METADATA : MPG_E_CORRUPT_PROTECTED_DIRECTORY;
}

uint32_t mpgi_node_crc(const struct node_space *space, const unsigned char *bytes)
{
    static const unsigned char zero[4];
    uint32_t crc = crc_extend(space->seed, bytes, NODE_CRC);

    crc = crc_extend(crc, zero, sizeof(zero));
    return crc_extend(crc, bytes + NODE_BODY, space->node_size - NODE_BODY);
}

/* Bytes of a node that carry something. */
static uint32_t used_of(const struct node_space *space, unsigned level)
{
    uint32_t body = space->node_size - NODE_BODY;

    return level == 0 ? space->node_size : NODE_BODY + body / REF_SIZE * REF_SIZE;
}

uint32_t mpgi_node_finish(const struct node_space *space, unsigned char *bytes, enum tree_kind tree,
                          unsigned level, uint64_t index, uint64_t generation)
{
    uint32_t crc;

    memset(bytes, 0, NODE_BODY);
    memcpy(bytes + NODE_TYPE, type_of(tree), TYPE_SIZE);
    bytes[NODE_LEVEL] = (unsigned char)level;
    put_u64(bytes + NODE_INDEX, index);
    put_u64(bytes + NODE_GENERATION, generation);
    put_u32(bytes + NODE_USED, used_of(space, level));
    crc = mpgi_node_crc(space, bytes);
    put_u32(bytes + NODE_CRC, crc);
    return crc;
}

void mpgi_reference_get(struct node_reference *reference, const unsigned char *at,
                        enum tree_kind tree, unsigned level, uint64_t index)
{
    uint64_t slot = get_u64(at + REF_SLOT);

    reference->tree = (uint8_t)tree;
    reference->level = (uint8_t)level;
    reference->index = index;
    reference->pair = slot / 2;
    reference->slot = (uint8_t)(slot % 2);
    reference->generation = get_u64(at + REF_GENERATION);
    reference->crc = get_u32(at + REF_CRC);
    reference->free = get_u32(at + REF_FREE);
}

static int verify(const struct node_space *space, const unsigned char *bytes,
                  const struct node_reference *reference, unsigned slot)
{
    uint64_t page = slot_page(space->page_size, reference->pair, slot);
    enum tree_kind tree = (enum tree_kind)reference->tree;
    uint32_t crc = mpgi_node_crc(space, bytes);

    if (crc != reference->crc || crc != get_u32(bytes + NODE_CRC))
        return mpgi_fail_crc(
            mpgi_tree_error(tree), "read metadata", page, reference->crc, crc, space->file->path,
            tree == TREE_SPACE ? "a node of the space tree" : "a node of the directory tree");
    if (memcmp(bytes + NODE_TYPE, type_of(tree), TYPE_SIZE) != 0 ||
        bytes[NODE_LEVEL] != reference->level || get_u64(bytes + NODE_INDEX) != reference->index ||
        get_u64(bytes + NODE_GENERATION) != reference->generation ||
        get_u32(bytes + NODE_USED) != used_of(space, reference->level))
        return mpgi_fail(mpgi_tree_error(tree), "read metadata", page,
                         "%s: page %" PRIu64 " does not hold node %" PRIu64
                         " of level %u of the %s tree "
                         "as commit %" PRIu64 " wrote it",
                         space->file->path, page, reference->index, reference->level, name_of(tree),
                         reference->generation);
    return 0;
}

int mpgi_node_read_slot(const struct node_space *space, unsigned char *bytes,
                        const struct node_reference *reference, unsigned slot)
{
    int error = mpgi_file_read(space->file, bytes, space->node_size,
                               slot_offset(space->page_size, reference->pair, slot),
                               slot_page(space->page_size, reference->pair, slot));

    return error ? error : verify(space, bytes, reference, slot);
}

int mpgi_node_read(const struct node_space *space, unsigned char *bytes,
                   const struct node_reference *reference, uint64_t end, unsigned *slot)
{
    enum tree_kind tree = (enum tree_kind)reference->tree;
    mpg_error_info info;
    int error;

    if (reference->pair < 3 || reference->pair >= end ||
        end - reference->pair <= slot_distance(space->page_size))
        return mpgi_fail(mpgi_tree_error(tree), "read metadata", reference->pair,
                         "%s: a node of the %s tree is said to be at page %" PRIu64
                         ", not between 3 and %" PRIu64,
                         space->file->path, name_of(tree), reference->pair, end);
    *slot = reference->slot;
    error = mpgi_node_read_slot(space, bytes, reference, *slot);
    if (error == 0)
        return 0;
    (void)mpg_last_error(&info);
    *slot = 1u - reference->slot;
    return mpgi_node_read_slot(space, bytes, reference, *slot) == 0 ? 0 : mpgi_fail_again(&info);
}

/* ---- Nodes and the cache ------------------------------------------------------------------- */

struct node *mpgi_node_new(enum tree_kind tree, unsigned level, uint64_t index)
{
    struct node *node = calloc(1, sizeof(*node));

    if (node != NULL) {
        node->tree = (uint8_t)tree;
        node->level = (uint8_t)level;
        node->index = index;
        node->slot = 1; /* so that it is first written to the other one */
    }
    return node;
}

void mpgi_node_free(struct node *node)
{
    if (node == NULL)
        return;
    mpgi_versions_free(&node->versions);
    free(node);
}

int mpgi_cache_init(struct node_cache *cache, const struct node_space *space, size_t cache_size)
{
    size_t cost = space->node_size + sizeof(struct buffer) + sizeof(struct node) + 32;

    memset(cache, 0, sizeof(*cache));
    cache->space = *space;
    cache->clean_limit = cache_size / cost > CLEAN_MIN ? cache_size / cost : CLEAN_MIN;
    return mpgi_hash_init(&cache->nodes) ? 0 : mpgi_fail_memory("open");
}

void mpgi_cache_free(struct node_cache *cache)
{
    struct node *node;
    size_t bucket = 0;

    if (cache->nodes.buckets == NULL)
        return;
    while ((node = (struct node *)mpgi_hash_pop(&cache->nodes, &bucket)) != NULL)
        mpgi_node_free(node);
    mpgi_hash_free(&cache->nodes);
}

static uint64_t key_of(unsigned tree, unsigned level, uint64_t index)
{
    return index << 5 | level << 1 | tree;
}

static void insert(struct node_cache *cache, struct node *node)
{
    mpgi_hash_insert(&cache->nodes, &node->link, key_of(node->tree, node->level, node->index));
}

int mpgi_cache_reserve(struct node_cache *cache, size_t more)
{
    return mpgi_hash_reserve(&cache->nodes, more) ? 0 : mpgi_fail_memory("read metadata");
}

static void unlink_clean(struct node_cache *cache, struct node *node)
{
    *(node->newer ? &node->newer->older : &cache->newest) = node->older;
    *(node->older ? &node->older->newer : &cache->oldest) = node->newer;
    node->newer = node->older = NULL;
    node->clean = false;
    cache->clean_count--;
}

static void link_clean(struct node_cache *cache, struct node *node)
{
    node->older = cache->newest;
    node->newer = NULL;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = node;
    cache->newest = node;
    node->clean = true;
    cache->clean_count++;
}

static void evict(struct node_cache *cache)
{
    while (cache->clean_count > cache->clean_limit) {
        struct node *node = cache->oldest;

        /* clang-tidy does not see that the oldest is another one each time. */
        unlink_clean(cache, node); /* NOLINT(clang-analyzer-unix.Malloc) */
        mpgi_hash_remove(&cache->nodes, &node->link);
        mpgi_node_free(node);
    }
}

struct node *mpgi_cache_find(struct node_cache *cache, enum tree_kind tree, unsigned level,
                             uint64_t index)
{
    struct node *node = (struct node *)mpgi_hash_find(&cache->nodes, key_of(tree, level, index));

    if (node != NULL && node->clean && cache->newest != node) {
        unlink_clean(cache, node);
        link_clean(cache, node);
    }
    return node;
}

int mpgi_cache_read(struct node **node, struct node_cache *cache,
                    const struct node_reference *reference, uint64_t end)
{
    enum tree_kind tree = (enum tree_kind)reference->tree;
    struct node *made = mpgi_node_new(tree, reference->level, reference->index);
    unsigned slot = reference->slot;
    int error;

    if (made == NULL)
        return mpgi_fail_memory("read metadata");
    made->pair = reference->pair;
    made->generation = reference->generation;
    made->crc = reference->crc;
    made->versions.durable = mpgi_buffer_new(cache->space.node_size);
    error = made->versions.durable == NULL ? mpgi_fail_memory("read metadata") : 0;
    if (error == 0)
        error = mpgi_node_read(&cache->space, made->versions.durable->bytes, reference, end, &slot);
    made->slot = (uint8_t)slot;
    if (error == 0)
        error = mpgi_cache_reserve(cache, 1);
    if (error) {
        mpgi_node_free(made);
        return error;
    }
    insert(cache, made);
    link_clean(cache, made);
    evict(cache);
    *node = made;
    return 0;
}

/* ---- Versions ------------------------------------------------------------------------------ */

static void link_pending(struct node_cache *cache, struct node *node)
{
    if (node->clean)
        unlink_clean(cache, node);
    node->next_pending = cache->pending;
    cache->pending = node;
}

void mpgi_cache_add_new(struct node_cache *cache, struct node *node)
{
    insert(cache, node);
    link_pending(cache, node);
}

int mpgi_node_edit(struct node_cache *cache, struct node *node)
{
    if (node->versions.pending != NULL)
        return 0;
    if (mpgi_versions_edit(&node->versions, cache->space.node_size) == NULL)
        return mpgi_fail_memory("change metadata");
    link_pending(cache, node);
    return 0;
}

void mpgi_cache_freeze(struct node_cache *cache)
{
    for (struct node *node = cache->pending; node != NULL; node = node->next_pending) {
        mpgi_versions_freeze(&node->versions);
        node->next_frozen = node->next_pending;
    }
    cache->frozen = cache->pending;
    cache->pending = NULL;
}

/* Puts a node that may have become clean among the clean ones. */
static void settle(struct node_cache *cache, struct node *node)
{
    const struct versions *versions = &node->versions;

    if (!node->clean && !node->kept && !node->dirty && versions->pending == NULL &&
        versions->frozen == NULL)
        link_clean(cache, node);
}

static void forget_previous(struct node_cache *cache)
{
    struct node *next;

    for (struct node *node = cache->previous; node != NULL; node = next) {
        next = node->next_previous;
        node->next_previous = NULL;
        node->kept = false;
        mpgi_versions_forget_previous(&node->versions);
        settle(cache, node);
    }
    cache->previous = NULL;
}

static void make_dirty(struct node_cache *cache, struct node *node)
{
    if (node->dirty)
        return;
    node->dirty = true;
    node->next_dirty = cache->dirty;
    cache->dirty = node;
    cache->dirty_count++;
}

void mpgi_cache_publish(struct node_cache *cache)
{
    size_t published = 0;

    forget_previous(cache);
    for (struct node *node = cache->frozen; node != NULL; node = node->next_frozen) {
        mpgi_versions_publish(&node->versions);
        make_dirty(cache, node);
        node->next_previous = node->next_frozen;
        node->kept = true;
        published++;
    }
    cache->previous = cache->frozen;
    cache->frozen = NULL;
    /* Keeping them is a preference (rule 2); after a large batch, memory counts more. */
    if (published > cache->clean_limit / 4)
        forget_previous(cache);
    evict(cache);
}

void mpgi_cache_collect(struct node_cache *cache, bool pending)
{
    cache->writing = NULL;
    for (struct node *node = cache->dirty; node != NULL; node = node->next_dirty) {
        node->next_writing = cache->writing;
        cache->writing = node;
    }
    for (struct node *node = pending ? cache->pending : NULL; node != NULL;
         node = node->next_pending) {
        if (node->dirty)
            continue;
        node->next_writing = cache->writing;
        cache->writing = node;
    }
}

void mpgi_cache_not_written(struct node_cache *cache)
{
    cache->writing = NULL;
}

size_t mpgi_cache_unwritten(const struct node_cache *cache)
{
    size_t count = cache->dirty_count;

    for (const struct node *node = cache->pending; node != NULL; node = node->next_pending)
        count += !node->dirty;
    return count;
}

void mpgi_cache_written(struct node_cache *cache)
{
    struct node *next;

    for (struct node *node = cache->writing; node != NULL; node = next) {
        next = node->next_writing;
        node->slot = 1 - node->slot;
        node->crc = node->writing_crc;
        node->generation = node->writing_generation;
        node->dirty = false;
        settle(cache, node);
    }
    /* All that were dirty are in the list. */
    cache->writing = NULL;
    cache->dirty = NULL;
    cache->dirty_count = 0;
    evict(cache);
}

void mpgi_cache_discard(struct node_cache *cache)
{
    struct node *next;

    cache->writing = NULL;

    /* Frozen first: a node in both lists is seen again in the other, so none is freed here. */
    for (struct node *node = cache->frozen; node != NULL; node = next) {
        next = node->next_frozen;
        node->next_frozen = NULL;
        if (node->versions.pending != NULL)
            continue;
        mpgi_versions_discard(&node->versions);
        node->next_pending = cache->pending;
        cache->pending = node;
    }
    for (struct node *node = cache->pending; node != NULL; node = next) {
        next = node->next_pending;
        node->next_pending = NULL;
        mpgi_versions_discard(&node->versions);
        if (node->versions.durable == NULL) {
            mpgi_hash_remove(&cache->nodes, &node->link);
            mpgi_node_free(node);
        } else {
            settle(cache, node);
        }
    }
    cache->frozen = NULL;
    cache->pending = NULL;
    evict(cache);
}
