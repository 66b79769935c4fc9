/* SPDX-License-Identifier: MIT */
#include "measure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mappedpages.h"

void die_errno(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

void die_mpg(const char *what)
{
    mpg_error_info info;

    (void)mpg_last_error(&info);
    fprintf(stderr, "bench: %s: %s\n", what, info.message);
    exit(1);
}

void must(int result, const char *what)
{
    if (result != 0)
        die_mpg(what);
}

void *must_alloc(size_t size)
{
    void *memory = calloc(1, size);

    if (memory == NULL)
        die_errno("memory");
    return memory;
}

uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* xorshift64*; the state may be any number. */
uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state != 0 ? *state : UINT64_C(88172645463325252);

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(2685821657736338717);
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

double median(const double *values, size_t count)
{
    double *sorted = must_alloc(count * sizeof(*sorted));
    double middle;

    memcpy(sorted, values, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), compare);
    middle = count % 2 != 0 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
    free(sorted);
    return middle;
}

static double time_round(const struct contestant *one)
{
    uint64_t begin;

    if (one->prepare != NULL)
        one->prepare(one->context, one->operations);
    begin = now_ns();
    one->run(one->context, one->operations);
    return (double)(now_ns() - begin) / one->operations;
}

void measure(struct contestant *contestants, size_t count, unsigned rounds)
{
    for (size_t i = 0; i < count; i++)
        contestants[i].ns = must_alloc(rounds * sizeof(double));
    /* One round for warming up, and each round begins with another one. */
    for (size_t i = 0; i < count; i++)
        (void)time_round(&contestants[i]);
    for (unsigned round = 0; round < rounds; round++) {
        for (size_t i = 0; i < count; i++) {
            struct contestant *one = &contestants[(round + i) % count];

            one->ns[round] = time_round(one);
        }
    }
}

double median_ns(const struct contestant *contestant, unsigned rounds)
{
    return median(contestant->ns, rounds);
}

double times_faster(const struct contestant *a, const struct contestant *b, unsigned rounds)
{
    double *ratios = must_alloc(rounds * sizeof(*ratios));
    double middle;

    for (unsigned round = 0; round < rounds; round++)
        ratios[round] = b->ns[round] / a->ns[round];
    middle = median(ratios, rounds);
    free(ratios);
    return middle;
}

/* ---- the table ---- */

void report_title(const char *title)
{
    printf("\n%s\n%-50s | %14s | %12s | %s\n", title, "what", "measured", "target", "reached");
    for (int i = 0; i < 91; i++)
        (void)putchar(i == 51 || i == 68 || i == 83 ? '|' : '-');
    (void)putchar('\n');
}

void report(const char *what, double value, const char *unit, enum sense sense, double target)
{
    char measured[32], wanted[32] = "";
    bool reached = sense == AT_LEAST ? value >= target : value <= target;

    (void)snprintf(measured, sizeof(measured), "%.*f %s", value >= 100 ? 0 : 2, value, unit);
    if (sense != NO_TARGET)
        (void)snprintf(wanted, sizeof(wanted), "%s %.4g", sense == AT_LEAST ? ">=" : "<=", target);
    printf("%-50s | %14s | %12s | %s\n", what, measured, wanted,
           sense == NO_TARGET ? "" : (reached ? "yes" : "no"));
    (void)fflush(stdout);
}

void report_note(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    printf("  ");
    (void)vprintf(format, arguments);
    (void)putchar('\n');
    va_end(arguments);
}
