/* SPDX-License-Identifier: MIT */
/*
 * Threads: the main one waits in libfuse's loop; one waits for signals, so that those which need
 * requests to be served (threads.h) can be ended first, and only then the loop.
 */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "ahead.h"
#include "batch.h"
#include "device.h"
#include "ending.h"
#include "log.h"
#include "options.h"
#include "requests.h"
#include "ring.h"
#include "threads.h"
#include "timed_sync.h"
#include "workers.h"

/* Requests that the kernel may have waiting in the background. */
#define BACKGROUND 128
/* Wakes the main thread out of libfuse's loop, and what waits for signals; does nothing else. */
#define WAKE SIGUSR1
/* /dev/fuse */
#define DEVICE_MAJOR 10
#define DEVICE_MINOR 229

static void init(void *data, struct fuse_conn_info *connection)
{
    struct fs *fs = data;

    /* Only this mount changes the file: no need to look for changes by others. */
    connection->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
    connection->want |= connection->capable & FUSE_CAP_PARALLEL_DIROPS;
    /*
     * The kernel would take the size to be 0 at once, and a program that has the page mapped would
     * get SIGBUS. So truncation comes as a request of its own, right after that of opening.
     */
    connection->want &= ~(unsigned)FUSE_CAP_ATOMIC_O_TRUNC;
    connection->max_background = BACKGROUND;
    connection->congestion_threshold = BACKGROUND * 3 / 4;
    /* Listings are then kept until something is created or deleted in that directory. */
    fs->no_opendir = !fs->options->allow_root && !fs->options->raw && !fs->follows &&
                     (connection->capable & FUSE_CAP_NO_OPENDIR_SUPPORT) != 0;
    fs->no_open = fs->writable == NULL && !fs->options->allow_root && !fs->follows &&
                  (connection->capable & FUSE_CAP_NO_OPEN_SUPPORT) != 0;
    if (fs->serving != NULL) {
        fs->serving(fs->serving_context);
        fs->serving = NULL;
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
    .ioctl = request_ioctl,
    .copy_file_range = request_copy_file_range,
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

int session_descriptor(const struct options *options)
{
    struct stat st;
    unsigned fd;
    int length;

    /* As libfuse reads it. */
    if (sscanf(options->mountpoint, "/dev/fd/%u%n", &fd, &length) != 1 ||
        options->mountpoint[length] != '\0' || fstat((int)fd, &st) != 0) {
        return -1;
    }
    if (fd <= STDERR_FILENO || !S_ISCHR(st.st_mode) ||
        st.st_rdev != makedev(DEVICE_MAJOR, DEVICE_MINOR)) {
        return -1;
    }
    return (int)fd;
}

/*
 * Who mounted for us also said who may do what; libfuse cannot add to it. Without
 * default_permissions everybody who is let in could do everything.
 */
static bool check_descriptor(const struct options *options)
{
    if ((options->allow_other || options->allow_root) && !options->permissions) {
        log_line(LOG_ERR,
                 "%s: allow_other and allow_root need default_permissions here, for the "
                 "kernel was told already whom to let in",
                 options->mountpoint);
        return false;
    }
    (void)fcntl(session_descriptor(options), F_SETFD, FD_CLOEXEC);
    return true;
}

/*
 * Whether it can be looked at. What a killed driver left may still answer from what the kernel
 * remembers, so something is asked that it does not.
 */
static bool is_alive(const char *mountpoint, struct stat *st)
{
    struct statvfs unused;
    bool alive = stat(mountpoint, st) == 0;

    if (alive && statvfs(mountpoint, &unused) != 0) {
        alive = errno != ENOTCONN && errno != ECONNABORTED;
    }
    if (!alive) {
        const char *what = strerror(errno);

        if (errno == ENOTCONN || errno == ECONNABORTED) {
            log_line(LOG_ERR,
                     "%s: %s: the driver that served it was killed; unmount it first "
                     "(fusermount3 -u)",
                     mountpoint, what);
        } else if (errno == ENOENT) {
            log_line(LOG_ERR, "%s: %s: the mount point must be made first (mkdir)", mountpoint,
                     what);
        } else {
            log_line(LOG_ERR, "%s: %s", mountpoint, what);
        }
    }
    return alive;
}

bool session_check_mountpoint(const struct options *options)
{
    struct stat st;

    if (session_descriptor(options) >= 0) {
        return check_descriptor(options);
    }
    if (!is_alive(options->mountpoint, &st)) {
        return false;
    }
    if (!S_ISDIR(st.st_mode)) {
        log_line(LOG_ERR, "%s: not a directory: page files are mounted on directories",
                 options->mountpoint);
        return false;
    }
    return true;
}

/* What helps where /dev/fuse cannot be opened. */
static const char *device_hint(int error)
{
    switch (error) {
    case ENOENT:
        return "; 'modprobe fuse' makes it, and a container has to be given it (--device "
               "/dev/fuse)";
    case EACCES:
        return "; it is open to root alone here: 'chmod 666 /dev/fuse' by root lets users mount";
    default:
        return "";
    }
}

/* Why not, where libfuse says only what failed, or blames the mount point. */
static void explain(const struct fs *fs, const char *mountpoint)
{
    if (session_descriptor(fs->options) < 0 && access("/dev/fuse", R_OK | W_OK) != 0) {
        int error = errno;

        log_line(LOG_ERR, "%s: cannot be mounted: /dev/fuse: %s%s", fs->path, strerror(error),
                 device_hint(error));
    } else {
        log_line(LOG_ERR, "%s: cannot be mounted on %s", fs->path, mountpoint);
    }
}

/* Whether killed writers can be told from others is to be known before anything is lost. */
static void warn_of_unseen(const struct fs *fs)
{
    const char *why = ending_why_unseen(fs->options->allow_other || fs->options->allow_root);

    if (fs->writable != NULL && why != NULL) {
        log_line(LOG_WARNING,
                 "%s: programs that are killed cannot be told from those that end by themselves: "
                 "what they have written to protected pages by then is committed",
                 why);
    }
}

/* Whether a file lies in a directory, or below it: both as realpath names them. */
static bool lies_in(const char *file, const char *directory)
{
    size_t length = strlen(directory);

    while (length > 0 && directory[length - 1] == '/') {
        length--;
    }
    return strncmp(file, directory, length) == 0 && file[length] == '/';
}

/* The mount point as libfuse takes it. */
static char *find_mountpoint(const struct fs *fs)
{
    const struct options *options = fs->options;
    char *mountpoint = session_descriptor(options) >= 0 ? strdup(options->mountpoint)
                                                        : realpath(options->mountpoint, NULL);

    if (mountpoint == NULL) {
        log_line(LOG_ERR, "%s: %s", options->mountpoint, strerror(errno));
    } else if (lies_in(fs->path, mountpoint)) {
        log_line(
            LOG_ERR,
            "%s: the page file lies in the directory that it is to be mounted on, and nobody could "
            "reach it there: make another one (mkdir)",
            fs->path);
        free(mountpoint);
        return NULL;
    }
    return mountpoint;
}

/* Starts the thread that keeps the promise of -o commit=, if it was given. */
static bool start_timer(struct fs *fs)
{
    if (fs->options->commit == 0 || fs->writable == NULL) {
        return true;
    }
    fs->timer = timed_sync_start(fs, (unsigned)fs->options->commit);
    return fs->timer != NULL;
}

/* What requests through io_uring need, if they may come. */
static bool prepare_ring(struct fs *fs, struct fuse_lowlevel_ops *chosen)
{
    if (!options_want_ring(fs->options)) {
        return true;
    }
    fs->workers = workers_new((unsigned)fs->options->max_threads);
    if (fs->workers == NULL) {
        log_line(LOG_ERR, "out of memory");
        return false;
    }
    ring_wrap(chosen);
    return true;
}

bool session_mount(struct fs *fs, struct fuse_args *args)
{
    const struct options *options = fs->options;
    struct fuse_lowlevel_ops chosen = operations;
    char *mountpoint = find_mountpoint(fs);
    bool mounted;

    if (mountpoint == NULL || !start_timer(fs) || !prepare_ring(fs, &chosen)) {
        free(mountpoint);
        return false;
    }
    if (!add_option(args, "fsname", options->fsname != NULL ? options->fsname : fs->path) ||
        fuse_opt_add_arg(args, "-odefault_permissions,subtype=mappedpagesfs") != 0) {
        log_line(LOG_ERR, "out of memory");
        free(mountpoint);
        return false;
    }
    /* libfuse says what is wrong with its options. */
    fs->session = fuse_session_new(args, &chosen, sizeof(chosen), fs);
    mounted = fs->session != NULL && fuse_session_mount(fs->session, mountpoint) == 0;
    if (mounted) {
        if (!options_want_ring(options)) {
            device_gather(fs->session);
        }
        warn_of_unseen(fs);
    }
    if (fs->session != NULL && !mounted) {
        explain(fs, mountpoint);
        fuse_session_destroy(fs->session);
        fs->session = NULL;
    }
    free(mountpoint);
    return mounted;
}

/* Those that ask to end, unless they are ignored. */
static void ending_signals(sigset_t *set)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    struct sigaction action;

    sigemptyset(set);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (sigaction(numbers[i], NULL, &action) != 0 || action.sa_handler != SIG_IGN) {
            sigaddset(set, numbers[i]);
        }
    }
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
    sigaddset(&set, WAKE);
    while (sigwait(&set, &number) != 0 || (number == WAKE && !watch->ended)) {
        /* interrupted, or woken by somebody else */
    }
    if (!watch->ended) {
        watch->signalled = true;
        threads_stop(watch->fs); /* while requests are answered */
        fuse_session_exit(watch->fs->session);
    }
    while (!watch->ended) {
        /* Again and again, as it may just be on its way to sleep. */
        pthread_kill(watch->main, WAKE);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* Starts it with WAKE blocked from its first moment on, so that none is lost. */
static int start_waiting(pthread_t *waiter, struct watch *watch)
{
    sigset_t wake;
    int error;

    sigemptyset(&wake);
    sigaddset(&wake, WAKE);
    pthread_sigmask(SIG_BLOCK, &wake, NULL);
    error = pthread_create(waiter, NULL, wait_for_signals, watch);
    pthread_sigmask(SIG_UNBLOCK, &wake, NULL);
    return error;
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
    pthread_t waiter;
    int result = -EAGAIN;

    /* A signal that came before is waiting to be waited for. */
    if (threads_start(fs) && start_waiting(&waiter, &watch) == 0) {
        result = run_loop(fs);
        watch.ended = true;
        pthread_kill(waiter, WAKE);
        pthread_join(waiter, NULL);
    }
    workers_free(fs->workers);
    fs->workers = NULL;
    threads_stop(fs);
    handle_end_all(fs, !watch.signalled, batch_end);
    if (result < 0) {
        /* libfuse says -1 where it has no thread. */
        log_line(LOG_ERR, "serving failed: %s", strerror(result == -1 ? EAGAIN : -result));
    }
    return result >= 0;
}

void session_end(struct fs *fs)
{
    if (fs->session != NULL) {
        fuse_session_unmount(fs->session);
        fuse_session_destroy(fs->session);
        fs->session = NULL;
    }
    ticker_stop(fs->timer);
    fs->timer = NULL;
    workers_free(fs->workers);
    fs->workers = NULL;
    ahead_free(fs->ahead);
    fs->ahead = NULL;
}
