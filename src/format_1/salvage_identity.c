/* SPDX-License-Identifier: MIT */
/*
 * Salvaging a file of format 1: which file is it? Page 0 says so, and so does each root. Where all
 * three are gone, a root may lie elsewhere; and a leaf still shows its page size, and the seed of
 * its checksum, which stands for the UUID.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "format_1/salvage.h"

/* So much is read at once. */
#define CHUNK (UINT32_C(1) << 18)

/* So many entries of a leaf are tried. */
#define ENTRIES_TRIED 16

/* What is not where it belongs may begin with any sector. */
#define SECTOR 512u

/* What a page 0 says that begins with byte `at` of the file, where its checksum holds. */
static bool read_page_0(const struct file *file, unsigned char *page, uint32_t *page_size,
                        uint64_t at)
{
    uint32_t log2, size;

    if (mpgi_file_read(file, page, UINT32_C(1) << PAGE_LOG2_MIN, at, 0) != 0 ||
        memcmp(page + SB_TAG, SB_TAG_BYTES, 4) != 0 || page[SB_VERSION] != SB_MAJOR)
        return false;
    log2 = get_u32(page + SB_LOG2);
    if (log2 < PAGE_LOG2_MIN || log2 > PAGE_LOG2_MAX)
        return false;
    *page_size = UINT32_C(1) << log2;
    size = node_size_of(*page_size);
    return mpgi_file_read(file, page, size, at, 0) == 0 &&
           crc_of(page, size - SB_CRC_SIZE) == get_u32(page + size - SB_CRC_SIZE);
}

/*
 * A root says of itself which file it is of, and its checksum agrees with that. `at` is a byte of
 * the file.
 */
static bool is_any_root(const struct file *file, unsigned char *root, uint32_t page_size,
                        uint64_t at)
{
    struct node_space space = {.page_size = page_size, .node_size = node_size_of(page_size)};

    if (mpgi_file_read(file, root, space.node_size, at, at / page_size) != 0 ||
        memcmp(root + NODE_TYPE, TYPE_ROOT, TYPE_SIZE) != 0 ||
        get_u32(root + ROOT_LOG2) != (uint32_t)__builtin_ctz(page_size))
        return false;
    space.seed = crc_of(root + ROOT_UUID, UUID_SIZE);
    return get_u32(root + NODE_CRC) == mpgi_node_crc(&space, root);
}

/* Without page 0: whichever page size makes a root of page 1 or 2. */
static bool find_root(const struct file *file, unsigned char *root, uint32_t *page_size)
{
    for (unsigned log2 = PAGE_LOG2_MIN; log2 <= PAGE_LOG2_MAX; log2++) {
        for (uint64_t page = 1; page <= 2; page++) {
            *page_size = UINT32_C(1) << log2;
            if (is_any_root(file, root, *page_size, page * *page_size))
                return true;
        }
    }
    return false;
}

/* Whether page 1 or 2 is a root of the file that page 0 says it is. */
static bool agrees(const struct file *file, const struct superblock *superblock)
{
    unsigned char root[NODE_SIZE_MAX];

    for (uint64_t page = 1; page <= 2; page++) {
        if (is_any_root(file, root, superblock->page_size, page * superblock->page_size) &&
            memcmp(root + ROOT_UUID, superblock->uuid, UUID_SIZE) == 0)
            return true;
    }
    return false;
}

int mpgi_learn_identity_1(const struct file *file, struct superblock *superblock, bool *has_page_0)
{
    unsigned char bytes[NODE_SIZE_MAX];
    uint32_t page_size;

    memset(superblock, 0, sizeof(*superblock));
    *has_page_0 = read_page_0(file, bytes, &superblock->page_size, 0);
    if (*has_page_0) {
        memcpy(superblock->uuid, bytes + SB_UUID, UUID_SIZE);
        memcpy(superblock->label, bytes + SB_LABEL, LABEL_SIZE);
        superblock->created = get_u64(bytes + SB_CREATED);
        if (agrees(file, superblock))
            return 0;
    }
    /* A page 0 of another file, whole as it may be, is none. */
    if (!find_root(file, bytes, &page_size))
        return *has_page_0 ? 0 : 1;
    *has_page_0 = false;
    memset(superblock, 0, sizeof(*superblock));
    superblock->page_size = page_size;
    memcpy(superblock->uuid, bytes + ROOT_UUID, UUID_SIZE);
    return 0;
}

int mpgi_identify_1(struct salvage *salvage)
{
    struct superblock superblock;
    bool has_page_0;
    int result = mpgi_learn_identity_1(salvage->file, &superblock, &has_page_0);

    salvage->format = MPG_FORMAT_1;
    salvage->page_size = superblock.page_size;
    return result;
}

/* ---- Without pages 0 to 2 ------------------------------------------------------------------ */

