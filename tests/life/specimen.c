/* SPDX-License-Identifier: MIT */
#include "life/specimen.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crc.h"

/* ---- failing ---- */

void damage_fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

void damage_die(const char *what)
{
    perror(what);
    exit(1);
}

void damage_must(int result, const char *what)
{
    mpg_error_info info;

    if (result == 0)
        return;
    (void)mpg_last_error(&info);
    damage_fail("%s: %s (%s)", what, info.message, mpg_strerror(result));
}

void *damage_room(size_t count, size_t size)
{
    void *made = calloc(count + 1, size);

    if (made == NULL)
        damage_fail("no memory");
    return made;
}

/* ---- contents ---- */

static uint64_t random_state = 20260101;

void damage_seed(uint64_t seed)
{
    random_state = seed;
}

uint64_t damage_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

void damage_fill(unsigned char *data, uint32_t page_size, bool is_protected, uint64_t id,
                 unsigned version)
{
    uint64_t state = (id + 1) * UINT64_C(0x9e3779b97f4a7c15) +
                     version * UINT64_C(0xbf58476d1ce4e5b9) + is_protected;

    if (version == 0) {
        memset(data, 0, page_size);
        return;
    }
    for (uint32_t i = 0; i < page_size; i += 8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        memcpy(data + i, &state, 8);
    }
}

uint64_t damage_regular_id(const struct specimen_kind *kind, unsigned number)
{
    return 40 + number * kind->regular_step;
}

uint64_t damage_protected_id(const struct specimen_kind *kind, unsigned number)
{
    return number * kind->protected_step;
}

/* ---- making a file ---- */

/* The next content of a protected page, by number. */
static mpg_protected_id next_content(struct specimen *specimen, unsigned number,
                                     unsigned char *data)
{
    mpg_protected_id id = {damage_protected_id(specimen->kind, number)};

    damage_fill(data, specimen->kind->page_size, true, id.value, ++specimen->version[number]);
    return id;
}

static void write_protected(struct specimen *specimen, mpg_pager *pager, unsigned number,
                            unsigned char *data)
{
    mpg_protected_id id = next_content(specimen, number, data);
    mpg_writer *writer;

    damage_must(mpg_writer_open(&writer, pager, id), "writer");
    memcpy(mpg_writer_data(writer), data, specimen->kind->page_size);
    damage_must(mpg_writer_commit(writer), "commit");
}

static void first_contents(struct specimen *specimen, mpg_pager *pager, unsigned char *data)
{
    const struct specimen_kind *kind = specimen->kind;
    unsigned number = 0;

    for (unsigned i = 0; i < kind->regular_count; i++) {
        mpg_page_id id = {damage_regular_id(kind, i)};

        damage_must(mpg_alloc_at(pager, id, 0), "alloc");
        damage_fill(data, kind->page_size, false, id.value, 1);
        damage_must(mpg_page_write(pager, id, data, 0, kind->page_size), "write");
    }
    while (number < kind->protected_count) {
        mpg_txn *txn;

        damage_must(mpg_txn_begin(&txn, pager), "begin");
        for (unsigned k = 0; k < 64 && number < kind->protected_count; k++, number++) {
            mpg_protected_id id = next_content(specimen, number, data);

            damage_must(mpg_txn_alloc_protected_at(txn, id), "alloc protected");
            damage_must(mpg_txn_protected_write(txn, id, data, 0, kind->page_size),
                        "write protected");
        }
        damage_must(mpg_txn_commit(txn, 0), "commit");
    }
    damage_must(mpg_sync(pager), "sync");
}

/* Some pages are written again, one is freed: what slots and copies hold differs. */
static void later_contents(struct specimen *specimen, mpg_pager *pager, unsigned char *data,
                           unsigned round)
{
    const struct specimen_kind *kind = specimen->kind;
    unsigned writes = 0;

    for (unsigned number = round; number < kind->protected_count && writes < 12;
         number += 5 + round, writes++) {
        if (specimen->version[number] != 0)
            write_protected(specimen, pager, number, data);
    }
    if (kind->protected_count > 4) {
        unsigned number = kind->protected_count - 1 - round;
        mpg_protected_id id = {damage_protected_id(kind, number)};

        damage_must(mpg_free_protected(pager, id), "free");
        specimen->version[number] = 0;
    }
}

