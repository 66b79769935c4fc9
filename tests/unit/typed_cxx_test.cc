// SPDX-License-Identifier: MIT
// The typed headers in C++17: what they define compiles there, links, and does the same.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include <unistd.h>

#include "mappedpages_allocator.h"
#include "mappedpages_typed.h"

MPG_DEFINE_PAGER(blk, 4096);
MPG_DEFINE_PAGER(big, 1 << 16);
MPG_DEFINE_SUB_ALLOCATOR(rec, 4096, 512);
MPG_DEFINE_SUB_ALLOCATOR_ON(tiny, blk, 64);

static_assert(!std::is_same<blk_page_id, big_page_id>::value, "types of their own");
static_assert(!std::is_convertible<blk_protected_id, blk_page_id>::value, "no way between them");
static_assert(!std::is_convertible<blk_reader, blk_pager>::value, "a reader never writes");

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);           \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

static int pages(blk_pager pager)
{
    blk_page_id id;
    blk_protected_id guarded;
    blk_page *page;
    blk_writer writer;
    blk_page copy;

    CHECK(blk_alloc(&id, pager, MPG_ZERO) == 0);
    CHECK(blk_page_get_mut(&page, pager, id) == 0);
    std::memcpy(page->bytes, "regular", 7);
    CHECK(blk_page_read(copy.bytes, pager, id, 0, 7) == 0);
    CHECK(std::memcmp(copy.bytes, "regular", 7) == 0);
    CHECK(blk_alloc_protected(&guarded, pager) == 0);
    CHECK(blk_writer_open(&writer, pager, guarded) == 0);
    std::memcpy(blk_writer_data(writer)->bytes, "guarded", 7);
    CHECK(blk_writer_commit(writer) == 0);
    CHECK(blk_protected_read(&copy, pager, guarded) == 0);
    CHECK(std::memcmp(copy.bytes, "guarded", 7) == 0);
    return 0;
}

static int parts(blk_pager pager)
{
    rec_sub records;
    tiny_sub crumbs;
    rec_id id;
    tiny_id small;
    rec_part *part;

    CHECK(rec_open(&records, pager.untyped) == 0);
    CHECK(rec_alloc(&id, records) == 0);
    CHECK(rec_get_mut(&part, records, id) == 0);
    std::memset(part->bytes, 1, sizeof(part->bytes));
    CHECK(rec_free(records, id) == 0);
    CHECK(rec_release(records) == pager.untyped);
    CHECK(tiny_open(&crumbs, pager) == 0);
    CHECK(tiny_alloc(&small, crumbs) == 0);
    CHECK(tiny_free(crumbs, small) == 0);
    CHECK(tiny_release(crumbs).untyped == pager.untyped);
    return 0;
}

static int units(blk_pager pager)
{
    mpg_allocator allocator = mpg_protected_allocator(pager.untyped);
    mpg_unit_id id;
    mpg_unit_edit edit;

    CHECK(mpg_unit_alloc(&id, &allocator) == 0);
    CHECK(mpg_unit_get_mut(&edit, &allocator, id) == 0);
    std::memset(edit.data, 2, mpg_unit_size(&allocator));
    CHECK(mpg_unit_commit(&allocator, &edit) == 0);
    CHECK(mpg_unit_free(&allocator, id) == 0);
    return 0;
}

static int on_file(const char *path)
{
    blk_pager pager;
    blk_reader reader;
    big_pager wrong;

    CHECK(blk_create(&pager, path, nullptr) == 0);
    CHECK(pages(pager) == 0 && parts(pager) == 0 && units(pager) == 0);
    CHECK(blk_close(pager) == 0);
    CHECK(big_open(&wrong, path, nullptr) == MPG_E_INVALID_PAGE_SIZE);
    CHECK(blk_open_readonly(&reader, path, nullptr) == 0);
    CHECK(blk_reader_close(reader) == 0);
    return 0;
}

int main()
{
    char directory[] = "typed-cxx-XXXXXX";
    char path[64];

    CHECK(mkdtemp(directory) != nullptr);
    std::snprintf(path, sizeof(path), "%s/pages", directory);
    int failed = on_file(path);
    unlink(path);
    rmdir(directory);
    return failed;
}
