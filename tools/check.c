/* SPDX-License-Identifier: MIT */
/* mappedpages check: whether everything in a page file is as it should be. */

#include "arguments.h"
#include "command.h"
#include "escape.h"
#include "file.h"
#include "json.h"
#include "output.h"
#include "progress.h"
#include "repair.h"
#include "size.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How often a file that a writer keeps changing is looked at before the check gives up. */
#define MOST_ROUNDS 20

/* --older, which has no letter. */
#define OPTION_OLDER 257

static const struct option options[] = {
    {"json", no_argument, NULL, 'j'},       {"quiet", no_argument, NULL, 'q'},
    {"repair", no_argument, NULL, 'r'},     {"yes", no_argument, NULL, 'y'},
    {"dry-run", no_argument, NULL, 'n'},    {"older", no_argument, NULL, OPTION_OLDER},
    {"undo", required_argument, NULL, 'u'}, {"wait", required_argument, NULL, 'w'},
    {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0},
};

/* What the library's reports are made into. */
struct report {
    const char *path;
    bool as_json;
    struct progress progress;
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

/* What could not be looked at, if there is any: the first and the last of them. */
static void print_unchecked(struct report *report, const char *name, uint64_t first, uint64_t end)
{
    if (end <= first) {
        return;
    }
    json_open(&report->json, name, '{');
    json_number(&report->json, "first", first);
    json_number(&report->json, "last", end - 1);
    json_close(&report->json, '}');
}

static void report_fault(void *context, const mpg_fault *fault)
{
    struct report *report = context;
    const char *message = without_path(fault->message, report->path);
    const char *kind = fault->code == MPG_E_CORRUPT_PAGE ? "protected" : "page";
    const char *name = fault->code == 0 ? "WARNING" : error_name(fault->code);

    progress_end(&report->progress);
    if (report->as_json) {
        json_open(&report->json, NULL, '{');
        json_string(&report->json, "name", name);
        json_string(&report->json, "fault", fault->name);
        if (fault->page != MPG_NO_PAGE) {
            json_number(&report->json, kind, fault->page);
        }
        json_string(&report->json, "message", message);
        print_unchecked(report, "unchecked_pages", fault->pages_first, fault->pages_end);
        print_unchecked(report, "unchecked_protected", fault->protected_first,
                        fault->protected_end);
        json_close(&report->json, '}');
        return;
    }
    fputs(name, report->out);
    if (fault->page != MPG_NO_PAGE) {
        fprintf(report->out, " %s %" PRIu64, kind, fault->page);
    }
    fputs(": ", report->out);
    escape_print(report->out, message);
    fprintf(report->out, " [%s]\n", fault->name);
}

static bool show_progress(void *context, uint64_t done, uint64_t total)
{
    struct report *report = context;

    return progress_go_on(&report->progress, done, total);
}

/* Looks at all of it. Returns 0 or the error. */
static int check_pager(struct report *report, const mpg_pager *pager, mpg_check_result *result)
{
    mpg_check_options how = MPG_CHECK_OPTIONS_INIT;
    int status;

    how.report = report_fault;
    how.progress = show_progress;
    how.context = report;
    status = mpg_check(result, pager, &how);
    progress_end(&report->progress);
    return status;
}

/* The last lines. `result` is all zeros but for the faults if the file could not even be opened. */
static void end_report(struct report *report, const mpg_check_result *result)
{
    if (report->as_json) {
        json_close(&report->json, ']');
        json_boolean(&report->json, "clean", result->faults == 0);
        json_number(&report->json, "warnings", result->warnings);
        json_number(&report->json, "pages_checked", result->pages_checked);
        json_number(&report->json, "protected_checked", result->protected_checked);
        json_number(&report->json, "pages_unchecked", result->pages_unchecked);
        json_number(&report->json, "protected_unchecked", result->protected_unchecked);
        json_end(&report->json);
        return;
    }
    escape_print(report->out, report->path);
    if (result->faults == 0) {
        fputs(": no fault", report->out);
    } else {
        fprintf(report->out, ": %" PRIu64 " fault%s", result->faults, plural(result->faults));
    }
    if (result->warnings > 0) {
        fprintf(report->out, ", %" PRIu64 " warning%s", result->warnings, plural(result->warnings));
    }
    fprintf(report->out, " (%" PRIu64 " page%s and %" PRIu64 " protected page%s checked",
            result->pages_checked, plural(result->pages_checked), result->protected_checked,
            plural(result->protected_checked));
    if (result->pages_unchecked > 0 || result->protected_unchecked > 0) {
        fprintf(report->out,
                "; %" PRIu64 " page%s and %" PRIu64 " protected page%s could not be looked at",
                result->pages_unchecked, plural(result->pages_unchecked),
                result->protected_unchecked, plural(result->protected_unchecked));
    }
    fputs(")\n", report->out);
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
    fault = (mpg_fault){.code = info.code,
                        .page = info.page,
                        .message = info.message,
                        .name = mpg_fault_name(info.code)};
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
    if (check_pager(report, pager, &result) != 0) {
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
    status = check_pager(report, pager, result);
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
            return report_reason(report->path, report->as_json, MPG_E_NO_MEMORY, "%s",
                                 strerror(errno));
        }
        status = check_round(report, pager, out, &settled, &result);
        if (fclose(out) != 0) {
            free(text);
            return report_reason(report->path, report->as_json, MPG_E_NO_MEMORY,
                                 "not enough memory for the report");
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
    return report_reason(report->path, report->as_json, MPG_E_STALE,
                         "it is being changed too fast to be checked; try again later");
}

static int check_file(const struct repair_request *request)
{
    mpg_options alone = MPG_OPTIONS_INIT;
    struct report report = {.path = request->path, .as_json = request->as_json};
    const mpg_pager *pager;
    int status;

    hints_are_for(HINT_CHECK);
    progress_begin(&report.progress, "checking", 0, request->quiet);
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

static void take_option(struct repair_request *request, int option)
{
    switch (option) {
    case 'j':
        request->as_json = true;
        break;
    case 'q':
        request->quiet = true;
        break;
    case 'y':
        request->yes = true;
        break;
    case 'n':
        request->dry_run = true;
        break;
    case 'u':
        request->undo = optarg;
        break;
    case OPTION_OLDER:
        request->older = true;
        break;
    default:
        break; /* --repair */
    }
}

static int run(int argc, char **argv)
{
    struct repair_request request = {0};
    bool repair = false;
    int option;

    while ((option = next_option(&command_check, argc, argv)) != -1) {
        repair |= option == 'r';
        take_option(&request, option);
    }
    expect_arguments(&command_check, argc, argv, 1, 1);
    request.path = argv[optind];
    if (!repair && (request.yes || request.dry_run || request.older)) {
        usage_error(&command_check, "--yes, --dry-run and --older are for --repair");
    }
    if (request.undo != NULL) {
        expect_name(&command_check, "the undo file", request.undo);
    }
    if (request.yes && request.dry_run) {
        usage_error(&command_check, "--yes and --dry-run contradict each other");
    }
    if (!repair && request.undo == NULL) {
        return check_file(&request);
    }
    hints_are_for(repair ? HINT_REPAIR : HINT_UNDO);
    return repair ? repair_file(&request) : undo_repair(&request);
}

const struct command command_check = {
    .name = "check",
    .summary = "Checks everything in a page file",
    .usage = "[-jq] [-r [-y|-n] [--older]] [-u UNDO] [-w SECONDS] FILE",
    .help =
        "Looks at the structure, at every checksum, and for pages used twice or by nobody. Prints\n"
        "a line for each fault, its name first, then one with what was looked at. Changes "
        "nothing.\n"
        "Keeps writers out meanwhile; a file that is mounted or being written is checked in the\n"
        "state of its last commit. The exit status is 1 if there are faults.\n\n"
        "With --repair it is mended where it is. What changes is first written to an undo file, "
        "FILE.undo\n"
        "unless -u names another. What would be given up is asked for on a terminal, and refused "
        "elsewhere.\n"
        "Cut short, it goes on when it is called again. -u alone takes a repair back.\n\n"
        "  -j, --json     as a JSON object\n"
        "  -q, --quiet    no progress bar\n"
        "  -r, --repair   mend it\n"
        "  -y, --yes      agree to whatever is given up\n"
        "  -n, --dry-run  only say what would be done; the exit status is 1 if that is anything\n"
        "      --older    go back to the state before the newest, if that is damaged\n"
        "  -u, --undo UNDO  the undo file\n"
        "  -w, --wait SECONDS  with -r or -u: wait that long for a file that is busy\n"
        "  -h, --help     this help\n",
    .options = options,
    .run = run,
};
