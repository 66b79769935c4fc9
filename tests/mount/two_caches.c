/* SPDX-License-Identifier: MIT */
/*
 * two_caches FILE SAME_FILE: the second path leads to the first file through a filesystem with a
 * cache of its own, as another machine has it. A reader there follows a writer here, commit by
 * commit; and one that runs beside it; and writers on both sides hand the file over to each other,
 * saying where each of them begins. Exits with 1, having said why.
 *
 * two_caches FILE SAME_FILE SECONDS: commits here for so long, whatever happens below meanwhile,
 * and looks there whether the last commit is what is found. Says how long they took.
 */
#include <mappedpages.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COMMITS 60
#define RACE 60
#define HAND_OVERS 10
#define STEP 10
#define PAGE 4096

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

static atomic_bool raced;

static void *write_on(void *argument)
{
    for (unsigned long i = 1; i <= RACE; i++)
        put(argument, i);
    raced = true;
    return NULL;
}

/* What a reader cannot see as a whole any more is stale, and never called damaged. */
static void race(const char *here, const char *there)
{
    unsigned long last = 0, stale = 0, reads = 0;
    const mpg_pager *reader;
    mpg_pager *writer;
    pthread_t thread;
    bool end = false;

    must(mpg_open(&writer, here, NULL), "open here");
    must(mpg_open_readonly(&reader, there, NULL), "open there");
    if (pthread_create(&thread, NULL, write_on, writer) != 0)
        exit(1);
    while (!end) {
        unsigned char page[PAGE];
        unsigned long value;
        int result;

        end = raced;
        result = mpg_protected_read(page, reader, counter);
        reads++;
        if (result == MPG_E_STALE || reads % 2 == 0) {
            stale += result == MPG_E_STALE;
            must(mpg_refresh(reader), "refresh beside a writer");
            continue;
        }
        must(result, "read beside a writer");
        memcpy(&value, page, sizeof(value));
        if (value < last)
            expect(value, last, "the reader beside a writer");
        last = value;
    }
    (void)pthread_join(thread, NULL);
    must(mpg_refresh(reader), "refresh");
    expect(get(reader), RACE, "the reader in the end");
    must(mpg_close(reader), "close");
    put(writer, 0);
    must(mpg_close(writer), "close");
    printf("%lu reads beside a writer, %lu of them stale\n", reads, stale);
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
        printf("%s%lu", i > 0 ? " " : "begins at ", get(pager));
        expect(get(pager), i * STEP, "the next writer");
        for (unsigned long k = 1; k <= STEP; k++)
            put(pager, i * STEP + k);
        must(mpg_close(pager), "close");
        must(mpg_refresh(watcher), "refresh");
        expect(get(watcher), (i + 1) * STEP, "the watcher");
    }
    must(mpg_close(watcher), "close");
    printf("\n");
}

static double now(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void endure(const char *here, const char *there, double seconds)
{
    double begin = now(), longest = 0, last = begin;
    mpg_pager *pager;
    unsigned long i;

    must(mpg_open(&pager, here, NULL), "open here");
    for (i = 0; last - begin < seconds; i++) {
        double next;

        put(pager, i + 1);
        next = now();
        longest = next - last > longest ? next - last : longest;
        last = next;
    }
    must(mpg_close(pager), "close");
    must(mpg_open(&pager, there, NULL), "open there");
    expect(get(pager), i, "the next writer");
    put(pager, 0);
    must(mpg_close(pager), "close");
    printf("%lu commits, %.2f ms each, the longest %.0f ms\n", i, 1000 * (last - begin) / (double)i,
           1000 * longest);
}

int main(int argc, char **argv)
{
    if (argc == 4) {
        endure(argv[1], argv[2], strtod(argv[3], NULL));
        return 0;
    }
    if (argc != 3)
        return 2;
    follow(argv[1], argv[2]);
    race(argv[1], argv[2]);
    hand_over(argv[1], argv[2]);
    return 0;
}
