/* SPDX-License-Identifier: MIT */
/*
 * An event loop that keeps lines of text, and never waits for the disk.
 *
 *     event_loop FILE         keeps each line of its input on a protected page of its own, and
 *                             prints it, with the page's number, when it is safe on the disk
 *     event_loop FILE list    prints what was kept
 *
 * One thread does everything. It sleeps in poll() until there is input or until commits are done;
 * what is begun in between is in flight together, and many lines share one write to the disk.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mappedpages.h"
#include "mappedpages_async.h"

#define MOST_IN_FLIGHT 1000
#define LONGEST_LINE 1000

struct loop {
    mpg_pager *pager;
    mpg_queue *queue;
    char input[64 * 1024]; /* read and not used yet */
    size_t length;         /* bytes of it */
    size_t in_flight;      /* lines that are not safe yet */
    bool ended;            /* no more input */
    bool failed;
};

/* A line between its request and its completion. */
struct line {
    struct loop *loop;
    mpg_txn *txn;
    mpg_protected_id page;
    char text[LONGEST_LINE + 1];
};

static int complain(const char *what)
{
    fprintf(stderr, "event_loop: %s\n", what);
    return -1;
}

/* Says why the last call of the library failed. */
static int complain_last(void)
{
    mpg_error_info info;

    mpg_last_error(&info);
    return complain(info.message);
}

/* ---- Keeping a line ------------------------------------------------------------------------- */

/* Called by mpg_dispatch, in the thread of the loop. */
static void line_is_done(void *context, const mpg_completion *completion)
{
    struct line *line = context;

    if (completion->result == 0) {
        printf("%" PRIu64 " %s\n", line->page.value, line->text);
    } else {
        complain(completion->error->message);
        mpg_txn_abort(line->txn); /* it is ours again: to be retried, or given up */
        line->loop->failed = true;
    }
    line->loop->in_flight--;
    free(line);
}

/* A page and its content, in one transaction, whose commit is only asked for here. */
static int begin_to_keep(struct line *line)
{
    if (mpg_txn_begin(&line->txn, line->loop->pager) != 0)
        return complain_last();
    if (mpg_txn_alloc_protected(&line->page, line->txn) != 0 ||
        mpg_txn_protected_write(line->txn, line->page, line->text, 0, strlen(line->text) + 1) !=
            0 ||
        mpg_async_txn_commit(NULL, line->loop->queue, line->txn, 0, line_is_done, line) != 0) {
        complain_last();
        mpg_txn_abort(line->txn);
        return -1;
    }
    line->loop->in_flight++;
    return 0;
}

static int keep(struct loop *loop, const char *text, size_t length)
{
    if (length > LONGEST_LINE)
        return complain("a line is too long");
    struct line *line = calloc(1, sizeof(*line));
    if (line == NULL)
        return complain("no memory");
    line->loop = loop;
    memcpy(line->text, text, length);
    if (begin_to_keep(line) != 0) {
        free(line);
        return -1;
    }
    return 0;
}

/* ---- The loop ------------------------------------------------------------------------------- */

/* Takes from the input as many whole lines as there may be in flight. */
static int take_lines(struct loop *loop)
{
    size_t used = 0;
    int code = 0;

    while (code == 0 && loop->in_flight < MOST_IN_FLIGHT) {
        const char *start = loop->input + used;
        const char *end = memchr(start, '\n', loop->length - used);
        if (end == NULL)
            break;
        code = keep(loop, start, (size_t)(end - start));
        used += (size_t)(end - start) + 1;
    }
    memmove(loop->input, loop->input + used, loop->length - used);
    loop->length -= used;
    if (code == 0 && loop->length == sizeof(loop->input) && loop->in_flight < MOST_IN_FLIGHT)
        code = complain("a line is too long");
    return code;
}

static int read_input(struct loop *loop)
{
    ssize_t count =
        read(STDIN_FILENO, loop->input + loop->length, sizeof(loop->input) - loop->length);

    if (count < 0)
        return errno == EINTR ? 0 : complain(strerror(errno));
    loop->length += (size_t)count;
    if (count == 0) {
        loop->ended = true;
        if (loop->length > 0 && loop->input[loop->length - 1] != '\n')
            loop->input[loop->length++] = '\n'; /* the last line may do without */
    }
    return 0;
}

static int turn(struct loop *loop)
{
    bool hungry = !loop->ended && loop->length < sizeof(loop->input);
    struct pollfd fds[] = {
        {.fd = mpg_queue_fd(loop->queue), .events = POLLIN},
        {.fd = hungry ? STDIN_FILENO : -1, .events = POLLIN}, /* -1: poll() passes over it */
    };

    if (poll(fds, 2, -1) < 0)
        return errno == EINTR ? 0 : complain(strerror(errno));
    if (fds[0].revents != 0 && mpg_dispatch(loop->queue) > 0)
        fflush(stdout);
    if (fds[1].revents != 0 && read_input(loop) != 0)
        return -1;
    return take_lines(loop);
}

static bool has_line(const struct loop *loop)
{
    return memchr(loop->input, '\n', loop->length) != NULL;
}

static int keep_lines(mpg_pager *pager)
{
    struct loop *loop = calloc(1, sizeof(*loop));

    if (loop == NULL)
        return complain("no memory");
    loop->pager = pager;
    if (mpg_queue_open(&loop->queue, pager) != 0) {
        free(loop);
        return complain_last();
    }
    while (!loop->failed && (!loop->ended || has_line(loop) || loop->in_flight > 0)) {
        if (turn(loop) != 0)
            loop->failed = true;
    }
    mpg_queue_close(loop->queue); /* completes what is still in flight */
    int code = loop->failed ? -1 : 0;
    free(loop);
    return code;
}

/* ---- The rest ------------------------------------------------------------------------------- */

static int list(mpg_pager *pager)
{
    char *text = malloc(mpg_page_size(pager));
    mpg_protected_iter iter;
    mpg_protected_id page;
    int code;

    if (text == NULL)
        return complain("no memory");
    mpg_protected_iter_begin(&iter, pager, (mpg_protected_id){0});
    while ((code = mpg_protected_iter_next(&page, &iter)) == 1) {
        code = mpg_protected_read(text, pager, page);
        if (code != 0)
            break;
        printf("%" PRIu64 " %.*s\n", page.value, LONGEST_LINE, text);
    }
    free(text);
    return code == 0 ? 0 : complain_last();
}

static int open_file(mpg_pager **pager, const char *path)
{
    mpg_options options = MPG_OPTIONS_INIT;

    options.flags = MPG_CREATE;
    return mpg_open(pager, path, &options) == 0 ? 0 : complain_last();
}

int main(int argc, char **argv)
{
    bool listing = argc == 3 && strcmp(argv[2], "list") == 0;
    mpg_pager *pager;

    if (argc != 2 && !listing) {
        fprintf(stderr, "usage: event_loop FILE [list]\n");
        return 2;
    }
    if (open_file(&pager, argv[1]) != 0)
        return 1;
    int failed = listing ? list(pager) : keep_lines(pager);
    if (mpg_close(pager) != 0)
        failed = complain_last();
    return failed != 0 ? 1 : 0;
}
