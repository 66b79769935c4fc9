/* SPDX-License-Identifier: MIT */
/* SQLite, WAL, synchronous=FULL: rows of 4 KiB replaced in transactions. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "library.h"

struct store {
    sqlite3 *db;
    sqlite3_stmt *put;
    char *path;
    uint64_t keys;
    uint64_t random;
    unsigned char content[PAGE_SIZE_USED];
};

static void check(const struct store *store, int result, int wanted, const char *what)
{
    if (result == wanted)
        return;
    fprintf(stderr, "bench: sqlite: %s: %s\n", what, sqlite3_errmsg(store->db));
    exit(1);
}

static void execute(const struct store *store, const char *sql)
{
    check(store, sqlite3_exec(store->db, sql, NULL, NULL, NULL), SQLITE_OK, sql);
}

static void put(struct store *store, uint64_t key)
{
    check(store, sqlite3_bind_int64(store->put, 1, (sqlite3_int64)key), SQLITE_OK, "bind");
    check(store,
          sqlite3_bind_blob(store->put, 2, store->content, (int)PAGE_SIZE_USED, SQLITE_STATIC),
          SQLITE_OK, "bind");
    check(store, sqlite3_step(store->put), SQLITE_DONE, "step");
    check(store, sqlite3_reset(store->put), SQLITE_OK, "reset");
}

static void *store_open(const struct place *place, uint64_t keys)
{
    struct store *store = must_alloc(sizeof(*store));

    store->keys = keys;
    store->path = fresh_path(place, "sqlite");
    memset(store->content, 0xa5, sizeof(store->content));
    check(store, sqlite3_open(store->path, &store->db), SQLITE_OK, "open");
    execute(store, "PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                   "CREATE TABLE pages (id INTEGER PRIMARY KEY, content BLOB)");
    check(store,
          sqlite3_prepare_v2(store->db, "INSERT OR REPLACE INTO pages VALUES (?, ?)", -1,
                             &store->put, NULL),
          SQLITE_OK, "prepare");
    execute(store, "BEGIN");
    for (uint64_t key = 0; key < keys; key++)
        put(store, key);
    execute(store, "COMMIT");
    return store;
}

static void store_commit(void *context, const uint64_t *keys, unsigned count)
{
    struct store *store = context;

    execute(store, "BEGIN");
    for (unsigned i = 0; i < count; i++)
        put(store, keys[i]);
    execute(store, "COMMIT");
}

/* Each in a transaction of its own, which SQLite makes unasked. */
static void store_put(void *context, unsigned operations)
{
    struct store *store = context;

    for (unsigned i = 0; i < operations; i++)
        put(store, next_random(&store->random) % store->keys);
}

static void store_close(void *context)
{
    struct store *store = context;

    (void)sqlite3_finalize(store->put);
    (void)sqlite3_close(store->db); /* the last one removes the log */
    (void)unlink(store->path);
    free(store->path);
    free(store);
}

const struct other_store sqlite_store = {
    .name = "SQLite",
    .what = "protected commit / SQLite (WAL, FULL)",
    .target = 1.0,
    .open = store_open,
    .put = store_put,
    .commit = store_commit,
    .close = store_close,
};
