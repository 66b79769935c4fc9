/* SPDX-License-Identifier: MIT */
/* The root: a node that is itself one of two, with the counts and the tops of both trees in it. */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/rules.h"
#include "format_1/state.h"

const unsigned char *mpgi_root_get(const struct format_1 *f, enum version version)
{
    return mpgi_versions_get(&f->root, version)->bytes;
}

int mpgi_root_edit(struct format_1 *f)
{
    if (mpgi_versions_edit(&f->root, f->cache.space.node_size) == NULL)
        return mpgi_fail_memory("change metadata");
    return 0;
}

unsigned char *mpgi_root_pending(struct format_1 *f)
{
    return f->root.pending->bytes;
}

void mpgi_root_add(struct format_1 *f, uint32_t field, int64_t change)
{
    unsigned char *at = f->root.pending->bytes + field;

    put_u64(at, get_u64(at) + (uint64_t)change);
}

uint64_t mpgi_root_generation(const unsigned char *root)
{
    return get_u64(root + NODE_GENERATION);
}

void mpgi_root_finish(const struct node_space *space, unsigned char *root, uint64_t generation,
                      bool ordered)
{
    memset(root, 0, NODE_BODY);
    memcpy(root + NODE_TYPE, TYPE_ROOT, TYPE_SIZE);
    put_u64(root + NODE_GENERATION, generation);
    put_u32(root + NODE_USED, space->node_size);
    put_u32(root + ROOT_FLAGS, ordered ? ROOT_ORDERED : 0);
    put_u64(root + space->node_size - ROOT_END_SIZE, generation);
    put_u32(root + NODE_CRC, mpgi_node_crc(space, root));
}

/* Heights no larger than what the largest file needs: so no span overflows. */
static bool height_valid(const struct tree *tree, const unsigned char *root)
{
    unsigned height = mpgi_tree_height(tree, root);

    return height == 0 ||
           (height <= HEIGHT_MAX && mpgi_tree_coverage(tree, height - 1) < tree->limit);
}

static bool counts_valid(const struct format_1 *f, const unsigned char *root)
{
    uint64_t total = get_u64(root + ROOT_TOTAL);
    uint64_t free = get_u64(root + ROOT_FREE);
    uint64_t protected_pages = get_u64(root + ROOT_PROTECTED);
    uint64_t metadata = get_u64(root + ROOT_METADATA);

    if (total < FIRST_USER_PAGE || total > f->space.limit || free > total ||
        protected_pages > total || metadata > total || free + protected_pages + metadata > total)
        return false;
    return protected_pages <= free || !RULE_HOLDS(RULE_POOL) || !RULE_HOLDS(RULE_POOL_FREES);
}

static bool places_valid(const unsigned char *root)
{
    uint64_t total = get_u64(root + ROOT_TOTAL);
    uint64_t next = get_u64(root + ROOT_NEXT);
    uint64_t after = get_u64(root + ROOT_AFTER);

    if (next == 0)
        return after == 0;
    return next >= FIRST_USER_PAGE && next < total && next != after &&
           (after == 0 || (after >= FIRST_USER_PAGE && after < total));
}

static const char *fault_of(const struct format_1 *f, const unsigned char *root)
{
    const struct node_space *space = &f->cache.space;
    uint64_t generation = mpgi_root_generation(root);

    if (memcmp(root + NODE_TYPE, TYPE_ROOT, TYPE_SIZE) != 0)
        return "it is not a root";
    if (get_u32(root + NODE_CRC) != mpgi_node_crc(space, root))
        return "its checksum does not match";
    if (root[NODE_LEVEL] != 0 || get_u64(root + NODE_INDEX) != 0 ||
        get_u32(root + NODE_USED) != space->node_size)
        return "its header makes no sense";
    if (get_u64(root + space->node_size - ROOT_END_SIZE) != generation ||
        generation >= GENERATION_END)
        return "its generation makes no sense";
    if (memcmp(root + ROOT_UUID, f->superblock.uuid, UUID_SIZE) != 0)
        return "it is another file's";
    if (get_u32(root + ROOT_LOG2) > PAGE_LOG2_MAX ||
        UINT32_C(1) << get_u32(root + ROOT_LOG2) != space->page_size)
        return "its page size is another";
    if (!height_valid(&f->space, root) || !height_valid(&f->directory, root))
        return "its tree heights make no sense";
    if (!counts_valid(f, root))
        return "its counts make no sense";
    if (!places_valid(root))
        return "the places of what follows it make no sense";
    return NULL;
}

bool mpgi_root_valid(const struct format_1 *f, const unsigned char *root, const char **why)
{
    *why = fault_of(f, root);
    return *why == NULL;
}
