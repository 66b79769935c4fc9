#!/bin/sh
# SPDX-License-Identifier: MIT
# A handle on a page that was freed never sees the page's next owner.
if [ $# = 0 ]; then # in both formats
    "$0" 0.2 && exec "$0" 1
    exit
fi
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

mappedpages create f.mpp --page-size 4096 --format "$1" || fail "create"
mount_file f.mpp m

cat >stale.py <<'END'
import errno, os, sys

def fails(code, call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        assert error.errno == code, error
    else:
        sys.exit("%s%r did not fail" % (call.__name__, arguments[1:]))

def write_all(path, content):
    with open(path, "r+b") as file:
        file.write(content)

def create(path):
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))

def stale(path, direct):
    """A handle, freed and allocated again several times under it."""
    create(path)
    write_all(path, b"first")
    fd = os.open(path, os.O_RDWR)
    os.unlink(path)
    fails(errno.ESTALE, os.pwrite, fd, b"nobody", 0)
    create(path)
    write_all(path, b"second owner")
    fails(errno.ESTALE, os.pwrite, fd, b"intruder", 0)
    fails(errno.ESTALE, os.ftruncate, fd, 0)
    if direct:
        fails(errno.ESTALE, os.pread, fd, 10, 0)
    else:
        # What the kernel has cached is the old page's, or there is none.
        try:
            assert os.pread(fd, 10, 0) == bytes(10)
        except OSError as error:
            assert error.errno == errno.ESTALE, error
    again = os.open(path, os.O_RDWR)
    assert os.pread(again, 12, 0) == b"second owner"
    os.unlink(path)
    create(path)
    fails(errno.ESTALE, os.pwrite, fd, b"intruder", 0)
    fails(errno.ESTALE, os.pwrite, again, b"intruder", 0)
    with open(path, "rb") as file:
        assert file.read() == bytes(4096)
    os.close(again)
    os.close(fd)
    write_all(path, b"third owner")
    with open(path, "rb") as file:
        assert file.read(11) == b"third owner"
    os.unlink(path)

for _ in range(3):
    stale("m/pages/20", False)
    stale("m/protected/3", True)

# What was staged for a page that is gone is not committed to the next one: close says so.
create("m/protected/4")
fd = os.open("m/protected/4", os.O_RDWR)
os.pwrite(fd, b"staged", 0)
os.unlink("m/protected/4")
create("m/protected/4")
fails(errno.ESTALE, os.close, fd)
with open("m/protected/4", "rb") as file:
    assert file.read() == bytes(4096)

# Many times in a row, while one handle of each past stays open.
held = []
for n in range(200):
    create("m/pages/30")
    write_all("m/pages/30", b"%06d" % n)
    held.append(os.open("m/pages/30", os.O_RDWR))
    os.unlink("m/pages/30")
create("m/pages/30")
for fd in held:
    fails(errno.ESTALE, os.pwrite, fd, b"intruder", 0)
    os.close(fd)
with open("m/pages/30", "rb") as file:
    assert file.read() == bytes(4096)

# And many times with nothing open: always the right content.
for n in range(300):
    os.unlink("m/pages/30")
    create("m/pages/30")
    with open("m/pages/30", "r+b") as file:
        assert file.read() == bytes(4096), n
        file.seek(0)
        file.write(b"%06d" % n)
    with open("m/pages/30", "rb") as file:
        assert file.read(6) == b"%06d" % n
END
timeout 100 python3 stale.py || fail "stale handles"
unmount m
expect 0 mappedpages check f.mpp
