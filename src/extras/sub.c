/* SPDX-License-Identifier: MIT */
/*
 * Parts of regular pages.
 *
 * 1. A page is in the table (it is held) from when its first part is handed out until its last one
 *    is freed. Only held pages give out parts.
 * 2. The lock is never held while the pager commits: what one thread waits for does not keep others
 *    from their parts.
 * 3. So a page on its way back to the pager is taken out of the table first (the pager may give its
 *    number out again before mpg_free_bulk returns here), and a new page enters it last.
 * 4. A free of many parts may have to undo itself after the lock was open. Meanwhile the parts it
 *    frees stay in use, but claimed: no other free gets them, and their page stays in the table.
 */
#include "base/error.h"
#include "extras/sub_table.h"
#include "mappedpages_sub.h"

#include <stdlib.h>

/* What a free does to one page. */
struct share {
    struct sub_page *page;
    uint64_t parts; /* bit n: it frees part n */
};

/* ---- Begin and end -------------------------------------------------------------------------- */

static int make_state(mpg_sub *sub)
{
    bool made = mpgi_hash_init(&sub->held);

    sub->lock = malloc(sizeof(*sub->lock));
    if (!made || sub->lock == NULL || pthread_mutex_init(sub->lock, NULL) != 0) {
        mpgi_hash_free(&sub->held);
        free(sub->lock);
        return mpgi_fail_memory("sub_open");
    }
    return 0;
}

int mpg_sub_open(mpg_sub **sub_out, mpg_pager *pager, size_t part_size)
{
    size_t page_size = mpg_page_size(pager);

    if (part_size == 0 || page_size % part_size != 0 || page_size / part_size < MPG_SUB_PARTS_MIN ||
        page_size / part_size > MPG_SUB_PARTS_MAX)
        return mpgi_fail(MPG_E_INVALID, "sub_open", MPG_NO_PAGE,
                         "parts of %zu bytes do not divide pages of %zu into 2 to 64 equal parts",
                         part_size, page_size);
    mpg_sub *sub = calloc(1, sizeof(*sub));
    if (sub == NULL)
        return mpgi_fail_memory("sub_open");
    int code = make_state(sub);
    if (code != 0) {
        free(sub);
        return code;
    }
    sub->pager = pager;
    sub->part_size = part_size;
    sub->parts = (unsigned)(page_size / part_size);
    sub->all = UINT64_MAX >> (MPG_SUB_PARTS_MAX - sub->parts);
    *sub_out = sub;
    return 0;
}

int mpg_sub_open_sized(mpg_sub **sub, mpg_pager *pager, size_t page_size, size_t part_size)
{
    if (mpg_page_size(pager) != page_size)
        return mpgi_fail(MPG_E_INVALID_PAGE_SIZE, "sub_open", MPG_NO_PAGE,
                         "the file has pages of %zu bytes, and %zu were asked for",
                         mpg_page_size(pager), page_size);
    return mpg_sub_open(sub, pager, part_size);
}

/* Gives one page back to the pager. Returns whether the pager took it. */
static bool give_back_one(mpg_sub *sub, const struct sub_page *page)
{
    mpg_page_id id = {page->id};

    return mpg_free(sub->pager, id) == 0;
}

mpg_pager *mpg_sub_release(mpg_sub *sub)
{
    if (sub == NULL)
        return NULL;
    mpg_pager *pager = sub->pager;
    struct sub_page *page;
    size_t bucket = 0;
    while ((page = (struct sub_page *)mpgi_hash_pop(&sub->held, &bucket)) != NULL) {
        /* No part in use: the pager refused it before. If it does again, it is the caller's. */
        if (page->live == 0)
            give_back_one(sub, page);
        free(page);
    }
    pthread_mutex_destroy(sub->lock);
    free(sub->lock);
    mpgi_hash_free(&sub->held);
    free(sub);
    return pager;
}

size_t mpg_sub_part_size(const mpg_sub *sub)
{
    return sub->part_size;
}

unsigned mpg_sub_parts(const mpg_sub *sub)
{
    return sub->parts;
}

mpg_pager *mpg_sub_pager(const mpg_sub *sub)
{
    return sub->pager;
}

void mpg_sub_stat(mpg_sub_usage *usage, const mpg_sub *sub)
{
    pthread_mutex_lock(sub->lock);
    *usage = sub->count;
    pthread_mutex_unlock(sub->lock);
}

