#!/bin/sh
# SPDX-License-Identifier: MIT
# What handles stage together is limited; and whatever is dropped of it is in the log.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

expect 0 mappedpages create --page-size 1M f.mpp
# Each thread that serves has a buffer besides, so there are few.
mount_file f.mpp m -o stage=16M,max_threads=4
touch m/protected/0 m/protected/1 m/protected/2 || fail "no pages"

cat >takes.py <<'END'
import errno, os, subprocess, sys
SIZE = 1 << 20

def resident():
    for line in open("/proc/%s/status" % sys.argv[1]):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10

def stage(piece):
    """Opens and writes whole pages, in pieces, until there is no more."""
    handles = []
    while len(handles) < 100:
        fd = os.open("m/protected/0", os.O_RDWR)
        handles.append(fd)
        try:
            for offset in range(0, SIZE, piece):
                if os.pwrite(fd, bytes([len(handles)]) * piece, offset) < piece:
                    return handles # the kernel had split it, and there was room for a part
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
            return handles
    sys.exit("there is no limit")

OTHER = """
import os, sys
sys.stdin.read(1)
fd = os.open("m/protected/1", os.O_WRONLY)
os.pwrite(fd, b"other", 0)
os.close(fd)
"""
before = resident()
for piece in SIZE, 1 << 16:
    # It is there before, as a child that closes what it inherits commits that.
    other = subprocess.Popen([sys.executable, "-c", OTHER], stdin=subprocess.PIPE)
    handles = stage(piece)
    assert 14 <= len(handles) - 1 <= 16, len(handles)
    # (A sanitizer keeps what was freed for a while.)
    assert os.environ.get("SANITIZERS") or resident() - before < 40 << 20, (before, resident())
    # Another process still has room, ...
    other.communicate(b"x")
    assert other.returncode == 0
    assert open("m/protected/1", "rb").read(5) == b"other"
    # ... and what was staged is still there, and is committed as ever.
    assert os.pread(handles[3], 4, SIZE - 4) == b"\4" * 4
    for fd in handles:
        os.close(fd)
    # The last could not write all; its close committed what it could.
    last = open("m/protected/0", "rb").read()
    assert last[-1] in (len(handles), len(handles) - 1), (last[-1], len(handles))

# One byte in many handles takes no page for each.
handles = [os.open("m/protected/2", os.O_WRONLY) for _ in range(500)]
for number, fd in enumerate(handles):
    os.pwrite(fd, b"x", number)
for fd in handles:
    os.close(fd)
assert open("m/protected/2", "rb").read(501) == b"x" * 500 + b"\0"

# A thousand pieces in one handle are counted, too: they come to more than their bytes.
fd = os.open("m/protected/2", os.O_WRONLY)
try:
    for offset in range(0, SIZE, 2):
        os.pwrite(fd, b"y", offset)
    sys.exit("half a million pieces within 16 MiB")
except OSError as error:
    assert error.errno == errno.ENOSPC, error
os.close(fd)
END
timeout 200 python3 takes.py "$(cat m.pid)" || fail "the limit"
[ ! -s m.log ] || fail "nothing was dropped, but: $(cat m.log)"

# What is dropped because its page is gone; what the end of the driver drops.
python3 - <<'END' || fail "a page that is gone"
import errno, os
fd = os.open("m/protected/0", os.O_WRONLY)
os.write(fd, b"nobody will see this")
os.unlink("m/protected/0")
try:
    os.close(fd)
    raise SystemExit("nothing was said")
except OSError as error:
    assert error.errno == errno.ESTALE, error
END
grep -q 'page 0: what process [0-9]* (python3.*) wrote was dropped: the page was deleted' m.log ||
    fail "no word of a page that is gone: $(cat m.log)"
printf 'too late' >late
hold_written m/protected/1 late
end_driver m
exec 8>&-
wait $writer
[ $? = 3 ] || fail "who wrote was not told that it was lost"
grep -q "page 1: what process $writer (python3.*) wrote was dropped: the mount ended" m.log ||
    fail "no word of what was staged at the end: $(cat m.log)"
fusermount3 -u -z m 2>/dev/null

# A limit that makes no sense is no limit; less than a page is said.
expect 1 mappedpagesfs f.mpp m -o stage=lots
complained 'stage=lots: expected a whole number of bytes'
mount_file f.mpp m -o stage=64K
grep -q 'cannot be written as a whole' m.log || fail "no word of a limit below a page"
head -c 1M /dev/zero 2>/dev/null >m/protected/1 && fail "a page of 1 MiB within 64K"
echo fits >m/protected/1 || fail "five bytes within 64K"
unmount m
expect 0 mappedpages check f.mpp
