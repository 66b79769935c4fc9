/* SPDX-License-Identifier: MIT */
/*
 * The table of scratch files: by serial number, by name, and in the order in which a directory
 * lists them. Nothing here takes longer the more files there are, whatever names a client thinks
 * up: names are hashed with a key that nobody knows. Not locked: its user does that.
 */
#ifndef SCRATCH_TABLE_H
#define SCRATCH_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#include "map.h"
#include "node.h"

struct scratch_file {
    struct scratch_file *next; /* with a name, in the same bucket */
    uint64_t serial;
    uint64_t references;       /* the kernel's */
    enum fixed_node directory; /* where its name is, or 0: it has none */
    uint64_t place;            /* in the order of that directory, from 1 */
    char *name;                /* owned */
    unsigned char *data;       /* owned */
    uint64_t size;             /* bytes of content */
    uint64_t capacity;         /* bytes data has room for; those beyond size are zero */
    uid_t payer;               /* whose memory it counts as: who made it */
    mode_t mode;               /* permission bits */
    uid_t uid;
    gid_t gid;
    struct timespec atime, mtime, ctime;
};

/* A place in a listing. */
struct scratch_place {
    uint64_t place;            /* ascending */
    struct scratch_file *file; /* NULL: gone */
};

/* The files of a directory in the order in which they got their names. */
struct scratch_order {
    struct scratch_place *places; /* owned */
    size_t count;                 /* in use, with those that are gone */
    size_t capacity;
    size_t gone;
    uint64_t last; /* the place given last */
};

#define SCRATCH_ORDERS 2

struct scratch_table {
    struct map serials;            /* to files, as numbers; files are owned */
    struct scratch_file **buckets; /* by name */
    size_t bucket_count;           /* a power of two */
    size_t named;                  /* files with a name */
    uint64_t key[2];               /* of the hash */
    struct scratch_order orders[SCRATCH_ORDERS];
};

/* 0 or ENOMEM. */
int scratch_table_init(struct scratch_table *table);
/* Ends it with all files. */
void scratch_table_free(struct scratch_table *table);

struct scratch_file *scratch_by_serial(const struct scratch_table *table, uint64_t serial);
struct scratch_file *scratch_by_name(const struct scratch_table *table, enum fixed_node directory,
                                     const char *name);
/* The first file of a directory behind a place, or NULL. */
struct scratch_file *scratch_behind(const struct scratch_table *table, enum fixed_node directory,
                                    uint64_t place);

/* Adds a file without a name, by its serial number: it belongs to the table then. 0 or ENOMEM. */
int scratch_add(struct scratch_table *table, struct scratch_file *file);
/*
 * Gives a file a name, instead of the one it had; whoever has that name is to lose it before the
 * next look-up. In the same directory the file keeps its place. 0 or ENOMEM, and then nothing
 * changed.
 */
int scratch_give_name(struct scratch_table *table, struct scratch_file *file,
                      enum fixed_node directory, const char *name);
void scratch_take_name(struct scratch_table *table, struct scratch_file *file);
/* Takes a file out and ends it. */
void scratch_delete(struct scratch_table *table, struct scratch_file *file);

#endif
