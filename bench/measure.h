/* SPDX-License-Identifier: MIT */
/*
 * Measuring: contestants run in turn, round after round, and are compared within each round; the
 * figure is the median of the rounds. What disturbs the machine disturbs all of a round alike.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Ends the program after a failure: `what` went wrong, with the reason in errno or in the library.
 */
_Noreturn void die_errno(const char *what);
_Noreturn void die_mpg(const char *what);
/* Dies unless `result` of a call of the library is 0. */
void must(int result, const char *what);

void *must_alloc(size_t size);

/* Nanoseconds of a clock that only runs forward. */
uint64_t now_ns(void);

/* Random numbers that are the same in every run. */
uint64_t next_random(uint64_t *state);

double median(const double *values, size_t count);

struct contestant {
    const char *name;
    /* Before each round, not timed; may be NULL. */
    void (*prepare)(void *context, unsigned operations);
    /* Does `operations` operations. */
    void (*run)(void *context, unsigned operations);
    void *context;
    unsigned operations; /* in each round */
    double *ns;          /* of one operation, by round; made by measure */
};

/* Runs all of them for `rounds` rounds. */
void measure(struct contestant *contestants, size_t count, unsigned rounds);

/* Median over the rounds of nanoseconds an operation. */
double median_ns(const struct contestant *contestant, unsigned rounds);
/* Median over the rounds of how many times faster `a` was than `b` in the same round. */
double times_faster(const struct contestant *a, const struct contestant *b, unsigned rounds);

/* ---- the table ---- */

enum sense { AT_LEAST, AT_MOST, NO_TARGET };

/* One line: what, the figure with its unit ("x" for a ratio), the target, whether it is reached. */
void report(const char *what, double value, const char *unit, enum sense sense, double target);
void report_title(const char *title);
/* A line of text below a row. */
void report_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
