#!/bin/sh
# SPDX-License-Identifier: MIT
# Protected pages: what a handle writes is its own until it commits it.
if [ $# = 0 ]; then # in both formats
    "$0" 0.2 && exec "$0" 1
    exit
fi
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

mappedpages create f.mpp --page-size 4096 --format "$1" || fail "create"
mount_file f.mpp m
touch m/protected/0 m/protected/1 || fail "create protected pages"

cat >staging.py <<'END'
import errno, os, signal, subprocess, sys, threading, time

os.chdir("m/protected")
SIZE = 4096

def committed(name="0"):
    with open(name, "rb") as file:
        return file.read()

def put(content, name="0"):
    fd = os.open(name, os.O_WRONLY)
    os.write(fd, content.ljust(SIZE, b"\0"))
    os.close(fd)
    assert committed(name) == content.ljust(SIZE, b"\0")

def begins(content, name="0"):
    found = committed(name)
    assert found.startswith(content), (found[:16], content)

# What is staged is seen by its own handle alone; close commits it.
put(b"old")
fd = os.open("0", os.O_RDWR)
os.pwrite(fd, b"new", 0)
begins(b"old")
assert os.pread(fd, 3, 0) == b"new"
os.close(fd)
begins(b"new")

# fsync commits, and the handle goes on.
fd = os.open("0", os.O_RDWR)
os.pwrite(fd, b"one", 0)
os.fsync(fd)
begins(b"one")
os.pwrite(fd, b"two", 0)
begins(b"one")
os.close(fd)
begins(b"two")

# Two writers of different parts both survive, and a third of one byte between them.
put(b"." * SIZE)
a, b, c = (os.open("0", os.O_WRONLY) for _ in range(3))
os.pwrite(a, b"a" * 100, 0)
os.pwrite(b, b"b" * 100, 2000)
os.pwrite(c, b"c", 99)
for fd in a, b, c:
    os.close(fd)
wanted = b"a" * 99 + b"c" + b"." * 1900 + b"b" * 100 + b"." * (SIZE - 2100)
assert committed() == wanted

# Many ranges of one handle, in any order, overlapping.
put(b"")
model = bytearray(SIZE)
fd = os.open("0", os.O_RDWR)
seed = 12345
for step in range(3000):
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    offset = (seed >> 8) % SIZE
    length = min((seed >> 4) % 300, SIZE - offset)
    content = bytes([seed & 0xff]) * length
    if step % 50 == 49:
        os.ftruncate(fd, offset)
        model[offset:] = bytes(SIZE - offset)
    else:
        os.pwrite(fd, content, offset)
        model[offset:offset + length] = content
    assert os.pread(fd, SIZE, 0) == model, step
assert committed() == bytes(SIZE)
os.close(fd)
assert committed() == model

# Truncation at opening is committed with what follows, at no flush before it.
put(b"before")
fd = os.open("0", os.O_WRONLY | os.O_TRUNC)
other = os.dup(fd)
os.close(other)
begins(b"before")
os.write(fd, b"after")
os.close(fd)
assert committed() == b"after".ljust(SIZE, b"\0")

# Truncation alone is committed when the handle ends, or at fsync.
fd = os.open("0", os.O_WRONLY | os.O_TRUNC)
other = os.dup(fd)
os.close(fd)
begins(b"after")
os.close(other)
deadline = time.monotonic() + 20
while committed() != bytes(SIZE):
    assert time.monotonic() < deadline, "the truncation was never committed"
    time.sleep(0.01)
put(b"xyz")
fd = os.open("0", os.O_RDWR)
os.ftruncate(fd, 1)
begins(b"xyz")
assert os.pread(fd, 3, 0) == b"x\0\0"
os.fsync(fd)
begins(b"x\0\0")
os.close(fd)

# truncate(2) without a handle is a commit.
put(b"xyz")
os.truncate("0", 2)
begins(b"xy\0")
try:
    os.truncate("0", SIZE + 1)
    sys.exit("grew")
except OSError as error:
    assert error.errno == errno.EFBIG

# A child that ends with an inherited descriptor commits what is written, and does no harm.
put(b"parent")
fd = os.open("0", os.O_WRONLY)
os.set_inheritable(fd, True)
subprocess.run(["true"], close_fds=False, check=True)
begins(b"parent")
os.pwrite(fd, b"second", 0)
os.close(fd)
begins(b"second")

# A writer killed by a signal commits nothing.
WRITER = """
import os, sys, time
fd = os.open("0", os.O_WRONLY)
os.pwrite(fd, b"killed", 0)
print("written", flush=True)
time.sleep(60)
"""
writer = subprocess.Popen([sys.executable, "-c", WRITER], stdout=subprocess.PIPE)
assert writer.stdout.readline() == b"written\n"
writer.kill()
writer.wait()
begins(b"second")

# Nor does a child that is killed drop what its parent wrote.
fd = os.open("0", os.O_WRONLY)
os.set_inheritable(fd, True)
os.pwrite(fd, b"mother", 0)
child = subprocess.Popen(["sleep", "60"], close_fds=False)
child.kill()
child.wait()
begins(b"second")
os.close(fd)
begins(b"mother")

# Readers only ever see whole commits.
put(b"\0" * SIZE, "1")
done = threading.Event()
torn = []

def read_all():
    fd = os.open("1", os.O_RDONLY)
    while not done.is_set():
        if len(set(os.pread(fd, SIZE, 0))) != 1:
            torn.append(True)
    os.close(fd)

readers = [threading.Thread(target=read_all) for _ in range(2)]
for reader in readers:
    reader.start()
fd = os.open("1", os.O_WRONLY)
for step in range(100):
    for part in range(0, SIZE, 512):
        os.pwrite(fd, bytes([step]) * 512, part)
    os.fsync(fd)
os.close(fd)
done.set()
for reader in readers:
    reader.join()
assert not torn

# Fixed size, as for regular pages.
fd = os.open("0", os.O_RDWR)
assert os.pwrite(fd, b"z" * 100, SIZE - 10) == 10
try:
    os.pwrite(fd, b"z", SIZE)
    sys.exit("wrote beyond the end")
except OSError as error:
    assert error.errno == errno.EFBIG
os.close(fd)

# Who asks for synchronous writes has each of them committed before it returns.
for flag in os.O_SYNC, os.O_DSYNC:
    fd = os.open("0", os.O_RDWR | flag)
    for text in b"first!", b"second":
        os.pwrite(fd, text, 20)
        with open("0", "rb") as page:
            assert page.read()[20:26] == text
    os.close(fd)

# A private mapping works; a shared writable one is refused.
import mmap
fd = os.open("0", os.O_RDWR)
assert mmap.mmap(fd, SIZE, flags=mmap.MAP_PRIVATE)[:6] == b"mother"
try:
    mmap.mmap(fd, SIZE)
    sys.exit("mapped shared")
except OSError as error:
    assert error.errno == errno.ENODEV
os.close(fd)
END
timeout 100 python3 staging.py || fail "staging"

(
cd m/protected || fail "cd"

# The same by shells, whose redirections are duplicated descriptors.
echo hello >0 || fail "echo"
[ "$(head -c 5 0)" = hello ] || fail "echo wrote something else"
(echo one; echo two) >0
[ "$(head -n 2 0 | tail -n 1)" = two ] || fail "two writes"
dd if=/dev/zero of=0 bs=4096 count=1 status=none || fail "dd"
tr -d '\0' <0 | grep -q . && fail "not zeros"
echo x 2>/dev/null >>0 && fail "appended"

# Number 0 is a protected page like any other; new ones take the lowest number.
rm 0 || fail "unlink"
touch new || fail "new"
[ -e 0 ] || fail "0 was not given again"
[ "$(stat -c '%s %h' 0)" = "4096 2" ] || fail "attributes"
[ "$(stat -c %i 0)" != "$(stat -c %i 1)" ] || fail "two files with one inode number"
tr -d '\0' <0 | grep -q . && fail "a new page shows what was there"
exit 0
) || exit 1

# A file that was renamed over a page while it was open to be synced, and of which the kernel holds a part in its cache
# until a write is answered: the write commits, so what is cached goes, but only then.
cat >synced.py <<'END'
import os

os.chdir("m/protected")
fd = os.open(".x.tmp", os.O_RDWR | os.O_CREAT | os.O_DSYNC, 0o644)
os.write(fd, b"first")
os.rename(".x.tmp", "1")
for content in b"one", b"two":
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.pread(fd, 3, 0)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    assert os.pwrite(fd, content, 0) == 3
    with open("1", "rb") as file:
        assert file.read(3) == content
END
timeout -s KILL 60 python3 synced.py || fail "writing to a file that was renamed over a page"

unmount m
expect 0 mappedpages check f.mpp
