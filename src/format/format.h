/* SPDX-License-Identifier: MIT */
/*
 * The seam between what a page file means and how a format writes it down.
 *
 * Everything above asks only through `struct format_ops`; everything below it belongs to one
 * format. A format keeps its metadata in blocks with versions (versions.h): operations change the
 * pending version, a commit freezes it, writes it out, and publishes it when it is durable.
 *
 * All functions are called with the pager's lock held, except write_nodes, look_again, write_root
 * and restore_root, which the committing thread calls without it between seal and publish or
 * discard.
 */
#ifndef MPGI_FORMAT_H
#define MPGI_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "format/versions.h"
#include "mappedpages.h"

struct file;
struct format_ops;
struct id_map;
struct sheet;

/* Pages 0, 1 and 2 are the file's own in every format. */
#define FIRST_USER_PAGE 3

/*
 * One entry of the directory of protected pages. Which pages hold its content is the format's
 * business; what is committed is where entry_page() says.
 */
struct entry {
    uint64_t page[2];    /* where the content is, and a second copy of it, or 0 */
    uint64_t generation; /* as the format counts it: tells contents of a page from each other */
    uint32_t crc;        /* CRC32 of the content */
    uint8_t current;     /* which of the pages counts: 0 or 1 */
    bool in_use;
};

/* The page that holds the content; 0: it has none yet, being of a batch that gathers. */
static inline uint64_t entry_page(const struct entry *entry)
{
    return entry->page[entry->current];
}

/* An entry that a sealed batch replaces. */
struct replaced_entry {
    uint64_t id;
    struct entry old; /* in_use false: there was none */
};

/* What a new file is to be. */
struct create_parameters {
    uint32_t page_size;
    uint64_t initial_pages; /* at least 4 */
    const char *label;      /* NULL for none */
    const void *uuid;       /* 16 bytes; NULL: a random one. Where the format has one */
    uint64_t generation;    /* numbers of commits begin behind this one */
};

/* Regular pages in which a crash may have left a part of what they are to hold. */
struct format_redo {
    size_t count;
    uint64_t *pages; /* in ascending order. Owned */
    unsigned char
        *contents; /* one behind the other. Owned, and stay until the format is unloaded */
};

/* A regular page that is in use, and what it is to hold: all of a page. */
struct page_content {
    uint64_t page;
    const void *content;
};

/* An open file's metadata: the head of each format's own structure. */
struct format {
    const struct format_ops *ops;
    struct file *file;
    uint32_t page_size;
    bool read_only;
    size_t cache_size;    /* bytes of clean metadata to keep */
    uint64_t checkpoints; /* how often commits wrote metadata to its place, since it was loaded */
    /* Pages held by open transactions: the format takes none of them. Set by the pager, or NULL. */
    const struct id_map *reserved;
    /* Of these, pages that the edit under way has taken: they are counted as in use, too. */
    uint64_t taken;
    /* Pages, one bit each, that the format takes for nothing of its own either; or NULL. */
    const struct sheet *kept;
    /* Whether a view shows a page; and none will without the lock. Set by the pager, or NULL. */
    bool (*is_pinned)(const void *pager, uint64_t page);
    const void *pager;
    /* Pages that are free in the durable version, but shown. Set by the pager, or NULL. */
    const struct id_map *lingering;
    /* From seal to publish: whose content the batch replaces or frees. Only where contents move. */
    const struct replaced_entry *replaced_entries;
    size_t replaced_count;
    /*
     * As of loading; until settle has put them there, those contents count, and not what the pages
     * hold.
     */
    struct format_redo redo;
};

/* How far the writing of a sealed batch came. */
enum commit_step {
    STEP_CONTENTS,   /* what may be there without counting was being written */
    STEP_FIRST_SYNC, /* … and made durable, in an ordered commit */
    STEP_ROOT,       /* what makes the batch count was being written */
    STEP_LAST_SYNC,  /* … and made durable */
    STEP_REDO,       /* what it says of a page that is in use was being put there */
};

/* Whether find_free may give out pages that the last durable commit freed (rule 2). */
enum reuse { REUSE_SETTLED, REUSE_RECENT, REUSE_KINDS };

/* Rule 12: when it is asked whether the file is still this pager's. */
enum look {
    LOOK_ASIDE,  /* with the pager's lock held; another thread may be committing */
    LOOK_BEFORE, /* by the committing thread, before it writes; or where nobody commits */
    LOOK_AFTER   /* by the committing thread, after the sync: its own root must be there, too */
};

