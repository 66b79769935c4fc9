/* SPDX-License-Identifier: MIT */
/*
 * Format 1: commits that failed, or that a crash left unfinished: roots, records, nodes, contents;
 * what went bad; generations that run out.
 */
#include "unit/format_1_file.h"

static bool full;

static ssize_t failing_pwrite(void *context, int fd, const void *data, size_t length,
                              uint64_t offset)
{
    if (full) {
        errno = EIO;
        return -1;
    }
    return mpgi_io_system.pwrite(context, fd, data, length, offset);
}

/* Pages of a batch that failed are free again, and so are its nodes. */
static void failed_commit_leaves_nothing(void **state)
{
    mpg_pager *pager;
    mpg_page_id ids[4000], id;

    (void)state;
    quick.pwrite = failing_pwrite;
    pager = make(1024);
    assert_int_equal(mpg_alloc_bulk(ids, pager, 1000, 0), 0);
    full = true;
    assert_int_not_equal(mpg_alloc_bulk(ids, pager, 4000, 0), 0);
    full = false;
    quick.pwrite = mpgi_io_system.pwrite;
    assert_int_equal(stat_of(pager).regular_pages, 1000);
    assert_int_equal(stat_of(pager).space_height, 0);
    assert_sound(pager);
    assert_int_equal(mpg_alloc(&id, pager, 0), 0);
    assert_int_equal(id.value, 1003);
    assert_int_equal(mpg_alloc_bulk(ids, pager, 4000, 0), 0);
    pager = open_again(pager);
    assert_int_equal(stat_of(pager).regular_pages, 5001);
    assert_sound(pager);
    assert_int_equal(mpg_close(pager), 0);
}

/* The file shows `byte`, goes on working, and shows it again when it is opened once more. */
static void assert_recovers(int byte)
{
    mpg_pager *pager;
    uint64_t generation;

    assert_int_equal(try_open(&pager, true), 0);
    assert_int_equal(first_byte(pager, 0), byte);
    assert_int_equal(mpg_close(pager), 0);
    pager = open_again(NULL);
    assert_int_equal(first_byte(pager, 0), byte);
    assert_sound(pager);
    pager = open_again(pager);
    assert_int_equal(first_byte(pager, 0), byte);
    generation = stat_of(pager).generation;
    write_protected(pager, 0, 3);
    assert_true(stat_of(pager).generation > generation);
    pager = open_again(pager);
    assert_int_equal(first_byte(pager, 0), 3);
    assert_sound(pager);
    assert_int_equal(mpg_close(pager), 0);
}

static void torn_root_falls_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        make_committed_by(page_sizes[i], false, true);
        assert_int_equal(newest_mark(page_sizes[i]) / page_sizes[i],
                         newest_root_page(page_sizes[i]));
        flip_at((uint64_t)newest_root_page(page_sizes[i]) * page_sizes[i] + 700);
        assert_recovers(1);
    }
}

static void torn_record_falls_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        make_committed(page_sizes[i], true);
        assert_true(newest_mark(page_sizes[i]) / page_sizes[i] > 2);
        flip_at(newest_mark(page_sizes[i]));
        assert_recovers(1);
    }
}

static void torn_content_falls_back(void **state)
{
    mpg_protected_info info;
    mpg_pager *pager;

    (void)state;
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        make_committed_by(page_sizes[i], i % 2 == 0, i % 3 == 0);
        assert_int_equal(try_open(&pager, true), 0);
        assert_int_equal(mpg_protected_stat(&info, pager, protected_id(0)), 0);
        assert_int_equal(mpg_close(pager), 0);
        flip_at((info.page[info.current] + 1) * page_sizes[i] - 1);
        assert_recovers(1);
    }
}

/* The newest root's reference to the first child of the directory tree. */
static void torn_node_falls_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        uint32_t area = root_area_size(node_size_of(page_sizes[i]));
        uint64_t root;
        unsigned char reference[REF_SIZE];

        make_committed_by(page_sizes[i], true, true);
        root = (uint64_t)newest_root_page(page_sizes[i]) * page_sizes[i];
        read_at(reference, sizeof(reference), root + ROOT_AREAS + area);
        flip_at(slot_offset(page_sizes[i], get_u64(reference) / 2, get_u64(reference) % 2) + 99);
        assert_recovers(1);
    }
}

/*
 * A commit whose root says that all was synced before it is not doubted: later damage is an error.
 */
static void damage_after_the_commit_is_reported(void **state)
{
    mpg_protected_info info;
    mpg_protected_id id;
    mpg_pager *pager;
    unsigned char data[4096];

    (void)state;
    make_committed(4096, false);
    pager = open_again(NULL);
    assert_int_equal(mpg_protected_stat(&info, pager, protected_id(0)), 0);
    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    assert_int_equal(mpg_close(pager), 0);
    flip_at(info.page[info.current] * 4096 + 17);
    pager = open_again(NULL);
    assert_int_equal(mpg_protected_read(data, pager, protected_id(0)), MPG_E_CORRUPT_PAGE);
    assert_int_equal(first_byte(pager, id.value), 0);
    assert_int_equal(mpg_close(pager), 0);
}

