/* SPDX-License-Identifier: MIT */
#include "fuzz/use.h"

#include <stdbool.h>

#include "base/crc.h"
#include "fuzz/disk.h"
#include "mappedpages.h"
#include "pager/open.h"
#include "support/harness.h"

/* Of what a hostile file claims to have, no more than this is looked at. */
#define LOOKED_AT_MAX 3000u
#define OPERATIONS 24u
#define IDS_MAX 8u

/* A single piece of memory beyond this is out of proportion to any image. */
#define ALLOCATION_MAX (2 * FUZZ_DISK_CAPACITY)

struct fuzz_counts fuzz_counts;
bool fuzz_tell;

struct user {
    struct fuzz_disk *disk;
    mpg_pager *pager;
    uint32_t page_size;
    uint64_t total;
    int format;
    uint64_t random;
    unsigned char *content; /* one page */
    mpg_page_id regular[IDS_MAX];
    unsigned regular_count;
    mpg_protected_id protected_ids[IDS_MAX];
    unsigned protected_count;
};

/* ---- Memory: the linker lets the library's calls come by here ------------------------------- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *data, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *data, size_t size);

void *__wrap_malloc(size_t size)
{
    must(size <= ALLOCATION_MAX);
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    must(size == 0 || count <= ALLOCATION_MAX / size);
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *data, size_t size)
{
    must(size <= ALLOCATION_MAX);
    return __real_realloc(data, size);
}

/* ---- Results -------------------------------------------------------------------------------- */

/* Passes a result on; a failure must have its details. */
static int expect_result(int result)
{
    mpg_error_info info;

    if (result >= 0)
        return result;
    must(mpg_last_error(&info) == result && info.code == result);
    must(info.message[0] != 0 && info.operation[0] != 0);
    must(memchr(info.message, 0, sizeof(info.message)) != NULL);
    must(mpg_strerror(result)[0] != 0);
    if (fuzz_tell)
        (void)fprintf(stderr, "  %s: %s\n", info.operation, info.message);
    return result;
}

static void count_fault(void *context, const mpg_fault *fault)
{
    unsigned long *faults = context;

    must(fault->code <= 0 && fault->message != NULL && fault->message[0] != 0);
    must(fault->name != NULL && fault->name[0] != 0);
    *faults += fault->code != 0;
    if (fuzz_tell)
        (void)fprintf(stderr, "  fault: %s\n", fault->message);
}

/* Whether a check finds nothing wrong. */
static bool is_sound(const mpg_pager *pager)
{
    mpg_check_result checked;
    unsigned long faults = 0;
    int result = expect_result(mpg_check(&checked, pager,
                                         &(mpg_check_options){.size = sizeof(mpg_check_options),
                                                              .report = count_fault,
                                                              .context = &faults}));

    must(result != 0 || checked.faults == faults);
    return result == 0 && faults == 0;
}

/* ---- Looking -------------------------------------------------------------------------------- */

static void look_at_pages(struct user *user)
{
    mpg_page_id id = {0};
    mpg_page_iter iter;

    mpg_page_iter_begin(&iter, user->pager, id);
    for (unsigned i = 0; i < LOOKED_AT_MAX; i++) {
        const void *data;

        if (expect_result(mpg_page_iter_next(&id, &iter)) <= 0)
            break;
        if (user->regular_count < IDS_MAX)
            user->regular[user->regular_count++] = id;
        (void)expect_result(mpg_page_read(user->content, user->pager, id, 0, user->page_size));
        if (expect_result(mpg_page_get(&data, user->pager, id)) == 0)
            memcpy(user->content, data, user->page_size);
    }
}

static void look_at_protected(struct user *user)
{
    mpg_protected_id id = {0};
    mpg_protected_iter iter;

    mpg_protected_iter_begin(&iter, user->pager, id);
    for (unsigned i = 0; i < LOOKED_AT_MAX; i++) {
        mpg_protected_info info;
        const void *data;

        if (expect_result(mpg_protected_iter_next(&id, &iter)) <= 0)
            break;
        if (user->protected_count < IDS_MAX)
            user->protected_ids[user->protected_count++] = id;
        (void)expect_result(mpg_protected_stat(&info, user->pager, id));
        (void)expect_result(mpg_protected_read(user->content, user->pager, id));
        if (expect_result(mpg_protected_view(&data, user->pager, id)) == 0) {
            memcpy(user->content, data, user->page_size);
            mpg_protected_release(user->pager, data);
        }
    }
}

