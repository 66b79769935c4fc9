/* SPDX-License-Identifier: MIT */
/*
 * Every system call that touches the page file.
 *
 * The table `struct io` is what tests replace to record, fail and cut calls. Its members behave
 * like the system calls of the same name (-1 and errno on failure, short counts, EINTR and all);
 * `struct file` on top of it turns them into whole reads and writes with MPG_E_ codes.
 */
#ifndef MPGI_IO_H
#define MPGI_IO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/id_map.h"
#include "os/sharing.h"

struct iovec;

/* The lock for the whole file covers the bytes below this one; those from it on are gate.h's. */
#define LOCK_END (UINT64_C(1) << 62)

/* What keeps others out; held on the open file description. */
enum io_lock { IO_LOCK_SHARED, IO_LOCK_EXCLUSIVE, IO_LOCK_NONE };

struct io {
    /* Opens a file; O_CLOEXEC is the implementation's business. */
    int (*open)(void *context, const char *path, int flags, unsigned mode);
    int (*close)(void *context, int fd);
    /*
     * Opens the file that a descriptor is of once more, to read it alone: a description of its own,
     * closed by close; -1 where that is not to be had. May be NULL: it is not.
     */
    int (*again)(void *context, int fd);
    /*
     * Takes the whole-file lock without waiting, or gives it back (IO_LOCK_NONE); EAGAIN if another
     * description holds it.
     */
    int (*lock)(void *context, int fd, enum io_lock lock);
    /*
     * The same for a range behind what the lock above covers, see gate.h; EAGAIN likewise. May be
     * NULL, with the next: nobody takes turns.
     */
    int (*lock_range)(void *context, int fd, uint64_t first, uint64_t length, enum io_lock lock);
    /*
     * Whether another description holds a lock in such a range; *at, unless NULL: where, and *end:
     * the byte behind it.
     */
    bool (*find_lock)(void *context, int fd, uint64_t first, uint64_t length, uint64_t *at,
                      uint64_t *end);
    /* Who else can come to the file. May be NULL: nobody whom a lock would not reach. */
    void (*sharing)(void *context, int fd, struct sharing *sharing);
    /*
     * Drops what the system has cached of a range that is not mapped, so that it is read from where
     * others write to. With a length of 0: of the file's length. Best effort. May be NULL.
     */
    void (*forget)(void *context, int fd, uint64_t offset, uint64_t length);
    /* Undoes what access has done to a part of the map, which stays. May be NULL if forget is. */
    void (*unfault)(void *context, void *address, size_t length);
    /* A range will be read soon. Best effort. May be NULL. */
    void (*will_need)(void *context, int fd, uint64_t offset, uint64_t length);
    /* The length in bytes. */
    int (*size)(void *context, int fd, uint64_t *bytes);
    /*
     * The same of a regular file, where nobody is on another machine, and so cheap that it can be
     * asked for each page that is written. May be NULL: as size.
     */
    int (*length)(void *context, int fd, uint64_t *bytes);
    ssize_t (*pread)(void *context, int fd, void *data, size_t length, uint64_t offset);
    ssize_t (*pwrite)(void *context, int fd, const void *data, size_t length, uint64_t offset);
    /* May be NULL: pwrite is called for each piece. */
    ssize_t (*pwritev)(void *context, int fd, const struct iovec *pieces, int count,
                       uint64_t offset);
    /*
     * Where the first byte from `offset` on stands that may be other than zero, or UINT64_MAX;
     * found out without reading. *end, unless NULL: the data goes on up to there. May be NULL.
     */
    uint64_t (*next_data)(void *context, int fd, uint64_t offset, uint64_t *end);
    /*
     * Has the disk begin with what was written to a range, without waiting. Best effort. May be
     * NULL.
     */
    void (*start)(void *context, int fd, uint64_t offset, uint64_t length);
    /*
     * Has the disk write what was written to a range, a length of 0: up to the end, and waits for
     * it; durable is nothing by that. May be NULL.
     */
    int (*write_out)(void *context, int fd, uint64_t offset, uint64_t length);
    /* Makes all that was written durable, with the length of the file if it changed. */
    int (*fdatasync)(void *context, int fd);
    /* How many bytes the filesystem could still take. May be NULL where that is not known. */
    int (*room)(void *context, int fd, uint64_t *bytes);
    /* Reserves disk space for a range and extends the file to hold it; new bytes read as zeros. */
    int (*allocate)(void *context, int fd, uint64_t offset, uint64_t length);
    /*
     * Rule 14: makes sure that a range of the file has disk space of its own behind it, what it
     * shows staying as it is. May be NULL: as allocate.
     */
    int (*back)(void *context, int fd, uint64_t offset, uint64_t length);
    /* How many bytes from `offset` on, of `length`, are known to have that. May be NULL: none. */
    uint64_t (*backed)(void *context, int fd, uint64_t offset, uint64_t length);
    /*
     * Gives the disk space of a range back: it reads as zeros, and the length stays. EOPNOTSUPP
     * where that is not to be had. May be NULL: it is not.
     */
    int (*punch)(void *context, int fd, uint64_t offset, uint64_t length);
    int (*truncate)(void *context, int fd, uint64_t bytes);
    /*
     * Copies bytes of another file to the same place; how many, or -1 where the system does not do
     * that between these two, or not now. May be NULL.
     */
    ssize_t (*copy)(void *context, int fd, int from, uint64_t offset, size_t length);
    /*
     * Makes the whole content that of `from`, sharing its disk space. -1 where that is not to be
     * had. May be NULL.
     */
    int (*clone)(void *context, int fd, int from);
    int (*unlink)(void *context, const char *path);
    /* Whether the file still has a name. May be NULL: it has. */
    bool (*has_name)(void *context, int fd);
    /*
     * Gives a file that was opened with O_TMPFILE its name; EEXIST where it is taken. May be NULL.
     */
    int (*link)(void *context, int fd, const char *path);
    /* Renames a file; EEXIST where the new name is taken. May be NULL. */
    int (*rename)(void *context, const char *from, const char *to);
    /*
     * Gives a file the owner and the mode of `old`, another one, and renames it, in the place of
     * that; EBUSY where that is not what `to` names. May be NULL.
     */
    int (*replace)(void *context, int fd, int old, const char *from, const char *to);
    /* The name that a symbolic link to nothing leads to, to be freed; NULL: none. May be NULL. */
    char *(*target)(void *context, const char *path);
    /*
     * Makes an empty file one whose bytes can be written again without new disk space, where that
     * is not so by itself and can be had. May be NULL.
     */
    void (*prepare)(void *context, int fd);
    /*
     * Whether that is not so: what is written again needs new disk space. May be NULL: it needs
     * none.
     */
    bool (*moves)(void *context, int fd);
    /* Makes the name of a new file durable. */
    int (*sync_name)(void *context, int fd, const char *path);
    /*
     * Reserves address space, for the file from `offset` on; NULL on failure. Released by unmap.
     */
    void *(*reserve)(void *context, uint64_t offset, size_t length);
    /* Maps file bytes [offset, offset + length) at address; MAP_SHARED, writable or not. */
    int (*map)(void *context, int fd, void *address, size_t length, uint64_t offset, bool writable);
    int (*unmap)(void *context, void *address, size_t length);
    /*
     * Makes mapped bytes writable at once; -1 where writing them would end in a signal. May be
     * NULL: nobody can tell.
     */
    int (*populate)(void *context, void *address, size_t length);
};

