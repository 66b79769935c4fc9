/* SPDX-License-Identifier: MIT */
/* Rescuing: which contents count. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "format/format.h"
#include "life/rescue.h"

/* ---- Protected pages ----------------------------------------------------------------------- */

/*
 * Notes whose content is in which page, by entries that a checksum covers. One that none covers may
 * have come from another part of the directory, sectors and all: then its content is whole, and
 * another's.
 */
static int note_owners(struct rescue *rescue)
{
    const struct salvage *salvage = &rescue->salvage;

    if (!mpgi_id_map_reserve(&rescue->owners, salvage->entry_count))
        return mpgi_fail_memory("rescue");
    for (size_t i = 0; i < salvage->entry_count; i++) {
        const struct salvage_entry *entry = &salvage->entries[i];

        if (entry->proven && entry->in_use)
            mpgi_id_map_put(&rescue->owners, entry->page)->number = (uintptr_t)entry->id;
    }
    return 0;
}

static bool is_anothers(const struct rescue *rescue, const struct salvage_entry *entry)
{
    const union id_value *owner = mpgi_id_map_find(&rescue->owners, entry->page);

    return !entry->proven && owner != NULL && owner->number != (uintptr_t)entry->id;
}

/* Whether an entry's checksum fits to what is in its page. */
static bool content_holds(const struct rescue *rescue, const struct salvage_entry *entry)
{
    const struct salvage *salvage = &rescue->salvage;
    uint32_t crc;

    if (entry->page < FIRST_USER_PAGE || entry->page >= salvage->pages ||
        is_anothers(rescue, entry))
        return false;
    return mpgi_file_crc(salvage->file, &crc, salvage->page_size, entry->page * salvage->page_size,
                         entry->page) == 0 &&
           crc == entry->crc;
}

/* What is said of one protected page, decided. */
struct choice {
    const struct salvage_entry *newest; /* that says that it is in use */
    const struct salvage_entry *taken;  /* whose content is whole */
    bool free;                          /* it is not in use */
};

/* Entries of one id, what counts first. */
static struct choice choose(const struct rescue *rescue, const struct salvage_entry *entries,
                            size_t count)
{
    struct choice choice = {NULL, NULL, false};

    for (size_t i = 0; i < count && choice.taken == NULL; i++) {
        const struct salvage_entry *entry = &entries[i];

        if (!entry->in_use) {
            choice.free = choice.newest == NULL && entry->proven;
            break;
        }
        if (i > 0 && entries[i - 1].in_use && entries[i - 1].page == entry->page &&
            entries[i - 1].crc == entry->crc) {
            if (entry->proven && choice.newest == NULL)
                choice.newest = entry;
            continue; /* it did not hold */
        }
        if (entry->proven && choice.newest == NULL)
            choice.newest = entry;
        if (content_holds(rescue, entry))
            choice.taken = entry;
    }
    return choice;
}

/* `page` or `other` of an entry, which may be anything. */
static int own_page(struct rescue *rescue, uint64_t page)
{
    return page >= FIRST_USER_PAGE ? mpgi_salvage_set_owned(&rescue->salvage, page) : 0;
}

static int own_pages(struct rescue *rescue, const struct choice *choice)
{
    const struct salvage_entry *newest = choice->newest, *taken = choice->taken;
    int error = taken != NULL ? own_page(rescue, taken->page) : 0;

    /*
     * Where what is said of it is in doubt, the page may be another's by now, and the other copy
     * newer.
     */
    if (error || newest == NULL || mpgi_salvage_doubts(&rescue->salvage.doubtful_ids, newest->id))
        return error;
    error = own_page(rescue, newest->page);
    if (error == 0)
        error = own_page(rescue, newest->other);
    return error;
}

/* Tells what is not as it was. Returns whether the content may be an older one. */
static bool is_older(struct rescue *rescue, const struct choice *choice)
{
    struct salvage *salvage = &rescue->salvage;
    uint64_t id = choice->taken->id;

    if (!choice->taken->proven || choice->taken->guessed) {
        mpgi_salvage_note(salvage, "guessed-id", id,
                          "what the directory says of protected page %" PRIu64
                          " is not whole, or may be of another one: the content in page %" PRIu64
                          " is taken for its own, and may be an older one, or another's",
                          id, choice->taken->page);
        return true;
    }
    if (choice->newest != NULL && choice->taken != choice->newest &&
        (choice->taken->known < choice->newest->known)) {
        mpgi_salvage_note(salvage, "older", id,
                          "the last content of protected page %" PRIu64 ", in page %" PRIu64
                          ", is not whole: saved is an older one",
                          id, choice->newest->page);
        return true;
    }
    if (!mpgi_salvage_doubts(&salvage->doubtful_ids, id))
        return false;
    mpgi_salvage_note(salvage, "older", id,
                      "protected page %" PRIu64
                      " may have been changed, or freed, since what is saved of it",
                      id);
    return true;
}

static int decide(struct rescue *rescue, const struct salvage_entry *entries, size_t count,
                  struct salvage_entry *kept, size_t *kept_count)
{
    struct choice choice = choose(rescue, entries, count);
    int error = own_pages(rescue, &choice);