static mpg_pager *open_again(const struct specimen *specimen)
{
    mpg_pager *pager;
    mpg_options options = MPG_OPTIONS_INIT;

    options.flags = MPG_SPARSE | MPG_DEFER_ALLOCATION;
    damage_must(mpg_open(&pager, specimen->path, &options), "open");
    return pager;
}

static void copy_file(const char *from, const char *to)
{
    char command[700];

    (void)snprintf(command, sizeof(command), "cp --sparse=always '%s' '%s'", from, to);
    if (system(command) != 0)
        damage_fail("cp");
}

static void make_content(struct specimen *specimen)
{
    const struct specimen_kind *kind = specimen->kind;
    mpg_options options = MPG_OPTIONS_INIT;
    unsigned char *data = damage_room(1, kind->page_size);
    mpg_pager *pager;

    options.page_size = kind->page_size;
    options.format = kind->format;
    options.label = kind->format == MPG_FORMAT_1 ? "specimen" : NULL;
    options.flags = MPG_SPARSE | MPG_DEFER_ALLOCATION;
    damage_must(mpg_create(&pager, specimen->path, &options), "create");
    first_contents(specimen, pager, data);
    damage_must(mpg_close(pager), "close");
    for (unsigned round = 0; round < 3; round++) {
        if (round == 2)
            copy_file(specimen->path, specimen->older);
        pager = open_again(specimen);
        later_contents(specimen, pager, data, round);
        damage_must(mpg_sync(pager), "sync");
        if (!kind->closed && round == 2) {
            char copy[300];

            /* As a crash of the process leaves it. */
            (void)snprintf(copy, sizeof(copy), "%s.crashed", specimen->path);
            copy_file(specimen->path, copy);
            damage_must(mpg_close(pager), "close");
            if (rename(copy, specimen->path) != 0)
                damage_fail("rename");
            break;
        }
        damage_must(mpg_close(pager), "close");
    }
    free(data);
}

/* ---- knowing it ---- */

static void add_naming(struct specimen *specimen, unsigned number, uint64_t at, uint32_t length,
                       uint64_t head)
{
    if (specimen->naming_count == specimen->naming_capacity) {
        specimen->naming_capacity = specimen->naming_capacity * 2 + 64;
        specimen->namings =
            reallocarray(specimen->namings, specimen->naming_capacity, sizeof(*specimen->namings));
        if (specimen->namings == NULL)
            damage_fail("no memory");
    }
    specimen->namings[specimen->naming_count++] = (struct naming){number, at, length, head};
}

static uint64_t u64_at(const unsigned char *bytes)
{
    uint64_t value;

    memcpy(&value, bytes, sizeof(value));
    return value;
}

/*
 * Whether `page` and the checksum at `crc` are those of a protected page's content: its number, or
 * -1.
 */
static int named_by(const struct specimen *specimen, const int *owners, const unsigned char *page,
                    const unsigned char *crc)
{
    uint64_t number = u64_at(page);
    int owner = number < specimen->pages ? owners[number] : -1;

    return owner >= 0 && memcmp(crc, &specimen->crc[owner], 4) == 0 ? owner : -1;
}

/*
 * Format 1: entries of 32 bytes, in nodes and roots; deltas of 24, in records. All lie at multiples
 * of 8.
 */
static void find_namings_1(struct specimen *specimen, const int *owners, uint64_t at,
                           const unsigned char *bytes)
{
    for (uint32_t i = 8; i + 32 <= specimen->kind->page_size; i += 8) {
        int entry = named_by(specimen, owners, bytes + i, bytes + i + 24);
        int delta = named_by(specimen, owners, bytes + i, bytes + i + 8);

        if (entry >= 0)
            add_naming(specimen, (unsigned)entry, at + i, 32, at);
        if (delta >= 0 &&
            u64_at(bytes + i - 8) == damage_protected_id(specimen->kind, (unsigned)delta))
            add_naming(specimen, (unsigned)delta, at + i - 8, 24, at);
    }
}

