/* SPDX-License-Identifier: MIT */
/* What the parts of a rescue share. */
#ifndef MPGI_RESCUE_H
#define MPGI_RESCUE_H

#include "base/id_map.h"
#include "format/salvage.h"
#include "mappedpages_rescue.h"
#include "os/io.h"

struct rescue {
    struct file source;
    struct salvage salvage; /* after choosing, one entry is left of each protected page saved */
    struct sheet *wanted;   /* a bit a page: a regular page of the destination. Owned */
    uint64_t wanted_count;
    struct id_map owners; /* page → id of the protected page whose content is there */
    unsigned char *piece; /* room for what is copied at once; owned */
    uint32_t piece_size;
    const struct salvage_ops *ops; /* of its format, once that is known */
    /*
     * A protected page of which no content is whole stays in the entries, `lost`, if this says so.
     * May be NULL.
     */
    bool (*keep)(void *context, uint64_t id);
    void *keep_context;
    mpg_rescue_options options;
    mpg_rescue_result result;
};

/* With system calls of the caller's choice for the source; what the tests come in through. */
int mpgi_rescue_with(mpg_rescue_result *result, const char *source, const char *destination,
                     const mpg_rescue_options *options, const struct io *io, void *context);

/*
 * Which format a file is of: sets page_size and format of *salvage, of which only `file` is looked
 * at, and *ops.
 */
int mpgi_rescue_identify(struct salvage *salvage, const struct salvage_ops **ops);
/*
 * Looks through the source, which is open and locked, and decides what is saved. To be released,
 * also after a failure.
 */
int mpgi_rescue_look(struct rescue *rescue);
void mpgi_rescue_release(struct rescue *rescue);
/* Parts of a file that are newer than what it shows when it is opened. */
struct newer_parts {
    bool lost;           /* a root or a record is, and what it changed is not known */
    bool surely;         /* with that: it is no crash that left it so */
    bool unfinished;     /* a commit is there in part, and does not count */
    char message[384];   /* that says so; of format 1 only if something is lost */
    uint64_t generation; /* the highest number of a commit that was seen */
};
int mpgi_rescue_find_newer(struct newer_parts *parts, struct file *file);
/* So much of about so much is done: CANCELLED if that is to be all. */
int mpgi_rescue_progress(const struct rescue *rescue, uint64_t done, uint64_t total);
/* Decides which contents of protected pages and which regular pages are saved. */
int mpgi_rescue_choose(struct rescue *rescue);
/*
 * How many pages what was decided needs: those that were adopted may lie behind what the metadata
 * counts.
 */
uint64_t mpgi_rescue_pages(const struct rescue *rescue);
/* Writes them to a new file. */
int mpgi_rescue_write(struct rescue *rescue, const char *destination);

#endif
