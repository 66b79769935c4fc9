/* SPDX-License-Identifier: MIT */
/*
 * Threads: libfuse makes and ends those that serve requests. Besides them there are
 *
 *   - the main thread, which waits in libfuse's loop;
 *   - one that waits for signals, so that pushing ahead can be ended while requests are still
 *     served (what is being pushed may wait for a request), and only then the loop;
 *   - one that pushes ahead (ahead.h);
 *   - with -o commit= one that syncs every so often (timed_sync.h).
 */
#include "session.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ahead.h"
#include "log.h"
#include "options.h"
#include "requests.h"
#include "timed_sync.h"

/* Requests that the kernel may have waiting in the background. */
#define BACKGROUND 128
/* Wakes the main thread out of libfuse's loop; does nothing else. */
#define WAKE SIGUSR1

static void init(void *data, struct fuse_conn_info *connection)
{
    struct fs *fs = data;

    /* Only this mount changes the file: no need to look for changes by others. */
    connection->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
    connection->want |= connection->capable & FUSE_CAP_PARALLEL_DIROPS;
    connection->max_background = BACKGROUND;
    connection->congestion_threshold = BACKGROUND * 3 / 4;
    fs->no_opendir = (connection->capable & FUSE_CAP_NO_OPENDIR_SUPPORT) != 0;
    fs->no_open = fs->writable == NULL && (connection->capable & FUSE_CAP_NO_OPEN_SUPPORT) != 0;
    if ((connection->capable & FUSE_CAP_ATOMIC_O_TRUNC) == 0 && fs->writable != NULL) {
        log_line(LOG_WARNING, "this kernel truncates before it opens: a protected page that is "
                              "overwritten has a moment of zeros");
    }
}

/* There are no handlers for extended attributes: having one costs a request before every write. */
static const struct fuse_lowlevel_ops operations = {
    .init = init,
    .lookup = request_lookup,
    .forget = request_forget,
    .forget_multi = request_forget_multi,
    .getattr = request_getattr,
    .setattr = request_setattr,
    .mknod = request_mknod,
    .mkdir = request_mkdir,
    .unlink = request_unlink,
    .rmdir = request_rmdir,
    .symlink = request_symlink,
    .rename = request_rename,
    .link = request_link,
    .open = request_open,
    .read = request_read,
    .write = request_write,
    .flush = request_flush,
    .release = request_release,
    .fsync = request_fsync,
    .opendir = request_opendir,
    .readdir = request_readdir,
    .readdirplus = request_readdirplus,
    .fsyncdir = request_fsyncdir,
    .statfs = request_statfs,
    .create = request_create,
    .fallocate = request_fallocate,
};

/* Adds the option NAME=VALUE, with commas in the value escaped. */
static bool add_option(struct fuse_args *args, const char *name, const char *value)
{
    size_t length = strlen(name) + strlen(value) + 2;
    char *option = malloc(length);
    char *all = NULL;
    bool added = false;

    if (option != NULL) {
        snprintf(option, length, "%s=%s", name, value);
        added = fuse_opt_add_opt_escaped(&all, option) == 0 && fuse_opt_add_arg(args, "-o") == 0 &&
                fuse_opt_add_arg(args, all) == 0;
    }
    free(all);
    free(option);
    return added;
}

bool session_check_mountpoint(const struct options *options)
{
    struct stat st;

    if (stat(options->mountpoint, &st) != 0) {
        log_line(LOG_ERR, "%s: %s", options->mountpoint, strerror(errno));
        return false;
    }
    if (!S_ISDIR(st.st_mode)) {
        log_line(LOG_ERR, "%s: not a directory: page files are mounted on directories",
                 options->mountpoint);
        return false;
    }
    return true;
}

/* Why not, where libfuse says only what failed, or blames the mount point. */
static void explain(const struct fs *fs, const char *mountpoint)
{
    if (access("/dev/fuse", R_OK | W_OK) != 0) {
        log_line(LOG_ERR, "%s: cannot be mounted: /dev/fuse: %s", fs->path, strerror(errno));
    } else {
        log_line(LOG_ERR, "%s: cannot be mounted on %s", fs->path, mountpoint);
    }
}