/* Hears of a fault, or of a warning: that has code 0. */
typedef void format_fault(void *context, const mpg_fault *fault);

/*
 * Units that are told from what they were at another time: by where they are, and what was written
 * there.
 */
struct span_mark {
    uint64_t first, end; /* the units, `end` not */
    /* What follows tells: where it is the same, so are the units; else they are to be read. */
    bool known;
    uint64_t slot; /* 0: there is nothing of them, and none is in use */
    uint64_t generation;
    uint32_t crc;
};

struct format_ops {
    int id; /* MPG_FORMAT_… */
    /*
     * Pages that a protected page is given as it is allocated, zeroed: 2 where its contents
     * alternate between them; 0 where seal finds a page for each new content.
     */
    unsigned copies;

    /*
     * Writes a new, empty file. The file is open, writable and empty. Page 0 comes last, after
     * mpgi_new_file_complete. Does not sync otherwise.
     */
    int (*create)(struct file *file, const struct create_parameters *parameters);

    /*
     * Reads and verifies what is needed, choosing the state to work on (recovery). When !read_only
     * it writes whatever recovery asks for; the caller syncs afterwards (rule 1).
     */
    int (*load)(struct format **format, struct file *file, bool read_only, size_t cache_size);
    /*
     * Makes durable what load found and wrote (rule 1), and takes it back if it cannot (rule 6): it
     * may be in the page cache alone, and must not be what the next opening trusts. After NO_SPACE
     * it may be called again, which begins anew; until it worked nothing else may be written.
     */
    int (*settle)(struct format *format);
    void (*unload)(struct format *format);
    /* Whether two loaded formats of one file show the same commit. */
    bool (*same_state)(const struct format *a, const struct format *b);

    /* --- facts --- */

    /* Fills what the format knows of *st for a version. */
    void (*facts)(struct format *format, enum version version, struct mpg_stat *st);
    uint64_t (*total_pages)(struct format *format, enum version version);

    /* --- the space: what each page is used for --- */

    /* page < total_pages of that version. */
    int (*get_use)(struct format *format, enum version version, uint64_t page,
                   enum mpg_page_use *use);
    /*
     * Changes a page's use in the pending version; page < total. May take pages for metadata of its
     * own, growing the file. Fails before anything changed. Once a page's use was changed in a
     * pending version, changing it back there cannot fail (undo relies on it).
     */
    int (*set_use)(struct format *format, uint64_t page, enum mpg_page_use use);
    /*
     * The lowest page >= from that is free in the newest version and may be given out: free in the
     * durable and frozen versions too, and, with REUSE_SETTLED, in the previous one. May be >=
     * total: then the file must grow to hold it. FILE_FULL if the format has no such page.
     */
    int (*find_free)(struct format *format, uint64_t from, enum reuse reuse, uint64_t *page);
    /*
     * May be NULL, as may set_use_run. How many pages from `page` on, which find_free has just
     * given, it could give as well: at least 1.
     */
    unsigned (*free_run)(struct format *format, uint64_t page);
    /*
     * set_use for pages that free_run counted, all of them free and below total; `use` is not FREE.
     */
    int (*set_use_run)(struct format *format, uint64_t page, unsigned count, enum mpg_page_use use);
    /*
     * May be NULL: all free pages. How many pages of the newest version may still be taken without
     * cutting into what contents of protected pages need; negative where that was done already.
     */
    int64_t (*spare)(struct format *format);
    /*
     * Sets *rests to whether a page that is free in all versions may be looked at by an opening
     * yet, so that what it holds is to stay.
     */
    int (*rests)(struct format *format, uint64_t page, bool *rests);
    /* May be NULL. A page that was lingering or held by a transaction no longer is. */
    void (*let_go)(struct format *format, uint64_t page);
    /* Changes the number of pages in the pending version. The file is that long already. */
    int (*set_total)(struct format *format, uint64_t total);
    /*
     * Which of the pages [first, first + 64 * words) have this use: bit i of bits[w] is page
     * first + 64 * w + i. *next is where to look next, beyond what was covered (a format may skip
     * far ahead over pages that it knows not to have that use), or UINT64_MAX at the end.
     * `first` is a multiple of 64.
     */
    int (*scan_use)(struct format *format, enum version version, enum mpg_page_use use,
                    uint64_t first, uint64_t *bits, unsigned words, uint64_t *next);

