/* SPDX-License-Identifier: MIT */
/*
 * A small key-value store in which every update is one transaction.
 *
 *     kv FILE set KEY VALUE    puts a value
 *     kv FILE get KEY          prints it
 *     kv FILE delete KEY
 *     kv FILE list             prints all keys and values
 *     kv FILE count            prints how many there are, without looking for them
 *     kv FILE import           reads lines KEY VALUE; one transaction each
 *
 * The first of them makes the file. It is a hash table of protected pages. Page 0 holds the number
 * of records, pages 1 to BUCKETS the records, each where the hash of its key says. An update
 * changes a record on one page and the number on another; since both changes are in one
 * transaction, a crash leaves both or neither.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mappedpages.h"

#define BUCKETS 64
#define RECORDS (MPG_PAGE_SIZE_DEFAULT / sizeof(struct record)) /* of a bucket */

/* What a bucket is full of. A key is never empty, so an empty one is a free place. */
struct record {
    char key[32];
    char value[96];
};

/* What page 0 begins with. */
struct header {
    char magic[8];
    uint64_t count; /* records in the store, in the byte order of this machine */
};

_Static_assert(MPG_PAGE_SIZE_DEFAULT % sizeof(struct record) == 0, "records fill their page");

static const mpg_protected_id HEADER = {0};
static const char MAGIC[8] = "kvstore";

static int complain(const char *what)
{
    fprintf(stderr, "kv: %s\n", what);
    return -1;
}

/* Says why the last call of the library failed. */
static int complain_last(void)
{
    mpg_error_info info;

    mpg_last_error(&info);
    return complain(info.message);
}

/* ---- The file ------------------------------------------------------------------------------- */

/* Makes all pages in one transaction: a store that is only half made is never found. */
static int make_store(mpg_pager *pager)
{
    struct header header = {.count = 0};
    mpg_txn *txn;

    memcpy(header.magic, MAGIC, sizeof(MAGIC));
    if (mpg_txn_begin(&txn, pager) != 0)
        return complain_last();
    int code = 0;
    for (uint64_t i = 0; code == 0 && i <= BUCKETS; i++)
        code = mpg_txn_alloc_protected_at(txn, (mpg_protected_id){i});
    if (code == 0)
        code = mpg_txn_protected_write(txn, HEADER, &header, 0, sizeof(header));
    if (code == 0)
        code = mpg_txn_commit(txn, 0);
    if (code != 0) {
        complain_last();
        mpg_txn_abort(txn); /* an error leaves a transaction open */
        return -1;
    }
    return 0;
}

/* Reads page 0, after making the store in a file that has none yet. */
static int read_header(struct header *header, mpg_pager *pager)
{
    unsigned char page[MPG_PAGE_SIZE_DEFAULT];
    int code = mpg_protected_read(page, pager, HEADER);

    if (code == MPG_E_NOT_ALLOCATED) {
        if (make_store(pager) != 0)
            return -1;
        code = mpg_protected_read(page, pager, HEADER);
    }
    if (code != 0)
        return complain_last();
    memcpy(header, page, sizeof(*header));
    if (memcmp(header->magic, MAGIC, sizeof(MAGIC)) != 0)
        return complain("the file holds something else");
    return 0;
}

static int open_store(mpg_pager **pager, const char *path)
{
    mpg_options options = MPG_OPTIONS_INIT;

    options.page_size = MPG_PAGE_SIZE_DEFAULT;
    options.flags = MPG_CREATE;
    return mpg_open(pager, path, &options) == 0 ? 0 : complain_last();
}

/* ---- Records -------------------------------------------------------------------------------- */

/* A page of records as it was committed last. */
struct bucket {
    mpg_protected_id id;
    struct record records[RECORDS];
};

static int read_bucket(struct bucket *bucket, const mpg_pager *pager, uint64_t number)
{
    bucket->id.value = 1 + number;
    return mpg_protected_read(bucket->records, pager, bucket->id) == 0 ? 0 : complain_last();
}

static uint64_t hash(const char *key)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */

    for (; *key != '\0'; key++)
        hash = (hash ^ (unsigned char)*key) * 1099511628211u;
    return hash;
}

static int read_bucket_of(struct bucket *bucket, const mpg_pager *pager, const char *key)
{
    if (key[0] == '\0' || strlen(key) >= sizeof(bucket->records[0].key))
        return complain("a key has 1 to 31 bytes");
    return read_bucket(bucket, pager, hash(key) % BUCKETS);
}

/* The place of a key ("": of a free record) in its bucket, or RECORDS if there is none. */
static size_t place_of(const struct bucket *bucket, const char *key)
{
    size_t i = 0;

    while (i < RECORDS && strncmp(bucket->records[i].key, key, sizeof(bucket->records[i].key)) != 0)
        i++;
    return i;
}

