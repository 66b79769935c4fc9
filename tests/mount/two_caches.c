/* SPDX-License-Identifier: MIT */
/*
 * two_caches FILE SAME_FILE: the second path leads to the first file through a filesystem with a
 * cache of its own, as another machine has it. A reader there follows a writer here, commit by
 * commit; and writers on both sides hand the file over to each other. Exits with 1, having said why.
 */
#include <mappedpages.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMITS 60
#define HAND_OVERS 10
#define STEP 10

static const mpg_protected_id counter = {0};

static void must(int result, const char *what)
{
    mpg_error_info info;

    if (result == 0)
        return;
    (void)mpg_last_error(&info);
    fprintf(stderr, "%s: %s\n", what, info.message);
    exit(1);
}

static void put(mpg_pager *pager, unsigned long value)
{
    mpg_writer *writer;

    must(mpg_writer_open(&writer, pager, counter), "writer_open");
    memcpy(mpg_writer_data(writer), &value, sizeof(value));
    must(mpg_writer_commit(writer), "commit");
}

static unsigned long get(const mpg_pager *pager)
{
    unsigned char *page = malloc(mpg_page_size(pager));
    unsigned long value;

    if (page == NULL)
        exit(1);
    must(mpg_protected_read(page, pager, counter), "read");
    memcpy(&value, page, sizeof(value));
    free(page);
    return value;
}

static void expect(unsigned long value, unsigned long wanted, const char *who)
{
    if (value == wanted)
        return;
    fprintf(stderr, "%s sees %lu, not %lu\n", who, value, wanted);
    exit(1);
}

static void follow(const char *here, const char *there)
{
    const mpg_pager *reader;
    mpg_pager *writer;
    const void *data;
    mpg_page_id page;

    must(mpg_open(&writer, here, NULL), "open here");
    must(mpg_alloc(&page, writer, MPG_ZERO), "alloc");
    must(mpg_open_readonly(&reader, there, NULL), "open there");
    /* What is mapped is not dropped from a cache by itself, nor are its neighbours. */
    must(mpg_page_get(&data, reader, page), "get");
    expect(*(const volatile unsigned char *)data, 0, "the pointer");
    for (unsigned long i = 1; i <= COMMITS; i++) {
        put(writer, i);
        must(mpg_refresh(reader), "refresh");
        expect(get(reader), i, "the reader");
    }
    must(mpg_close(reader), "close");
    put(writer, 0);
    must(mpg_close(writer), "close");
}

static void hand_over(const char *here, const char *there)
{
    const mpg_pager *watcher; /* keeps the file cached there */
    mpg_options options = MPG_OPTIONS_INIT;

    options.flags = MPG_LOCAL_LOCK;
    must(mpg_open_readonly(&watcher, there, NULL), "open there");
    for (unsigned long i = 0; i < HAND_OVERS; i++) {
        mpg_pager *pager;

        must(mpg_open(&pager, i % 2 == 0 ? here : there, &options), "open");
        expect(get(pager), i * STEP, "the next writer");
        for (unsigned long k = 1; k <= STEP; k++)
            put(pager, i * STEP + k);
        must(mpg_close(pager), "close");
        must(mpg_refresh(watcher), "refresh");
        expect(get(watcher), (i + 1) * STEP, "the watcher");
    }
    must(mpg_close(watcher), "close");
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    follow(argv[1], argv[2]);
    hand_over(argv[1], argv[2]);
    return 0;
}
