/* SPDX-License-Identifier: MIT */
#include "life/repair_steps.h"

#include <string.h>

#include "base/error.h"
#include "pager/open.h"

/* ---- telling and asking ---- */

void mpgi_repair_tell(struct repair *repair, const char *name, uint64_t page, const char *message)
{
    mpg_rescue_note note = {name, page, message};

    repair->result.notes++;
    if (repair->options.note != NULL)
        repair->options.note(repair->options.context, &note);
}

bool mpgi_repair_ask(const struct repair *repair, const char *name, uint64_t page,
                     const char *message)
{
    mpg_rescue_note note = {name, page, message};

    return repair->options.consent != NULL &&
           repair->options.consent(repair->options.context, &note);
}

int mpgi_repair_refused(const struct repair *repair)
{
    return mpgi_fail(MPG_E_CANCELLED, "repair", MPG_NO_PAGE,
                     "%s: nothing is changed: what would be given up was not agreed to",
                     repair->rescue.source.path);
}

/* ---- open and check ---- */

struct hearing {
    struct repair *repair; /* to tell of faults, or NULL */
    struct outcome *outcome;
};

static void on_fault(void *context, const mpg_fault *fault)
{
    const struct hearing *hearing = context;

    if (fault->code == 0)
        return; /* a warning: what it is about is mended, and told */
    hearing->outcome->contents += fault->code == MPG_E_CORRUPT_PAGE;
    if (hearing->repair != NULL)
        mpgi_repair_tell(hearing->repair, fault->name, fault->page, fault->message);
}

int mpgi_repair_open(struct repair *repair, mpg_pager **pager)
{
    mpg_options options = MPG_OPTIONS_INIT;

    options.flags = MPG_SPARSE | MPG_DEFER_ALLOCATION | MPG_LOCAL_LOCK;
    return mpgi_open_with(pager, repair->rescue.source.path, &options, false, &mpgi_repair_io,
                          &repair->disk);
}

/* Whether an error says that the file is damaged, so that something else is to be tried. */
static bool is_damage(int error)
{
    return mpg_is_damage(error) || error == MPG_E_INVALID_PAGE_SIZE || error == MPG_E_IO;
}

int mpgi_repair_try(struct repair *repair, struct outcome *outcome, bool aloud)
{
    struct hearing hearing = {aloud ? repair : NULL, outcome};
    mpg_check_options how = MPG_CHECK_OPTIONS_INIT;
    mpg_check_result result = {0};
    mpg_error_info info;
    mpg_pager *pager;
    int error = mpgi_repair_open(repair, &pager), closed;

    memset(outcome, 0, sizeof(*outcome));
    if (error != 0) {
        (void)mpg_last_error(&info);
        outcome->faults = 1;
        if (is_damage(error) && aloud)
            mpgi_repair_tell(repair, mpg_fault_name(error), info.page, info.message);
        return is_damage(error) ? 0 : error;
    }
    outcome->opened = true;
    how.report = on_fault;
    how.context = &hearing;
    error = mpg_check(&result, pager, &how);
    outcome->faults = result.faults + (is_damage(error) ? 1 : 0);
    (void)mpg_last_error(&info);
    closed = mpg_close(pager);
    if (error != 0 && !is_damage(error))
        return mpgi_fail_again(&info);
    if (closed != 0 && is_damage(closed))
        outcome->faults++;
    return closed == 0 || is_damage(closed) ? 0 : closed;
}

/* ---- mending ---- */

int mpgi_repair_open_target(struct repair *repair, struct file *file)
{
    return mpgi_file_open(file, &mpgi_repair_io, &repair->disk, repair->rescue.source.path, false);
}

static void on_mended(void *context, const char *name, uint64_t page, const char *message)
{
    mpgi_repair_tell(context, name, page, message);
}

static void ignore(void *context, const char *name, uint64_t page, const char *message)
{
    (void)context;
    (void)name;
    (void)page;
    (void)message;
}

int mpgi_repair_mend(struct repair *repair, bool aloud)
{
    struct salvage salvage = {.note = aloud ? on_mended : ignore, .context = repair};
    const struct salvage_ops *ops = NULL;
    struct file file;
    bool mended = false;
    int error = mpgi_repair_open_target(repair, &file);

    if (error)
        return error;
    salvage.file = &file;
    error = mpgi_rescue_identify(&salvage, &ops);
    repair->result.format = salvage.format;
    repair->result.page_size = salvage.page_size;
    if (error == 0)
        error = ops->mend_top(&file, &mended);
    if (mended && aloud)
        mpgi_repair_tell(
            repair, "superblock", 0,
            salvage.format == MPG_FORMAT_1
                ? "page 0 is not whole: it is made anew from a root, but for the label"
                : "the head of page 0 is not whole: it is made anew from the metadata");
    if (error == 0)
        error = ops->mend_copies(&salvage);
    (void)mpgi_file_close(&file);
    return error;
}
