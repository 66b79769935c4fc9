/* SPDX-License-Identifier: MIT */
/* Those who take part in the comparison of commits, but for other stores. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commits.h"

/* ---- One piece ------------------------------------------------------------------------------ */

struct piece_file {
    int fd;
    char *path;
    uint64_t pages;
    uint64_t at; /* where the next write begins */
    unsigned char content[MOST_IN_A_COMMIT * PAGE_SIZE_USED];
};

static void write_piece(struct piece_file *file, unsigned count)
{
    size_t length = (size_t)count * PAGE_SIZE_USED;

    if (file->at + count > file->pages)
        file->at = 0;
    memcpy(file->content, &file->at, sizeof(file->at));
    if (pwrite(file->fd, file->content, length, (off_t)(file->at * PAGE_SIZE_USED)) !=
        (ssize_t)length)
        die_errno("pwrite");
    file->at += count;
}

/* Every page is written once, so that no write has to find a place for it. */
static void *piece_open(const struct place *place, uint64_t pages)
{
    struct piece_file *file = must_alloc(sizeof(*file));

    file->path = fresh_path(place, "contiguous");
    file->fd = open(file->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file->fd < 0)
        die_errno(file->path);
    file->pages = pages < MOST_IN_A_COMMIT ? MOST_IN_A_COMMIT : pages;
    memset(file->content, 0x5a, sizeof(file->content));
    for (uint64_t i = 0; i < file->pages / MOST_IN_A_COMMIT; i++)
        write_piece(file, MOST_IN_A_COMMIT);
    file->pages = file->at;
    if (fsync(file->fd) != 0)
        die_errno("fsync");
    return file;
}

static void piece_commit(void *store, const uint64_t *ids, unsigned count)
{
    struct piece_file *file = store;

    (void)ids;
    write_piece(file, count);
    if (fdatasync(file->fd) != 0)
        die_errno("fdatasync");
}

static void piece_close(void *store)
{
    struct piece_file *file = store;

    (void)close(file->fd);
    (void)unlink(file->path);
    free(file->path);
    free(file);
}

const struct committer contiguous_committer = {
    .name = "contiguous",
    .open = piece_open,
    .commit = piece_commit,
    .close = piece_close,
};

/* ---- A page file ---------------------------------------------------------------------------- */

/* Pages made at once. */
#define PROTECTED_GROUP 7u
#define REGULAR_GROUP 3u
#define BULK 4096u

struct page_file {
    mpg_pager *pager;
    char *path;
    mpg_protected_id *ids;
    uint64_t stamp;
    unsigned char content[PAGE_SIZE_USED];
};

static void allocate(struct page_file *file, uint64_t pages, bool mixed)
{
    uint64_t step = mixed ? PROTECTED_GROUP : BULK;

    for (uint64_t done = 0; done < pages; done += step) {
        mpg_page_id regular[REGULAR_GROUP];
        size_t count = (size_t)(step < pages - done ? step : pages - done);

        must(mpg_alloc_protected_bulk(file->ids + done, file->pager, count), "alloc_protected");
        if (mixed)
            must(mpg_alloc_bulk(regular, file->pager, REGULAR_GROUP, 0), "alloc");
    }
    must(mpg_sync(file->pager), "sync");
}

static void *open_page_file(const struct place *place, uint64_t pages, const char *name, bool mixed)
{
    struct page_file *file = must_alloc(sizeof(*file));

    file->pager = fresh_pager(place, name, MPG_FORMAT_1, 4, MPG_DEFER_ALLOCATION, &file->path);
    file->ids = must_alloc(pages * sizeof(*file->ids));
    memset(file->content, 0xa5, sizeof(file->content));
    allocate(file, pages, mixed);
    return file;
}

static void *page_file_open(const struct place *place, uint64_t pages)
{
    return open_page_file(place, pages, "pages", false);
}

static void *mixed_page_file_open(const struct place *place, uint64_t pages)
{
    return open_page_file(place, pages, "mixed", true);
}

static void page_file_commit(void *store, const uint64_t *ids, unsigned count)
{
    struct page_file *file = store;
    mpg_txn *txn;

    must(mpg_txn_begin(&txn, file->pager), "txn_begin");
    for (unsigned i = 0; i < count; i++) {
        mpg_protected_id id = file->ids[ids[i]];

        file->stamp++;
        memcpy(file->content, &file->stamp, sizeof(file->stamp));
        must(mpg_txn_protected_write(txn, id, file->content, 0, PAGE_SIZE_USED),
             "txn_protected_write");
    }
    must(mpg_txn_commit(txn, 0), "txn_commit");
}

static void page_file_close(void *store)
{
    struct page_file *file = store;

    forget(file->pager, file->path);
    free(file->ids);
    free(file);
}

const struct committer page_file_committer = {
    .name = "mappedpages",
    .open = page_file_open,
    .commit = page_file_commit,
    .close = page_file_close,
};

const struct committer mixed_page_file_committer = {
    .name = "mappedpages, 30 % regular",
    .open = mixed_page_file_open,
    .commit = page_file_commit,
    .close = page_file_close,
};
