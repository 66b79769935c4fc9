/* SPDX-License-Identifier: MIT */
/* check --repair: mends a file where it is, and asks before anything is given up. */
#include "repair.h"

#include "command.h"
#include "escape.h"
#include "file.h"
#include "holder.h"
#include "json.h"
#include "mappedpages_repair.h"
#include "notes.h"
#include "output.h"
#include "progress.h"
#include "size.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct repair {
    const struct repair_request *request;
    struct json json; /* if as_json */
    struct progress progress;
    struct notes notes;
    bool all; /* "all" was answered */
};

static void tell(void *context, const mpg_rescue_note *note)
{
    struct repair *repair = context;

    notes_tell(&repair->notes, note);
}

/* A line from the terminal, of which the first letter counts. */
static int read_answer(void)
{
    char line[64];
    int letter;

    if (fgets(line, sizeof(line), stdin) == NULL) {
        return 'n';
    }
    letter = (unsigned char)line[0];
    while (strchr(line, '\n') == NULL && fgets(line, sizeof(line), stdin) != NULL) {
    }
    return letter;
}

static bool agree(void *context, const mpg_rescue_note *note)
{
    struct repair *repair = context;
    int answer;

    if (repair->request->yes || repair->all) {
        return true;
    }
    /* What would be done is what is asked for then. */
    if (repair->request->dry_run) {
        return true;
    }
    if (repair->request->as_json || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
        return false;
    }
    notes_end(&repair->notes);
    fflush(stdout);
    escape_print(stderr, without_path(note->message, repair->request->path));
    fputs("\nGo on? y: yes, a: yes to all, n: no [n] ", stderr);
    stop_holding_signals(); /* nothing is written before all was asked */
    answer = read_answer();
    hold_signals();
    repair->all = answer == 'a' || answer == 'A';
    return repair->all || answer == 'y' || answer == 'Y';
}

static bool show_progress(void *context, uint64_t done, uint64_t total)
{
    struct repair *repair = context;

    return progress_go_on(&repair->progress, done, total);
}

static void print_json(struct repair *repair, const mpg_repair_result *result, const char *undo)
{
    struct json *json = &repair->json;

    json_close(json, ']');
    json_number(json, "faults", result->faults);
    json_number(json, "faults_left", result->faults_left);
    json_boolean(json, "changed", result->changed);
    json_boolean(json, "rebuilt", result->rebuilt);
    json_boolean(json, "finished", result->finished);
    json_number(json, "bytes", result->bytes);
    json_number(json, "protected_older", result->protected_older);
    json_number(json, "protected_lost", result->protected_lost);
    json_number(json, "regular_adopted", result->regular_adopted);
    if (result->changed && !repair->request->dry_run) {
        json_string(json, "undo", undo);
    }
    json_end(json);
}

static void print_left(const mpg_repair_result *result)
{
    if (result->faults_left > 0) {
        printf(", but for %" PRIu64 " protected page%s whose content is lost (to be written anew, "
               "or given up by --yes)",
               result->faults_left, plural(result->faults_left));
    }
    putchar('\n');
}

static void print_result(struct repair *repair, const mpg_repair_result *result, const char *undo)
{
    const struct repair_request *request = repair->request;

    escape_print(stdout, request->path);
    if (result->finished && request->dry_run) {
        puts(": a repair that was cut short would be finished");
    } else if (result->finished) {
        puts(": a repair that was cut short is finished");
    } else if (request->dry_run && result->changed) {
        printf(": it would be repaired, in %" PRIu64 " bytes", result->bytes);
        print_left(result);
    } else if (result->changed) {
        fputs(": repaired", stdout);
        print_left(result);
    } else {
        fputs(": nothing to repair", stdout);
        print_left(result);
    }
    if (result->changed && !request->dry_run) {
        fputs("to take it back: mappedpages check --undo ", stdout);
        escape_print(stdout, undo);
        putchar(' ');
        escape_print(stdout, request->path);
        putchar('\n');
    }
}