static void look(struct user *user)
{
    struct mpg_stat st = {.size = sizeof(st)};
    enum mpg_page_use use;

    user->regular_count = user->protected_count = 0;
    must(expect_result(mpg_stat(&st, user->pager)) == 0);
    must(st.total_pages >= 3 && st.page_size == user->page_size);
    must(st.total_pages <= user->disk->size / st.page_size);
    user->total = st.total_pages;
    user->format = st.format;
    look_at_pages(user);
    look_at_protected(user);
    (void)expect_result(mpg_raw_read(user->content, user->pager, user->total - 1));
    must(mpg_raw_read(user->content, user->pager, user->total) == MPG_E_OUT_OF_BOUNDS);
    must(mpg_page_use(&use, user->pager, user->total) == MPG_E_OUT_OF_BOUNDS);
}

static bool start(struct user *user, struct fuzz_disk *disk, bool read_only)
{
    mpg_options options = MPG_OPTIONS_INIT;

    options.address_space = 2 * FUZZ_DISK_CAPACITY;
    memset(user, 0, sizeof(*user));
    user->disk = disk;
    if (expect_result(
            mpgi_open_with(&user->pager, "image", &options, read_only, &fuzz_disk_io, disk)) != 0) {
        must(!disk->open);
        return false;
    }
    user->page_size = (uint32_t)mpg_page_size(user->pager);
    user->content = must_realloc(NULL, user->page_size);
    return true;
}

static void finish(struct user *user)
{
    (void)expect_result(mpg_close(user->pager));
    must(!user->disk->open);
    free(user->content);
}

/* ---- Changing ------------------------------------------------------------------------------- */

/* Regular pages are the user's: nothing but the user's own writes may change them. */
static void guard_regular_pages(struct user *user)
{
    /* Format 1 writes page 0 once, when the file is made. */
    fuzz_disk_guard(user->disk, 0, user->page_size, user->format == MPG_FORMAT_1);
    for (uint64_t page = 3; page < user->total; page++) {
        enum mpg_page_use use;

        if (mpg_page_use(&use, user->pager, page) == 0 && use == MPG_USE_REGULAR)
            fuzz_disk_guard(user->disk, page, user->page_size, true);
    }
}

static void unguard(struct user *user, mpg_page_id id)
{
    fuzz_disk_guard(user->disk, id.value, user->page_size, false);
}

static mpg_page_id some_page(struct user *user)
{
    mpg_page_id any = {random_below(&user->random, user->total + 4)};

    if (user->regular_count == 0 || random_below(&user->random, 4) == 0)
        return any;
    return user->regular[random_below(&user->random, user->regular_count)];
}

static mpg_protected_id some_protected(struct user *user)
{
    mpg_protected_id any = {random_below(&user->random, 700)};

    if (user->protected_count == 0 || random_below(&user->random, 4) == 0)
        return any;
    return user->protected_ids[random_below(&user->random, user->protected_count)];
}

static void check_fresh(struct user *user, mpg_page_id id)
{
    must(id.value >= 3 && !fuzz_disk_is_guarded(user->disk, id.value, user->page_size));
}

static void write_protected(struct user *user, mpg_protected_id id)
{
    mpg_writer *writer;

    if (expect_result(mpg_writer_open(&writer, user->pager, id)) != 0)
        return;
    memset(mpg_writer_data(writer), (int)random_below(&user->random, 256), user->page_size / 2);
    if (expect_result(mpg_writer_commit(writer)) != 0)
        mpg_writer_discard(writer);
}

