/* SPDX-License-Identifier: MIT */
/* Random operations in several transactions at once. */
#include <stdlib.h>
#include <string.h>

#include "support/harness.h"
#include "unit/oracle.h"

static uint32_t number_of(const struct oracle *oracle, const struct known_txn *txn)
{
    return (uint32_t)(txn - oracle->txns);
}

static struct txn_item *find_item(struct known_txn *txn, int kind, uint64_t id)
{
    for (unsigned i = 0; i < txn->count; i++)
        if ((int)txn->items[i].kind == kind && txn->items[i].id == id)
            return &txn->items[i];
    return NULL;
}

static struct txn_item *add_item(struct known_txn *txn, int kind, uint64_t id)
{
    struct txn_item *item = &txn->items[txn->count++];

    memset(item, 0, sizeof(*item));
    switch (kind) {
    case ITEM_ALLOC:
        item->kind = ITEM_ALLOC;
        break;
    case ITEM_FREE:
        item->kind = ITEM_FREE;
        break;
    case ITEM_GUARDED_ALLOC:
        item->kind = ITEM_GUARDED_ALLOC;
        break;
    case ITEM_GUARDED_WRITE:
        item->kind = ITEM_GUARDED_WRITE;
        break;
    default:
        item->kind = ITEM_GUARDED_FREE;
        break;
    }
    item->id = id;
    return item;
}

static void drop_item(struct oracle *oracle, struct known_txn *txn, struct txn_item *item)
{
    if (item->kind == ITEM_ALLOC)
        oracle->pages[item->id].holder = NOBODY;
    if (item->kind == ITEM_GUARDED_ALLOC)
        oracle->guarded[item->id].holder = NOBODY;
    free(item->content);
    free(item->mask);
    *item = txn->items[--txn->count];
}

static void forget(struct oracle *oracle, struct known_txn *txn)
{
    while (txn->count > 0)
        drop_item(oracle, txn, &txn->items[0]);
    txn->txn = NULL;
}

void oracle_abort_all(struct oracle *oracle)
{
    for (unsigned i = 0; i < MOST_TXNS; i++) {
        mpg_txn_abort(oracle->txns[i].txn);
        forget(oracle, &oracle->txns[i]);
    }
}

/* ---- regular pages ---- */

static void txn_alloc(struct oracle *oracle, struct known_txn *txn)
{
    unsigned flags = oracle_once_in(oracle, 3) ? MPG_ZERO : 0;
    mpg_page_id id;

    oracle->operation = "txn_alloc";
    if (!oracle_expect(oracle, mpg_txn_alloc(&id, txn->txn, flags), 0))
        return;
    oracle_check_choice(oracle, id.value, number_of(oracle, txn));
    if (!oracle->failed)
        add_item(txn, ITEM_ALLOC, id.value)->flags = flags;
}

static void txn_alloc_at(struct oracle *oracle, struct known_txn *txn)
{
    uint64_t page = oracle_some_page(oracle);
    bool shown = oracle_may_be_shown(oracle, page);
    int wanted, result;

    oracle->operation = "txn_alloc_at";
    if (find_item(txn, ITEM_ALLOC, page) != NULL)
        wanted = MPG_E_EXISTS;
    else
        wanted = oracle_answer_alloc_at(oracle, page);
    if (wanted == 0 && page >= oracle->capacity * 3 / 4)
        return;
    result = mpg_txn_alloc_at(txn->txn, (mpg_page_id){page}, 0);
    if (wanted == 0 && result == MPG_E_NOT_REGULAR && oracle_is_taken_after_all(oracle, page))
        return;
    if (wanted == 0 && shown && result == MPG_E_BUSY)
        return;
    if (!oracle_expect(oracle, result, wanted) || result != 0)
        return;
    oracle->pages[page].holder = number_of(oracle, txn);
    add_item(txn, ITEM_ALLOC, page);
}

