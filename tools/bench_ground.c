/* SPDX-License-Identifier: MIT */
#include "bench_ground.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Pages of a transaction while the page file is filled. */
#define FILL_PAGES 64

bool ground_system_failed(struct ground *ground, const char *operation)
{
    ground->error = (mpg_error_info){
        .code = errno == ENOSPC ? MPG_E_NO_SPACE : MPG_E_IO,
        .system_errno = errno,
        .page = MPG_NO_PAGE,
    };
    (void)snprintf(ground->error.operation, sizeof ground->error.operation, "%s", operation);
    (void)snprintf(ground->error.message, sizeof ground->error.message, "%s", strerror(errno));
    return false;
}

bool ground_library_failed(struct ground *ground)
{
    (void)mpg_last_error(&ground->error);
    return false;
}

/* A linear congruential generator: it need not be a good one. */
uint64_t ground_any_page(uint64_t *random)
{
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*random >> 33) % GROUND_PAGES;
}

bool ground_write_plain(struct ground *ground, uint64_t page)
{
    ssize_t written =
        pwrite(ground->plain, ground->page, GROUND_PAGE_BYTES, (off_t)(page * GROUND_PAGE_BYTES));

    if (written >= 0 && written < (ssize_t)GROUND_PAGE_BYTES) {
        errno = ENOSPC;
        written = -1;
    }
    return written >= 0 || ground_system_failed(ground, "pwrite");
}

int ground_commit(mpg_pager *pager, uint64_t *random, unsigned pages)
{
    mpg_txn *txn;
    int status = mpg_txn_begin(&txn, pager);

    if (status != 0) {
        return status;
    }
    for (unsigned i = 0; i < pages && status == 0; i++) {
        mpg_protected_id id = {ground_any_page(random)};

        status = mpg_txn_protected_write(txn, id, random, 0, sizeof *random);
    }
    if (status == 0) {
        status = mpg_txn_commit(txn, 0);
    }
    if (status != 0) {
        mpg_txn_abort(txn);
    }
    return status;
}

static bool fill_plain(struct ground *ground)
{
    ground->plain = open(ground->plain_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (ground->plain < 0) {
        return ground_system_failed(ground, "open");
    }
    for (uint64_t page = 0; page < GROUND_PAGES; page++) {
        if (!ground_write_plain(ground, page)) {
            return false;
        }
    }
    return fsync(ground->plain) == 0 || ground_system_failed(ground, "fsync");
}

/*
 * All pages are written more than once, so that what is measured goes to places that the disk has
 * met before.
 */
static bool fill_file(struct ground *ground)
{
    mpg_options how = MPG_OPTIONS_INIT;
    mpg_protected_id ids[GROUND_PAGES];
    int status;

    how.page_size = (uint32_t)GROUND_PAGE_BYTES;
    status = mpg_create(&ground->pager, ground->file_path, &how);
    if (status == 0) {
        status = mpg_alloc_protected_bulk(ids, ground->pager, GROUND_PAGES);
    }
    for (unsigned i = 0; i < 3 * GROUND_PAGES / FILL_PAGES && status == 0; i++) {
        status = ground_commit(ground->pager, &ground->random, FILL_PAGES);
    }
    return status == 0 || ground_library_failed(ground);
}

static bool make_directory(struct ground *ground, const char *parent)
{
    int length =
        snprintf(ground->directory, sizeof ground->directory, "%s/mappedpages-XXXXXX", parent);

    if (length < 0 || (size_t)length >= sizeof ground->directory) {
        errno = ENAMETOOLONG;
        ground->directory[0] = '\0';
    } else if (mkdtemp(ground->directory) == NULL) {
        ground->directory[0] = '\0';
    }
    if (ground->directory[0] == '\0') {
        return ground_system_failed(ground, "mkdtemp");
    }
    (void)snprintf(ground->plain_path, sizeof ground->plain_path, "%s/plain", ground->directory);
    (void)snprintf(ground->file_path, sizeof ground->file_path, "%s/pages", ground->directory);
    return true;
}

bool ground_make(struct ground *ground, const char *parent)
{
    *ground = (struct ground){.plain = -1};
    return make_directory(ground, parent) && fill_plain(ground) && fill_file(ground);
}

void ground_remove(struct ground *ground)
{
    (void)mpg_close(ground->pager);
    if (ground->plain >= 0) {
        (void)close(ground->plain);
    }
    if (ground->directory[0] != '\0') {
        (void)unlink(ground->file_path);
        (void)unlink(ground->plain_path);
        (void)rmdir(ground->directory);
    }
}
