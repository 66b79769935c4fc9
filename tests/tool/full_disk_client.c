/* SPDX-License-Identifier: MIT */
/*
 * A program that has a page file open on a disk that is full, and goes on when there is room again,
 * without opening the file anew. All old regular pages are written through pointers: where one is
 * given out, writing through it works.
 *
 *     full_disk_client FILE FILLER…     removes the fillers when it has tried everything
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mappedpages.h"

#define ROUNDS 3

static int failures;

static void complain(const char *what, int result)
{
    mpg_error_info info;

    (void)mpg_last_error(&info);
    printf("%s: %s\n", what, result == 0 ? "worked" : info.message);
    failures++;
}

/* It works, or, as long as the disk is full, says that there is no room. */
static void expect(const char *what, int result, bool full)
{
    if (result != 0 && !(full && result == MPG_E_NO_SPACE))
        complain(what, result);
}

static void write_old_pages(mpg_pager *pager, int round, bool full)
{
    mpg_page_id ids[64];
    mpg_page_iter iter;
    size_t count = 0;
    void *data;

    mpg_page_iter_begin(&iter, pager, (mpg_page_id){0});
    while (count < 64 && mpg_page_iter_next(&ids[count], &iter) == 1)
        count++;
    for (size_t i = 0; i < count; i++) {
        int result = mpg_page_get_mut(&data, pager, ids[i]);

        expect("pointer", result, full);
        if (result == 0)
            memset(data, round + 1, mpg_page_size(pager));
    }
}

static int commit(mpg_pager *pager, int round)
{
    mpg_protected_id id = {1};
    mpg_writer *writer;
    int result = mpg_writer_open(&writer, pager, id);

    if (result != 0)
        return result;
    memset(mpg_writer_data(writer), round + 1, mpg_page_size(pager));
    result = mpg_writer_commit(writer);
    if (result != 0)
        mpg_writer_discard(writer);
    return result;
}

static void do_all(mpg_pager *pager, int round, bool full)
{
    mpg_page_id id, more[300];
    void *data;
    int result;

    write_old_pages(pager, round, full);
    expect("commit", commit(pager, round), full);
    result = mpg_alloc(&id, pager, 0);
    expect("alloc", result, full);
    if (result == 0) {
        result = mpg_page_get_mut(&data, pager, id);
        expect("new pointer", result, full);
        if (result == 0)
            memset(data, 'n', mpg_page_size(pager));
        expect("free", mpg_free(pager, id), full);
    }
    result = mpg_alloc_bulk(more, pager, 300, MPG_ZERO);
    expect("growth", result, full);
    if (result == 0)
        expect("free of many", mpg_free_bulk(pager, more, 300), full);
    expect("sync", mpg_sync(pager), full);
}

int main(int argc, char **argv)
{
    mpg_pager *pager;
    int result;

    if (argc < 3)
        return 2;
    result = mpg_open(&pager, argv[1], NULL);
    if (result != 0) {
        complain("open", result);
        return 1;
    }
    for (int round = 0; round < ROUNDS; round++)
        do_all(pager, round, true);
    for (int i = 2; i < argc; i++)
        (void)unlink(argv[i]);
    sync();
    for (int round = 0; round < ROUNDS; round++)
        do_all(pager, ROUNDS + round, false);
    result = mpg_close(pager);
    if (result != 0)
        complain("close", result);
    return failures != 0;
}