/* ---- Ids ------------------------------------------------------------------------------------ */

static uint64_t bit_of(mpg_sub_id id)
{
    return (uint64_t)1 << mpg_sub_part(id);
}

static int check_part(const mpg_sub *sub, mpg_sub_id id, const char *operation)
{
    if (mpg_sub_part(id) < sub->parts)
        return 0;
    return mpgi_fail(MPG_E_OUT_OF_BOUNDS, operation, mpg_sub_page(id).value,
                     "part %u of page %llu was named, and a page has %u parts", mpg_sub_part(id),
                     (unsigned long long)mpg_sub_page(id).value, sub->parts);
}

static int fail_part(int code, const char *operation, mpg_sub_id id, const char *state)
{
    return mpgi_fail(code, operation, mpg_sub_page(id).value, "part %u of page %llu is %s",
                     mpg_sub_part(id), (unsigned long long)mpg_sub_page(id).value, state);
}

/* ---- Alloc ---------------------------------------------------------------------------------- */

/* Hands out up to `count` parts of a held page that has room. Returns how many. */
static size_t take_parts(mpg_sub *sub, struct sub_page *page, mpg_sub_id *ids, size_t count)
{
    uint64_t live = page->live;
    size_t taken = 0;

    while (taken < count && live != sub->all) {
        unsigned part = (unsigned)__builtin_ctzll(~live);
        ids[taken++].value = page->id * MPG_SUB_PARTS_MAX + part;
        live |= (uint64_t)1 << part;
    }
    mpgi_sub_set_live(sub, page, live);
    return taken;
}

static void free_chain(struct sub_page *pages)
{
    while (pages != NULL) {
        struct sub_page *page = pages;
        pages = page->next;
        free(page);
    }
}

/* A chain of `count` pages without ids, or NULL. */
static struct sub_page *make_chain(size_t count)
{
    struct sub_page *chain = NULL;

    for (size_t i = 0; i < count; i++) {
        struct sub_page *page = calloc(1, sizeof(*page));
        if (page == NULL) {
            free_chain(chain);
            return NULL;
        }
        page->next = chain;
        chain = page;
    }
    return chain;
}

/* Allocates `count` pages and puts them, not held yet, in front of the chain *pages. */
static int fetch_pages(mpg_sub *sub, struct sub_page **pages, size_t count)
{
    mpg_page_id *ids = calloc(count, sizeof(*ids));
    struct sub_page *fresh = ids != NULL ? make_chain(count) : NULL;

    if (fresh == NULL) {
        free(ids);
        return mpgi_fail_memory("sub_alloc");
    }
    int code = mpg_alloc_bulk(ids, sub->pager, count, 0);
    for (size_t i = 0; code == 0 && fresh != NULL; i++) {
        struct sub_page *page = fresh;
        fresh = page->next;
        page->id = ids[i].value;
        page->next = *pages;
        *pages = page;
    }
    free_chain(fresh);
    free(ids);
    return code;
}

/*
 * Gives new pages back because there will not be enough. What the pager refuses is held, as room.
 */
static void return_fresh(mpg_sub *sub, struct sub_page *pages)
{
    while (pages != NULL) {
        struct sub_page *page = pages;
        pages = page->next;
        if (give_back_one(sub, page)) {
            free(page);
            continue;
        }
        pthread_mutex_lock(sub->lock);
        mpgi_sub_hold(sub, page);
        pthread_mutex_unlock(sub->lock);
    }
}

/* Pages that must be had besides `fresh` new ones so that there is room for `count` parts. */
static size_t pages_missing(const mpg_sub *sub, size_t count, size_t fresh)
{
    uint64_t room = sub->count.room + (uint64_t)fresh * sub->parts;

    return count <= room ? 0 : (size_t)((count - room - 1) / sub->parts + 1);
}

int mpg_sub_alloc_bulk(mpg_sub_id *ids, mpg_sub *sub, size_t count)
{
    struct sub_page *pages = NULL; /* new, not held yet: nobody else sees them */
    size_t fresh = 0;              /* how many */
    size_t missing;
    size_t taken = 0;

    pthread_mutex_lock(sub->lock);
    /* Others may take the room that was counted on while the lock is open: then once more. */
    while ((missing = pages_missing(sub, count, fresh)) > 0) {
        pthread_mutex_unlock(sub->lock);
        int code = fetch_pages(sub, &pages, missing);
        if (code != 0) {
            return_fresh(sub, pages);
            return code;
        }
        fresh += missing;
        pthread_mutex_lock(sub->lock);
    }
    /*
     * New pages first: there are never so many that one of them would stay without a part in use.
     */
    while (pages != NULL) {
        struct sub_page *page = pages;
        pages = page->next;
        mpgi_sub_hold(sub, page);
        taken += take_parts(sub, page, ids + taken, count - taken);
    }
    while (taken < count)
        taken += take_parts(sub, sub->roomy, ids + taken, count - taken);
    pthread_mutex_unlock(sub->lock);
    return 0;
}

