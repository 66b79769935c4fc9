/* SPDX-License-Identifier: MIT */
/* Page files as the commands open them: failures are told, and become exit statuses. */
#ifndef FILE_H
#define FILE_H

#include "holder.h"
#include "mappedpages.h"

#include <stdbool.h>
#include <stdint.h>

/* Both return STATUS_FINE, or, having said why, STATUS_FAILED. `json`: say it as an object, too. */
int open_reading(const mpg_pager **pager, const char *path, bool json);
/* Waits for a driver that is ending, and as --wait says. */
int open_writing(mpg_pager **pager, const char *path, bool json);
/*
 * For reading, with writers kept out meanwhile. STATUS_NO, and nothing is said, where somebody
 * writes to the file, all the while that --wait says.
 */
int open_unchanging(const mpg_pager **pager, const char *path);
/* --local-lock: write also where a lock does not keep others out. */
void set_local_lock(void);
/* The flags of enum mpg_option_flags that the command line asks for. */
unsigned open_flags(void);
/* --wait: for how long to wait for a file that is busy, whoever has it. */
void set_wait(uint64_t seconds);

/*
 * For what asks the library for a file by its name: `struct busy busy = begin_waiting(); do result
 * = …; while (wait_while_busy(…))`. What is left busy then is told with describe_busy, right away.
 */
struct busy begin_waiting(void);
bool wait_while_busy(struct busy *busy, int result, const char *path);
/* The last failure, which was BUSY, and who holds the file. */
void describe_busy(mpg_error_info *info, const struct busy *busy);

/* Ends the pager. Returns `status`, or, having said why, STATUS_FAILED if closing failed. */
int close_file(const mpg_pager *pager, const char *path, int status);

/* Tells of the failure, ends the pager and returns STATUS_FAILED. */
int fail_and_close(const mpg_pager *pager, const char *path, bool json);

/*
 * A writer may overwrite the state that a read-only pager shows. Then the pager has to move on to
 * the newest state, and a read be tried again: `do status = read(); while (moved_on(…))`.
 */
struct patience {
    unsigned refreshes; /* in a row without a read that worked */
    bool moved;         /* the pager has moved on at least once */
};

/* Takes note of what a read returned. True: it was stale, and is worth another try. */
bool moved_on(struct patience *patience, const mpg_pager *pager, int status);

#endif