    /* --- the directory of protected pages --- */

    /* NOT_ALLOCATED where there is none in use. */
    int (*get_entry)(struct format *format, enum version version, uint64_t id, struct entry *entry);
    /*
     * Puts an entry, in use or not, into the pending version. As set_use for space and undo. Where
     * `copies` is 0 the uses of the pages that the old and the new one name follow; one that was
     * not in use and names a page has its content there already, synced before what makes it count.
     */
    int (*put_entry)(struct format *format, uint64_t id, const struct entry *entry);
    /*
     * Makes of an entry, `old`, the one for a new content of it, but for the checksum. Where the
     * batch has given it one already (`again`), that is replaced. BUSY where a view stands in the
     * way.
     */
    int (*renew_entry)(struct format *format, uint64_t id, const struct entry *old, bool again,
                       struct entry *entry);
    /*
     * An operation was undone, all of it: gives back what only that one needed and set_use and
     * put_entry do not know of. May be NULL.
     */
    void (*undone)(struct format *format);
    /*
     * May be NULL, where contents do not move. Whose content is in a page, in the newest version;
     * or NOT_ALLOCATED.
     */
    int (*find_owner)(struct format *format, uint64_t page, uint64_t *id);
    /* The lowest id >= from not in use in the newest version. DIRECTORY_FULL if there is none. */
    int (*find_free_entry)(struct format *format, uint64_t from, uint64_t *id);
    /* As scan_use, for ids in use. */
    int (*scan_entries)(struct format *format, enum version version, uint64_t first, uint64_t *bits,
                        unsigned words, uint64_t *next);
    /*
     * May be NULL. By what the entries around `id` in the durable version are told from those in
     * another state of the same file, without looking at each.
     */
    int (*mark_entries)(struct format *format, uint64_t id, struct span_mark *mark);
    /* --- a commit --- */

    /*
     * pending → frozen. `contents` maps protected ids to their new contents, page_size bytes each
     * that stay until the batch is published or discarded; NULL there is none. A page that was
     * allocated and has none is zeros. `unsynced_zeros`: free pages may read as zeros that are in
     * the page cache alone. Sets *ordered where this format needs a sync before what makes it
     * count; if *ordered is set on entry it stays set. Fails before anything is written, and then
     * discard is called; SEAL_NEEDS_ROOM: make_room first, and try again.
     */
#define SEAL_NEEDS_ROOM 1
    int (*seal)(struct format *format, const struct id_map *contents, bool unsynced_zeros,
                bool *ordered);
    /* Writes of the frozen version what does not count by itself. */
    int (*write_contents)(struct format *format, bool ordered);
    /*
     * Rule 12: sets *same to whether the file shows the durable state's root just as this pager
     * wrote or loaded it. Errors are those of reading.
     */
    int (*look_again)(struct format *format, enum look look, bool *same);
    /*
     * For a reader: sets *newest to whether nothing can have been committed since the state was
     * loaded. May be NULL: that cannot be told.
     */
    int (*look_newer)(struct format *format, bool *newest);
    /*
     * For a reader: goes on from the state that is loaded to what was committed since, which takes
     * as long as reading that. *newest: it is the newest now; otherwise that is to be loaded anew,
     * and what is loaded shows some state since. May be NULL: that is not to be had.
     */
    int (*follow)(struct format *format, bool *newest);
    /* Writes what makes it current. */
    int (*write_root)(struct format *format);
    /*
     * Writing failed in a step. Puts the disk back to where the batch never was, as far as that is
     * needed (rule 6). Returns whether the pager may go on. `no_space`: it was for lack of room
     * (rule 13).
     */
    bool (*take_back)(struct format *format, enum commit_step step, bool no_space);
    /* The frozen version is durable. */
    void (*publish)(struct format *format);
    /* The batch in flight failed: forgets frozen and pending. */
    void (*discard)(struct format *format);
    /*
     * May be NULL, as the other two. Gets pages back that rest. The first and the last are called
     * with the lock, the second, which writes and syncs, without; what is pending stays. 1 from the
     * first: there are none. *unavailable: the pager must not go on after this failure.
     */
    int (*make_room_begin)(struct format *format);
    int (*make_room_write)(struct format *format, bool *unavailable);
    void (*make_room_end)(struct format *format, int result);

    /*
     * Before the file is closed, with all of it durable: leaves pending what changes nothing, but
     * makes alike what is kept twice and is not, so that one of both may go bad. May be NULL.
     */
    int (*make_alike)(struct format *format);