int mpg_sub_alloc(mpg_sub_id *id, mpg_sub *sub)
{
    return mpg_sub_alloc_bulk(id, sub, 1);
}

/* ---- Free ----------------------------------------------------------------------------------- */

/* Checks the parts to free and collects them by page into shares[0…*pages-1]. Changes no state. */
static int collect_shares(struct share *shares, size_t *pages, const mpg_sub *sub,
                          const mpg_sub_id *ids, size_t count)
{
    size_t n = 0;
    int code = 0;

    for (size_t i = 0; i < count; i++) {
        code = check_part(sub, ids[i], "sub_free");
        if (code != 0)
            break;
        struct sub_page *page = mpgi_sub_find(sub, mpg_sub_page(ids[i]).value);
        uint64_t bit = bit_of(ids[i]);
        if (page == NULL || (page->live & ~page->claimed & ~page->named & bit) == 0) {
            code = fail_part(MPG_E_DOUBLE_FREE, "sub_free", ids[i], "free already");
            break;
        }
        if (page->named == 0)
            shares[n++].page = page;
        page->named |= bit;
    }
    for (size_t i = 0; i < n; i++) {
        shares[i].parts = shares[i].page->named;
        shares[i].page->named = 0;
    }
    *pages = n;
    return code;
}

/*
 * Takes out of the table the pages that have no part in use but those of this free, and moves them
 * to the front of shares. Claims the parts of the others. Returns how many were taken out.
 */
static size_t detach_emptied(mpg_sub *sub, struct share *shares, size_t count)
{
    size_t detached = 0;

    for (size_t i = 0; i < count; i++) {
        struct share share = shares[i];
        if (share.page->live == share.parts) {
            mpgi_sub_let_go(sub, share.page);
            shares[i] = shares[detached];
            shares[detached++] = share;
        } else {
            share.page->claimed |= share.parts;
        }
    }
    return detached;
}

/*
 * Gives the pages of shares[0…count-1], which are not in the table, back to the pager in one
 * commit. On error they are in the table again, as they were. Opens the lock meanwhile.
 */
static int give_back(mpg_sub *sub, const struct share *shares, size_t count, mpg_page_id *ids)
{
    for (size_t i = 0; i < count; i++)
        ids[i].value = shares[i].page->id;
    pthread_mutex_unlock(sub->lock);
    int code = mpg_free_bulk(sub->pager, ids, count);
    pthread_mutex_lock(sub->lock);
    for (size_t i = 0; i < count; i++) {
        if (code != 0)
            mpgi_sub_hold(sub, shares[i].page);
        else
            free(shares[i].page);
    }
    return code;
}

/*
 * The end of a free: its parts are free now. Moves pages without any left to the front, detached.
 */
static size_t release_parts(mpg_sub *sub, struct share *shares, size_t count)
{
    size_t detached = 0;

    for (size_t i = 0; i < count; i++) {
        struct share share = shares[i];
        share.page->claimed &= ~share.parts;
        mpgi_sub_set_live(sub, share.page, share.page->live & ~share.parts);
        if (share.page->live == 0) {
            mpgi_sub_let_go(sub, share.page);
            shares[i] = shares[detached];
            shares[detached++] = share;
        }
    }
    return detached;
}

static int free_shares(mpg_sub *sub, struct share *shares, size_t count, mpg_page_id *pages)
{
    size_t emptied = detach_emptied(sub, shares, count);

    if (emptied > 0) {
        int code = give_back(sub, shares, emptied, pages);
        if (code != 0) {
            for (size_t i = emptied; i < count; i++)
                shares[i].page->claimed &= ~shares[i].parts;
            return code;
        }
    }
    /*
     * While the lock was open others may have freed the rest of a page. The parts are free by now,
     * so if the pager refuses such a page it stays held, and is the next to be used.
     */
    size_t late = release_parts(sub, shares + emptied, count - emptied);
    if (late > 0)
        (void)give_back(sub, shares + emptied, late, pages);
    return 0;
}