    if (error || choice.free)
        return error;
    if (choice.taken != NULL) {
        rescue->result.protected_saved++;
        rescue->result.protected_older += is_older(rescue, &choice);
        kept[(*kept_count)++] = *choice.taken;
    } else if (choice.newest != NULL) {
        rescue->result.protected_lost++;
        mpgi_salvage_note(&rescue->salvage, "lost", choice.newest->id,
                          "the content of protected page %" PRIu64 ", in page %" PRIu64
                          ", does not match its checksum, and no older one is there",
                          choice.newest->id, choice.newest->page);
        if (rescue->keep != NULL && rescue->keep(rescue->keep_context, choice.newest->id)) {
            kept[*kept_count] = *choice.newest;
            kept[(*kept_count)++].lost = true;
        }
    }
    return 0;
}

static int choose_protected(struct rescue *rescue)
{
    struct salvage *salvage = &rescue->salvage;
    struct salvage_entry *entries = salvage->entries;
    size_t kept = 0;
    int error = 0;

    mpgi_salvage_sort_entries(salvage);
    error = note_owners(rescue);
    for (size_t i = 0, end; i < salvage->entry_count && error == 0; i = end) {
        for (end = i + 1; end < salvage->entry_count && entries[end].id == entries[i].id;)
            end++;
        /* What is kept goes to where entries that were decided stood. */
        error = decide(rescue, &entries[i], end - i, entries, &kept);
    }
    salvage->entry_count = kept;
    return error;
}

/* ---- Regular pages ------------------------------------------------------------------------- */

/* Whether a page holds anything but zeros. What cannot be read may. */
static bool holds_anything(const struct rescue *rescue, uint64_t page)
{
    const struct salvage *salvage = &rescue->salvage;
    uint64_t at = page * salvage->page_size;

    for (uint32_t done = 0; done < salvage->page_size; done += rescue->piece_size) {
        if (mpgi_file_is_hole(salvage->file, at + done, rescue->piece_size))
            continue;
        if (mpgi_file_read(salvage->file, rescue->piece, rescue->piece_size, at + done, page) !=
                0 ||
            !is_zero(rescue->piece, rescue->piece_size))
            return true;
    }
    return false;
}

static int want(struct rescue *rescue, uint64_t page)
{
    rescue->wanted_count++;
    return mpgi_sheet_set_bit(rescue->wanted, page, true) ? 0 : mpgi_fail_memory("rescue");
}

/*
 * Whether a page has the content of a protected page, and what is lost of the directory said of
 * which one.
 */
static bool is_orphan(const struct rescue *rescue, uint64_t page)
{
    const struct salvage *salvage = &rescue->salvage;

    return salvage->doubtful_ids.count > 0 && mpgi_sheet_bit(salvage->contents, page);
}

static int choose_page(struct rescue *rescue, uint64_t page)
{
    struct salvage *salvage = &rescue->salvage;
    bool owned = mpgi_sheet_bit(salvage->owned, page);
    bool doubtful = mpgi_salvage_doubts(&salvage->doubtful_pages, page);

    if (mpgi_sheet_bit(salvage->regular, page) &&
        !(owned && (salvage->all_allocated || doubtful))) {
        if (page < salvage->pages) {
            (*(salvage->unnamed ? &rescue->result.regular_adopted
                                : &rescue->result.regular_saved))++;
            return want(rescue, page);
        }
        if (rescue->result.regular_lost++ == 0)
            mpgi_salvage_note(salvage, "beyond-end", page,
                              "regular page %" PRIu64 " lies behind the end of the file; perhaps "
                              "others, too",
                              page);
        return 0;
    }
    if (owned || page >= salvage->pages)
        return 0;
    if (is_orphan(rescue, page)) {
        if (rescue->result.orphans++ == 0)
            mpgi_salvage_note(
                salvage, "orphan", page,
                "page %" PRIu64
                " holds the content of a protected page whose id is lost: it is saved "
                "as a regular page; perhaps others, too",
                page);
        rescue->result.regular_adopted++;
        return want(rescue, page);
    }
    if (!doubtful || !holds_anything(rescue, page))
        return 0;
    rescue->result.regular_adopted++;
    return want(rescue, page);
}

/*
 * The next page from `page` on of which something is said, or doubted. A file may claim to have had
 * any number of them.
 */
static uint64_t next_page(const struct rescue *rescue, uint64_t page)
{
    const struct salvage *salvage = &rescue->salvage;
    uint64_t next = mpgi_sheet_next_bit(salvage->regular, page);

    if (salvage->doubtful_ids.count > 0)
        next = min_u64(next, mpgi_sheet_next_bit(salvage->contents, page));
    return min_u64(next, mpgi_salvage_next_doubted(&salvage->doubtful_pages, page));
}

static int choose_regular(struct rescue *rescue)
{
    struct salvage *salvage = &rescue->salvage;
    struct salvage_ranges *doubtful = &salvage->doubtful_pages;
    uint64_t end = max_u64(salvage->total, salvage->pages);
    int error = 0;

    mpgi_salvage_sort(doubtful);
    for (uint64_t page = FIRST_USER_PAGE; error == 0; page++) {
        page = next_page(rescue, page);
        if (page >= end)
            break;
        error = choose_page(rescue, page);
    }
    for (size_t i = 0; i < doubtful->count && error == 0; i++)
        mpgi_salvage_note(salvage, "doubtful", doubtful->ranges[i].first,
                          "what pages %" PRIu64 " to %" PRIu64
                          " are used for is not known for sure: those that hold anything and are "
                          "nobody's are taken for regular pages",
                          doubtful->ranges[i].first, doubtful->ranges[i].end - 1);
    return error;
}

int mpgi_rescue_choose(struct rescue *rescue)
{
    int error;

    mpgi_salvage_sort(&rescue->salvage.doubtful_ids);
    error = choose_protected(rescue);
    return error ? error : choose_regular(rescue);
}