    /*
     * New contents for regular pages that are in use, all of them or none. May be NULL, as the
     * others: the format cannot. The first four are called while nothing gathers or is in flight.
     * Chooses pages for `count` contents, beside so many `others` in the same batch, and changes
     * without contents: then there is room for all in a batch that is sealed before the lock is
     * given up. SEAL_NEEDS_ROOM: make_room first, and try again; REDO_NEEDS_PAGES: commit what is
     * pending first.
     */
#define REDO_NEEDS_PAGES 2
    int (*redo_prepare)(struct format *format, size_t count, size_t others, size_t changes);
    /* After that: the contents, by page; they stay until the batch is published or discarded. */
    int (*redo_stage)(struct format *format, const struct page_content *contents, size_t count);
    /* After all changes of the batch: whether they can go with it. Results as of redo_prepare. */
    int (*redo_check)(struct format *format);
    /* Undoes all of it. */
    void (*redo_cancel)(struct format *format);
    /*
     * Whether the sealed batch has some. When that is durable they are written, then synced, then
     * marked as done.
     */
    bool (*redo_is_sealed)(const struct format *format);
    int (*redo_write)(struct format *format);
    int (*redo_mark)(struct format *format);

    /*
     * Before the file is closed, with all of it durable: puts down that the last commit is whole,
     * so that what goes bad later is not taken for a commit cut short. Syncs, and takes back what
     * it could not sync. May be NULL.
     */
    int (*close)(struct format *format);

    /*
     * May be NULL, as the next: files of the format have no label. Writes another one, of at most
     * MPG_LABEL_MAX bytes, without syncing: from before to after there is no moment at which a
     * crash would leave anything else. Without the lock, while nothing else is written. If it fails
     * nothing changed.
     */
    int (*write_label)(struct format *format, const char *label);
    /* That is durable. */
    void (*label_written)(struct format *format, const char *label);
    /*
     * May be NULL. Empties the metadata in memory, as that of a file of `total` pages of which none
     * is in use, while all stays as it is on the disk: what is put into it then, and committed as
     * one ordered batch, is the whole of it, in places of its own. Nothing gathers nor is in
     * flight. Until that commit is published, and if it fails, the format is of no other use: it is
     * to be loaded again. `kept` holds what is in use on the disk. *unavailable as in
     * make_room_write.
     */
    int (*begin_anew)(struct format *format, uint64_t total, bool *unavailable);
    /*
     * May be NULL. Takes the pages of metadata from page `end` on, as far as one commit can move
     * them, into lower ones. Adds to what is pending. *moved: how many pages those are.
     */
    int (*move_down)(struct format *format, uint64_t end, uint64_t *moved);

    /* Whether anything is pending. */
    bool (*is_dirty)(struct format *format);

    /* --- checking --- */

    /*
     * Calls `use` for every page that the metadata of the durable version occupies (pages 0-2 not),
     * and `fault` for what is wrong with the metadata itself, by its name in doc/repair.md, once
     * for each thing; with code 0: for a copy that is not whole, and that nothing depends on yet.
     * What cannot be looked at for a fault is in it, by ascending number. Returns an error only
     * where it could not go on.
     */
    int (*walk)(struct format *format, void *context, void (*use)(void *context, uint64_t page),
                format_fault *fault);
};

/* Whether a page is somebody's though nothing says so yet: `reserved` or `kept`. */
bool mpgi_format_holds(const struct format *format, uint64_t page);

/*
 * Rule 12: CHANGED where the file does not show the durable root as this pager left it. As
 * look_again, of which it is the only caller, and with its errors. The length is another question:
 * mpgi_file_check_length.
 */
int mpgi_format_look_again(struct format *format, enum look look);

extern const struct format_ops mpgi_format_0_2;
extern const struct format_ops mpgi_format_1;

/*
 * Makes the file at least `pages` long, and then some, in steps that fit its size (rule 9), and
 * counts them in the pending version. FILE_FULL beyond the format, NO_SPACE when the disk is full.
 */
int mpgi_format_grow(struct format *format, uint64_t pages);

/*
 * Whether `page` can be the lowest free one. Beyond its end a file is free, but for a few pages;
 * one that says otherwise is damaged (CORRUPT_METADATA), and must not make the file grow without
 * bounds.
 */
int mpgi_format_check_lowest(struct format *format, uint64_t page);

#endif
