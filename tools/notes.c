/* SPDX-License-Identifier: MIT */
#include "notes.h"

#include "escape.h"
#include "output.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Whether the number in a note is that of a protected page. */
static bool is_protected(const mpg_rescue_note *note)
{
    return strcmp(note->name, "older") == 0 || strcmp(note->name, "guessed-id") == 0 ||
           strcmp(note->name, "lost") == 0 || strcmp(note->name, "content") == 0;
}

static void tell_json(struct json *json, const mpg_rescue_note *note, const char *message)
{
    json_open(json, NULL, '{');
    json_string(json, "name", note->name);
    if (note->page != MPG_NO_PAGE) {
        json_number(json, is_protected(note) ? "protected" : "page", note->page);
    }
    json_string(json, "message", message);
    json_close(json, '}');
}

/*
 * Pages that may be older, for nothing newer is known of a part of the directory, come in long rows:
 * one line for each row. Whether the note is of such a page, and not of one whose last content is
 * known and lost.
 */
static bool gather_older(struct notes *notes, const mpg_rescue_note *note, const char *message)
{
    static const char begins[] = "protected page ";
    bool older =
        strcmp(note->name, "older") == 0 && strncmp(message, begins, sizeof(begins) - 1) == 0;

    if (!older || note->page != notes->older + notes->older_count) {
        notes_end(notes);
    }
    if (older) {
        notes->older = notes->older_count == 0 ? note->page : notes->older;
        notes->older_count++;
    }
    return older;
}

void notes_tell(struct notes *notes, const mpg_rescue_note *note)
{
    const char *message = without_path(note->message, notes->path);

    progress_end(notes->progress);
    if (notes->json != NULL) {
        tell_json(notes->json, note, message);
    } else if (!gather_older(notes, note, message)) {
        printf("%s: ", note->name);
        escape_print(stdout, message);
        putchar('\n');
    }
}

void notes_end(struct notes *notes)
{
    if (notes->older_count == 1) {
        printf("older: protected page %" PRIu64
               " may have been changed, or freed, since what is saved of it\n",
               notes->older);
    } else if (notes->older_count > 1) {
        printf("older: protected pages %" PRIu64 " to %" PRIu64
               " may have been changed, or freed, since what is saved of them\n",
               notes->older, notes->older + notes->older_count - 1);
    }
    notes->older_count = 0;
}
