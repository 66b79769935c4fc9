/* SPDX-License-Identifier: MIT */
/* LMDB with its defaults: puts of 4 KiB in synced transactions. */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "library.h"

/* Room for what copy-on-write needs beside the pages, which take two of LMDB's own each. */
#define MAP_BYTES_A_KEY ((size_t)32 << 10)

struct store {
    MDB_env *env;
    MDB_dbi dbi;
    char *path;
    uint64_t keys;
    uint64_t random;
    unsigned char content[PAGE_SIZE_USED];
};

static void check(int result, const char *what)
{
    if (result == 0)
        return;
    fprintf(stderr, "bench: lmdb: %s: %s\n", what, mdb_strerror(result));
    exit(1);
}

static void put(struct store *store, MDB_txn *txn, uint64_t key)
{
    MDB_val name = {sizeof(key), &key};
    MDB_val value = {PAGE_SIZE_USED, store->content};

    check(mdb_put(txn, store->dbi, &name, &value, 0), "put");
}

static void *store_open(const struct place *place, uint64_t keys)
{
    struct store *store = must_alloc(sizeof(*store));
    MDB_txn *txn;

    store->keys = keys;
    store->path = fresh_path(place, "lmdb");
    memset(store->content, 0xa5, sizeof(store->content));
    check(mdb_env_create(&store->env), "create");
    check(mdb_env_set_mapsize(store->env, ((size_t)256 << 20) + keys * MAP_BYTES_A_KEY),
          "map size");
    check(mdb_env_open(store->env, store->path, MDB_NOSUBDIR, 0600), "open");
    check(mdb_txn_begin(store->env, NULL, 0, &txn), "begin");
    check(mdb_dbi_open(txn, NULL, MDB_INTEGERKEY, &store->dbi), "open");
    for (uint64_t key = 0; key < keys; key++)
        put(store, txn, key);
    check(mdb_txn_commit(txn), "commit");
    return store;
}

static void store_commit(void *context, const uint64_t *keys, unsigned count)
{
    struct store *store = context;
    MDB_txn *txn;

    check(mdb_txn_begin(store->env, NULL, 0, &txn), "begin");
    for (unsigned i = 0; i < count; i++)
        put(store, txn, keys[i]);
    check(mdb_txn_commit(txn), "commit");
}

static void store_put(void *context, unsigned operations)
{
    struct store *store = context;

    for (unsigned i = 0; i < operations; i++) {
        uint64_t key = next_random(&store->random) % store->keys;

        store_commit(store, &key, 1);
    }
}

static void store_close(void *context)
{
    struct store *store = context;
    size_t size = strlen(store->path) + sizeof("-lock");
    char *lock = must_alloc(size);

    mdb_env_close(store->env);
    (void)snprintf(lock, size, "%s-lock", store->path);
    (void)unlink(lock);
    (void)unlink(store->path);
    free(lock);
    free(store->path);
    free(store);
}

struct reader {
    MDB_txn *txn;
    MDB_dbi dbi;
};

static void *store_read_begin(void *context)
{
    struct store *store = context;
    struct reader *reader = must_alloc(sizeof(*reader));

    check(mdb_txn_begin(store->env, NULL, MDB_RDONLY, &reader->txn), "begin");
    reader->dbi = store->dbi;
    return reader;
}

static const void *store_read(void *context, uint64_t key)
{
    struct reader *reader = context;
    MDB_val name = {sizeof(key), &key};
    MDB_val value;

    check(mdb_get(reader->txn, reader->dbi, &name, &value), "get");
    return value.mv_data;
}

static void store_read_end(void *context)
{
    struct reader *reader = context;

    mdb_txn_abort(reader->txn);
    free(reader);
}

const struct other_store lmdb_store = {
    .name = "LMDB",
    .what = "protected commit / LMDB put",
    .target = 1.8,
    .open = store_open,
    .put = store_put,
    .commit = store_commit,
    .close = store_close,
    .read_begin = store_read_begin,
    .read = store_read,
    .read_end = store_read_end,
};
