#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One client of several that ask a mount for this and that at random.

load.py DIRECTORY SECONDS SEED

What may fail where others do the same is fine; anything else is told, and the exit status is 1."""
import errno
import os
import random
import sys
import time

base, seconds, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
draw = random.Random(seed)
ENDED = (errno.ENOTCONN, errno.ECONNABORTED)
FINE = (errno.ENOENT, errno.EEXIST, errno.ESTALE, errno.EFBIG, errno.EPERM, errno.EINVAL)
handles = []


def name(directory):
    kind = draw.random()
    if kind < 0.85:
        return f"{base}/{directory}/{draw.randrange(10, 60)}"
    if kind < 0.95:
        return f"{base}/{directory}/.{draw.randrange(5)}.tmp"
    return f"{base}/{directory}/new"


def open_one(directory):
    flags = os.O_RDWR
    if draw.random() < 0.2:
        flags |= os.O_TRUNC
    if draw.random() < 0.1:
        flags |= os.O_DSYNC
    handles.append(os.open(name(directory), flags))
    if len(handles) > 5:
        os.close(handles.pop(draw.randrange(len(handles))))


def look(directory):
    with os.scandir(f"{base}/{directory}") as entries:
        for entry in entries:
            if draw.random() < 0.3:
                entry.stat(follow_symlinks=False)


def read_whole(path):
    with open(path, "rb") as file:
        file.read()


def use_handle():
    fd = draw.choice(handles)
    offset = draw.randrange(4096)
    step = draw.randrange(8)
    if step < 3:
        os.pwrite(fd, bytes([draw.randrange(256)]) * draw.randrange(1, 4097 - offset), offset)
    elif step == 3:
        os.fsync(fd)
    elif step == 4:
        os.pread(fd, 4096, offset)
    elif step == 5:
        os.ftruncate(fd, offset)
    elif step == 6:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    else:
        other = draw.choice(handles)
        if os.fstat(fd).st_ino != os.fstat(other).st_ino:  # not onto itself
            os.copy_file_range(fd, other, draw.randrange(1, 4096), 0, 0)


def one():
    directory = draw.choice(("pages", "protected"))
    step = draw.randrange(14)
    if step == 0:
        os.close(os.open(name(directory), os.O_WRONLY | os.O_CREAT, 0o644))
    elif step == 1:
        os.unlink(name(directory))
    elif step == 2:
        os.rename(name(directory), name(directory))
    elif step in (3, 4):
        open_one(directory)
    elif step == 5:
        look(directory)
    elif step == 6:
        os.truncate(name(directory), draw.randrange(4097))
    elif step == 7:
        read_whole(name(directory))
    elif step == 8:
        read_whole(f"{base}/info")
    elif handles:
        use_handle()


end = time.monotonic() + seconds
bad = 0
while time.monotonic() < end:
    try:
        one()
    except OSError as error:
        if error.errno in ENDED:
            break
        if error.errno not in FINE:
            print(f"client {seed}: {error}", flush=True)
            bad = 1
sys.exit(bad)
