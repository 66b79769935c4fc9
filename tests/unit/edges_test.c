/* SPDX-License-Identifier: MIT */
/*
 * Random commits, small ones and such of all protected pages, to files that grow over the edges of
 * their metadata: over what a root says without any leaf, and from leaf to leaf. Every few steps the
 * file is checked; in the end each page says what was written last.
 *
 *     MPG_EDGE_SEEDS   how many files of each format (default 15)
 */
#include <stdbool.h>

#include "format_1/layout.h"
#include "pager/open.h"
#include "support/harness.h"
#include "support/scratch_file.h"

#define IDS 1500
#define MOST_REGULAR 12000
#define STEPS 80

static struct io quick; /* nothing here is about power failures */
static mpg_pager *pager;
static uint32_t page_size;
static uint64_t random_state;
static unsigned said[IDS]; /* the step that wrote the protected page, 0: none did */
static bool there[IDS];
static mpg_page_id regular[MOST_REGULAR];
static size_t regular_count;

static unsigned below(unsigned end)
{
    return (unsigned)random_below(&random_state, end);
}

static int no_sync(void *context, int fd)
{
    (void)context;
    (void)fd;
    return 0;
}

/* A format or its directory that is full is no fault. */
static bool is_full(int result)
{
    if (result == MPG_E_FILE_FULL || result == MPG_E_DIRECTORY_FULL)
        return true;
    assert_int_equal(result, 0);
    return false;
}

static void alloc_regular(size_t count)
{
    if (regular_count + count <= MOST_REGULAR &&
        !is_full(mpg_alloc_bulk(regular + regular_count, pager, count, 0)))
        regular_count += count;
}

static void free_regular(unsigned count)
{
    for (; count > 0 && regular_count > 0; count--) {
        unsigned which = below((unsigned)regular_count);

        assert_int_equal(mpg_free(pager, regular[which]), 0);
        regular[which] = regular[--regular_count];
    }
}

static void alloc_protected(size_t count)
{
    mpg_protected_id ids[60];

    if (is_full(mpg_alloc_protected_bulk(ids, pager, count)))
        return;
    for (size_t i = 0; i < count; i++) {
        if (ids[i].value >= IDS) {
            assert_int_equal(mpg_free_protected(pager, ids[i]), 0);
            continue;
        }
        there[ids[i].value] = true;
        said[ids[i].value] = 0;
    }
}

static void free_protected(unsigned count)
{
    for (; count > 0; count--) {
        unsigned id = below(IDS);

        if (there[id])
            assert_int_equal(mpg_free_protected(pager, (mpg_protected_id){id}), 0);
        there[id] = false;
    }
}

/* One of so many protected pages; 1: all. */
static void write_some(unsigned one_of, unsigned step)
{
    mpg_txn *txn;

    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    for (unsigned id = 0; id < IDS; id++) {
        unsigned content[2] = {id, step};

        if (!there[id] || below(one_of) != 0)
            continue;
        assert_int_equal(mpg_txn_protected_write(txn, (mpg_protected_id){id}, content, 0, 8), 0);
        said[id] = step;
    }
    assert_int_equal(mpg_txn_commit(txn, below(5) == 0 ? MPG_ORDERED : 0), 0);
}

static void open_again(const char *path)
{
    assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(mpgi_open_with(&pager, path, NULL, false, &quick, NULL), 0);
}

static void do_something(const char *path, unsigned step)
{
    switch (below(10)) {
    case 0:
        alloc_regular(1 + below(300));
        break;
    case 1:
        free_regular(1 + below(40));
        break;
    case 2:
    case 3:
        alloc_protected(1 + below(60));
        break;
    case 4:
        free_protected(below(20));
        break;
    case 5:
        if (below(4) == 0)
            open_again(path);
        break;
    default:
        write_some(below(2) ? 1 + below(2) : 1 + below(50), step);
        break;
    }
}

static void assert_contents(void)
{
    unsigned char page[4096];
    mpg_check_result result;

    assert_int_equal(mpg_check(&result, pager, NULL), 0);
    assert_int_equal(result.faults, 0);
    for (unsigned id = 0; id < IDS; id++) {
        unsigned content[2];

        if (!there[id] || said[id] == 0)
            continue;
        assert_int_equal(mpg_protected_read(page, pager, (mpg_protected_id){id}), 0);
        memcpy(content, page, sizeof(content));
        assert_int_equal(content[0], id);
        assert_int_equal(content[1], said[id]);
    }
}

/* In every other file the first edge is close. */
static unsigned first_pages(int format, uint64_t seed)
{
    unsigned area = root_area_size(node_size_of(page_size)) * 4;
    unsigned pages = seed % 2 == 0 ? area - below(400) : below(area);

    return format == MPG_FORMAT_1 || pages < 3000 ? pages : 3000;
}

static void live(const struct scratch *scratch, uint64_t seed)
{
    mpg_options options = MPG_OPTIONS_INIT;

    random_state = seed;
    page_size = 1024u << below(3);
    options.format = scratch->format;
    options.page_size = page_size;
    memset(there, 0, sizeof(there));
    regular_count = 0;
    assert_int_equal(mpgi_create_with(&pager, scratch->path, &options, &quick, NULL), 0);
    alloc_regular(first_pages(scratch->format, seed));
    for (unsigned step = 1; step <= STEPS; step++) {
        do_something(scratch->path, step);
        if (step % 8 == 0)
            assert_contents();
    }
    open_again(scratch->path);
    assert_contents();
    assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(unlink(scratch->path), 0);
}

static void files_grow_over_their_edges(void **state)
{
    uint64_t seeds = setting("MPG_EDGE_SEEDS", 15);

    for (uint64_t seed = 1; seed <= seeds; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        live(*state, seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCRATCH_TEST(files_grow_over_their_edges)};

    quick = mpgi_io_system;
    quick.fdatasync = no_sync;
    return SCRATCH_RUN("edges", tests);
}
