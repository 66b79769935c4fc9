/* SPDX-License-Identifier: MIT */
/* mappedpages rescue: what can be read of a damaged file, into a new one. */

#include "arguments.h"
#include "command.h"
#include "escape.h"
#include "file.h"
#include "json.h"
#include "mappedpages_rescue.h"
#include "notes.h"
#include "output.h"
#include "progress.h"
#include "size.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct option options[] = {
    {"json", no_argument, NULL, 'j'},
    {"quiet", no_argument, NULL, 'q'},
    {"wait", required_argument, NULL, 'w'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct rescue {
    const char *source;
    const char *destination;
    bool as_json;
    bool quiet;
    struct json json; /* if as_json */
    struct progress progress;
    struct notes notes;
};

static void tell(void *context, const mpg_rescue_note *note)
{
    struct rescue *rescue = context;

    notes_tell(&rescue->notes, note);
}

static bool show_progress(void *context, uint64_t done, uint64_t total)
{
    struct rescue *rescue = context;

    return progress_go_on(&rescue->progress, done, total);
}

/* Whether all is there, as it was. */
static bool is_whole(const mpg_rescue_result *result)
{
    return result->regular_adopted == 0 && result->regular_damaged == 0 &&
           result->regular_lost == 0 && result->protected_older == 0 && result->protected_lost == 0;
}

static void print_result(struct rescue *rescue, const mpg_rescue_result *result)
{
    struct json *json = &rescue->json;

    if (rescue->as_json) {
        json_close(json, ']');
        json_boolean(json, "whole", is_whole(result));
        json_string(json, "format", result->format == MPG_FORMAT_1 ? "1" : "0.2");
        json_number(json, "page_size", result->page_size);
        json_number(json, "pages", result->pages);
        json_number(json, "regular_saved", result->regular_saved);
        json_number(json, "regular_adopted", result->regular_adopted);
        json_number(json, "orphans", result->orphans);
        json_number(json, "regular_damaged", result->regular_damaged);
        json_number(json, "regular_lost", result->regular_lost);
        json_number(json, "protected_saved", result->protected_saved);
        json_number(json, "protected_older", result->protected_older);
        json_number(json, "protected_lost", result->protected_lost);
        json_end(json);
        return;
    }
    escape_print(stdout, rescue->destination);
    printf(": %" PRIu64 " protected page%s saved", result->protected_saved,
           plural(result->protected_saved));
    if (result->protected_older > 0) {
        printf(", of which %" PRIu64 " may be older", result->protected_older);
    }
    if (result->protected_lost > 0) {
        printf(", %" PRIu64 " lost", result->protected_lost);
    }
    printf("; %" PRIu64 " regular page%s saved", result->regular_saved,
           plural(result->regular_saved));
    if (result->regular_adopted > 0) {
        printf(", %" PRIu64 " more that may be regular ones", result->regular_adopted);
    }
    if (result->regular_damaged > 0) {
        printf(", %" PRIu64 " not in full", result->regular_damaged);
    }
    if (result->regular_lost > 0) {
        printf(", %" PRIu64 " lost", result->regular_lost);
    }
    putchar('\n');
}

static int rescue_file(struct rescue *rescue)
{
    mpg_rescue_options how = MPG_RESCUE_OPTIONS_INIT;
    struct busy busy = begin_waiting();
    mpg_rescue_result result;
    int rescued;

    how.note = tell;
    how.progress = show_progress;
    how.context = rescue;
    hints_are_for(HINT_RESCUE);
    hold_signals();
    progress_begin(&rescue->progress, "rescuing", 0, rescue->quiet);
    if (rescue->as_json) {
        json_begin(&rescue->json, stdout);
        json_string(&rescue->json, "source", rescue->source);
        json_string(&rescue->json, "destination", rescue->destination);
        json_open(&rescue->json, "notes", '[');
    }
    rescue->notes = (struct notes){
        .path = rescue->source,
        .json = rescue->as_json ? &rescue->json : NULL,
        .progress = &rescue->progress,
    };
    do {
        rescued = mpg_rescue(&result, rescue->source, rescue->destination, &how);
    } while (wait_while_busy(&busy, rescued, rescue->source));
    notes_end(&rescue->notes);
    if (rescued != 0) {
        const char *about = failed_path(rescue->source, rescue->destination);
        mpg_error_info info;

        (void)mpg_last_error(&info);
        if (rescued == MPG_E_BUSY) {
            describe_busy(&info, &busy);
        }
        progress_end(&rescue->progress);
        if (info.code == MPG_E_CANCELLED) {
            let_signals_end();
        }
        if (rescue->as_json) {
            json_close(&rescue->json, ']');
            json_error(&rescue->json, about, &info);
            json_end(&rescue->json);
        }
        return report_error(about, &info, false);
    }
    progress_end(&rescue->progress);
    print_result(rescue, &result);
    return finish_output(is_whole(&result) ? STATUS_FINE : STATUS_NO);
}

static int run(int argc, char **argv)
{
    struct rescue rescue = {0};
    int option;

    while ((option = next_option(&command_rescue, argc, argv)) != -1) {
        if (option == 'j') {
            rescue.as_json = true;
        } else {
            rescue.quiet = true;
        }
    }
    expect_arguments(&command_rescue, argc, argv, 2, 2);
    expect_name(&command_rescue, "the new file", argv[optind + 1]);
    rescue.source = argv[optind];
    rescue.destination = argv[optind + 1];
    return rescue_file(&rescue);
}

const struct command command_rescue = {
    .name = "rescue",
    .summary = "Saves what can be read of a damaged file",
    .usage = "[-jq] [-w SECONDS] FILE NEW",
    .help =
        "FILE need not even open, and is never written. NEW must not exist yet: it gets, under\n"
        "the same ids, every protected page whose checksum holds and every regular page. It\n"
        "appears when it is whole. Prints a line for all that is lost or in doubt, its name\n"
        "first, then one that sums up. The exit status is 1 if anything is lost or in doubt.\n\n"
        "  -j, --json          as a JSON object\n"
        "  -q, --quiet         no progress bar\n"
        "  -w, --wait SECONDS  wait that long for a file that is busy\n"
        "  -h, --help          this help\n",
    .options = options,
    .run = run,
};
