/* SPDX-License-Identifier: MIT */
/* Repairing: all metadata anew, around contents that stay where they are. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "format/format.h"
#include "life/copy_build.h"
#include "life/repair_steps.h"

#define CACHE_SIZE ((size_t)4 << 20)

/* A page becomes one thing's. False if it is another's already, or none that can be. */
static bool claim(struct sheet *claimed, uint64_t page, uint64_t total, int *error)
{
    if (page < FIRST_USER_PAGE || page >= total || mpgi_sheet_bit(claimed, page))
        return false;
    if (!mpgi_sheet_set_bit(claimed, page, true))
        *error = mpgi_fail_memory("repair");
    return *error == 0;
}

/* Two things say that they have a page: one of them gives it up. */
static int give_page_up(struct repair *repair, const char *name, uint64_t number, uint64_t page)
{
    char message[160];

    (void)snprintf(message, sizeof(message),
                   "page %" PRIu64 " is used twice: %s page %" PRIu64 " gives it up, and is freed",
                   page, strcmp(name, "lost") == 0 ? "protected" : "regular", number);
    mpgi_repair_tell(repair, name, number, message);
    return mpgi_repair_ask(repair, name, number, message) ? 0 : mpgi_repair_refused(repair);
}

static int add_entries(struct repair *repair, struct copy_state *state, struct sheet *claimed)
{
    const struct salvage *salvage = &repair->rescue.salvage;
    int error = 0;

    for (size_t i = 0; i < salvage->entry_count && error == 0; i++) {
        const struct salvage_entry *said = &salvage->entries[i];
        struct copy_entry *made = &state->entries[state->entry_count];

        if (!claim(claimed, said->page, state->total, &error)) {
            if (error == 0)
                error = give_page_up(repair, "lost", said->id, said->page);
            repair->result.protected_lost++;
            continue;
        }
        *made = (struct copy_entry){
            .id = said->id,
            .entry = {.page = {said->page, said->other},
                      .generation = said->generation,
                      .crc = said->crc,
                      .in_use = true},
        };
        repair->result.faults_left += said->lost;
        state->entry_count++;
    }
    /*
     * Second pages only where nobody else has them; one of which nobody knows for sure what it
     * holds may have a content that is newer than what is known.
     */
    for (size_t i = 0; i < state->entry_count && error == 0; i++) {
        uint64_t *other = &state->entries[i].entry.page[1];

        if (salvage->format == MPG_FORMAT_1 || mpgi_sheet_bit(repair->rescue.wanted, *other) ||
            !claim(claimed, *other, state->total, &error))
            *other = 0;
    }
    return error;
}

static int add_regular(struct repair *repair, struct copy_state *state, struct sheet *claimed)
{
    int error = 0;

    for (uint64_t page = 0; error == 0; page++) {
        page = mpgi_sheet_next_bit(repair->rescue.wanted, page);
        if (page >= state->total)
            break;
        if (mpgi_sheet_bit(claimed, page))
            error = give_page_up(repair, "page-twice", page, page);
        else
            error = mpgi_copy_state_add_page(state, page);
    }
    return error;
}

static int make_state(struct repair *repair, struct copy_state *state)
{
    struct sheet *claimed = mpgi_sheet_new();
    size_t count = repair->rescue.salvage.entry_count;
    int error = claimed != NULL ? 0 : mpgi_fail_memory("repair");

    state->total = max_u64(mpgi_rescue_pages(&repair->rescue), 4);
    state->entries = calloc(count + 1, sizeof(*state->entries));
    if (state->entries == NULL)
        error = mpgi_fail_memory("repair");
    if (error == 0)
        error = add_entries(repair, state, claimed);
    if (error == 0)
        error = add_regular(repair, state, claimed);
    mpgi_sheet_free(claimed);
    return error;
}

/* Page 0 as it was: it was whole, and has what nothing else says. */
static int keep_page_0(struct repair *repair, struct file *file)
{
    unsigned char bytes[4096];
    size_t size = min_u64(sizeof(bytes), repair->rescue.salvage.page_size);
    int error;

    if (repair->rescue.salvage.format != MPG_FORMAT_1 || !repair->rescue.salvage.has_top)
        return 0;
    error = mpgi_file_read(&repair->rescue.source, bytes, size, 0, 0);
    return error ? error : mpgi_file_write(file, bytes, size, 0, 0);
}

static int build(struct repair *repair, const struct copy_state *state)
{
    const struct salvage *salvage = &repair->rescue.salvage;
    struct copy_build how = {
        .ops = salvage->format == MPG_FORMAT_1 ? &mpgi_format_1 : &mpgi_format_0_2,
        .same_format = true,
        .page_size = salvage->page_size,
        .label = salvage->format == MPG_FORMAT_1 ? salvage->label : NULL,
        .uuid = salvage->format == MPG_FORMAT_1 && !salvage->headless ? salvage->uuid : NULL,
        .generation = salvage->generation + 2,
        .cache_size = CACHE_SIZE,
    };
    mpg_error_info info;
    struct file file;
    int error = mpgi_repair_open_target(repair, &file);

    if (error)
        return error;
    error = mpgi_copy_build(&file, state, &how);
    if (error == 0)
        error = keep_page_0(repair, &file);
    (void)mpg_last_error(&info);
    (void)mpgi_file_close(&file);
    return error ? mpgi_fail_again(&info) : 0;
}

int mpgi_repair_rebuild(struct repair *repair)
{
    struct copy_state state = {0};
    struct outcome outcome = {0};
    int error = mpgi_repair_disk_forget(&repair->disk);

    repair->result.rebuilt = true;
    if (error == 0)
        error = make_state(repair, &state);
    if (error == 0)
        error = build(repair, &state);
    mpgi_copy_state_free(&state);
    if (error == 0)
        error = mpgi_repair_mend(repair, false);
    if (error == 0)
        error = mpgi_repair_try(repair, &outcome, false);
    if (error == 0 && (!is_sound(&outcome) || outcome.contents != repair->result.faults_left))
        error = mpgi_fail(MPG_E_CORRUPT_METADATA, "repair", MPG_NO_PAGE,
                          "%s: it cannot be repaired where it is; a rescue makes a new file",
                          repair->rescue.source.path);
    return error;
}
