/* SPDX-License-Identifier: MIT */
/* Format 1: page 0, and a new file. */
#include <inttypes.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "format_1/state.h"
#include "os/grow.h"
#include "os/new_file.h"

/* ---- Page 0 -------------------------------------------------------------------------------- */

static unsigned log2_of(uint32_t page_size)
{
    return (unsigned)__builtin_ctz(page_size);
}

int mpgi_superblock_write(struct file *file, const struct superblock *superblock,
                          unsigned char *page)
{
    uint32_t size = node_size_of(superblock->page_size);

    memset(page, 0, size);
    memcpy(page + SB_TAG, SB_TAG_BYTES, 4);
    memcpy(page + SB_VERSION, superblock->version, sizeof(superblock->version));
    put_u32(page + SB_LOG2, log2_of(superblock->page_size));
    memcpy(page + SB_UUID, superblock->uuid, UUID_SIZE);
    put_u64(page + SB_CREATED, superblock->created);
    memcpy(page + SB_LABEL, superblock->label, LABEL_SIZE);
    put_u32(page + size - SB_CRC_SIZE, crc_of(page, size - SB_CRC_SIZE));
    return mpgi_file_write(file, page, size, 0, 0);
}

/* What it says, once its checksum holds. */
static int take_apart(struct superblock *superblock, const struct file *file,
                      const unsigned char *page, bool read_only)
{
    memcpy(superblock->version, page + SB_VERSION, sizeof(superblock->version));
    memcpy(superblock->uuid, page + SB_UUID, UUID_SIZE);
    for (unsigned i = 0; i < 3; i++)
        superblock->features[i] = get_u64(page + SB_FEATURES + i * 8);
    superblock->created = get_u64(page + SB_CREATED);
    memcpy(superblock->label, page + SB_LABEL, LABEL_SIZE);
    superblock->label[LABEL_SIZE] = 0;
    superblock->relabelled = get_u32(page + SB_BALANCE) != 0;
    if (superblock->features[2] != 0)
        return mpgi_fail(MPG_E_UNSUPPORTED_VERSION, "open", 0,
                         "%s: the file uses features that this version does not know (%#" PRIx64
                         ")",
                         file->path, superblock->features[2]);
    if (superblock->features[1] != 0 && !read_only)
        return mpgi_fail(MPG_E_READ_ONLY, "open", 0,
                         "%s: the file uses features with which this version can only read it "
                         "(%#" PRIx64 ")",
                         file->path, superblock->features[1]);
    return 0;
}

/* The bytes of page 0 that count, if their checksum holds. */
static int read_whole(unsigned char *page, uint32_t size, const struct file *file)
{
    int error = mpgi_file_read(file, page, size, 0, 0);
    uint32_t crc;

    if (error)
        return error;
    crc = crc_of(page, size - SB_CRC_SIZE);
    if (crc != get_u32(page + size - SB_CRC_SIZE))
        return mpgi_fail_crc(MPG_E_CORRUPT_SUPERBLOCK, "open", 0,
                             get_u32(page + size - SB_CRC_SIZE), crc, file->path, "the superblock");
    return 0;
}

int mpgi_superblock_read(struct superblock *superblock, const struct file *file, bool read_only)
{
    unsigned char page[NODE_SIZE_MAX];
    uint32_t log2;
    uint32_t size;
    int error;

    if (file->bytes < UINT64_C(1) << PAGE_LOG2_MIN)
        return mpgi_fail(MPG_E_CORRUPT_SUPERBLOCK, "open", 0,
                         "%s: the file has %" PRIu64 " bytes, too few for a page file", file->path,
                         file->bytes);
    error = mpgi_file_read(file, page, 1u << PAGE_LOG2_MIN, 0, 0);
    if (error)
        return error;
    if (memcmp(page + SB_TAG, SB_TAG_BYTES, 4) != 0)
        return mpgi_fail(MPG_E_CORRUPT_SUPERBLOCK, "open", 0,
                         "%s: page 0 is not that of a page file", file->path);
    if (page[SB_VERSION] != SB_MAJOR)
        return mpgi_fail(MPG_E_UNSUPPORTED_VERSION, "open", 0,
                         "%s: the file has format version %u, not 1", file->path, page[SB_VERSION]);
    log2 = get_u32(page + SB_LOG2);
    if (log2 < PAGE_LOG2_MIN || log2 > PAGE_LOG2_MAX)
        return mpgi_fail(MPG_E_CORRUPT_SUPERBLOCK, "open", 0,
                         "%s: page 0 says that pages have 2^%" PRIu32 " bytes, not 2^10 to 2^30",
                         file->path, log2);
    superblock->page_size = UINT32_C(1) << log2;
    size = node_size_of(superblock->page_size);
    if (file->bytes < (uint64_t)FIRST_USER_PAGE * superblock->page_size)
        return mpgi_fail(MPG_E_TRUNCATED, "open", 0,
                         "%s: the file has %" PRIu64 " bytes, not the three pages of its own",
                         file->path, file->bytes);
    error = read_whole(page, size, file);
    return error ? error : take_apart(superblock, file, page, read_only);
}

