/* SPDX-License-Identifier: MIT */
/*
 * What is left of a damaged file. Each format looks through all of it for what proves itself, by
 * checksums and by what is said twice, and notes it here without deciding: which contents are
 * whole, and what becomes of it, is for whoever asked (life/rescue.c).
 */
#ifndef MPGI_SALVAGE_H
#define MPGI_SALVAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sheet.h"
#include "mappedpages.h"

struct file;

/* What one place in the file says of a protected page. */
struct salvage_entry {
    uint64_t id;
    uint64_t page;       /* that holds the content */
    uint64_t other;      /* one more that belongs to it, or 0 */
    uint64_t known;      /* the state as of which this is so: of two the higher counts */
    uint64_t generation; /* of the content, as the format counts it */
    uint32_t crc;        /* of the content */
    bool in_use;         /* false: there is no such protected page */
    bool proven;         /* a checksum covers the entry; otherwise only its content can prove it */
    bool guessed;        /* nothing says for sure that it is of this id */
    bool lost;           /* its content is not whole, and it was kept all the same */
};

/* A regular page that the last commit was giving a new content as the file was left. */
struct salvage_redo {
    uint64_t page;
    uint64_t from; /* the page that has that content, if it is whole */
    uint32_t crc;  /* of it */
};

/* Numbers from `first` to `end` - 1. */
struct salvage_range {
    uint64_t first;
    uint64_t end;
};

struct salvage_ranges {
    struct salvage_range *ranges; /* owned */
    size_t count, capacity;
};

struct salvage {
    struct file *file;
    int format; /* MPG_FORMAT_… */
    uint32_t page_size;
    char label[MPG_LABEL_MAX + 1];
    uint64_t pages;         /* whole ones that there are */
    uint64_t total;         /* that the file had, as far as its metadata tells; otherwise `pages` */
    uint64_t generation;    /* the highest number of a commit that was seen */
    unsigned char uuid[16]; /* where the format has one */
    bool has_top;           /* page 0 is whole; format 1 */
    bool headless;    /* pages 0 to 2 say nothing: which file it is was found out from others */
    uint32_t seed;    /* of the checksums of such a file of format 1 */
    uint64_t root_at; /* byte of the file where such a one has a root; 0: nowhere */
    struct sheet *regular;  /* a bit a page: it is said to be a regular page. Owned */
    struct sheet *owned;    /* a bit a page: it is the file's own. Owned */
    struct sheet *contents; /* a bit a page: it is said to hold a protected content. Owned */
    bool all_allocated;     /* `regular` has all pages in use, whoever has them */
    bool unnamed;           /* with that: some may hold protected contents whose ids are lost */
    bool outdated;          /* parts of the file are newer than what its roots lead to … */
    bool unfinished; /* a commit is there in part: a crash cut it short, or what counts is older */
    bool cut_off;    /* … and no crash leaves it so: they followed what is lost */
    struct salvage_ranges
        doubtful_pages; /* of these nobody knows whether they are used, or not any more */
    struct salvage_ranges doubtful_ids; /* what is said of these may be older than what was lost */
    struct salvage_entry *entries;      /* in any order. Owned */
    size_t entry_count, entry_capacity;
    struct salvage_redo *redos; /* by page. Owned */
    size_t redo_count;
    void (*note)(void *context, const char *name, uint64_t page, const char *message);
    /* So many pages were looked at. Returns 0, or what collecting is to end with. May be NULL. */
    int (*looked)(void *context, uint64_t pages);
    void *context;
};

/* How a format is salvaged. */
struct salvage_ops {
    /*
     * 0 where the file is one of this format, with page_size set; 1 where nothing says so; or an
     * error.
     */
    int (*identify)(struct salvage *salvage);
    /*
     * The same where neither format's `identify` could say: looks through all of the file for what
     * proves that pages 0 to 2 were this format's. Sets `headless`, too.
     */
    int (*search)(struct salvage *salvage);
    /* Looks through the file. IO errors of single places are notes. */
    int (*collect)(struct salvage *salvage);
    /*
     * Puts page 0 together again from what repeats what it said. *mended: it was not whole, and is
     * now. Where nothing repeats it, or it is whole, nothing happens.
     */
    int (*mend_top)(struct file *file, bool *mended);
    /*
     * Writes copies anew that are not whole, where the other is and counts; the file is whole
     * otherwise. Each is told by `note`.
     */
    int (*mend_copies)(struct salvage *salvage);
    /*
     * Makes the newest state one that does not count, where there is one before it: *dropped is its
     * number, *kept that of the one before, which is 0 if there is none. May be NULL: the format
     * keeps none.
     */
    int (*drop_newest)(struct file *file, uint64_t *dropped, uint64_t *kept);
};

extern const struct salvage_ops mpgi_salvage_0_2;
extern const struct salvage_ops mpgi_salvage_1;

int mpgi_salvage_init(struct salvage *salvage, struct file *file);
void mpgi_salvage_free(struct salvage *salvage);

/* Tells of something that is lost, or in doubt. `name` is one of those in mappedpages.h. */
void mpgi_salvage_note(struct salvage *salvage, const char *name, uint64_t page, const char *format,
                       ...) __attribute__((format(printf, 4, 5)));

/*
 * Tells, of each 256th page, that it was looked at. Returns 0, or what collecting is to end with.
 */
int mpgi_salvage_looked(const struct salvage *salvage, uint64_t page);

/* These return 0 or NO_MEMORY. Pages that the file does not have are left out. */
int mpgi_salvage_add_entry(struct salvage *salvage, const struct salvage_entry *entry);
int mpgi_salvage_set_regular(struct salvage *salvage, uint64_t page, bool regular);
int mpgi_salvage_set_content(struct salvage *salvage, uint64_t page);
int mpgi_salvage_set_owned(struct salvage *salvage, uint64_t page);
int mpgi_salvage_doubt(struct salvage_ranges *ranges, uint64_t first, uint64_t end);

/* Sorts and joins ranges, which are then looked up quickly. */
void mpgi_salvage_sort(struct salvage_ranges *ranges);
bool mpgi_salvage_doubts(const struct salvage_ranges *ranges, uint64_t number);
/* The lowest number >= `number` that is doubted, or UINT64_MAX. */
uint64_t mpgi_salvage_next_doubted(const struct salvage_ranges *ranges, uint64_t number);

/* Sorts the entries: by id, what counts first. */
void mpgi_salvage_sort_entries(struct salvage *salvage);

#endif
