#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""32,544 pages of 4096 bytes fit in one file of format 0.2. One more is "file full" to the command and
ENOSPC on a mount, and nothing is lost by asking."""
import errno
import os
import random
import sys

from model import Mount
from support import (COMMAND, Tests, command, crc, mounted, run, skip_without_fuse,
                            strict_reader, want, want_equal, work_directory)

PAGES_THAT_FIT = 32544
FIRST = 3           # 0, 1 and 2 are the file's own
LEFT = 5            # pages that the mount allocates, after the command did the others
FILE = "full.mpp"
CONTENT = b"the last page of all"


def fill_with_the_command():
    command("create", "--format", "0.2", "--page-size", "4096", FILE)
    count = PAGES_THAT_FIT - FIRST - LEFT
    ids = command("alloc", "--count", str(count), FILE).split()
    want_equal(len(ids), count, "pages allocated")
    result = run(COMMAND, "alloc", "--count", str(LEFT + 1), FILE)
    want_equal(result.returncode, 3, "exit status of one page too many")
    want(b"full" in result.stderr, f"does not say that the file is full: {result.stderr}")
    want_equal(len(strict_reader("0_2", FILE)), 3 + count, "lines of the dump")


def expect_no_space(path):
    try:
        with open(path, "xb"):
            pass
    except OSError as error:
        want_equal(errno.errorcode[error.errno], "ENOSPC", f"creating {path}")
    else:
        want(False, f"{path} was created")


def fill_the_rest_through_the_mount():
    with mounted(FILE) as mountpoint:
        pages = os.path.join(mountpoint, "pages")
        for _ in range(LEFT):
            with open(os.path.join(pages, "new"), "xb", buffering=0) as file:
                file.write(CONTENT)
        before = os.listdir(pages)
        want_equal(len(before), PAGES_THAT_FIT - FIRST, "pages listed")
        want_equal(os.statvfs(mountpoint).f_bfree, 0, "free blocks")
        expect_no_space(os.path.join(pages, "new"))
        expect_no_space(os.path.join(mountpoint, "protected", "new"))
        want_equal(os.listdir(pages), before, "pages after ENOSPC")
        last = os.path.join(pages, str(PAGES_THAT_FIT - 1))
        os.unlink(last)
        with open(os.path.join(pages, "new"), "xb", buffering=0) as file:
            file.write(CONTENT)
        want_equal(sorted(os.listdir(pages)), sorted(before), "pages after free and new")


def nothing_is_lost():
    lines = strict_reader("0_2", FILE)
    want_equal(lines[1:3], [f"page_count {PAGES_THAT_FIT}", "free_pages 0"], "counts")
    zeros, content = crc(bytes(4096)), crc(CONTENT.ljust(4096, b"\0"))
    expected = [f"page {number} {zeros if number < PAGES_THAT_FIT - LEFT else content}"
                for number in range(FIRST, PAGES_THAT_FIT)]
    want_equal(lines[3:], expected, "contents")
    command("check", FILE)
    with mounted(FILE, "ro") as mountpoint:
        want_equal(Mount(mountpoint, random.Random(0)).contents(), expected, "on a mount")


def main():
    skip_without_fuse()
    tests = Tests()
    with work_directory():
        tests.test("filled by the command", fill_with_the_command)
        tests.test("and through the mount", fill_the_rest_through_the_mount)
        tests.test("nothing is lost", nothing_is_lost)
    tests.finish()


if __name__ == "__main__":
    sys.exit(main())