/* The seed that makes `crc` the checksum of these bytes: its calculation, backwards. */
static uint32_t seed_before(uint32_t crc, const unsigned char *bytes, size_t length)
{
    uint32_t state = ~crc;

    while (length-- > 0) {
        for (unsigned i = 0; i < 8; i++)
            state =
                state & UINT32_C(1) << 31 ? (state ^ UINT32_C(0xedb88320)) << 1 | 1 : state << 1;
        state ^= bytes[length];
    }
    return ~state;
}

/* The bytes of a leaf if these are the beginning of one, by their looks; 0 otherwise. */
static uint32_t leaf_size(const unsigned char *head)
{
    uint32_t used = get_u32(head + NODE_USED);

    if ((memcmp(head, TYPE_SPACE, TYPE_SIZE) != 0 &&
         memcmp(head, TYPE_DIRECTORY, TYPE_SIZE) != 0) ||
        get_u32(head + NODE_LEVEL) != 0 || get_u64(head + NODE_GENERATION) >= GENERATION_END)
        return 0;
    return used == 1024 || used == 2048 || used == NODE_SIZE_MAX ? used : 0;
}

/* Whether an entry of a directory leaf fits to what is in its page. */
static bool names_content(const struct file *file, const unsigned char *leaf, uint32_t size,
                          uint32_t page_size)
{
    unsigned tried = 0;

    if (memcmp(leaf, TYPE_DIRECTORY, TYPE_SIZE) != 0)
        return false;
    for (uint32_t at = NODE_BODY; at + ENTRY_SIZE <= size && tried < ENTRIES_TRIED;
         at += ENTRY_SIZE) {
        struct entry entry;
        uint32_t crc;

        mpgi_entry_read(&entry, leaf + at);
        if (!entry.in_use || entry_page(&entry) < FIRST_USER_PAGE ||
            entry_page(&entry) >= file->bytes / page_size)
            continue;
        tried++;
        if (mpgi_file_crc(file, &crc, page_size, entry_page(&entry) * page_size,
                          entry_page(&entry)) == 0 &&
            crc == entry.crc)
            return true;
    }
    return false;
}

/* Whether a leaf of the space tree says of its own two pages that they are metadata. */
static bool names_itself(const unsigned char *leaf, uint32_t size, uint32_t page_size, uint64_t at)
{
    uint64_t units = (uint64_t)(size - NODE_BODY) * USES_PER_BYTE;
    uint64_t first = get_u64(leaf + NODE_INDEX) * units;

    if (memcmp(leaf, TYPE_SPACE, TYPE_SIZE) != 0)
        return false;
    for (unsigned slot = 0; slot < PAIR_PAGES; slot++) {
        uint64_t index = slot_page(page_size, at / page_size, slot) - first;

        if (index >= units || mpgi_uses_get(leaf + NODE_BODY, index) != MPG_USE_METADATA)
            return false;
    }
    return true;
}

/* Whether the other slot of a leaf, if it begins with byte `at`, holds the same. */
static bool has_same(const struct file *file, const unsigned char *leaf, uint32_t size, uint64_t at)
{
    unsigned char other[NODE_SIZE_MAX];

    return at < file->bytes && size <= file->bytes - at &&
           mpgi_file_read(file, other, size, at, MPG_NO_PAGE) == 0 &&
           memcmp(other, leaf, size) == 0;
}

/*
 * Whether a whole file begins with byte `at` of this one: what is before it is to be taken away,
 * for nothing stands where the file says it does. Where only its first pages have moved, all of it
 * would not fit behind that byte.
 */
static bool begins_at(const struct file *file, uint64_t at)
{
    unsigned char page[NODE_SIZE_MAX], root[NODE_SIZE_MAX];
    uint32_t page_size;

    if (at == 0 || !read_page_0(file, page, &page_size, at))
        return false;
    for (uint64_t i = 1; i <= 2; i++) {
        uint64_t root_at = at + i * page_size;

        if (root_at < file->bytes && is_any_root(file, root, page_size, root_at) &&
            memcmp(root + ROOT_UUID, page + SB_UUID, UUID_SIZE) == 0 &&
            get_u64(root + ROOT_TOTAL) <= (file->bytes - at) / page_size)
            return true;
    }
    return false;
}

/* What a search for a sign of which file it is has found. */
struct search {
    struct salvage *salvage;
    bool elsewhere; /* a whole file begins further on */
    bool sure;      /* a node that is there twice said it; otherwise what did may be damaged */
};

static void learn(struct salvage *salvage, unsigned char *leaf, uint32_t size, uint32_t page_size)
{
    uint32_t crc = get_u32(leaf + NODE_CRC);

    put_u32(leaf + NODE_CRC, 0);
    salvage->seed = seed_before(crc, leaf, size);
    salvage->page_size = page_size;
    salvage->headless = true;
}

/*
 * If a leaf proves itself to be one of a file with pages of some size, it says which file. That it
 * is there twice says that it is whole, but not how large pages are, which lie equally far from
 * each other in most sizes.
 */