static void txn_free(struct oracle *oracle, struct known_txn *txn)
{
    bool own = txn->count > 0 && oracle_once_in(oracle, 4);
    uint64_t page = own ? txn->items[oracle_any(oracle, txn->count)].id : oracle_some_page(oracle);
    struct txn_item *item = find_item(txn, ITEM_ALLOC, page);
    int wanted = oracle_answer_free(oracle, page), result;

    oracle->operation = "txn_free";
    if (item != NULL)
        wanted = 0;
    else if (find_item(txn, ITEM_FREE, page) != NULL)
        wanted = MPG_E_DOUBLE_FREE;
    result = mpg_txn_free(txn->txn, (mpg_page_id){page});
    if (wanted == MPG_E_OUT_OF_BOUNDS && page < oracle->disk.size / oracle->page_size) {
        oracle_expect2(oracle, result, wanted, MPG_E_DOUBLE_FREE);
        return;
    }
    if (wanted == MPG_E_DOUBLE_FREE && result == MPG_E_NOT_REGULAR &&
        oracle_is_taken_after_all(oracle, page))
        return;
    if (!oracle_expect(oracle, result, wanted) || result != 0)
        return;
    if (item != NULL)
        drop_item(oracle, txn, item);
    else
        add_item(txn, ITEM_FREE, page);
}

static void txn_page_write(struct oracle *oracle, struct known_txn *txn)
{
    bool own = txn->count > 0 && !oracle_once_in(oracle, 4);
    uint64_t page = own ? txn->items[oracle_any(oracle, txn->count)].id : oracle_some_page(oracle);
    struct txn_item *item = find_item(txn, ITEM_ALLOC, page);
    size_t offset, length;

    oracle->operation = "txn_page_write";
    oracle_range(oracle, &offset, &length);
    oracle_fill(oracle, oracle->buffer, length);
    if (!oracle_expect(
            oracle,
            mpg_txn_page_write(txn->txn, (mpg_page_id){page}, oracle->buffer, offset, length),
            item != NULL ? 0 : MPG_E_INVALID) ||
        item == NULL)
        return;
    if (item->content == NULL)
        item->content = calloc(1, oracle->page_size);
    must(item->content);
    memcpy(item->content + offset, oracle->buffer, length);
}

/* ---- protected pages ---- */

static void txn_alloc_guarded(struct oracle *oracle, struct known_txn *txn)
{
    mpg_protected_id id;

    oracle->operation = "txn_alloc_protected";
    if (!oracle_expect(oracle, mpg_txn_alloc_protected(&id, txn->txn), 0))
        return;
    /* Not one whose content it has staged: that page is gone, which the commit is to tell. */
    oracle_check_guarded(oracle, id.value, txn);
    if (oracle->failed)
        return;
    oracle->guarded[id.value].holder = number_of(oracle, txn);
    add_item(txn, ITEM_GUARDED_ALLOC, id.value);
}

static void txn_alloc_guarded_at(struct oracle *oracle, struct known_txn *txn)
{
    uint64_t id = oracle_some_guarded(oracle);
    int wanted = 0;

    oracle->operation = "txn_alloc_protected_at";
    if (id >= oracle->max_guarded)
        wanted = MPG_E_DIRECTORY_FULL;
    else if (id >= MOST_GUARDED / 4)
        return;
    else if (oracle->guarded[id].in_use || oracle->guarded[id].holder == number_of(oracle, txn))
        wanted = MPG_E_EXISTS;
    else if (oracle->guarded[id].holder != NOBODY || find_item(txn, ITEM_GUARDED_WRITE, id) != NULL)
        wanted = MPG_E_BUSY;
    if (!oracle_expect(oracle, mpg_txn_alloc_protected_at(txn->txn, (mpg_protected_id){id}),
                       wanted) ||
        wanted != 0)
        return;
    oracle->guarded[id].holder = number_of(oracle, txn);
    add_item(txn, ITEM_GUARDED_ALLOC, id);
}

/* Whether the transaction sees a protected page of that id. */
static bool sees(struct oracle *oracle, struct known_txn *txn, uint64_t id)
{
    if (find_item(txn, ITEM_GUARDED_ALLOC, id) != NULL)
        return true;
    return id < MOST_GUARDED && oracle->guarded[id].in_use &&
           find_item(txn, ITEM_GUARDED_FREE, id) == NULL;
}

static uint64_t own_or_some_guarded(struct oracle *oracle, struct known_txn *txn)
{
    if (txn->count > 0 && oracle_once_in(oracle, 2)) {
        const struct txn_item *item = &txn->items[oracle_any(oracle, txn->count)];

        if (item->kind >= ITEM_GUARDED_ALLOC)
            return item->id;
    }
    return oracle_some_guarded(oracle);
}

