#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""A file of the crate that was changed through a mount is again a valid file of format 0.2, by a reader
that shares no code with the library, and holds what was written and nothing else."""
import random
import sys

from model import Mount
from support import (Tests, command, goldens, mounted, skip_without_fuse, strict_reader,
                            want_equal, work_directory)

# Names of the files to change, and how many random operations on each; each may cost two syncs.
FILES = {
    "v02-1024-empty": 150,
    "v02-1024-regular": 150,
    "v02-1024-protected": 150,
    "v02-1024-mixed": 300,
    "v02-1024-full": 60,
    "v02-4096-protected": 100,
    "v02-16384-regular": 100,
    "bad-active-dir": 60,
    "newer-patch": 60,
}
ROUNDS = 2  # times that each is mounted, so that the second finds what the first left


def is_valid_after_changes(golden, file, options):
    for seed in range(ROUNDS):
        with mounted(file, options) as mountpoint:
            mount = Mount(mountpoint, random.Random(f"{golden.name} {seed}"))
            mount.change(FILES[golden.name])
            mount.verify()
        want_equal(strict_reader("0_2", file)[3:], mount.contents(), f"round {seed}: contents")
        command("check", file)


def main():
    skip_without_fuse()
    tests = Tests()
    with work_directory() as work:
        changed = [golden for golden in goldens() if golden.name in FILES]
        want_equal(len(changed), len(FILES), "files to change")
        for golden in changed:
            tests.test(golden.name, is_valid_after_changes, golden, golden.copy(work), None)
            tests.test(f"{golden.name} -o commit=60", is_valid_after_changes, golden,
                       golden.copy(work), "commit=60")
    tests.finish()


if __name__ == "__main__":
    sys.exit(main())
