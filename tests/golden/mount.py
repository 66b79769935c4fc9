#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""Every golden file shows exactly its dump through a mount, read-only and writable, or is refused with
a sentence that names the file."""
import filecmp
import os
import random
import sys

from model import Mount
from support import (DRIVER, Tests, command, goldens, mounted, run, skip_without_fuse, want,
                            want_equal, work_directory)

MOUNT_FAILURE = 32  # exit status of the driver


def shows_its_dump(golden, file, options):
    with mounted(file, options) as mountpoint:
        found = Mount(mountpoint, random.Random(0))
        listed = run("ls", os.path.join(mountpoint, "pages")).stdout.decode().split()
        want_equal(sorted(map(int, listed)), found.listing("pages"), "ls pages")
        with open(os.path.join(mountpoint, "info"), "rb") as info:
            want_equal(info.read(), command("info", golden.path), "/info")
    want_equal(found.contents(), golden.contents(), "contents")
    want_equal(found.page_size, golden.facts()["page_size"], "page size")


def read_only_mount_changes_nothing(golden, file):
    shows_its_dump(golden, file, "ro")
    want(filecmp.cmp(file, golden.path, shallow=False), "the file changed")


def is_refused(golden, file, options):
    os.mkdir("mnt")
    try:
        result = run(DRIVER, "-f", file, "mnt", *options)
        said = result.stderr.decode()
        want_equal(result.returncode, MOUNT_FAILURE, f"exit status ({said})")
        want(os.path.basename(file) in said, f"does not name the file: {said}")
        want_equal(said, run(DRIVER, file, "mnt", *options).stderr.decode(),
                   "what it says in the background")
    finally:
        os.rmdir("mnt")
    want(filecmp.cmp(file, golden.path, shallow=False), "the file changed")


def main():
    skip_without_fuse()
    tests = Tests()
    with work_directory() as work:
        for golden in goldens():
            file = golden.copy(work)
            if golden.error:
                tests.test(f"{golden.name} refused", is_refused, golden, file, [])
                tests.test(f"{golden.name} refused -o ro", is_refused, golden, file, ["-o", "ro"])
                continue
            tests.test(f"{golden.name} -o ro", read_only_mount_changes_nothing, golden, file)
            tests.test(f"{golden.name}", shows_its_dump, golden, file, None)
    tests.finish()


if __name__ == "__main__":
    sys.exit(main())
