#!/bin/sh
# SPDX-License-Identifier: MIT
# A program that only has a page mapped sees zeros, and nothing worse, when another truncates it.
if [ $# = 0 ]; then # in both formats, with pages smaller and larger than those of the machine
    "$0" 0.2 1K && "$0" 1 4K && exec "$0" 1 64K
    exit
fi
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

mappedpages create --page-size "$2" --format "$1" f.mpp || fail "create"
mount_file f.mpp m
cat >mapped.py <<'END'
import mmap, os, subprocess, sys, threading

def fill(name, size):
    with open(name, "r+b", buffering=0) as page:
        page.write(b"x" * size)

# Shell commands that truncate page 40, what of it stays, and what they write then.
WAYS = ((": > m/pages/40", 0, b""), ("echo hi > m/pages/40", 0, b"hi\n"),
        ("truncate -s 0 m/pages/40", 0, b""), ("truncate -s 10 m/pages/40", 10, b""),
        ("truncate -s 700 m/pages/40", 700, b""), ("cp /dev/null m/pages/40", 0, b""),
        ("dd if=/dev/null of=m/pages/40 bs=1 seek=100 status=none", 100, b""),
        ("python3 -c 'import os; os.truncate(\"m/pages/40\", 1000)'", 1000, b""),
        ("python3 -c 'open(\"m/pages/40\", \"w\").write(\"py\")'", 0, b"py"))

os.close(os.open("m/pages/40", os.O_RDWR | os.O_CREAT))
size = os.stat("m/pages/40").st_size
fill("m/pages/40", size)
fd = os.open("m/pages/40", os.O_RDWR)
content = mmap.mmap(fd, size)
assert content[:] == b"x" * size
for way, kept, written in WAYS:
    fill("m/pages/40", size)
    content[size - 1] = 7 # not written back yet when it is cut off
    subprocess.run(way, shell=True, check=True)
    wanted = (b"x" * kept + written).ljust(size, b"\0")
    assert content[:] == wanted, way
    content[size - 2] = 9 # behind the size that was asked for
    content.flush()
    with open("m/pages/40", "rb") as page:
        assert page.read() == wanted[:-2] + b"\x09\0", way
    assert os.stat("m/pages/40").st_size == os.fstat(fd).st_size == size, way

# Again and again, while it is looked at: by who never asks for its size.
def look():
    while not done:
        content[size // 2]

done = False
threads = [threading.Thread(target=look) for _ in range(2)]
for thread in threads:
    thread.start()
for turn in range(100):
    os.close(os.open("m/pages/40", os.O_WRONLY | os.O_TRUNC))
    os.truncate("m/pages/40", turn % size)
    fill("m/pages/40", size)
done = True
for thread in threads:
    thread.join()
END
timeout 100 python3 mapped.py || fail "mapped: exit status $?"

# With a single thread, which may not wait for itself.
unmount m
mount_file f.mpp m -s
timeout 100 python3 mapped.py || fail "mapped, single-threaded: exit status $?"

# Protected pages: truncation at opening is part of what is committed, also where the thread has other
# files open; truncate(2) is a commit of its own, also between an open and a close of the same page.
cat >protected.py <<'END'
import os

def read(name):
    with open(name, "rb", buffering=0) as page:
        return page.read(4)

def write(name, content):
    with open(name, "r+b", buffering=0) as page:
        page.write(content)

for name in "m/protected/0", "m/protected/1":
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
    write(name, b"old.")
others = [os.open("m/protected/1", os.O_WRONLY) for _ in range(3)]
fd = os.open("m/protected/0", os.O_WRONLY | os.O_TRUNC)
second = os.open("m/protected/0", os.O_WRONLY | os.O_TRUNC)
assert read("m/protected/0") == b"old."
os.write(fd, b"a")
os.close(fd)
assert read("m/protected/0") == b"a\0\0\0"
os.write(second, b"b")
os.close(second)
assert read("m/protected/0") == b"b\0\0\0"
for other in others:
    os.close(other)
assert read("m/protected/1") == b"old."
fd = os.open("m/protected/1", os.O_WRONLY)
os.truncate("m/protected/1", 0)
assert read("m/protected/1") == bytes(4)
os.write(fd, b"n")
os.close(fd)
assert read("m/protected/1") == b"n\0\0\0"
fd = os.open("m/protected/1", os.O_WRONLY)
os.ftruncate(fd, 0)
assert read("m/protected/1") == b"n\0\0\0"
os.close(fd)
assert read("m/protected/1") == bytes(4)
END
timeout 100 python3 protected.py || fail "protected pages"
unmount m
expect 0 mappedpages check f.mpp
