/* SPDX-License-Identifier: MIT */
/*
 * Page files to be damaged, whose content is known: what each page holds follows from its id and
 * from how often it was written.
 */
#ifndef SPECIMEN_H
#define SPECIMEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mappedpages.h"

/* What a file is to be. */
struct specimen_kind {
    const char *name;
    int format;
    uint32_t page_size;
    unsigned protected_count;
    uint64_t protected_step; /* between the ids of protected pages */
    unsigned regular_count;
    uint64_t regular_step; /* between the ids of regular pages */
    bool closed;           /* otherwise as after a crash of the process */
};

/* Bytes of the file that say where the content of a protected page is, with its checksum. */
struct naming {
    unsigned number; /* of the protected page */
    uint64_t at;
    uint32_t length;
    uint64_t head; /* where the node, record or block begins that says which ids it is of */
};

struct specimen {
    const struct specimen_kind *kind;
    char path[256];
    char older[270]; /* a copy of it, as it was before it was opened for the last time */
    uint64_t pages;
    unsigned char *uses; /* enum mpg_page_use, a byte a page; owned */
    /* Of each protected page, by number: */
    uint64_t *content; /* where its content is, 0: it was freed; owned */
    uint32_t *crc;     /* of that; owned */
    unsigned *version; /* how often it was written; owned */
    /* Every place that says where a content is, by number. Owned */
    struct naming *namings;
    size_t naming_count, naming_capacity;
};

/* The content of a page: version 0 is zeros. */
void damage_fill(unsigned char *data, uint32_t page_size, bool is_protected, uint64_t id,
                 unsigned version);

/*
 * The next of a sequence of numbers at random, the same in every run; it goes on from a seed that
 * is not 0.
 */
uint64_t damage_random(void);
void damage_seed(uint64_t seed);

/* Says what the system said of `what`, and ends the program. */
void damage_die(const char *what) __attribute__((noreturn));
/* Ends the program with words. */
void damage_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* Ends the program unless `result` is 0, with what the library said. */
void damage_must(int result, const char *what);
/* Zeroed, for `count` of `size` bytes each and one more. */
void *damage_room(size_t count, size_t size);

void damage_make(struct specimen *specimen, const struct specimen_kind *kind,
                 const char *directory);
void damage_free(struct specimen *specimen);

uint64_t damage_regular_id(const struct specimen_kind *kind, unsigned number);
uint64_t damage_protected_id(const struct specimen_kind *kind, unsigned number);

#endif
