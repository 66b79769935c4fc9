/* SPDX-License-Identifier: MIT */
/* What a rescue or a repair tells of a file: a line or an object for each note. */
#ifndef MAPPEDPAGES_NOTES_H
#define MAPPEDPAGES_NOTES_H

#include "json.h"
#include "mappedpages_rescue.h"
#include "progress.h"

struct notes {
    const char *path;  /* of the file, which is not repeated in them */
    struct json *json; /* into its array; NULL: as lines */
    struct progress *progress;
    uint64_t older, older_count; /* protected pages of which that is still to be told */
};

void notes_tell(struct notes *notes, const mpg_rescue_note *note);
/* Tells what is still to be told: to be called when there are no more, or something else is said. */
void notes_end(struct notes *notes);

#endif