static void learn_from_leaf(struct search *search, const unsigned char *head, uint64_t at)
{
    struct salvage *salvage = search->salvage;
    const struct file *file = salvage->file;
    unsigned char leaf[NODE_SIZE_MAX];
    uint32_t size = leaf_size(head);
    uint64_t most = size < NODE_SIZE_MAX ? size : MPG_PAGE_SIZE_MAX;
    bool twice = false, named = false;

    if (search->sure || salvage->root_at != 0 || size == 0 || size > file->bytes - at ||
        mpgi_file_read(file, leaf, size, at, MPG_NO_PAGE) != 0)
        return;
    for (uint64_t page_size = size; page_size <= most && !twice && !named; page_size *= 2) {
        if (at % page_size != 0 || at / page_size < FIRST_USER_PAGE)
            continue;
        twice = has_same(file, leaf, size, slot_offset((uint32_t)page_size, at / page_size, 1)) &&
                (most == size || names_itself(leaf, size, (uint32_t)page_size, at) ||
                 names_content(file, leaf, size, (uint32_t)page_size));
        named = !salvage->headless && names_content(file, leaf, size, (uint32_t)page_size);
        if (twice || named)
            learn(salvage, leaf, size, (uint32_t)page_size);
    }
    search->sure = twice;
}

/* A record says which page it is in, and so how large pages are. */
static void learn_from_record(const struct search *search, const unsigned char *head, uint64_t at)
{
    struct salvage *salvage = search->salvage;
    unsigned char record[NODE_SIZE_MAX];
    uint64_t page = get_u64(head + RECORD_PAGE);
    uint32_t used = get_u32(head + RECORD_USED), crc;
    uint64_t page_size;

    if (salvage->headless || memcmp(head, TYPE_RECORD, TYPE_SIZE) != 0 || page < FIRST_USER_PAGE ||
        at % page != 0)
        return;
    page_size = at / page;
    if (page_size < MPG_PAGE_SIZE_MIN || page_size > MPG_PAGE_SIZE_MAX ||
        (page_size & (page_size - 1)) != 0 || used < RECORD_BODY ||
        used > node_size_of((uint32_t)page_size) || used > salvage->file->bytes - at ||
        mpgi_file_read(salvage->file, record, used, at, page) != 0)
        return;
    crc = get_u32(record + RECORD_CRC);
    put_u32(record + RECORD_CRC, 0);
    salvage->seed = seed_before(crc, record, used);
    salvage->page_size = (uint32_t)page_size;
    salvage->headless = true;
}

/* A root that is not where roots are: the newest of them counts. */
static void learn_from_root(struct salvage *salvage, const unsigned char *head, uint64_t at)
{
    unsigned char root[NODE_SIZE_MAX];
    uint32_t log2 = get_u32(head + ROOT_LOG2);

    if (memcmp(head, TYPE_ROOT, TYPE_SIZE) != 0 || log2 < PAGE_LOG2_MIN || log2 > PAGE_LOG2_MAX ||
        !is_any_root(salvage->file, root, UINT32_C(1) << log2, at) ||
        (salvage->root_at != 0 && mpgi_root_generation(root) <= salvage->generation))
        return;
    salvage->page_size = UINT32_C(1) << log2;
    salvage->seed = crc_of(root + ROOT_UUID, UUID_SIZE);
    memcpy(salvage->uuid, root + ROOT_UUID, UUID_SIZE);
    salvage->generation = mpgi_root_generation(root);
    salvage->root_at = at;
    salvage->headless = true;
}

/* What a piece of the file says of which file it is. */
static void learn_from(struct search *search, const unsigned char *bytes, size_t length,
                       uint64_t at)
{
    for (size_t i = 0; i + SECTOR <= length; i += SECTOR) {
        if (memcmp(bytes + i + SB_TAG, SB_TAG_BYTES, 4) == 0)
            search->elsewhere |= begins_at(search->salvage->file, at + i);
        learn_from_root(search->salvage, bytes + i, at + i);
        learn_from_leaf(search, bytes + i, at + i);
        learn_from_record(search, bytes + i, at + i);
    }
}

int mpgi_search_1(struct salvage *salvage)
{
    const struct file *file = salvage->file;
    struct search search = {.salvage = salvage};
    unsigned char *bytes = malloc(CHUNK);
    int error = bytes != NULL ? 0 : mpgi_fail_memory("rescue");

    salvage->format = MPG_FORMAT_1;
    for (uint64_t at = 0; at < file->bytes && error == 0; at += CHUNK) {
        uint64_t data = mpgi_file_next_data(file, at, NULL);
        size_t length;

        if (data >= file->bytes)
            break;
        at = max_u64(at, data / CHUNK * CHUNK);
        length = (size_t)min_u64(CHUNK, file->bytes - at);
        (void)mpgi_file_read_sectors(file, bytes, length, at, MPG_NO_PAGE);
        learn_from(&search, bytes, length, at);
        if (salvage->looked != NULL)
            error = salvage->looked(salvage->context, at / MPG_PAGE_SIZE_MIN);
    }
    free(bytes);
    if (error == 0 && search.elsewhere) {
        salvage->headless = false;
        salvage->root_at = 0;
        salvage->generation = 0;
    }
    return error != 0 || salvage->headless ? error : 1;
}