int mpgi_superblock_bytes(unsigned char *page, const struct superblock *superblock,
                          const struct file *file)
{
    return read_whole(page, node_size_of(superblock->page_size), file);
}

int mpgi_superblock_write_again(const struct superblock *superblock, struct file *file)
{
    unsigned char page[NODE_SIZE_MAX];
    uint32_t size = node_size_of(superblock->page_size);
    int error = read_whole(page, size, file);

    return error ? error : mpgi_file_write(file, page, size, 0, 0);
}

/* ---- A new file ---------------------------------------------------------------------------- */

static int random_uuid(unsigned char *uuid, const struct file *file)
{
    if (getrandom(uuid, UUID_SIZE, 0) != UUID_SIZE)
        return mpgi_fail(MPG_E_IO, "create", MPG_NO_PAGE, "%s: the system gave no random numbers",
                         file->path);
    uuid[6] = (unsigned char)((uuid[6] & 0x0f) | 0x40); /* the kind that is random */
    uuid[8] = (unsigned char)((uuid[8] & 0x3f) | 0x80);
    return 0;
}

static void fill_root(unsigned char *root, const struct superblock *superblock, uint64_t pages)
{
    memset(root, 0, node_size_of(superblock->page_size));
    put_u32(root + ROOT_LOG2, log2_of(superblock->page_size));
    memcpy(root + ROOT_UUID, superblock->uuid, UUID_SIZE);
    put_u64(root + ROOT_TOTAL, pages);
    put_u64(root + ROOT_FREE, pages - FIRST_USER_PAGE);
    put_u64(root + ROOT_METADATA, FIRST_USER_PAGE);
    for (unsigned page = 0; page < FIRST_USER_PAGE; page++)
        mpgi_uses_set(root + ROOT_AREAS, page, MPG_USE_METADATA);
}

/*
 * The same state in both roots, as the first two commits behind `generation`, of a new file 0 and
 * FIRST_GENERATION.
 */
static int write_roots(struct file *file, const struct superblock *superblock, uint64_t pages,
                       uint64_t generation, unsigned char *root)
{
    struct node_space space = {
        .page_size = superblock->page_size,
        .node_size = node_size_of(superblock->page_size),
        .seed = crc_of(superblock->uuid, UUID_SIZE),
    };

    fill_root(root, superblock, pages);
    for (unsigned page = 1; page <= 2; page++) {
        int error;

        mpgi_root_finish(&space, root, generation + FIRST_GENERATION + 1 - page, true);
        error =
            mpgi_file_write(file, root, space.node_size, (uint64_t)page * space.page_size, page);
        if (error)
            return error;
    }
    return 0;
}

int mpgi_create_1(struct file *file, const struct create_parameters *parameters)
{
    struct superblock superblock = {
        .page_size = parameters->page_size,
        .version = {SB_MAJOR, 0, 0, 0},
        .created = (uint64_t)time(NULL),
    };
    unsigned char buffer[NODE_SIZE_MAX];
    int error;

    if (parameters->label != NULL) {
        size_t length = strlen(parameters->label);

        if (length > LABEL_SIZE)
            return mpgi_fail(MPG_E_INVALID, "create", MPG_NO_PAGE,
                             "%s: the label has %zu bytes, more than %d", file->path, length,
                             LABEL_SIZE);
        memcpy(superblock.label, parameters->label, length);
    }
    if (parameters->initial_pages > (UINT64_C(1) << 63) / parameters->page_size)
        return mpgi_fail(MPG_E_FILE_FULL, "create", MPG_NO_PAGE,
                         "%s: the format cannot hold %" PRIu64 " pages", file->path,
                         parameters->initial_pages);
    if (parameters->uuid != NULL) {
        memcpy(superblock.uuid, parameters->uuid, UUID_SIZE);
        error = 0;
    } else {
        error = random_uuid(superblock.uuid, file);
    }
    if (error == 0)
        error = mpgi_file_grow(file, parameters->initial_pages * parameters->page_size);
    if (error == 0)
        error = write_roots(file, &superblock, parameters->initial_pages, parameters->generation,
                            buffer);
    if (error == 0)
        error = mpgi_new_file_complete(file);
    if (error == 0)
        error = mpgi_superblock_write(file, &superblock, buffer);
    return error;
}
