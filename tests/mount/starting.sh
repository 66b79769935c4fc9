#!/bin/sh
# SPDX-License-Identifier: MIT
# How the driver begins does not depend on who starts it: with which descriptors open, which signals ignored,
# and whether the threads that it needs can be had.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

mkdir m
mappedpages create --page-size 1K f.mpp || fail "create"

# driver - the process that serves m in the background: the one that has the file
driver() {
    mappedpages alloc --wait 0 f.mpp >/dev/null 2>driver.err || sed -n 's/.* process \([0-9]*\) (.*/\1/p' driver.err |
        grep .
}

no_driver() {
    mappedpages free --wait 0 f.mpp "$(mappedpages alloc --wait 0 f.mpp)"
}

# start_background COMMAND... - mounts m by a command that returns; it does within ten seconds.
start_background() {
    timeout 10 "$@"
    status=$?
    [ $status -eq 0 ] || fail "status $status (124: it never returned): $*"
    mounts=m
    driver >m.pid || fail "no driver: $*: $(cat driver.err)"
}

end_background() {
    take_down m
    mounts=
    within 20 no_driver || fail "the driver does not end"
}

# What is written is in the file, and the file is what it was.
works() {
    echo "$1" >m/pages/10 || fail "$1: cannot write"
    env echo "$1" >m/protected/0 || fail "$1: cannot write a protected page"
    head -n 1 m/pages/10 | grep -qx "$1" || fail "$1: another content"
    touch m/pages/007 2>/dev/null && fail "$1: 007 was taken for a page" # which is logged
    rm m/pages/10 m/protected/0 || fail "$1: cannot delete"
}

# Standard descriptors closed, each way: the page file and the kernel's device are never 0, 1 or 2.
for closed in '<&-' '>&-' '2>&-' '<&- >&-' '>&- 2>&-' '<&- 2>&-' '<&- >&- 2>&-'; do
    start_background sh -c "exec mappedpagesfs '$work/f.mpp' '$work/m' $closed"
    for fd in 0 1 2; do
        to=$(readlink "/proc/$(cat m.pid)/fd/$fd")
        [ "$to" = /dev/null ] || fail "closed $closed: descriptor $fd is $to"
    done
    works "closed $closed"
    end_background
    expect 0 mappedpages check f.mpp

    sh -c "exec mappedpagesfs -f f.mpp m $closed" & pid=$!
    echo $pid >m.pid
    mounts=m
    within 20 mountpoint -q m || fail "closed $closed, in the foreground: not mounted"
    for fd in 0 1 2; do
        case $(readlink "/proc/$pid/fd/$fd") in
        */f.mpp | /dev/fuse) fail "closed $closed, in the foreground: descriptor $fd is the file" ;;
        esac
    done
    works "foreground $closed"
    take_down m
    mounts=
    wait $pid || fail "closed $closed, in the foreground: status $?"
    expect 0 mappedpages check f.mpp
    # What fails, fails.
    sh -c "timeout 10 mappedpagesfs no-such-file m $closed"
    status=$?
    [ $status -eq 32 ] || fail "closed $closed: status $status for a file that is not there"
done
# The command, too: a result that nobody can see is no success, and the pages are not left allocated.
expect 0 mappedpages list f.mpp
cp out before
mappedpages alloc f.mpp >&- 2>err && fail "alloc said nothing, and went well"
mappedpages alloc f.mpp <&- >&- 2>&- && fail "alloc said nothing at all, and went well"
mappedpages write f.mpp 5 <&- 2>err && fail "nothing was read, and written"
expect 0 mappedpages list f.mpp
same out before
id=$(mappedpages alloc f.mpp <&- 2>&-) || fail "alloc with standard error closed"
mappedpages free f.mpp "$id" <&- >&- 2>&- || fail "free with all closed"

# In the background nothing is kept of whoever started it: not a lock, not a pipe.
mkfifo pipe
cat pipe >piped & reader=$!
exec 9>pipe
: >lock
start_background flock lock mappedpagesfs "$work/f.mpp" "$work/m"
exec 9>&-
flock -n lock true || fail "the driver keeps the lock of who started it"
within 10 sh -c "! kill -0 $reader" || {
    kill $reader
    fail "the driver keeps a pipe of who started it"
}
for fd in "/proc/$(cat m.pid)/fd"/*; do
    case $(readlink "$fd") in
    /dev/null | /dev/fuse | */f.mpp | '' | socket:* | anon_inode:*) ;;
    *) fail "the driver keeps $(readlink "$fd")" ;;
    esac
done
works inherited
end_background

# The line that tells that it serves arrives, also where standard output or error is to carry it.
for fd in 1 2 8; do
    timeout 10 sh -c "mappedpagesfs '$work/f.mpp' '$work/m' -o ready_fd=$fd $fd>ready.$fd" ||
        fail "ready_fd=$fd: status $?"
    mounts=m
    driver >m.pid
    [ "$(cat ready.$fd)" = READY=1 ] || fail "ready_fd=$fd: '$(cat ready.$fd)'"
    end_background