/* Format 0.2: entries of 30 bytes, in directory blocks. */
static void find_namings_0_2(struct specimen *specimen, const int *owners, uint64_t at,
                             const unsigned char *bytes)
{
    for (uint32_t i = 8; i + 30 <= specimen->kind->page_size - 4; i += 30) {
        int entry = named_by(specimen, owners, bytes + i + (bytes[i + 17] ? 9 : 1), bytes + i + 26);

        if (bytes[i] == 1 && entry >= 0)
            add_naming(specimen, (unsigned)entry, at + i, 30, at);
    }
}

/* Looks through what is nobody's content for what says where contents are. */
static void find_namings(struct specimen *specimen)
{
    uint32_t size = specimen->kind->page_size;
    unsigned char *bytes = damage_room(1, size);
    int *owners = damage_room(specimen->pages, sizeof(*owners));
    int fd = open(specimen->path, O_RDONLY | O_CLOEXEC);

    memset(owners, -1, specimen->pages * sizeof(*owners));
    for (unsigned i = 0; i < specimen->kind->protected_count; i++) {
        if (specimen->content[i] != 0)
            owners[specimen->content[i]] = (int)i;
    }
    for (uint64_t page = 0; page < specimen->pages; page++) {
        off_t at = (off_t)(page * size), data = fd < 0 ? -1 : lseek(fd, at, SEEK_DATA);

        if (data < 0)
            break;
        page = (uint64_t)data / size > page ? (uint64_t)data / size : page;
        at = (off_t)(page * size);
        if (specimen->uses[page] != MPG_USE_METADATA && specimen->uses[page] != MPG_USE_FREE)
            continue;
        if (pread(fd, bytes, size, at) != (ssize_t)size)
            damage_die(specimen->path);
        if (specimen->kind->format == MPG_FORMAT_1)
            find_namings_1(specimen, owners, (uint64_t)at, bytes);
        else
            find_namings_0_2(specimen, owners, (uint64_t)at, bytes);
    }
    (void)close(fd);
    free(bytes);
    free(owners);
}

static void learn(struct specimen *specimen)
{
    struct mpg_stat st = {.size = sizeof(st)};
    const struct specimen_kind *kind = specimen->kind;
    unsigned char *data = damage_room(1, kind->page_size);
    const mpg_pager *pager;

    damage_must(mpg_open_readonly(&pager, specimen->path, NULL), "open");
    damage_must(mpg_stat(&st, pager), "stat");
    specimen->pages = st.total_pages;
    specimen->uses = damage_room(st.total_pages, 1);
    damage_must(mpg_page_uses(specimen->uses, pager, 0, st.total_pages), "uses");
    for (unsigned i = 0; i < kind->protected_count; i++) {
        mpg_protected_id id = {damage_protected_id(kind, i)};
        mpg_protected_info info;

        if (mpg_protected_stat(&info, pager, id) != 0)
            continue;
        specimen->content[i] = info.page[info.current];
        damage_fill(data, kind->page_size, true, id.value, specimen->version[i]);
        specimen->crc[i] = crc_of(data, kind->page_size);
    }
    damage_must(mpg_close(pager), "close");
    free(data);
    find_namings(specimen);
}

void damage_make(struct specimen *specimen, const struct specimen_kind *kind, const char *directory)
{
    memset(specimen, 0, sizeof(*specimen));
    specimen->kind = kind;
    (void)snprintf(specimen->path, sizeof(specimen->path), "%s/%s", directory, kind->name);
    specimen->version = damage_room(kind->protected_count, sizeof(*specimen->version));
    specimen->content = damage_room(kind->protected_count, sizeof(*specimen->content));
    specimen->crc = damage_room(kind->protected_count, sizeof(*specimen->crc));
    (void)snprintf(specimen->older, sizeof(specimen->older), "%s.older", specimen->path);
    (void)unlink(specimen->path);
    make_content(specimen);
    learn(specimen);
}

void damage_free(struct specimen *specimen)
{
    (void)unlink(specimen->path);
    (void)unlink(specimen->older);
    free(specimen->uses);
    free(specimen->content);
    free(specimen->crc);
    free(specimen->version);
    free(specimen->namings);
}