/* One transaction: a record, and the number of records if that changes. */
static int update(mpg_pager *pager, const struct bucket *bucket, size_t place,
                  const struct record *record, const uint64_t *count)
{
    mpg_txn *txn;

    if (mpg_txn_begin(&txn, pager) != 0)
        return complain_last();
    int code =
        mpg_txn_protected_write(txn, bucket->id, record, place * sizeof(*record), sizeof(*record));
    if (code == 0 && count != NULL)
        code = mpg_txn_protected_write(txn, HEADER, count, offsetof(struct header, count),
                                       sizeof(*count));
    if (code == 0)
        code = mpg_txn_commit(txn, 0);
    if (code != 0) {
        complain_last();
        mpg_txn_abort(txn);
        return -1;
    }
    return 0;
}

/* ---- Commands ------------------------------------------------------------------------------- */

static int set(mpg_pager *pager, struct header *header, const char *key, const char *value)
{
    struct bucket bucket;
    struct record record = {.key = ""};

    if (strlen(value) >= sizeof(record.value))
        return complain("a value has at most 95 bytes");
    if (read_bucket_of(&bucket, pager, key) != 0)
        return -1;
    memcpy(record.key, key, strlen(key));
    memcpy(record.value, value, strlen(value));

    size_t place = place_of(&bucket, key);
    if (place < RECORDS)
        return update(pager, &bucket, place, &record, NULL);
    place = place_of(&bucket, "");
    if (place == RECORDS)
        return complain("there is no room for one more key of that hash");
    header->count++;
    return update(pager, &bucket, place, &record, &header->count);
}

static int get(mpg_pager *pager, const char *key)
{
    struct bucket bucket;

    if (read_bucket_of(&bucket, pager, key) != 0)
        return -1;
    size_t place = place_of(&bucket, key);
    if (place == RECORDS)
        return complain("no such key");
    printf("%.95s\n", bucket.records[place].value);
    return 0;
}

static int erase(mpg_pager *pager, struct header *header, const char *key)
{
    static const struct record nothing;
    struct bucket bucket;

    if (read_bucket_of(&bucket, pager, key) != 0)
        return -1;
    size_t place = place_of(&bucket, key);
    if (place == RECORDS)
        return complain("no such key");
    header->count--;
    return update(pager, &bucket, place, &nothing, &header->count);
}

static int list(mpg_pager *pager)
{
    struct bucket bucket;

    for (uint64_t number = 0; number < BUCKETS; number++) {
        if (read_bucket(&bucket, pager, number) != 0)
            return -1;
        for (size_t i = 0; i < RECORDS; i++) {
            if (bucket.records[i].key[0] != '\0')
                printf("%.31s %.95s\n", bucket.records[i].key, bucket.records[i].value);
        }
    }
    return 0;
}

/* Says of each line that it is in the store only when it is: after its commit. */
static int import(mpg_pager *pager, struct header *header)
{
    char line[160];

    while (fgets(line, sizeof(line), stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *value = strchr(line, ' ');
        if (value == NULL)
            return complain("a line is a key, a space and a value");
        *value++ = '\0';
        if (set(pager, header, line, value) != 0)
            return -1;
        printf("%s\n", line);
        fflush(stdout);
    }
    return 0;
}

static int run(mpg_pager *pager, int argc, char **argv)
{
    const char *command = argv[2];
    struct header header;

    if (read_header(&header, pager) != 0)
        return -1;
    if (argc == 5 && strcmp(command, "set") == 0)
        return set(pager, &header, argv[3], argv[4]);
    if (argc == 4 && strcmp(command, "get") == 0)
        return get(pager, argv[3]);
    if (argc == 4 && strcmp(command, "delete") == 0)
        return erase(pager, &header, argv[3]);
    if (argc == 3 && strcmp(command, "list") == 0)
        return list(pager);
    if (argc == 3 && strcmp(command, "count") == 0)
        return printf("%" PRIu64 "\n", header.count) < 0;
    if (argc == 3 && strcmp(command, "import") == 0)
        return import(pager, &header);
    return complain("set KEY VALUE, get KEY, delete KEY, list, count or import?");
}

int main(int argc, char **argv)
{
    mpg_pager *pager;

    if (argc < 3)
        return complain("usage: kv FILE COMMAND [KEY [VALUE]]") != 0 ? 2 : 0;
    if (open_store(&pager, argv[1]) != 0)
        return 1;
    int failed = run(pager, argc, argv);
    if (mpg_close(pager) != 0)
        failed = complain_last();
    return failed != 0 ? 1 : 0;
}