static int report(struct repair *repair, int error, const char *undo, const struct busy *busy)
{
    const char *about = failed_path(repair->request->path, undo);
    mpg_error_info info;

    (void)mpg_last_error(&info);
    if (error == MPG_E_BUSY) {
        describe_busy(&info, busy);
    }
    if (about == undo) {
        hints_are_for(HINT_UNDO_FILE);
    }
    progress_end(&repair->progress);
    if (repair->request->as_json) {
        json_close(&repair->json, ']');
        json_error(&repair->json, about, &info);
        json_end(&repair->json);
    }
    (void)report_error(about, &info, false);
    if (error == MPG_E_CANCELLED) {
        let_signals_end();
    }
    if (error == MPG_E_CANCELLED && !repair->request->as_json && !isatty(STDIN_FILENO)) {
        complain(repair->request->path, "--yes agrees to all of it, --dry-run tells what it is");
    }
    return error == MPG_E_CANCELLED ? finish_output(STATUS_NO) : STATUS_FAILED;
}

int repair_file(const struct repair_request *request)
{
    struct repair repair = {.request = request};
    mpg_repair_options how = MPG_REPAIR_OPTIONS_INIT;
    struct busy busy = begin_waiting();
    mpg_repair_result result;
    size_t size = strlen(request->path) + sizeof(".undo");
    char *name = allocate(size, 1);
    int error;

    (void)snprintf(name, size, "%s.undo", request->path);
    how.flags =
        (request->dry_run ? MPG_REPAIR_DRY_RUN : 0) | (request->older ? MPG_REPAIR_OLDER : 0);
    how.undo = request->undo != NULL ? request->undo : name;
    how.note = tell;
    how.consent = agree;
    how.progress = show_progress;
    how.context = &repair;
    hold_signals();
    progress_begin(&repair.progress, "repairing", 0, request->quiet);
    if (request->as_json) {
        json_begin(&repair.json, stdout);
        json_string(&repair.json, "file", request->path);
        json_open(&repair.json, "notes", '[');
    }
    repair.notes = (struct notes){
        .path = request->path,
        .json = request->as_json ? &repair.json : NULL,
        .progress = &repair.progress,
    };
    do {
        error = mpg_repair(&result, request->path, &how);
    } while (wait_while_busy(&busy, error, request->path));
    notes_end(&repair.notes);
    if (error != 0) {
        error = report(&repair, error, how.undo, &busy);
        free(name);
        return error;
    }
    progress_end(&repair.progress);
    if (request->as_json) {
        print_json(&repair, &result, how.undo);
    } else {
        print_result(&repair, &result, how.undo);
    }
    free(name);
    return finish_output(
        result.faults_left > 0 || (request->dry_run && result.changed) ? STATUS_NO : STATUS_FINE);
}

/* Returns an exit status. */
static int report_undo(const struct repair_request *request, int error, const struct busy *busy)
{
    const char *about = failed_path(request->path, request->undo);
    mpg_error_info info;

    (void)mpg_last_error(&info);
    if (error == MPG_E_BUSY) {
        describe_busy(&info, busy);
    }
    return report_error(about, &info, request->as_json);
}

int undo_repair(const struct repair_request *request)
{
    struct busy busy = begin_waiting();
    struct json json;
    int error;

    hold_signals();
    do {
        error = mpg_repair_undo(request->path, request->undo);
    } while (wait_while_busy(&busy, error, request->path));
    if (error != 0) {
        return report_undo(request, error, &busy);
    }
    if (request->as_json) {
        json_begin(&json, stdout);
        json_string(&json, "file", request->path);
        json_boolean(&json, "undone", true);
        json_end(&json);
    } else {
        escape_print(stdout, request->path);
        puts(": as it was before the repair");
    }
    return finish_output(STATUS_FINE);
}