static void txn_free_guarded(struct oracle *oracle, struct known_txn *txn)
{
    uint64_t id = own_or_some_guarded(oracle, txn);
    struct txn_item *item = find_item(txn, ITEM_GUARDED_ALLOC, id);
    int wanted = sees(oracle, txn, id)       ? 0
                 : id >= oracle->max_guarded ? MPG_E_OUT_OF_BOUNDS
                                             : MPG_E_DOUBLE_FREE;

    oracle->operation = "txn_free_protected";
    if (!oracle_expect(oracle, mpg_txn_free_protected(txn->txn, (mpg_protected_id){id}), wanted) ||
        wanted != 0)
        return;
    if (item != NULL) {
        drop_item(oracle, txn, item);
        return;
    }
    item = find_item(txn, ITEM_GUARDED_WRITE, id);
    if (item != NULL)
        drop_item(oracle, txn, item);
    add_item(txn, ITEM_GUARDED_FREE, id);
}

static void txn_write_guarded(struct oracle *oracle, struct known_txn *txn)
{
    uint64_t id = own_or_some_guarded(oracle, txn);
    struct txn_item *item = find_item(txn, ITEM_GUARDED_ALLOC, id);
    size_t offset, length;
    bool there;

    if (item == NULL)
        item = find_item(txn, ITEM_GUARDED_WRITE, id);
    there = item != NULL || sees(oracle, txn, id);
    oracle->operation = "txn_protected_write";
    oracle_range(oracle, &offset, &length);
    oracle_fill(oracle, oracle->buffer, length);
    if (!oracle_expect(oracle,
                       mpg_txn_protected_write(txn->txn, (mpg_protected_id){id}, oracle->buffer,
                                               offset, length),
                       there ? 0 : MPG_E_NOT_ALLOCATED) ||
        !there || length == 0)
        return;
    if (item == NULL)
        item = add_item(txn, ITEM_GUARDED_WRITE, id);
    if (item->content == NULL) {
        item->content = calloc(1, oracle->page_size);
        item->mask = calloc(1, oracle->page_size);
        must(item->content && item->mask);
    }
    memcpy(item->content + offset, oracle->buffer, length);
    memset(item->mask + offset, 1, length);
}

/* Puts what was staged onto a content. */
static void lay(const struct oracle *oracle, const struct txn_item *item, unsigned char *content)
{
    for (size_t i = 0; item->mask != NULL && i < oracle->page_size; i++)
        if (item->mask[i])
            content[i] = item->content[i];
}

static void txn_read_guarded(struct oracle *oracle, struct known_txn *txn)
{
    uint64_t id = own_or_some_guarded(oracle, txn);
    const struct txn_item *item = find_item(txn, ITEM_GUARDED_ALLOC, id);
    bool there = sees(oracle, txn, id);

    oracle->operation = "txn_protected_read";
    if (!oracle_expect(oracle,
                       mpg_txn_protected_read(oracle->buffer, txn->txn, (mpg_protected_id){id}),
                       there ? 0 : MPG_E_NOT_ALLOCATED) ||
        !there)
        return;
    if (item != NULL)
        memset(oracle->other, 0, oracle->page_size);
    else
        memcpy(oracle->other, oracle->guarded[id].content, oracle->page_size);
    if (item == NULL)
        item = find_item(txn, ITEM_GUARDED_WRITE, id);
    if (item != NULL)
        lay(oracle, item, oracle->other);
    if (memcmp(oracle->buffer, oracle->other, oracle->page_size) != 0)
        oracle_fail(oracle, "another content of protected page %llu", (unsigned long long)id);
}

/* ---- the end ---- */

/* What one part of a commit meets, after what others have done meanwhile. */
static int answer_of(struct oracle *oracle, const struct txn_item *item)
{
    const struct known_guarded *guarded = &oracle->guarded[item->id % MOST_GUARDED];

    switch (item->kind) {
    case ITEM_FREE:
        return oracle_answer_free(oracle, item->id);
    case ITEM_GUARDED_FREE:
        if (!guarded->in_use)
            return MPG_E_DOUBLE_FREE;
        if (guarded->has_writer)
            return MPG_E_BUSY;
        return guarded->pins[0] + guarded->pins[1] > 0 && !oracle_moves(oracle) ? MPG_E_BUSY : 0;
    case ITEM_GUARDED_WRITE:
        if (!guarded->in_use)
            return MPG_E_NOT_ALLOCATED;
        return guarded->pins[!guarded->current] > 0 && !oracle_moves(oracle) ? MPG_E_BUSY : 0;
    default:
        return 0;
    }
}