static int free_with(mpg_sub *sub, const mpg_sub_id *ids, size_t count, struct share *shares,
                     mpg_page_id *pages)
{
    size_t n;

    pthread_mutex_lock(sub->lock);
    int code = collect_shares(shares, &n, sub, ids, count);
    if (code == 0)
        code = free_shares(sub, shares, n, pages);
    pthread_mutex_unlock(sub->lock);
    return code;
}

int mpg_sub_free_bulk(mpg_sub *sub, const mpg_sub_id *ids, size_t count)
{
    if (count == 0)
        return 0;
    struct share *shares = calloc(count, sizeof(*shares));
    mpg_page_id *pages = calloc(count, sizeof(*pages));
    int code = shares != NULL && pages != NULL ? free_with(sub, ids, count, shares, pages)
                                               : mpgi_fail_memory("sub_free");
    free(shares);
    free(pages);
    return code;
}

int mpg_sub_free(mpg_sub *sub, mpg_sub_id id)
{
    struct share share;
    mpg_page_id page;

    return free_with(sub, &id, 1, &share, &page);
}

/* ---- Adopt ---------------------------------------------------------------------------------- */

static int adopt_one(mpg_sub *sub, mpg_sub_id id)
{
    struct sub_page *page = mpgi_sub_find(sub, mpg_sub_page(id).value);
    const void *unused;

    int code = check_part(sub, id, "sub_adopt");
    if (code != 0)
        return code;
    if (page != NULL && (page->live & bit_of(id)) != 0)
        return fail_part(MPG_E_EXISTS, "sub_adopt", id, "in use already");
    if (page != NULL) {
        mpgi_sub_set_live(sub, page, page->live | bit_of(id));
        return 0;
    }
    code = mpg_page_get(&unused, sub->pager, mpg_sub_page(id));
    if (code != 0)
        return code;
    page = calloc(1, sizeof(*page));
    if (page == NULL)
        return mpgi_fail_memory("sub_adopt");
    page->id = mpg_sub_page(id).value;
    page->live = bit_of(id);
    mpgi_sub_hold(sub, page);
    return 0;
}

static void unadopt_one(mpg_sub *sub, mpg_sub_id id)
{
    struct sub_page *page = mpgi_sub_find(sub, mpg_sub_page(id).value);

    mpgi_sub_set_live(sub, page, page->live & ~bit_of(id));
    if (page->live == 0) {
        mpgi_sub_let_go(sub, page);
        free(page);
    }
}

int mpg_sub_adopt(mpg_sub *sub, const mpg_sub_id *ids, size_t count)
{
    int code = 0;

    pthread_mutex_lock(sub->lock);
    for (size_t i = 0; i < count && code == 0; i++) {
        code = adopt_one(sub, ids[i]);
        if (code != 0) {
            while (i > 0)
                unadopt_one(sub, ids[--i]);
            break;
        }
    }
    pthread_mutex_unlock(sub->lock);
    return code;
}

/* ---- Content -------------------------------------------------------------------------------- */

static int check_live(const mpg_sub *sub, mpg_sub_id id)
{
    int code = check_part(sub, id, "sub_get");

    if (code != 0)
        return code;
    pthread_mutex_lock(sub->lock);
    const struct sub_page *page = mpgi_sub_find(sub, mpg_sub_page(id).value);
    bool live = page != NULL && (page->live & bit_of(id)) != 0;
    pthread_mutex_unlock(sub->lock);
    return live ? 0 : fail_part(MPG_E_NOT_ALLOCATED, "sub_get", id, "not in use");
}

int mpg_sub_get(const void **data, const mpg_sub *sub, mpg_sub_id id)
{
    const void *page;
    int code = check_live(sub, id);

    if (code == 0)
        code = mpg_page_get(&page, sub->pager, mpg_sub_page(id));
    if (code == 0)
        *data = (const unsigned char *)page + mpg_sub_part(id) * sub->part_size;
    return code;
}

int mpg_sub_get_mut(void **data, mpg_sub *sub, mpg_sub_id id)
{
    void *page;
    int code = check_live(sub, id);

    if (code == 0)
        code = mpg_page_get_mut(&page, sub->pager, mpg_sub_page(id));
    if (code == 0)
        *data = (unsigned char *)page + mpg_sub_part(id) * sub->part_size;
    return code;
}
