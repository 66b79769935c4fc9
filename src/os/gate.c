/* SPDX-License-Identifier: MIT */
#include "os/gate.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/bytes.h"
#include "base/clock.h"

#define GATE LOCK_END
#define WISH (LOCK_END + 1)
#define COPYING (LOCK_END + 2)
#define SESSIONS (LOCK_END + (UINT64_C(1) << 32))
#define SESSION_COUNT (UINT64_C(1) << 32)
#define MARK_COUNT (UINT64_C(1) << 60)
#define MARKS(set) (LOCK_END + (1 + (set)) * MARK_COUNT)

/* Nanoseconds from one try to the next. */
#define PAUSE_WRITER (UINT64_C(50) * 1000)
#define PAUSE_COPY (UINT64_C(20) * 1000)
/* … and for how long a copy waits for a commit: some disks take their time. */
#define COPY_PATIENCE (UINT64_C(10) * NANOSECONDS)

/*
 * The system goes through all locks of a file at each call: after so many calls marks become
 * coarser, by this power of two, and in the end one marks everything.
 */
#define MOST_MARKS 512
#define COARSER 4
#define COARSEST 12
/* What has more blocks than these is marked without looking whether it is. */
#define FEW_BLOCKS 64
#define MOST_SPANS 4096

/* ---- spans ---- */

void mpgi_spans_add(struct page_spans *spans, uint64_t first, uint64_t count)
{
    struct page_span *last = spans->count > 0 ? &spans->spans[spans->count - 1] : NULL;

    if (spans->all)
        return;
    if (last != NULL && last->first + last->count == first) {
        last->count += count;
        return;
    }
    if (spans->count == spans->capacity) {
        size_t capacity = spans->capacity == 0 ? 16 : 2 * spans->capacity;
        struct page_span *more =
            capacity <= MOST_SPANS ? realloc(spans->spans, capacity * sizeof(*more)) : NULL;

        if (more == NULL) {
            spans->all = true;
            return;
        }
        spans->spans = more;
        spans->capacity = capacity;
    }
    spans->spans[spans->count++] = /* NOLINT(clang-analyzer-core.NullDereference) */
        (struct page_span){first, count};
}

void mpgi_spans_free(struct page_spans *spans)
{
    free(spans->spans);
    *spans = (struct page_spans){0};
}

/* ---- locks ---- */

static int lock(const struct file *file, uint64_t first, uint64_t count, enum io_lock kind)
{
    unsigned interrupted = 0;
    int result;

    do
        result = file->io->lock_range(file->context, file->fd, first, count, kind);
    while (result != 0 && mpgi_interrupted(&interrupted));
    return result;
}

static bool is_locked(const struct file *file, uint64_t first, uint64_t count)
{
    return file->io->find_lock(file->context, file->fd, first, count, NULL, NULL);
}

static bool is_taken(void)
{
    return errno == EAGAIN || errno == EACCES;
}

/* Where a lock is a message to another machine, a commit does not wait for three of them. */
static bool has_gate(const struct file *file)
{
    return file->io->lock_range != NULL && !file->sharing.others;
}

/* ---- the writer ---- */

void mpgi_gate_begin(const struct file *file)
{
    uint32_t number;

    if (has_gate(file) && getrandom(&number, sizeof(number), 0) == (ssize_t)sizeof(number))
        (void)lock(file, SESSIONS + number, 1, IO_LOCK_EXCLUSIVE);
}

/*
 * 0; 1: somebody has it or wants it; -1: there is no gate here. copying[set]: a copy wants marks
 * there.
 */
static int try_to_enter(const struct file *file, bool *copying)
{
    copying[0] = copying[1] = false;
    if (lock(file, GATE, 1, IO_LOCK_EXCLUSIVE) != 0)
        return is_taken() ? 1 : -1;
    if (!is_locked(file, WISH, 1 + MARK_SETS))
        return 0;
    for (unsigned set = 0; set < MARK_SETS; set++)
        copying[set] = is_locked(file, COPYING + set, 1);
    if (!is_locked(file, WISH, 1))
        return 0;
    (void)lock(file, GATE, 1, IO_LOCK_NONE);
    return 1;
}

/* It is closed. As try_to_enter, in the end. */
static int wait_to_enter(struct gate *gate, const struct file *file, bool *copying)
{
    uint64_t begun = now(), waited = 0;
    int tried = 1;

    while (tried == 1 && !gate->lost_patience) {
        pause_for(PAUSE_WRITER);
        tried = try_to_enter(file, copying);
        waited = now() - begun;
        gate->lost_patience = tried == 1 && waited > GATE_PATIENCE;
    }
    gate->waits++;
    gate->waited += waited;
    gate->longest = max_u64(gate->longest, waited);
    return tried;
}

static void clear_marks(struct marks *marks, const struct file *file, unsigned set)
{
    (void)lock(file, MARKS(set), MARK_COUNT, IO_LOCK_NONE);
    mpgi_id_map_clear(&marks->marked);
    *marks = (struct marks){0};
}

