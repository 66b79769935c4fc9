/* SPDX-License-Identifier: MIT */
/* Messages for people, and what library errors mean to the kernel. */
#ifndef LOG_H
#define LOG_H

#include <stdbool.h>
#include <syslog.h>

/* From then on messages go to syslog instead of stderr. */
void log_to_syslog(void);
/* One line, escaped as a whole: tools/escape.h. The format has no line breaks. */
void log_line(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));
/*
 * The same, for what a client can cause as often as it likes: beyond so many lines in so many
 * seconds they are counted, and the count is told with a later one, or at the end. Any thread.
 */
void log_limited(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Tells what was left out and not told. */
void log_end(void);

/*
 * The errno for what the library just returned in this thread. What a person should know of
 * (damage, disk errors) is logged with `doing`, a few words on what was tried.
 */
int log_failure(int code, const char *doing);

/*
 * Why nothing can be changed any more until the file is opened again, as one of those failures
 * told; NULL: it can. The driver has one file.
 */
const char *log_why_final(void);

#endif