/* Closing the file says that its last commit was whole: what goes bad from then on is told. */
static void damage_of_a_closed_file_is_reported(void **state)
{
    mpg_protected_info info;
    mpg_pager *pager;
    unsigned char data[4096];
    uint64_t generation;

    (void)state;
    make_committed(4096, false);
    pager = open_again(NULL);
    write_protected(pager, 0, 9);
    assert_int_equal(mpg_protected_stat(&info, pager, protected_id(0)), 0);
    assert_int_equal(mpg_close(pager), 0);
    flip_at(info.page[info.current] * 4096 + 17);
    pager = open_again(NULL);
    assert_int_equal(mpg_protected_read(data, pager, protected_id(0)), MPG_E_CORRUPT_PAGE);

    /* That is said once: nothing is written where nothing was changed. */
    generation = stat_of(pager).generation;
    pager = open_again(pager);
    assert_int_equal(stat_of(pager).generation, generation);
    assert_int_equal(mpg_close(pager), 0);

    /* The same state is in both roots, so that either may go bad. */
    flip_at(info.page[info.current] * 4096 + 17);
    flip_at((uint64_t)newest_root_page(4096) * 4096 + 700);
    assert_int_equal(try_open(&pager, true), 0);
    assert_int_equal(first_byte(pager, 0), 9);
    assert_int_equal(mpg_close(pager), 0);
}

static void two_bad_roots_are_an_error(void **state)
{
    mpg_pager *pager;

    (void)state;
    make_committed(4096, false);
    flip_at(4096 + 60);
    flip_at(2 * 4096 + 60);
    assert_int_equal(try_open(&pager, false), MPG_E_CORRUPT_METADATA);
    assert_int_equal(try_open(&pager, true), MPG_E_CORRUPT_METADATA);
}

static unsigned reads;

static ssize_t counted_pread(void *context, int fd, void *data, size_t length, uint64_t offset)
{
    reads++;
    return mpgi_io_system.pread(context, fd, data, length, offset);
}

/* A reader tries again only where somebody commits. */
static void damage_is_not_looked_at_a_hundred_times(void **state)
{
    mpg_pager *pager;

    (void)state;
    make_committed(4096, false);
    flip_at(4096 + 60);
    flip_at(2 * 4096 + 60);
    quick.pread = counted_pread;
    reads = 0;
    assert_int_equal(try_open(&pager, true), MPG_E_CORRUPT_METADATA);
    quick.pread = mpgi_io_system.pread;
    assert_in_range(reads, 3, 60);
}

/* Changes a count of both roots, and makes their checksums fit. */
static void change_count(uint32_t field, int64_t change)
{
    struct node_space space = {.page_size = 4096, .node_size = 4096};
    unsigned char root[4096];

    for (uint64_t page = 1; page <= 2; page++) {
        read_at(root, sizeof(root), page * 4096);
        space.seed = crc_of(root + ROOT_UUID, UUID_SIZE);
        put_u64(root + field, get_u64(root + field) + (uint64_t)change);
        put_u32(root + NODE_CRC, mpgi_node_crc(&space, root));
        write_at(root, sizeof(root), page * 4096);
    }
}

static void counts_are_checked(void **state)
{
    static const uint32_t fields[] = {ROOT_FREE, ROOT_METADATA, ROOT_PROTECTED};
    mpg_check_result result;
    mpg_pager *pager;

    (void)state;
    for (int i = 0; i < 3; i++) {
        pager = make(4096);
        assert_int_equal(mpg_alloc_at(pager, page_id(3), 0), 0);
        assert_int_equal(mpg_alloc_protected_at(pager, protected_id(0)), 0);
        assert_int_equal(mpg_close(pager), 0);
        change_count(fields[i], -1);
        assert_int_equal(try_open(&pager, true), 0);
        assert_int_equal(mpg_check(&result, pager, NULL), 0);
        assert_true(result.faults > 0);
        assert_int_equal(mpg_close(pager), 0);
        change_count(fields[i], 1);
        assert_int_equal(try_open(&pager, true), 0);
        assert_sound(pager);
        assert_int_equal(mpg_close(pager), 0);
        /* More pages than there are. */
        change_count(fields[i], 1000);
        assert_int_equal(try_open(&pager, true), MPG_E_CORRUPT_METADATA);
    }
}

static void file_cut_short_is_an_error(void **state)
{
    mpg_pager *pager;

    (void)state;
    make_committed(4096, false);
    assert_int_equal(truncate(path, 5 * 4096), 0);
    assert_int_equal(try_open(&pager, false), MPG_E_TRUNCATED);
}

/* Rule 7: a failed commit uses up a generation, but not the page of the durable root. */
static void commit_after_a_failed_one_spares_the_durable_root(void **state)
{
    mpg_writer *writer;
    mpg_pager *pager;

    (void)state;
    make_committed(4096, false);
    quick.pwrite = failing_pwrite;
    pager = open_again(NULL);
    assert_int_equal(mpg_writer_open(&writer, pager, protected_id(0)), 0);
    full = true;
    assert_int_equal(mpg_writer_commit(writer), MPG_E_IO);
    full = false;
    quick.pwrite = mpgi_io_system.pwrite;
    memset(mpg_writer_data(writer), 7, 4096);
    assert_int_equal(mpg_writer_commit(writer), 0);
    die(pager);
    flip_at(newest_mark(4096));
    assert_recovers(2);
}

