/* SPDX-License-Identifier: MIT */
/*
 * A disk with one file on it, in memory, behind the library's table of system calls.
 *
 * It has two views. The *cache* is what the operating system would show to anybody who reads: every
 * write is there at once, and what `map` gives out shows the same bytes. What of it a
 * power cut would leave is worked out by the crash explorer from the recorded events; the disk
 * itself only writes them down.
 *
 * Calls can be counted and made to fail. Not safe for threads.
 */
#ifndef MEMORY_DISK_H
#define MEMORY_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/io.h"

/* What a disk writes in one go or not at all. */
#define SECTOR_SIZE 512u

enum disk_call {
    CALL_OPEN,
    CALL_CLOSE,
    CALL_LOCK,
    CALL_SIZE,
    CALL_PREAD,
    CALL_PWRITE,
    CALL_FDATASYNC,
    CALL_ALLOCATE,
    CALL_PUNCH,
    CALL_TRUNCATE,
    CALL_UNLINK,
    CALL_LINK,
    CALL_RENAME,
    CALL_SYNC_NAME,
    CALL_RESERVE,
    CALL_MAP,
    CALL_UNMAP,
    CALL_COUNT
};

extern const char *const disk_call_names[CALL_COUNT];

enum event_kind {
    EVENT_WRITE,      /* bytes [offset, offset + length) became `data` */
    EVENT_ALLOCATE,   /* the file became at least offset + length bytes long */
    EVENT_TRUNCATE,   /* the file became `offset` bytes long */
    EVENT_SYNC,       /* all before is durable */
    EVENT_SYNC_FAILED /* some of what is before is on the disk, and nobody will try again */
};

struct event {
    enum event_kind kind;
    uint64_t offset;
    size_t length;
    size_t data; /* where in the log's bytes the written data begins */
};

/* Events in the order they happened, with the data of the writes. */
struct event_log {
    struct event *events;
    size_t count, capacity;
    unsigned char *bytes;
    size_t bytes_used, bytes_capacity;
};

void event_log_add(struct event_log *log, enum event_kind kind, uint64_t offset, size_t length,
                   const void *data);
void event_log_append(struct event_log *log, const struct event_log *other, size_t first);
void event_log_clear(struct event_log *log);
void event_log_free(struct event_log *log);

/* A range of the cache that was changed, for putting it back. */
struct touched {
    uint64_t offset;
    size_t length;
};

#define DISK_DESCRIPTORS 16

struct memory_disk {
    unsigned char *cache;  /* zeros beyond `size` */
    unsigned char *mapped; /* the same bytes at another address, which `map` gives out */
    size_t capacity;       /* bytes the disk can hold; more is ENOSPC */
    size_t reservation;    /* bytes of address space at each of the two */
    bool exists;           /* the file does */
    bool name_durable;     /* and its name survives a power cut */
    bool hidden;           /* a file is open that has no name, or another one, so far */
    bool no_nameless;      /* this disk cannot make files without a name */
    bool no_rename;        /* nor rename without replacing */
    uint64_t size;         /* bytes of the file */

    struct {
        bool open, writable;
        int lock; /* 0 none, 1 shared, 2 exclusive */
    } descriptors[DISK_DESCRIPTORS];
    unsigned mappings; /* live reservations */

    /* Recording, when `log` is not NULL. */
    struct event_log *log;
    /* While `watching`: the cache as far as the log knows it, to find writes through the map. */
    bool watching;
    unsigned char *shadow;
    uint64_t shadow_size;

    /* Reading any of these bytes is an IO error, until they are written. */
    uint64_t bad_at;
    size_t bad_length;

    /* What was touched since memory_disk_restore. */
    struct touched *touched;
    size_t touched_count, touched_capacity;

    uint64_t calls[CALL_COUNT]; /* how often each was called */
    /*
     * Called before each call that may fail: returns 0, or the errno to fail with. May make *length
     * smaller (not 0) for a short read or write. NULL: nothing fails.
     */
    int (*fault)(void *fault_context, enum disk_call call, size_t *length);
    void *fault_context;
};

extern const struct io memory_disk_io;

/* A large zeroed area that takes memory only where it is written. */
unsigned char *bytes_new(size_t length);
void bytes_free(unsigned char *bytes, size_t length);

/* A disk that can hold a file of `capacity` bytes; there is none on it yet. */
void memory_disk_init(struct memory_disk *disk, size_t capacity);
void memory_disk_destroy(struct memory_disk *disk);

/* Records into a log from here on, writes through the map included; NULL ends it. */
void memory_disk_record(struct memory_disk *disk, struct event_log *log);
/* Logs the writes through the map since the last call. */
void memory_disk_log_mapped(struct memory_disk *disk);

/* Applies one event to `bytes`, a file of *size bytes with zeros beyond. */
void event_apply(const struct event_log *log, const struct event *event, unsigned char *bytes,
                 uint64_t *size, size_t capacity);
/* How many sectors a write touches; 1 for a change of size. */
size_t event_sectors(const struct event *event);
/* Applies sector number `sector` of a write alone. */
void event_apply_sector(const struct event_log *log, const struct event *event, size_t sector,
                        unsigned char *bytes, uint64_t *size, size_t capacity);

/* Notes that a range of the cache was changed behind the disk's back. */
void memory_disk_touch(struct memory_disk *disk, uint64_t offset, size_t length);
/* Puts every touched range back to what `bytes`, a file of `size` bytes, has there. */
void memory_disk_restore(struct memory_disk *disk, const unsigned char *bytes, uint64_t size);

/* Whether nothing is open, locked or mapped. */
bool memory_disk_is_idle(const struct memory_disk *disk);

#endif
