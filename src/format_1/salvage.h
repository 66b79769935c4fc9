/* SPDX-License-Identifier: MIT */
/* What the parts of salvaging and mending a file of format 1 share. */
#ifndef MPGI_SALVAGE_1_H
#define MPGI_SALVAGE_1_H

#include "format/salvage.h"
#include "format_1/state.h"

/* A node that is whole, somewhere in the file. */
struct found_node {
    uint64_t index;
    uint64_t generation;
    uint64_t at; /* byte of the file */
    uint32_t crc;
    uint8_t tree;
    uint8_t level;
};

/* A record that is whole, with all that continues it. */
struct found_record {
    uint64_t generation;
    uint64_t page;
};

/* What the file has. */
struct findings {
    struct salvage *salvage;
    struct format_1 *f; /* not loaded: what reading nodes and records needs. Owned */
    unsigned char roots[2][NODE_SIZE_MAX];
    bool root_valid[2];
    unsigned newest;          /* of these, if any is valid */
    struct found_node *nodes; /* owned */
    size_t node_count, node_capacity;
    struct found_node *torn; /* that only begin like nodes; owned */
    size_t torn_count, torn_capacity;
    struct found_record *records; /* owned */
    size_t record_count, record_capacity;
};

/* A space leaf whose uses were noted. */
struct applied {
    uint64_t index;
    uint64_t known;
};

struct join {
    struct findings *found;
    struct salvage *salvage;
    const struct tree *tree;
    struct applied *leaves; /* by index. Owned */
    size_t leaf_count, leaf_capacity;
};

static inline bool has_root(const struct findings *found)
{
    return found->root_valid[0] || found->root_valid[1];
}

/*
 * Who the file is: what page 0 says, or a root where that is not whole or is another file's. 1
 * where neither tells.
 */
int mpgi_learn_identity_1(const struct file *file, struct superblock *superblock, bool *has_page_0);
/* As in struct salvage_ops. */
int mpgi_identify_1(struct salvage *salvage);
int mpgi_search_1(struct salvage *salvage);
int mpgi_collect_1(struct salvage *salvage);

/* Puts together what was found. */
int mpgi_salvage_join_1(struct findings *found);
/* Takes what the records say, once the trees' leaves are known. */
int mpgi_salvage_records_1(struct join *join);
/*
 * Follows the chain. Records that are newer than what it leads to: something between is lost, and
 * nobody knows what it said.
 */
int mpgi_salvage_chain_1(struct join *join);

#endif