/* Each fallback uses up generations; they never come again. */
static void recovery_repeats(void **state)
{
    uint64_t generation = 0;

    (void)state;
    make_committed(4096, false);
    for (int i = 0; i < 5; i++) {
        mpg_pager *pager = open_again(NULL);

        write_protected(pager, 0, 1);
        write_protected(pager, 0, 2);
        assert_true(stat_of(pager).generation > generation);
        generation = stat_of(pager).generation;
        die(pager);
        flip_at(newest_mark(4096));
        assert_recovers(1);
    }
}

/* Later commits would have to have generations that make no sense. */
static void a_root_of_the_last_generations_can_only_be_read(void **state)
{
    struct node_space space = {.node_size = 4096, .page_size = 4096};
    unsigned char superblock[4096], root[4096];
    mpg_pager *pager;
    unsigned page;

    (void)state;
    make_committed_by(4096, false, true);
    page = newest_root_page(4096);
    read_at(superblock, sizeof(superblock), 0);
    read_at(root, sizeof(root), page * UINT64_C(4096));
    space.seed = crc_of(superblock + SB_UUID, UUID_SIZE);
    mpgi_root_finish(&space, root, (UINT64_C(1) << 63) - 2, true);
    write_at(root, sizeof(root), page * UINT64_C(4096));
    assert_int_equal(try_open(&pager, true), 0);
    assert_int_equal(first_byte(pager, 0), 2);
    assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(try_open(&pager, false), MPG_E_CORRUPT_METADATA);
}

static unsigned failing_sync; /* counted from the next sync on, from 1; 0: none */

static int failing_fdatasync(void *context, int fd)
{
    if (failing_sync > 0 && --failing_sync == 0) {
        errno = EIO;
        return -1;
    }
    return mpgi_io_system.fdatasync(context, fd);
}

static void read_roots(unsigned char roots[2][4096])
{
    read_at(roots[0], 4096, 4096);
    read_at(roots[1], 4096, 2 * 4096);
}

/* Rule 6: after a failed sync the next opening must not find what is perhaps in the cache alone. */
static void a_recovery_that_is_not_synced_is_taken_back(void **state)
{
    unsigned char before[2][4096], after[2][4096];
    unsigned durable;
    mpg_pager *pager;

    (void)state;
    for (int i = 1; i <= 4; i++) { /* of what was found, of nodes, of the root, of the second one */
        make_committed_by(4096, false, true);
        durable = 3 - newest_root_page(4096);
        flip_at((uint64_t)(3 - durable) * 4096 + 700);
        read_roots(before);
        quick.fdatasync = failing_fdatasync;
        failing_sync = i;
        assert_int_equal(try_open(&pager, false), MPG_E_IO);
        quick.fdatasync = mpgi_io_system.fdatasync;
        read_roots(after);
        if (i < 4)
            assert_memory_equal(after[durable - 1], before[durable - 1], 4096);
        if (i == 3)
            assert_memory_equal(after[2 - durable], before[durable - 1], 4096);
        assert_recovers(1);
    }
}

static void a_closing_root_that_is_not_synced_is_taken_back(void **state)
{
    unsigned char roots[2][4096];
    uint64_t generation;
    mpg_pager *pager;

    (void)state;
    make_committed(4096, false);
    pager = open_again(NULL);
    write_protected(pager, 0, 5);
    generation = stat_of(pager).generation;
    quick.fdatasync = failing_fdatasync;
    failing_sync = 1;
    assert_int_equal(mpg_close(pager), MPG_E_IO);
    quick.fdatasync = mpgi_io_system.fdatasync;
    read_roots(roots);
    assert_int_equal(get_u64(roots[0] + NODE_GENERATION), generation);
    assert_int_equal(get_u64(roots[1] + NODE_GENERATION), generation);
    assert_recovers(5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failed_commit_leaves_nothing),
        cmocka_unit_test(torn_root_falls_back),
        cmocka_unit_test(torn_record_falls_back),
        cmocka_unit_test(torn_content_falls_back),
        cmocka_unit_test(torn_node_falls_back),
        cmocka_unit_test(damage_after_the_commit_is_reported),
        cmocka_unit_test(damage_of_a_closed_file_is_reported),
        cmocka_unit_test(two_bad_roots_are_an_error),
        cmocka_unit_test(damage_is_not_looked_at_a_hundred_times),
        cmocka_unit_test(counts_are_checked),
        cmocka_unit_test(file_cut_short_is_an_error),
        cmocka_unit_test(commit_after_a_failed_one_spares_the_durable_root),
        cmocka_unit_test(recovery_repeats),
        cmocka_unit_test(a_recovery_that_is_not_synced_is_taken_back),
        cmocka_unit_test(a_closing_root_that_is_not_synced_is_taken_back),
        cmocka_unit_test(a_root_of_the_last_generations_can_only_be_read),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