static void carry_out(struct oracle *oracle, const struct txn_item *item)
{
    struct known_guarded *guarded = &oracle->guarded[item->id % MOST_GUARDED];

    switch (item->kind) {
    case ITEM_ALLOC:
        oracle_now_regular(oracle, item->id, item->content == NULL && (item->flags & MPG_ZERO));
        if (item->content != NULL &&
            memcmp(oracle->pages[item->id].content, item->content, oracle->page_size) != 0)
            oracle_fail(oracle, "page %llu has another content", (unsigned long long)item->id);
        break;
    case ITEM_FREE:
        oracle_now_free(oracle, item->id, oracle->generation);
        break;
    case ITEM_GUARDED_ALLOC:
        oracle_now_guarded(oracle, item->id);
        lay(oracle, item, guarded->content);
        break;
    case ITEM_GUARDED_WRITE:
        lay(oracle, item, guarded->content);
        guarded->current = !guarded->current;
        break;
    default:
        oracle_now_unguarded(oracle, item->id, oracle->generation);
        break;
    }
}

static void txn_commit(struct oracle *oracle, struct known_txn *txn)
{
    struct mpg_stat st = {.size = sizeof(st)};
    int answers[MOST_TXN_ITEMS];
    bool fine = true, answered = false;
    int result;

    oracle->operation = "txn_commit";
    for (unsigned i = 0; i < txn->count; i++) {
        answers[i] = answer_of(oracle, &txn->items[i]);
        fine = fine && answers[i] == 0;
    }
    result = mpg_txn_commit(txn->txn, oracle_once_in(oracle, 4) ? MPG_ORDERED : 0);
    if (fine) {
        if (!oracle_expect(oracle, result, 0))
            return;
        must(mpg_stat(&st, oracle->pager) == 0);
        oracle->generation = st.generation;
        for (unsigned i = 0; i < txn->count; i++)
            carry_out(oracle, &txn->items[i]);
        forget(oracle, txn);
        return;
    }
    for (unsigned i = 0; i < txn->count; i++)
        answered = answered || (answers[i] != 0 && answers[i] == result);
    if (!answered)
        oracle_fail(oracle, "\"%s\" is the answer to nothing of it", mpg_strerror(result));
    if (result == 0)
        forget(oracle, txn);
}

/* Ends it for sure, now and then only after another attempt. */
static void txn_end(struct oracle *oracle, struct known_txn *txn)
{
    if (!oracle_once_in(oracle, 4))
        txn_commit(oracle, txn);
    if (txn->txn == NULL || oracle_once_in(oracle, 2))
        return;
    mpg_txn_abort(txn->txn);
    forget(oracle, txn);
}

void oracle_do_txn(struct oracle *oracle)
{
    struct known_txn *txn = &oracle->txns[oracle_any(oracle, MOST_TXNS)];

    oracle->operation = "txn_begin";
    if (txn->txn == NULL && !oracle_expect(oracle, mpg_txn_begin(&txn->txn, oracle->pager), 0))
        return;
    if (txn->count + 1 >= MOST_TXN_ITEMS ||
        oracle->regular_count + 3 * MOST_TXN_ITEMS > oracle->most_live) {
        txn_end(oracle, txn);
        return;
    }
    switch (oracle_any(oracle, 16)) {
    case 0:
    case 1:
        txn_alloc(oracle, txn);
        break;
    case 2:
        txn_alloc_at(oracle, txn);
        break;
    case 3:
    case 4:
        txn_free(oracle, txn);
        break;
    case 5:
    case 6:
        txn_page_write(oracle, txn);
        break;
    case 7:
        txn_alloc_guarded(oracle, txn);
        break;
    case 8:
        txn_alloc_guarded_at(oracle, txn);
        break;
    case 9:
        txn_free_guarded(oracle, txn);
        break;
    case 10:
    case 11:
    case 12:
        txn_write_guarded(oracle, txn);
        break;
    case 13:
        txn_read_guarded(oracle, txn);
        break;
    default:
        txn_end(oracle, txn);
        break;
    }
}
