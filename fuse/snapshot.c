/* SPDX-License-Identifier: MIT */
#include "snapshot.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Pages up to this size are read whole each time. */
#define SMALL_PAGE (64u << 10)
#define SLOTS 8
/* Memory that slots may take, but for one of them. */
#define MEMORY_MAX (64u << 20)

struct slot {
    pthread_mutex_t mutex;
    uint64_t page;           /* plain node of what it holds, 0: nothing */
    mpg_protected_info info; /* the state of it, of a protected page */
    unsigned char *data;     /* page_size bytes, owned; or NULL */
};

struct snapshots {
    unsigned count; /* slots in use */
    struct slot slots[SLOTS];
};

struct snapshots *snapshots_new(size_t page_size)
{
    struct snapshots *snapshots = calloc(1, sizeof(*snapshots));
    size_t count = MEMORY_MAX / page_size;

    if (snapshots == NULL) {
        return NULL;
    }
    snapshots->count = count < 1 ? 1 : count > SLOTS ? SLOTS : (unsigned)count;
    for (unsigned i = 0; i < SLOTS; i++) {
        pthread_mutex_init(&snapshots->slots[i].mutex, NULL);
    }
    return snapshots;
}

void snapshots_free(struct snapshots *snapshots)
{
    if (snapshots == NULL) {
        return;
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        pthread_mutex_destroy(&snapshots->slots[i].mutex);
        free(snapshots->slots[i].data);
    }
    free(snapshots);
}

static int read_whole(const struct fs *fs, const struct target *target, void *data)
{
    return target->kind == NODE_PROTECTED
               ? mpg_protected_read(data, fs->pager, (mpg_protected_id){target->id})
               : mpg_raw_read(data, fs->pager, target->id);
}

static bool same_state(const mpg_protected_info *a, const mpg_protected_info *b)
{
    return a->generation == b->generation && a->crc == b->crc && a->current == b->current &&
           a->page[0] == b->page[0] && a->page[1] == b->page[1];
}

/* Makes a slot, whose lock is held, hold the page. */
static int fill(const struct fs *fs, const struct target *target, struct slot *slot, bool begins)
{
    uint64_t page = node_plain(target->kind, target->id);
    mpg_protected_info info = {0};
    int code;

    if (target->kind == NODE_PROTECTED) {
        /* Asked before reading: if a commit comes between, the next read sees another state. */
        code = mpg_protected_stat(&info, fs->pager, (mpg_protected_id){target->id});
        if (code != MPG_OK) {
            return code;
        }
        begins = false;
    }
    if (slot->page == page && !begins && same_state(&slot->info, &info)) {
        return MPG_OK;
    }
    slot->page = 0;
    if (slot->data == NULL && (slot->data = malloc(fs->page_size)) == NULL) {
        return MPG_E_NO_MEMORY;
    }
    code = read_whole(fs, target, slot->data);
    if (code == MPG_OK) {
        slot->page = page;
        slot->info = info;
    }
    return code;
}

int snapshot_read(struct fs *fs, const struct target *target, unsigned char **data, uint64_t offset,
                  size_t length)
{
    const bool small = fs->page_size <= SMALL_PAGE;
    unsigned char *buffer = fs_buffer(small ? fs->page_size : length);
    struct slot *slot;
    int code;

    if (buffer == NULL) {
        return MPG_E_NO_MEMORY;
    }
    if (small) {
        *data = buffer + offset;
        return read_whole(fs, target, buffer);
    }
    *data = buffer;
    slot = &fs->snapshots->slots[target->id % fs->snapshots->count];
    pthread_mutex_lock(&slot->mutex);
    code = fill(fs, target, slot, offset == 0);
    if (code == MPG_OK) {
        memcpy(buffer, slot->data + offset, length);
    }
    pthread_mutex_unlock(&slot->mutex);
    return code;
}
