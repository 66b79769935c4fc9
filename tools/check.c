/* SPDX-License-Identifier: MIT */
/* mappedpages check: whether everything in a page file is as it should be. */

#include "arguments.h"
#include "command.h"
#include "escape.h"
#include "file.h"
#include "json.h"
#include "output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How often a file that a writer keeps changing is looked at before the check gives up. */
#define MOST_ROUNDS 20

static const struct option options[] = {
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* What the library's reports are made into. */
struct report {
    const char *path;
    bool as_json;
    FILE *out;
    struct json json; /* if as_json, on `out` */
};

static void begin_report(struct report *report, FILE *out)
{
    report->out = out;
    if (report->as_json) {
        json_begin(&report->json, out);
        json_string(&report->json, "file", report->path);
        json_open(&report->json, "faults", '[');
    }
}

static void report_fault(void *context, const mpg_fault *fault)
{
    struct report *report = context;
    const char *message = without_path(fault->message, report->path);
    const char *kind = fault->code == MPG_E_CORRUPT_PAGE ? "protected" : "page";

    if (report->as_json) {
        json_open(&report->json, NULL, '{');
        json_string(&report->json, "name", error_name(fault->code));
        if (fault->page != MPG_NO_PAGE) {
            json_number(&report->json, kind, fault->page);
        }
        json_string(&report->json, "message", message);
        json_close(&report->json, '}');
        return;
    }
    fputs(error_name(fault->code), report->out);
    if (fault->page != MPG_NO_PAGE) {
        fprintf(report->out, " %s %" PRIu64, kind, fault->page);
    }
    fputs(": ", report->out);
    escape_print(report->out, message);
    fputc('\n', report->out);
}

/* The last lines. `result` is all zeros but for the faults if the file could not even be opened. */
static void end_report(struct report *report, const mpg_check_result *result)
{
    if (report->as_json) {
        json_close(&report->json, ']');
        json_boolean(&report->json, "clean", result->faults == 0);
        json_number(&report->json, "pages_checked", result->pages_checked);
        json_number(&report->json, "protected_checked", result->protected_checked);
        json_end(&report->json);
        return;
    }
    escape_print(report->out, report->path);
    if (result->faults == 0) {
        fputs(": no fault", report->out);
    } else {
        fprintf(report->out, ": %" PRIu64 " fault%s", result->faults,
                result->faults == 1 ? "" : "s");
    }
    fprintf(report->out, " (%" PRIu64 " pages and %" PRIu64 " protected pages checked)\n",
            result->pages_checked, result->protected_checked);
}

/* The file could not be opened. Returns an exit status. */
static int report_unopened(struct report *report)
{
    mpg_check_result result = {.faults = 1};
    mpg_error_info info;
    mpg_fault fault;

    mpg_last_error(&info);
    /* Nobody asked for a page size: one that makes no sense is the file's. */
    if (!mpg_is_damage(info.code) && info.code != MPG_E_INVALID_PAGE_SIZE) {
        return report_failure(report->path, report->as_json);
    }
    fault = (mpg_fault){.code = info.code, .page = info.page, .message = info.message};
    complain_hint(report->path, &info);
    begin_report(report, stdout);
    report_fault(report, &fault);
    end_report(report, &result);
    return finish_output(STATUS_NO);
}

/* Checks a file that nobody can change meanwhile. Returns an exit status, the pager still open. */
static int check_locked(struct report *report, const mpg_pager *pager)
{
    mpg_check_result result;

    begin_report(report, stdout);
    if (mpg_check(&result, pager, report_fault, report) != 0) {
        if (report->as_json) {
            json_close(&report->json, ']');
            json_failure(&report->json, report->path);
            json_end(&report->json);
        }
        return report_failure(report->path, false);
    }
    end_report(report, &result);
    return finish_output(result.faults == 0 ? STATUS_FINE : STATUS_NO);
}

/* The number of the last commit this pager shows, after moving on to the newest. */
static int newest_generation(uint64_t *generation, const mpg_pager *pager)
{
    struct mpg_stat st = {.size = sizeof st};
    int status = mpg_refresh(pager);

    if (status == 0) {
        status = mpg_stat(&st, pager);
    }
    if (status == 0) {
        *generation = st.generation;
    }
    return status;
}

/*
 * One look at a file that a writer may be changing, reported to `out`. What looks like a fault may
 * be the writer's doing: *settled says whether the faults are the file's own. Returns 0 or the
 * error.
 */
static int check_round(struct report *report, const mpg_pager *pager, FILE *out, bool *settled,
                       mpg_check_result *result)
{
    uint64_t before;
    uint64_t after;
    int status = newest_generation(&before, pager);

    if (status != 0) {
        return status;
    }
    begin_report(report, out);
    status = mpg_check(result, pager, report_fault, report);
    if (status != 0) {
        return status;
    }
    end_report(report, result);
    if (result->faults == 0) {
        *settled = true;
        return 0;
    }
    status = newest_generation(&after, pager);
    *settled = status == 0 && before == after;
    return status;
}

/* Checks a file that is being written. Returns an exit status, the pager still open. */
static int check_unlocked(struct report *report, const mpg_pager *pager)
{
    for (int round = 0; round < MOST_ROUNDS; round++) {
        mpg_check_result result = {0};
        bool settled = false;
        char *text = NULL;
        size_t length = 0;
        FILE *out = open_memstream(&text, &length);
        int status;

        if (out == NULL) {
            complain(report->path, "%s", strerror(errno));
            return STATUS_FAILED;
        }
        status = check_round(report, pager, out, &settled, &result);
        if (fclose(out) != 0) {
            complain(report->path, "%s", strerror(errno));
            free(text);
            return STATUS_FAILED;
        }
        if (settled) {
            status = write_output(text, length, result.faults == 0 ? STATUS_FINE : STATUS_NO);
            free(text);
            return status;
        }
        free(text);
        if (status != 0 && status != MPG_E_STALE) {
            return report_failure(report->path, report->as_json);
        }
    }
    complain(report->path, "it is being changed too fast to be checked; try again later");
    return STATUS_FAILED;
}

static int run(int argc, char **argv)
{
    mpg_options alone = MPG_OPTIONS_INIT;
    struct report report = {0};
    const mpg_pager *pager;
    int status;

    while (next_option(&command_check, argc, argv) != -1) {
        report.as_json = true;
    }
    expect_arguments(&command_check, argc, argv, 1, 1);
    report.path = argv[optind];
    hints_are_for(HINT_CHECK);
    alone.flags = MPG_LOCK_SHARED;
    status = mpg_open_readonly(&pager, report.path, &alone);
    if (status == 0) {
        return close_file(pager, report.path, check_locked(&report, pager));
    }
    if (status == MPG_E_BUSY) {
        status = mpg_open_readonly(&pager, report.path, NULL);
        if (status == 0) {
            return close_file(pager, report.path, check_unlocked(&report, pager));
        }
    }
    return report_unopened(&report);
}

const struct command command_check = {
    .name = "check",
    .summary = "Checks everything in a page file",
    .usage = "[-j] FILE",
    .help =
        "Looks at the structure, at every checksum, and for pages used twice or by nobody. Prints\n"
        "a line for each fault, its name first, then one with what was looked at. Changes "
        "nothing.\n"
        "Keeps writers out meanwhile; a file that is mounted or being written is checked in the\n"
        "state of its last commit. The exit status is 1 if there are faults.\n\n"
        "  -j, --json  as a JSON object\n"
        "  -h, --help  this help\n",
    .options = options,
    .run = run,
};
