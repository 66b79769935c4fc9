#!/bin/sh
# SPDX-License-Identifier: MIT
# A child that inherits a descriptor closes it, at the latest by ending. That commits what the child wrote,
# and nothing that somebody else is in the middle of writing through the same open file.
if [ $# = 0 ]; then # in both formats
    "$0" 0.2 && exec "$0" 1
    exit
fi
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

expect 0 mappedpages create --page-size 4096 --format "$1" f.mpp
mount_file f.mpp m
touch m/protected/0 m/protected/1 || fail "no page"
page=$work/m/protected/0
shows() {
    [ "$(head -n 1 "$page")" = "$1" ] || fail "$2: $(head -n 1 "$page")"
}

# A shell that goes on writing: whatever runs meanwhile has its descriptors. (It redirects nothing itself,
# as then it would close a copy of one.)
echo old >"$page"
cat >look.sh <<'END'
head -n 1 "$1" >>seen
END
# shellcheck disable=SC2094 # that is what it is about
{
    echo first
    sh look.sh "$page"
    sleep 0 &
    wait $!
    sh look.sh "$page"
    echo second
} >"$page"
[ "$(grep -c -x old seen)" = 2 ] || fail "committed half-written by a child of the shell: $(tr -d '\0' <seen)"
[ "$(head -n 2 "$page" | tr '\n' ,)" = first,second, ] || fail "lost: $(head -n 2 "$page")"

# A child that writes, too, has its share committed when it ends.
{
    echo 1
    sh -c 'echo 2'
    sh -c 'echo 3'
} >"$page"
[ "$(head -n 3 "$page" | tr '\n' ,)" = 1,2,3, ] || fail "lost of several: $(head -n 3 "$page")"

cat >parent.py <<'END_OF_PROGRAM'
import os, signal, subprocess, sys
page, other, file = sys.argv[1:]

def content():
    with open(page, "rb") as stream:
        return stream.read(12)

def begin():
    fd = os.open(page, os.O_WRONLY)
    os.write(fd, b"old old old ")
    os.close(fd)
    fd = os.open(page, os.O_WRONLY)
    os.set_inheritable(fd, True)
    os.pwrite(fd, b"new ", 0)
    return fd

def child(function, *arguments):
    process = os.fork()
    if process == 0:
        try:
            function(*arguments)
        finally:
            os._exit(0)
    os.waitpid(process, 0)

def check(wanted, what):
    seen = content()
    assert seen == wanted, (what, seen)

# However a child gives it up: by ending, by closing it, by starting another program, killed.
for what, way in {
    "ends": lambda fd: child(lambda: None),
    "closes": lambda fd: child(os.close, fd),
    "is started": lambda fd: subprocess.run(["true"], close_fds=False, check=True),
    "is started closing all": lambda fd: subprocess.run(["true"], check=True),
    "is killed": lambda fd: child(lambda: os.kill(os.getpid(), signal.SIGKILL)),
    "reads": lambda fd: child(lambda: open("/proc/self/fd/%d" % fd, "rb").close()),
}.items():
    fd = begin()
    way(fd)
    check(b"old old old ", what)
    os.pwrite(fd, b"new new ", 4)
    way(fd)
    check(b"old old old ", what)
    os.close(fd)
    check(b"new new new ", what + ", closed")

# A copy that the writer itself closes is a close, and so is fsync, whoever asks for it.
fd = begin()
os.close(os.dup(fd))
check(b"new old old ", "a copy")
os.pwrite(fd, b"new ", 4)
child(os.fsync, fd)
check(b"new new old ", "fsync of a child")
os.close(fd)

# What the child wrote is committed, and what its parent wrote follows when that closes.
fd = begin()
child(os.pwrite, fd, b"kid ", 8)
check(b"old old kid ", "a child that wrote")
os.close(fd)
check(b"new old kid ", "a child that wrote, closed")

# One over the other belongs together.
fd = begin()
child(os.pwrite, fd, b"kid kid ", 0)
check(b"kid kid old ", "a child over its parent")
os.close(fd)
check(b"kid kid old ", "a child over its parent, closed")

# Nobody looks at the error of a child that ends: the next close tells.
fd = os.open(other, os.O_WRONLY)
child(lambda: (os.pwrite(fd, b"kid ", 0), os.truncate(file, os.path.getsize(file) - 4096)))
try:
    os.close(fd)
    sys.exit("a child's commit failed, and its parent is told that all is well")
except OSError:
    pass
END_OF_PROGRAM
timeout 60 python3 parent.py "$page" "$work/m/protected/1" f.mpp || fail "parent and child"
# The file is not what the driver left there, so it cannot end well.
take_down m
wait "$(cat m.pid)" && fail "the driver ends as if all was well"
mounts=
