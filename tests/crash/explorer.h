/* SPDX-License-Identifier: MIT */
/*
 * The crash explorer.
 *
 * It watches an actor and, after each of its operations, goes back over what the operation wrote.
 * At each moment the disk may have been cut: it builds the images that could be left, opens each,
 * and the file must show the state before the operation or the one after it, be sound, leak
 * nothing, and go on working. Some of the images it follows further: it crashes the recovery
 * itself, and the work after it. And at some moments only the process dies, so that the next one
 * finds everything in the page cache, and the power fails later. Whoever works on after a crash may
 * do once more what the crash cut short. And in a file that was left in peace a sector goes bad.
 *
 * The assumptions about the disk: what was synced stays; of what was not, any of the 512-byte
 * sectors may be there, and a change of the file's length may be there or not. After a failed sync
 * some of the sectors are there, and nobody writes the others again, though the page cache shows
 * them.
 */
#ifndef CRASH_EXPLORER_H
#define CRASH_EXPLORER_H

#include "crash/actor.h"

/* How deep crashes nest: in the scenario, in what follows its recovery, in what follows that. */
#define MOST_LEVELS 3

struct explorer_limits {
    unsigned levels;        /* 1 … MOST_LEVELS */
    unsigned samples;       /* random images at a moment with more than ten unsynced sectors */
    unsigned nested;        /* random images at a moment of a followed image */
    unsigned follow_one_in; /* how many power cuts are followed to the next level */
    unsigned die_one_in;    /* at how many moments the process dies, and the power fails later */
    unsigned work_one_in;   /* after how many images some more work is done */
    unsigned failures;      /* outcomes tried of each failed sync */
    unsigned fail_one_in;   /* in how many followed images a sync fails */
    unsigned spoiled;       /* bad sectors tried after each operation */
    uint64_t most_images;   /* look no further after so many */
};

struct explorer_counts {
    uint64_t images;       /* opened in all */
    uint64_t older, newer; /* of these: showed the state before, or the one after */
    uint64_t followed;     /* of these: recoveries that were recorded and cut themselves */
    uint64_t died;         /* of these: only the process died */
    uint64_t not_there;    /* of these: no file yet, for its creation was cut */
    uint64_t index_lost;   /* of these: format 0.2, page 0 torn, no free page for its spare copy */
    uint64_t spoiled;      /* opened with a bad sector */
    uint64_t reported;     /* of these: it was reported */
    uint64_t fallen_back;  /* of these: the state before the last commit, as the document says */
};

/* A disk in time: what is durable, what came after, and where the images of it are opened. */
struct level {
    struct memory_disk disk;      /* shows `base`, or an image */
    unsigned syncs_until_failure; /* of that image, where one is to fail; 0: it has failed */
    struct event_log log;         /* what was done to the disk that this level explores */
    size_t known;        /* events at its begin that were explored already, but are not durable */
    unsigned char *base; /* what is durable */
    uint64_t base_size;
    /* After a failed sync: what the page cache shows, which later syncs do not make durable. */
    bool view_differs;
    unsigned char *view;
    uint64_t view_size;
};

/* A range of the file that was written, and by which operation. */
struct written {
    uint64_t offset;
    size_t length;
    uint64_t operation;
};

#define WRITTEN_KEPT 256

/* What is known of the operations so far, to choose what goes bad. */
struct past {
    struct written written[WRITTEN_KEPT]; /* a ring */
    uint64_t count;                       /* how many were put in */
    uint64_t operation;                   /* the number of the last one that has committed */
    struct state before;                  /* the state before that */
    unsigned char *base;                  /* what was durable some operations ago */
};

struct explorer {
    mpg_options options; /* of the file */
    struct explorer_limits limits;
    struct explorer_counts counts;
    uint64_t random;
    bool failed;
    char why[2048];
    const char *scenario; /* its name, for messages */

    unsigned char *buffer; /* room for a page */
    struct level levels[MOST_LEVELS];
    struct past past;
};

/* `capacity`: the most bytes the file may have. */
void explorer_init(struct explorer *explorer, const mpg_options *options, size_t capacity,
                   const struct explorer_limits *limits, uint64_t seed);
void explorer_end(struct explorer *explorer);

/* Lets the explorer watch an actor that begins on a new, empty disk. */
void explorer_watch(struct explorer *explorer, struct actor *actor);

/*
 * ---- Between explorer.c, which builds images, and image.c, which opens them --------------------
 */

/* What an image may show. */
struct allowed {
    const struct state *before; /* NULL: the file need not be there yet */
    const struct state *after;
};

/* What becomes of an image. */
enum fate {
    FATE_LOOK,   /* it is opened and looked at */
    FATE_FOLLOW, /* and what happens then is explored on the next level */
    FATE_DEATH   /* the same, and the next level was begun with what is not durable yet */
};

/* Opens what the disk of level `depth` shows. */
void explorer_open_image(struct explorer *explorer, unsigned depth, struct allowed allowed,
                         enum fate fate);

/*
 * Goes over the log of level `depth`: each image may show what `allowed` says, and, after the last
 * event, only `returned` if it is not NULL. What is durable then moves from the log into the base.
 */
void explorer_explore(struct explorer *explorer, unsigned depth, struct allowed allowed,
                      const struct state *returned);

/* Begins a level with a disk that holds this. */
void explorer_begin_level(struct level *level, const unsigned char *base, uint64_t base_size);

/* In damage.c: an operation was done on level 0; NULL: no such state is durable. */
void explorer_note_operation(struct explorer *explorer, const struct state *before,
                             const struct state *after);
/* Opens the file, of which all is durable, with sectors gone bad. */
void explorer_spoil(struct explorer *explorer, const struct state *durable);

void explorer_complain(struct explorer *explorer, unsigned depth, const char *what,
                       const char *why);
bool explorer_one_in(struct explorer *explorer, unsigned n);

#endif