bool session_mount(struct fs *fs, struct fuse_args *args)
{
    const struct options *options = fs->options;
    char *mountpoint = realpath(options->mountpoint, NULL);
    bool mounted;

    if (mountpoint == NULL) {
        log_line(LOG_ERR, "%s: %s", options->mountpoint, strerror(errno));
        return false;
    }
    if (!add_option(args, "fsname", options->fsname != NULL ? options->fsname : fs->path) ||
        fuse_opt_add_arg(args, "-odefault_permissions,subtype=mappedpagesfs") != 0) {
        log_line(LOG_ERR, "out of memory");
        free(mountpoint);
        return false;
    }
    /* libfuse says what is wrong with its options. */
    fs->session = fuse_session_new(args, &operations, sizeof(operations), fs);
    mounted = fs->session != NULL && fuse_session_mount(fs->session, mountpoint) == 0;
    if (fs->session != NULL && !mounted) {
        explain(fs, mountpoint);
        fuse_session_destroy(fs->session);
        fs->session = NULL;
    }
    free(mountpoint);
    return mounted;
}

static void ending_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

static void on_wake(int number)
{
    (void)number;
}

void session_block_signals(void)
{
    struct sigaction wake = {.sa_handler = on_wake};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t set;

    ending_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    sigaction(WAKE, &wake, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

/* What waits for signals. */
struct watch {
    struct fs *fs;
    pthread_t main;    /* the thread in libfuse's loop */
    bool signalled;    /* a signal ended it, not an unmount */
    atomic_bool ended; /* it left the loop */
};

static void *wait_for_signals(void *argument)
{
    const struct timespec pause = {0, 20 * 1000 * 1000};
    struct watch *watch = argument;
    sigset_t set;
    int number;

    ending_signals(&set);
    while (sigwait(&set, &number) != 0) {
        /* interrupted */
    }
    if (!watch->ended) {
        watch->signalled = true;
        ahead_stop(watch->fs->ahead);
        fuse_session_exit(watch->fs->session);
    }
    while (!watch->ended) {
        /* Again and again, as it may just be on its way to sleep. */
        pthread_kill(watch->main, WAKE);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static int run_loop(const struct fs *fs)
{
    struct fuse_loop_config *config;
    int result;

    if (fs->options->single) {
        return fuse_session_loop(fs->session);
    }
    config = fuse_loop_cfg_create();
    if (config == NULL) {
        return -ENOMEM;
    }
    fuse_loop_cfg_set_max_threads(config, (unsigned)fs->options->max_threads);
    fuse_loop_cfg_set_idle_threads(config, (unsigned)fs->options->max_threads);
    fuse_loop_cfg_set_clone_fd(config, fs->options->clone_fd != 0);
    result = fuse_session_loop_mt(fs->session, config);
    fuse_loop_cfg_destroy(config);
    return result;
}

bool session_serve(struct fs *fs)
{
    struct watch watch = {.fs = fs, .main = pthread_self()};
    struct timed_sync *timer = NULL;
    pthread_t waiter;
    int result = -EAGAIN;

    if (fs->options->commit > 0 && fs->writable != NULL) {
        timer = timed_sync_start(fs, (unsigned)fs->options->commit);
    }
    fs->ahead = ahead_start(fs);
    /* A signal that came before is waiting to be waited for. */
    if (pthread_create(&waiter, NULL, wait_for_signals, &watch) == 0) {
        result = run_loop(fs);
        watch.ended = true;
        pthread_kill(waiter, SIGTERM);
        pthread_join(waiter, NULL);
    }
    ahead_stop(fs->ahead);
    timed_sync_stop(timer);
    handle_end_all(fs, !watch.signalled);
    if (result < 0) {
        log_line(LOG_ERR, "serving failed: %s", strerror(-result));
    }
    return result >= 0;
}

void session_end(struct fs *fs)
{
    fuse_session_unmount(fs->session);
    fuse_session_destroy(fs->session);
    fs->session = NULL;
    ahead_free(fs->ahead);
    fs->ahead = NULL;
}
