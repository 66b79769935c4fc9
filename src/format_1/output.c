/* SPDX-License-Identifier: MIT */
#include "format_1/output.h"

#include <stdlib.h>
#include <sys/uio.h>

#include "base/bytes.h"

/*
 * Pieces that go out in one call: fewer than the least that a system must take (IOV_MAX, 1024
 * here), and so few that a system which caches a file in pieces as large as it was written in does
 * not end up with huge ones, of which each later write and sync would have to look at every page.
 */
#define MOST_GATHERED 96
/*
 * The disk is to begin with what was written when it is so much: while it is busy, the rest is
 * written. What one call can write is for the sync alone.
 */
#define START_SIZE 32768u

/* Zeros are written from here, at most so many in one piece. */
#define ZEROS_SIZE 65536
static unsigned char zeros[ZEROS_SIZE];

bool mpgi_output_reserve(struct output *output, size_t more)
{
    size_t capacity = output->capacity == 0 ? 16 : output->capacity;
    struct piece *pieces;

    while (capacity - output->count < more)
        capacity *= 2;
    if (capacity == output->capacity)
        return true;
    pieces = realloc(output->pieces, capacity * sizeof(*pieces));
    if (pieces == NULL)
        return false;
    output->pieces = pieces;
    output->capacity = capacity;
    return true;
}

void mpgi_output_add(struct output *output, uint64_t offset, uint64_t length, const void *data,
                     uint64_t page)
{
    output->pieces[output->count++] = (struct piece){offset, length, data, page};
}

static int by_offset(const void *a, const void *b)
{
    const struct piece *left = a;
    const struct piece *right = b;

    return (left->offset > right->offset) - (left->offset < right->offset);
}

void mpgi_output_sort(struct output *output)
{
    if (output->count > 1)
        qsort(output->pieces, output->count, sizeof(*output->pieces), by_offset);
}

static int write_zeros(const struct piece *piece, struct file *file)
{
    int result = 0;

    for (uint64_t at = 0; at < piece->length && result == 0; at += ZEROS_SIZE)
        result = mpgi_file_write(file, zeros, (size_t)min_u64(ZEROS_SIZE, piece->length - at),
                                 piece->offset + at, piece->page);
    return result;
}

/* Whether a piece can go out together with others. */
static bool is_gathered(const struct piece *piece)
{
    return piece->data != NULL || piece->length <= ZEROS_SIZE;
}

static uint64_t end_of(const struct piece *piece)
{
    return piece->offset + piece->length;
}

/* How many pieces from number `first` on are one range of the file. */
static size_t run_of(const struct output *output, size_t first, struct iovec *vector)
{
    const struct piece *pieces = output->pieces;
    size_t count = 0;

    do {
        const struct piece *piece = &pieces[first + count];

        vector[count].iov_base =
            piece->data != NULL ? (void *)(uintptr_t)piece->data : (void *)zeros;
        vector[count].iov_len = (size_t)piece->length;
        count++;
    } while (first + count < output->count && count < MOST_GATHERED &&
             is_gathered(&pieces[first + count]) &&
             pieces[first + count].offset == end_of(&pieces[first + count - 1]));
    return count;
}

/* What has been written, and not been started. */
struct waiting {
    uint64_t offset, bytes;
};

/* All but the last of it: the sync that follows would be as early. */
static void start(struct waiting *waiting, const struct output *output, size_t first, size_t count,
                  const struct file *file)
{
    const struct piece *pieces = &output->pieces[first];

    if (waiting->bytes == 0)
        waiting->offset = pieces[0].offset;
    waiting->bytes += end_of(&pieces[count - 1]) - pieces[0].offset;
    if (waiting->bytes < START_SIZE || first + count == output->count)
        return;
    mpgi_file_start(file, waiting->offset, end_of(&pieces[count - 1]) - waiting->offset);
    waiting->bytes = 0;
}

int mpgi_output_write(const struct output *output, struct file *file)
{
    struct iovec vector[MOST_GATHERED];
    struct waiting waiting = {0};
    int result = 0;

    for (size_t i = 0; i < output->count && result == 0;) {
        const struct piece *piece = &output->pieces[i];
        size_t count = 1;

        if (is_gathered(piece)) {
            count = run_of(output, i, vector);
            result = mpgi_file_write_gathered(file, vector, (int)count, piece->offset, piece->page);
        } else {
            result = write_zeros(piece, file);
        }
        if (result == 0)
            start(&waiting, output, i, count, file);
        i += count;
    }
    return result;
}

void mpgi_output_clear(struct output *output)
{
    output->count = 0;
}

void mpgi_output_free(struct output *output)
{
    free(output->pieces);
    *output = (struct output){0};
}