/* Whether blocks have their marks; notes that they have, if there are few. */
static bool note_blocks(struct marks *marks, uint64_t first, uint64_t last)
{
    bool all = last - first < FEW_BLOCKS;

    for (uint64_t block = first; all && block <= last; block++)
        all = mpgi_id_map_find(&marks->marked, block) != NULL;
    for (uint64_t block = first; !all && last - first < FEW_BLOCKS && block <= last; block++)
        (void)mpgi_id_map_put(&marks->marked, block); /* without memory it is marked once more */
    return all;
}

static void mark_span(struct marks *marks, const struct file *file, unsigned set,
                      const struct page_span *span)
{
    uint64_t first = span->first >> marks->block;
    uint64_t last = (span->first + span->count - 1) >> marks->block;

    if (marks->block > COARSEST || note_blocks(marks, first, last))
        return;
    (void)lock(file, MARKS(set) + (first << marks->block), (last - first + 1) << marks->block,
               IO_LOCK_EXCLUSIVE);
    if (++marks->calls < MOST_MARKS)
        return;
    marks->calls = 0;
    marks->block += COARSER;
    mpgi_id_map_clear(&marks->marked);
    if (marks->block > COARSEST)
        (void)lock(file, MARKS(set), MARK_COUNT, IO_LOCK_EXCLUSIVE);
}

static void mark(struct marks *marks, const struct file *file, unsigned set,
                 const struct page_spans *spans)
{
    if (spans == NULL)
        return;
    for (size_t i = 0; i < spans->count && !spans->all; i++)
        mark_span(marks, file, set, &spans->spans[i]);
    if (spans->all) {
        marks->block = COARSEST + 1;
        (void)lock(file, MARKS(set), MARK_COUNT, IO_LOCK_EXCLUSIVE);
    }
}

static bool has_marks(const struct marks *marks)
{
    return marks->calls > 0 || marks->block > 0;
}

void mpgi_gate_enter(struct gate *gate, const struct file *file, const struct page_spans *spans)
{
    bool copying[MARK_SETS];
    int tried;

    gate->held = false;
    if (!has_gate(file))
        return;
    tried = try_to_enter(file, copying);
    if (tried == 1 && !gate->lost_patience)
        tried = wait_to_enter(gate, file, copying);
    gate->held = tried == 0;
    if (gate->held)
        gate->lost_patience = false;
    for (unsigned set = 0; set < MARK_SETS; set++) {
        if (!gate->held || copying[set])
            mark(&gate->marks[set], file, set, spans);
        else if (has_marks(&gate->marks[set]))
            clear_marks(&gate->marks[set], file, set);
    }
}

void mpgi_gate_free(struct gate *gate)
{
    for (unsigned set = 0; set < MARK_SETS; set++)
        mpgi_id_map_clear(&gate->marks[set].marked);
}

void mpgi_gate_leave(struct gate *gate, const struct file *file)
{
    if (gate->held)
        (void)lock(file, GATE, 1, IO_LOCK_NONE);
    gate->held = false;
}

/* ---- the copy ---- */

void mpgi_gate_begin_copy(const struct file *file, unsigned set)
{
    if (file->io->lock_range == NULL)
        return;
    (void)lock(file, COPYING + set, 1, IO_LOCK_SHARED);
    /* The commit that is under way may not have seen it. */
    if (mpgi_gate_close(file))
        mpgi_gate_open(file);
}

void mpgi_gate_end_copy(const struct file *file, unsigned set)
{
    if (file->io->lock_range != NULL)
        (void)lock(file, COPYING + set, 1, IO_LOCK_NONE);
}

bool mpgi_gate_close(const struct file *file)
{
    uint64_t begun = now();
    int result = -1;

    if (file->io->lock_range == NULL || lock(file, WISH, 1, IO_LOCK_SHARED) != 0)
        return false;
    while ((result = lock(file, GATE, 1, IO_LOCK_SHARED)) != 0 && is_taken() &&
           now() - begun < COPY_PATIENCE)
        pause_for(PAUSE_COPY);
    if (result != 0)
        mpgi_gate_open(file);
    return result == 0;
}

void mpgi_gate_open(const struct file *file)
{
    if (file->io->lock_range == NULL)
        return;
    (void)lock(file, GATE, 1, IO_LOCK_NONE);
    (void)lock(file, WISH, 1, IO_LOCK_NONE);
}

bool mpgi_gate_is_held(const struct file *file)
{
    return file->io->lock_range != NULL && is_locked(file, GATE, 1);
}

uint64_t mpgi_gate_session(const struct file *file)
{
    uint64_t at, end;

    if (file->io->lock_range == NULL ||
        !file->io->find_lock(file->context, file->fd, SESSIONS, SESSION_COUNT, &at, &end))
        return 0;
    return at;
}

bool mpgi_gate_find_mark(const struct file *file, unsigned set, uint64_t *first, uint64_t *end)
{
    uint64_t at, behind;

    if (file->io->lock_range == NULL || *first >= MARK_COUNT ||
        !file->io->find_lock(file->context, file->fd, MARKS(set) + *first, MARK_COUNT - *first, &at,
                             &behind))
        return false;
    *first = max_u64(at, MARKS(set) + *first) - MARKS(set);
    *end = min_u64(behind - MARKS(set), MARK_COUNT);
    return true;
}
