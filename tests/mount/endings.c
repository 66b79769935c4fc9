/* SPDX-License-Identifier: MIT */
/*
 * A program with eight more threads writes to a protected page and ends, in one way or another:
 *
 *     endings FILE WAY ROUNDS
 *
 * Prints how many of so many processes had what they wrote committed. In every second round it is
 * another thread than the first that writes. Exits with 1 if something else was seen than what was
 * there before, or all that was written.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8

/* What each does once the page is written, in the first thread. */
struct way {
    const char *name;
    void (*end)(int fd);
    void *(*elsewhere)(void *); /* in another thread, or NULL */
};

static void closes(int fd)
{
    if (close(fd) != 0)
        _exit(1);
    kill(getpid(), SIGKILL); /* that comes too late to matter */
}

static void exits(int fd)
{
    (void)fd;
    exit(3);
}

static void exits_at_once(int fd)
{
    (void)fd;
    _exit(0);
}

static void returns(int fd)
{
    (void)fd; /* and main returns */
}

static void waits(int fd)
{
    (void)fd;
    for (;;)
        pause();
}

static void *exits_elsewhere(void *argument)
{
    exit(0);
    return argument;
}

static void *dies_elsewhere(void *argument)
{
    raise(SIGUSR1);
    return argument;
}

static void *crashes_elsewhere(void *argument)
{
    *(volatile int *)argument = 1;
    return argument;
}

static void executes(int fd)
{
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    execl("/bin/sh", "sh", "-c", "kill -9 $$", (char *)NULL);
    _exit(1);
}

static void executes_keeping(int fd)
{
    fcntl(fd, F_SETFD, 0);
    execl("/bin/sh", "sh", "-c", "exit 0", (char *)NULL);
    _exit(1);
}

static void executes_to_death(int fd)
{
    fcntl(fd, F_SETFD, 0);
    execl("/bin/sh", "sh", "-c", "kill -9 $$", (char *)NULL);
    _exit(1);
}

static void *executes_elsewhere(void *argument)
{
    execl("/bin/sh", "sh", "-c", "exit 0", (char *)NULL);
    return argument;
}

static void killed_by(int number)
{
    kill(getpid(), number);
    for (;;)
        pause();
}

static void terminated(int fd)
{
    (void)fd;
    killed_by(SIGTERM);
}

static void killed(int fd)
{
    (void)fd;
    killed_by(SIGKILL);
}

static void aborts(int fd)
{
    (void)fd;
    abort();
}

static void on_signal(int number)
{
    _exit(number);
}

static void exits_on_signal(int fd)
{
    (void)fd;
    signal(SIGTERM, on_signal);
    killed_by(SIGTERM);
}

static void child_ends(int fd)
{
    if (fork() == 0)
        _exit(0);
    (void)fd;
    wait(NULL);
    killed_by(SIGKILL); /* that its child closed what it had inherited commits nothing */
}

static void child_dies(int fd)
{
    (void)fd;
    if (fork() == 0)
        killed_by(SIGKILL);
    wait(NULL);
    exit(0);
}

static void first_thread_ends(int fd)
{
    (void)fd;
    pthread_exit(NULL);
}

static const struct way ways[] = {
    {"close", closes, NULL},
    {"exit", exits, NULL},
    {"_exit", exits_at_once, NULL},
    {"return", returns, NULL},
    {"thread_exit", waits, exits_elsewhere},
    {"first_thread", first_thread_ends, NULL},
    {"exec", executes, NULL},
    {"exec_kept", executes_keeping, NULL},
    {"exec_kept_killed", executes_to_death, NULL},
    {"thread_exec", waits, executes_elsewhere},
    {"handler", exits_on_signal, NULL},
    {"child_ends", child_ends, NULL},
    {"child_dies", child_dies, NULL},
    {"SIGTERM", terminated, NULL},
    {"SIGKILL", killed, NULL},
    {"abort", aborts, NULL},
    {"thread_signal", waits, dies_elsewhere},
    {"thread_crash", waits, crashes_elsewhere},
};

static const struct way *way = ways;
static const char *path;
static int fd;
static bool first_writes; /* the first thread, not another */
static char content[4096];
static pthread_barrier_t started, written;

static void write_page(void)
{
    fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, content, sizeof(content)) != (ssize_t)sizeof(content))
        _exit(1);
}

/* Of the eight, one does what the first thread does not. */
static void *other(void *is_that_one)
{
    pthread_barrier_wait(&started);
    if (!first_writes && is_that_one != NULL)
        write_page();
    pthread_barrier_wait(&written);
    if (is_that_one != NULL && way->elsewhere != NULL)
        (void)way->elsewhere(NULL);
    while (way->end != first_thread_ends)
        pause();
    return NULL;
}

static int run(void)
{
    const struct rlimit no_core = {0, 0};
    pthread_t thread;

    setrlimit(RLIMIT_CORE, &no_core);
    pthread_barrier_init(&started, NULL, THREADS + 1);
    pthread_barrier_init(&written, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&thread, NULL, other, i == THREADS - 1 ? &written : NULL) != 0)
            _exit(1);
    pthread_barrier_wait(&started);
    if (first_writes)
        write_page();
    pthread_barrier_wait(&written);
    way->end(fd);
    return 0;
}

/* What is committed: 'n' what was written, 'o' what was there before; ends otherwise. */
static char look(void)
{
    int reader = open(path, O_RDONLY);
    char seen[sizeof(content)];

    if (reader < 0 || read(reader, seen, sizeof(seen)) != (ssize_t)sizeof(seen)) {
        perror(path);
        exit(1);
    }
    for (size_t i = 0; i < sizeof(seen); i++) {
        if (seen[i] != seen[0] || (seen[i] != 'n' && seen[i] != 'o')) {
            (void)fprintf(stderr, "%s: byte %zu is %d\n", path, i, seen[i]);
            exit(1);
        }
    }
    close(reader);
    return seen[0];
}

int main(int argc, char **argv)
{
    unsigned long rounds, committed = 0;

    if (argc != 4)
        return 2;
    path = argv[1];
    rounds = strtoul(argv[3], NULL, 10);
    while (strcmp(way->name, argv[2]) != 0)
        if (++way == ways + sizeof(ways) / sizeof(ways[0]))
            return 2;
    for (unsigned long i = 0; i < rounds; i++) {
        pid_t child;

        first_writes = i % 2 == 0;
        memset(content, 'o', sizeof(content));
        write_page();
        if (close(fd) != 0)
            return 1;
        memset(content, 'n', sizeof(content));
        child = fork();
        if (child == 0)
            return run();
        if (child < 0 || waitpid(child, NULL, 0) != child)
            return 1;
        committed += look() == 'n';
    }
    printf("%lu\n", committed);
    return 0;
}