static void transact(struct user *user)
{
    mpg_protected_id id = some_protected(user), made;
    mpg_page_id page, freed = some_page(user);
    mpg_txn *txn;

    must(expect_result(mpg_txn_begin(&txn, user->pager)) == 0 || user->pager != NULL);
    if (expect_result(mpg_txn_alloc(&page, txn, 0)) == 0) {
        check_fresh(user, page);
        (void)expect_result(mpg_txn_page_write(txn, page, "some", 0, 4));
    }
    if (expect_result(mpg_txn_free(txn, freed)) == 0)
        unguard(user, freed);
    if (expect_result(mpg_txn_alloc_protected(&made, txn)) == 0)
        (void)expect_result(mpg_txn_protected_write(txn, made, "more", 8, 4));
    (void)expect_result(mpg_txn_protected_write(txn, id, "else", 100, 4));
    (void)expect_result(mpg_txn_protected_read(user->content, txn, id));
    if (random_below(&user->random, 3) == 0)
        (void)expect_result(mpg_txn_free_protected(txn, some_protected(user)));
    if (random_below(&user->random, 4) == 0 || expect_result(mpg_txn_commit(txn, 0)) != 0)
        mpg_txn_abort(txn);
}

static void operate(struct user *user)
{
    mpg_page_id page = {0}, pages[5];
    mpg_protected_id id = {0};

    switch (random_below(&user->random, 11)) {
    case 0:
    case 1:
        if (expect_result(
                mpg_alloc(&page, user->pager, (unsigned)random_below(&user->random, 2))) == 0)
            check_fresh(user, page);
        break;
    case 2:
        page.value = random_below(&user->random, random_below(&user->random, 4) == 0 ? 5000 : 300);
        if (expect_result(mpg_alloc_at(user->pager, page, 0)) == 0)
            check_fresh(user, page);
        break;
    case 3:
        page = some_page(user);
        unguard(user, page);
        (void)expect_result(mpg_free(user->pager, page));
        break;
    case 4:
    case 5:
        if (expect_result(mpg_alloc_protected(&id, user->pager)) == 0)
            write_protected(user, id);
        break;
    case 6:
        write_protected(user, some_protected(user));
        break;
    case 7:
        (void)expect_result(mpg_free_protected(user->pager, some_protected(user)));
        break;
    case 8:
        id.value = random_below(&user->random, 700);
        (void)expect_result(mpg_alloc_protected_at(user->pager, id));
        break;
    case 9:
        if (expect_result(mpg_alloc_bulk(pages, user->pager, 5, 0)) == 0)
            for (unsigned i = 0; i < 5; i++)
                check_fresh(user, pages[i]);
        break;
    default:
        transact(user);
        break;
    }
}

/* ---- One image ------------------------------------------------------------------------------ */

static void use_for_reading(struct fuzz_disk *disk, const unsigned char *bytes, size_t size)
{
    struct user user;

    if (start(&user, disk, true)) {
        fuzz_counts.opened++;
        look(&user);
        (void)is_sound(user.pager);
        (void)expect_result(mpg_refresh(user.pager));
        finish(&user);
    }
    must(disk->size == size && (size == 0 || memcmp(disk->bytes, bytes, size) == 0));
}

/* What was sound must stay sound, whatever is done with it. */
static void use_for_writing(struct fuzz_disk *disk, uint64_t random)
{
    struct user user;
    bool sound;

    if (!start(&user, disk, false))
        return;
    fuzz_counts.opened_for_writing++;
    user.random = random;
    sound = is_sound(user.pager);
    fuzz_counts.sound += sound;
    look(&user);
    guard_regular_pages(&user);
    for (unsigned i = 0; i < OPERATIONS; i++)
        operate(&user);
    look(&user);
    must(is_sound(user.pager) || !sound);
    finish(&user);
    fuzz_disk_unguard_all(disk);
    if (!start(&user, disk, false)) {
        must(!sound);
        return;
    }
    look(&user);
    must(is_sound(user.pager) || !sound);
    finish(&user);
}

void use_image(const unsigned char *bytes, size_t size)
{
    static struct fuzz_disk disk;

    if (disk.bytes == NULL)
        fuzz_disk_init(&disk);
    fuzz_disk_load(&disk, bytes, size);
    fuzz_counts.used++;
    use_for_reading(&disk, bytes, size);
    use_for_writing(&disk, size > 0 ? crc_of(bytes, size) : 0);
}