/* The operating system's own. */
extern const struct io mpgi_io_system;

/* What was asked of the system for a file since its pager was open, counted without a lock. */
struct read_count {
    atomic_uint_least64_t reads, bytes;
    char apart[64]; /* two of them lie in different lines of the cache */
};

#define READ_COUNTS 8 /* a power of two */

struct io_counts {
    struct read_count
        read[READ_COUNTS]; /* threads that read at the same time count in different ones, mostly */
    atomic_uint_least64_t writes, bytes_written;
    atomic_uint_least64_t syncs, sync_time; /* nanoseconds */
    atomic_uint_least64_t bytes_grown;
};

static inline void count_up(atomic_uint_least64_t *counter, uint64_t by)
{
    (void)atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* An open page file. */
struct file {
    const struct io *io;      /* the calls to use */
    void *context;            /* their first argument */
    int fd;                   /* the descriptor, or -1 */
    struct lanes *lanes;      /* more of them, to read by; owned, or NULL */
    char *path;               /* as the caller named it, for messages; owned */
    uint64_t bytes;           /* length, as far as this pager knows */
    struct io_counts *counts; /* of the pager that it belongs to, or NULL */
    bool read_only;           /* opened with O_RDONLY */
    bool sparse;              /* grow without reserving disk space */
    struct sharing sharing;   /* who else can come to it */
    bool holds_lock;          /* shared or exclusive */
    bool ask;                 /* others may have written: reads do not trust the system's cache */
    /* Undoes what access through the map has done to a range, or NULL; `map` is its argument. */
    void (*unfault)(const struct file *file, const void *map, uint64_t offset, uint64_t length);
    const void *map;
    uint64_t backed_from; /* from here on this pager itself reserved the space for it */
    struct id_map backed; /* below that: what is known to have space behind it, see grow.c */
    struct id_map alone;  /* … and single pages: by where they begin, for how many bytes */
    /* Space was found for a page and not for those around it, or each writing needs new space. */
    atomic_bool scarce;
    char *temporary;  /* the name it has until it gets its own; owned, or NULL */
    bool in_place;    /* others can see it under its name while it is made */
    bool unseen;      /* nobody can see it before it is whole: until then nothing of it is synced */
    bool name_unsure; /* its name may not be durable: its directory cannot be synced */
    atomic_bool changed; /* rule 12: it was seen not to be what this pager left; never reset */
};

/* Opens the file, for reading alone or for writing, too, and learns its length. */
int mpgi_file_open(struct file *file, const struct io *io, void *context, const char *path,
                   bool read_only);
/* The same for what `opened` names, with flags of open(2); in messages it is `path`. */
int mpgi_file_open_as(struct file *file, const struct io *io, void *context, const char *path,
                      const char *opened, int flags);
/* Releases everything; reports a failed close. */
int mpgi_file_close(struct file *file);
/* BUSY if another description has it. */
int mpgi_file_lock(struct file *file, enum io_lock lock);
/* Whole reads and writes. A read past the end is TRUNCATED. `page` is for messages only. */
int mpgi_file_read(const struct file *file, void *data, size_t length, uint64_t offset,
                   uint64_t page);
/* The same of a damaged file: sectors that cannot be read are zeros. False: there were such. */
bool mpgi_file_read_sectors(const struct file *file, void *data, size_t length, uint64_t offset,
                            uint64_t page);
/* The CRC32 of what is there, without reading the holes or holding it all in memory. */
int mpgi_file_crc(const struct file *file, uint32_t *crc, uint64_t length, uint64_t offset,
                  uint64_t page);
/*
 * A range will be read soon: reading several places takes as long as reading one if all are asked
 * for first.
 */
void mpgi_file_will_need(const struct file *file, uint64_t offset, uint64_t length);
int mpgi_file_write(struct file *file, const void *data, size_t length, uint64_t offset,
                    uint64_t page);
/* As mpgi_file_write, for pieces that lie behind each other in the file. They are used up. */
int mpgi_file_write_gathered(struct file *file, struct iovec *pieces, int count, uint64_t offset,
                             uint64_t page);
/*
 * A sync will want what was written to a range, and may find it on its way. Nothing is known of it
 * before: what fails meanwhile is the sync's to say.
 */
void mpgi_file_start(const struct file *file, uint64_t offset, uint64_t length);
/*
 * Waits until the disk has written what was written to a range of a file, or with a length of 0
 * from `offset` on: so little of that gathers in memory, and whoever syncs another file there need
 * not wait for it. Where it fails a sync may not tell.
 */
int mpgi_file_write_out(const struct file *file, uint64_t offset, uint64_t length);
/*
 * Copies bytes of another file to the same place, as far as the system does so by itself. Returns
 * how many: the rest is to be read and written, which also tells what went wrong.
 */
size_t mpgi_file_copy(struct file *to, const struct file *from, size_t length, uint64_t offset);
int mpgi_file_sync(struct file *file);
/* The lowest offset >= this one where the file may have something but zeros, or UINT64_MAX. *end,
 * unless NULL: it may go on up to there. */
uint64_t mpgi_file_next_data(const struct file *file, uint64_t offset, uint64_t *end);
/* Whether the file is known to have no data there. */
bool mpgi_file_is_hole(const struct file *file, uint64_t offset, size_t length);
/*
 * Rule 12: CHANGED where the file is not as long as this pager left it. Called while nobody grows
 * it.
 */
int mpgi_file_check_length(struct file *file);
/*
 * Notes and reports that the file is not this pager's any more: CHANGED. `how` says what was seen.
 */
int mpgi_file_fail_changed(struct file *file, const char *how);
/*
 * Sets *same to whether the file has these bytes there now, for everybody. TRUNCATED where it ends
 * before.
 */
int mpgi_file_shows(bool *same, const struct file *file, const void *data, size_t length,
                    uint64_t offset, uint64_t page);
/*
 * Sets *same to whether it shows there what writing `written` over `before` leaves, cut short
 * anywhere or not. At most 64 bytes.
 */
int mpgi_file_shows_written(bool *same, const struct file *file, const void *written,
                            const void *before, size_t length, uint64_t offset, uint64_t page);
/* How long the file is now, as far as this system knows; and as those know who also write to it. */
int mpgi_file_length(const struct file *file, uint64_t *bytes);
int mpgi_file_length_now(const struct file *file, uint64_t *bytes);
/* Drops what the system has cached of a range, where others may have written to it. */
void mpgi_file_forget(const struct file *file, uint64_t offset, uint64_t length);

/*
 * Whether a call that failed is to be made once more: a signal came, and not so often without any
 * progress that it would go on for ever. `times` counts from 0.
 */
#define MOST_INTERRUPTIONS 1000
bool mpgi_interrupted(unsigned *times);

/* Asks for the length again, for a reader whose file another process grows. */
int mpgi_file_reload_size(struct file *file);

#endif
