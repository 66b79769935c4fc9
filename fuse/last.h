/* SPDX-License-Identifier: MIT */
/*
 * "last": which page the name "new" stood for the last time that it was created, for a shell to
 * read. Who asks means his own page, not the one that somebody else made a moment ago. So it is
 * looked for by kinship: what the process itself created, or a child of it; then the same for its
 * parent, and so on; then what was created in its session; then by its user.
 */
#ifndef LAST_H
#define LAST_H

#include <stddef.h>

#include "fs.h"

struct last;

struct last *last_new(void);
void last_free(struct last *last);

/*
 * The name "new" was created by a thread of a user, and became this page; or (NODE_FIXED) it began
 * the batch of this number.
 */
void last_note(struct last *last, enum node_kind kind, uint64_t id, pid_t thread, uid_t uid);
/*
 * Which one is meant by a thread of a user; false: there is none. A batch is asked for by whatever
 * started the tool that wrote it, however many processes are between: it is the last of the
 * session.
 */
bool last_find(uint64_t *id, struct last *last, enum node_kind kind, pid_t thread, uid_t uid);
/*
 * What the file tells a thread of a user: a line, or nothing. *text belongs to the caller. 0,
 * ENOMEM.
 */
int last_text(char **text, size_t *length, struct last *last, enum node_kind kind, pid_t thread,
              uid_t uid);

#endif