done

# A signal that is ignored by whoever started it stays ignored; the others end it.
for ignored in HUP INT TERM; do
    (
        trap '' $ignored
        exec mappedpagesfs -f f.mpp m
    ) 2>m.log &
    pid=$!
    echo $pid >m.pid
    mounts=m
    within 20 mountpoint -q m || fail "not mounted: $(cat m.log)"
    kill -$ignored $pid || fail "SIG$ignored ended it"
    # Whatever comes later is answered by it.
    works "SIG$ignored"
    case $ignored in TERM) end=HUP ;; *) end=TERM ;; esac
    kill -USR1 $pid # means nothing
    works "SIGUSR1"
    kill -$end $pid
    wait $pid || fail "SIG$end, with SIG$ignored ignored: status $?: $(cat m.log)"
    mountpoint -q m && fail "still mounted after SIG$end"
    mounts=
done

# A thread that cannot be had: an error, and no mount, or one that is served and keeps its promises.
[ -z "$SANITIZERS" ] || exit 0 # the preloaded library would come before the sanitizer's
cat >threads.c <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* The thread of that number cannot be made, counted from 1. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    static atomic_int count;
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
        (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))dlsym(RTLD_NEXT,
                                                                                       "pthread_create");

    return ++count == atoi(getenv("FAILING")) ? EAGAIN : real(thread, attributes, run, argument);
}
END
# CC may be several words.
# shellcheck disable=SC2086
$CC -shared -fPIC -o threads.so threads.c -ldl 2>cc.err || fail "compile: $(cat cc.err)"
for failing in 1 2 3 4 5; do
    FAILING=$failing LD_PRELOAD=$work/threads.so timeout 10 \
        mappedpagesfs "$work/f.mpp" "$work/m" -o commit=1 2>err
    status=$?
    case $status in
    0)
        mounts=m
        driver >m.pid || fail "thread $failing: no driver"
        [ $failing != 1 ] || fail "mounted without the timer that commit= promises"
        [ $failing != 3 ] || fail "mounted without what drops what is out of date from the kernel's cache"
        for id in 10 11 12; do
            : >m/pages/$id || fail "thread $failing: not served"
        done
        within 20 sh -c 'mappedpages list f.mpp | grep -qx "page 12"' ||
            fail "thread $failing: nothing became durable in time"
        rm m/pages/10 m/pages/11 m/pages/12
        end_background
        ;;
    32)
        [ -s err ] || fail "thread $failing: no reason given"
        mountpoint -q m && fail "thread $failing: mounted all the same"
        within 20 no_driver || fail "thread $failing: a process is left"
        ;;
    *) fail "thread $failing: status $status: $(cat err)" ;;
    esac
    echo "thread $failing cannot be had: status $status $(cat err)"
done

# While the file is being opened, its name comes to mean another one: owner and mode are those of what was opened.
cat >swap.c <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void swap(const char *when)
{
    if (strcmp(getenv("SWAP"), when) == 0)
        rename("theirs.mpp", "mine.mpp");
}

static int open_as(const char *name, const char *path, int flags, mode_t mode)
{
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name);
    int ours = strstr(path, "/mine.mpp") != NULL && !(flags & O_PATH), fd;

    if (ours)
        swap("before");
    fd = real(path, flags, mode);
    if (ours)
        swap("after");
    return fd;
}

#define OPEN(NAME)                                                                                                     \
    int NAME(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        va_list rest;                                                                                                  \
        mode_t mode;                                                                                                   \
                                                                                                                       \
        va_start(rest, flags);                                                                                         \
        mode = va_arg(rest, mode_t);                                                                                   \
        va_end(rest);                                                                                                  \
        return open_as(#NAME, path, flags, mode);                                                                      \
    }
OPEN(open)
OPEN(open64)
END
# shellcheck disable=SC2086
$CC -shared -fPIC -U_FORTIFY_SOURCE -o swap.so swap.c -ldl 2>cc.err || fail "compile: $(cat cc.err)"
for moment in before:theirs:600 after:mine:666; do
    for whose in mine:666 theirs:600; do
        rm -f "${whose%:*}.mpp"
        mappedpages create "${whose%:*}.mpp" && mappedpages alloc -p "${whose%:*}.mpp" >/dev/null || fail "create"
        echo "${whose%:*}" | mappedpages write -p "${whose%:*}.mpp" 0 || fail "write"
        chmod ${whose#*:} "${whose%:*}.mpp"
    done
    SWAP=${moment%%:*} LD_PRELOAD=$work/swap.so mappedpagesfs "$work/mine.mpp" "$work/m" || fail "not mounted"
    mounts=m
    [ ! -e theirs.mpp ] || fail "the name means what it meant"
    found=$(head -n 1 m/protected/0):$(stat -c %a m/protected/0)
    take_down m
    mounts=
    [ "$found" = "${moment#*:}" ] || fail "swapped ${moment%%:*} it was opened: $found instead of ${moment#*:}"
done
