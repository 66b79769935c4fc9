/* SPDX-License-Identifier: MIT */
/* What the commands say: sentences on standard error, results on standard output. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include "hint.h"
#include "json.h"
#include "mappedpages.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Says "mappedpages: SUBJECT: …" on standard error, escaped; `subject` is a path or a stream's
 * name.
 */
void complain(const char *subject, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For what what is said of failures from now on is to be of use; HINT_USE otherwise. */
void hints_are_for(enum hint_use now);

/* Says what to do about a failure that was told otherwise, if there is anything to say. */
void complain_hint(const char *path, const mpg_error_info *info);

/*
 * Says why the last library call of this thread failed, and with `json` prints it as an object as
 * well. Returns STATUS_FAILED.
 */
int report_failure(const char *path, bool json);

/* The same for a failure that the library was not asked about. */
int report_error(const char *path, const mpg_error_info *info, bool json);

/* The same where no call of the library failed; `subject` as for complain. */
int report_reason(const char *subject, bool json, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Writes the last failure as the member "error" of the object that is being written. */
void json_failure(struct json *json, const char *path);

/* The same for a failure that is told otherwise. */
void json_error(struct json *json, const char *path, const mpg_error_info *info);

/* Which of two files the last failure is about: `one`, unless its message begins with `other`. */
const char *failed_path(const char *one, const char *other);

/* A message of the library, without the path that most of them begin with. */
const char *without_path(const char *message, const char *path);

/* The name of an MPG_E_ code without its prefix, for instance "CORRUPT_PAGE". */
const char *error_name(int code);

/*
 * Flushes standard output. Returns `status`, or STATUS_FAILED, with a complaint, if not everything
 * could be written.
 */
int finish_output(int status);

/* Writes to standard output, then as finish_output. */
int write_output(const void *data, size_t length, int status);

/* Memory for `count` items of `size` bytes. Where there is none, says so and exits. */
void *allocate(size_t count, size_t size);

/*
 * Holds back the signals that ask to end, from here until the process ends: called when a change
 * begins that should not be left half done or unreported.
 */
void hold_signals(void);

/* Those that were held back end the process here, and others at once. */
void stop_holding_signals(void);
/* Whether hold_signals has held back a signal by now. */
bool asked_to_end(void);

/* Ends the process here if hold_signals has held back a signal, for there is nothing to undo. */
void let_signals_end(void);

#endif
