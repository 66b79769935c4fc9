/* SPDX-License-Identifier: MIT */
/* Creating a file that fails after its page was allocated leaves no page behind. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fuse/follow.h"
#include "fuse/last.h"
#include "fuse/options.h"
#include "fuse/requests.h"
#include "fuse/scratch.h"

/* What the rest of the driver, and libfuse, do to the requests under test. */
static struct fs *mounted;
static int attributes_error; /* what attributes_get returns */
static int open_error;       /* what open_target returns */
static int replied;          /* the error of the last answer, 0 for success */

void *fuse_req_userdata(fuse_req_t req)
{
    (void)req;
    return mounted;
}

const struct fuse_ctx *fuse_req_ctx(fuse_req_t req)
{
    static const struct fuse_ctx context;

    (void)req;
    return &context;
}

int fuse_reply_err(fuse_req_t req, int error)
{
    (void)req;
    replied = error;
    return 0;
}

int fuse_reply_entry(fuse_req_t req, const struct fuse_entry_param *entry)
{
    (void)entry;
    return fuse_reply_err(req, 0);
}

int fuse_reply_create(fuse_req_t req, const struct fuse_entry_param *entry,
                      const struct fuse_file_info *fi)
{
    (void)entry;
    (void)fi;
    return fuse_reply_err(req, 0);
}

void fuse_reply_none(fuse_req_t req)
{
    (void)req;
}

int attributes_get(struct fs *fs, const struct target *target, struct stat *st)
{
    (void)fs;
    (void)target;
    (void)st;
    return attributes_error;
}

void attributes_touch(struct fs *fs, enum node_kind kind, uint64_t id)
{
    (void)fs;
    (void)kind;
    (void)id;
}

int attributes_create(struct fs *fs, enum node_kind kind, uint64_t id, const struct stat *st)
{
    (void)fs;
    (void)kind;
    (void)id;
    (void)st;
    return 0;
}

void attributes_drop(struct fs *fs, enum node_kind kind, uint64_t id)
{
    (void)fs;
    (void)kind;
    (void)id;
}

int open_target(struct fs *fs, fuse_ino_t node, const struct target *target,
                struct fuse_file_info *fi, const struct client *client)
{
    (void)fs;
    (void)node;
    (void)target;
    (void)fi;
    (void)client;
    return open_error;
}

void follow_refresh(const struct fs *fs)
{
    (void)fs;
}

bool follow_again(const struct fs *fs, int code, unsigned *tries)
{
    (void)fs;
    (void)code;
    (void)tries;
    return false;
}

void handle_close(struct fs *fs, struct handle *handle)
{
    (void)fs;
    (void)handle;
}

/* ---- A file system without a mount ---------------------------------------------------------- */

static char directory[] = "fuse_create-XXXXXX";

static int begin(void **state)
{
    static const struct options options = {.uid = -1, .gid = -1, .umask = -1, .fmask = -1};
    struct fs *fs = calloc(1, sizeof(*fs));
    mpg_pager *pager;

    if (fs == NULL || mkdtemp(directory) == NULL || chdir(directory) != 0 ||
        mpg_create(&pager, "pages", NULL) != 0)
        return -1;
    fs->pager = fs->writable = pager;
    fs->max_pages = fs->max_protected = NODE_ID_LIMIT;
    fs->nodes = nodes_new();
    fs->scratch = scratch_new(1 << 20, 0);
    fs->last = last_new();
    fs->options = &options;
    *state = mounted = fs;
    return fs->nodes == NULL || fs->scratch == NULL || fs->last == NULL ? -1 : 0;
}

static int end(void **state)
{
    struct fs *fs = *state;
    int code = mpg_close(fs->writable);

    scratch_free(fs->scratch);
    last_free(fs->last);
    nodes_free(fs->nodes);
    free(fs);
    unlink("pages");
    return code != 0 || chdir("..") != 0 || rmdir(directory) != 0 ? -1 : 0;
}

static uint64_t pages_in_use(const struct fs *fs)
{
    struct mpg_stat st = {.size = sizeof(st)};

    assert_int_equal(mpg_stat(&st, fs->pager), 0);
    return st.regular_pages + st.protected_pages;
}

static int create(fuse_ino_t parent, const char *name)
{
    struct fuse_file_info fi = {0};

    replied = -1;
    request_create(NULL, parent, name, 0600, &fi);
    return replied;
}

/* Without an answer that tells of it there is nothing: neither a page nor a scratch file. */
static void assert_creates_nothing(struct fs *fs, fuse_ino_t parent, const char *name, int error)
{
    uint64_t before = pages_in_use(fs);
    uint64_t serial;

    assert_int_equal(create(parent, name), error);
    assert_int_equal(pages_in_use(fs), before);
    assert_int_equal(scratch_find(fs->scratch, (enum fixed_node)parent, name, &serial), ENOENT);
}

static const fuse_ino_t directories[] = {FIXED_PAGES, FIXED_PROTECTED};
static const char *const names[] = {"new", "7", "name.tmp"};

static void test_failure_after_creating_frees_the_page(void **state)
{
    for (int i = 0; i < 6; i++) {
        attributes_error = EIO;
        assert_creates_nothing(*state, directories[i % 2], names[i / 2], EIO);
        attributes_error = 0;
        open_error = ENOMEM;
        assert_creates_nothing(*state, directories[i % 2], names[i / 2], ENOMEM);
        open_error = 0;
    }
}

/* The number can be taken again, also where it had been in use before. */
static void test_number_is_free_for_the_next(void **state)
{
    struct fs *fs = *state;

    for (int i = 0; i < 2; i++) {
        enum node_kind kind = directory_kind(directories[i]);
        uint64_t first, second;

        assert_int_equal(create(directories[i], "7"), 0);
        first = nodes_current(fs->nodes, kind, 7);
        request_unlink(NULL, directories[i], "7");
        assert_int_equal(replied, 0);
        open_error = ENOMEM;
        assert_creates_nothing(fs, directories[i], "7", ENOMEM);
        open_error = 0;
        assert_int_equal(nodes_current(fs->nodes, kind, 7), 0);
        assert_int_equal(create(directories[i], "7"), 0);
        second = nodes_current(fs->nodes, kind, 7);
        assert_int_not_equal(second, 0);
        assert_int_not_equal(second, first);
        assert_int_equal(pages_in_use(fs), i + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failure_after_creating_frees_the_page),
        cmocka_unit_test(test_number_is_free_for_the_next),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
