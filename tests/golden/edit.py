#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""A file of format 0.2, the crate's or our own, that was changed by the command is a valid file of the
format, by a reader that shares no code with the library, and holds what was written and nothing else."""
import random
import sys

from model import Commanded
from support import Tests, command, goldens, strict_reader, want_equal, work_directory

# Names of files of the crate, and how many random changes on each; each is a process.
FILES = {
    "v02-1024-empty": 80,
    "v02-1024-mixed": 80,
    "v02-1024-full": 20,
    "v02-4096-protected": 60,
    "v02-16384-regular": 40,
    "bad-active-dir": 40,
    "bad-active-meta": 40,
    "dir-capacity-huge": 40,
    "newer-patch": 40,
}
PAGE_SIZES_OF_NEW_FILES = (1024, 4096, 65536)
STEPS = 4 # times that the file is looked at between changes


def is_valid_after_changes(file, changes, name):
    model = Commanded(file, random.Random(name))
    for step in range(STEPS):
        model.change(changes // STEPS)
        want_equal(strict_reader("0_2", file)[3:], model.contents(), f"step {step}: contents")
        command("check", file)
    model.verify()


def new_file_is_valid(page_size):
    file = f"new-{page_size}.mpp"
    command("create", "--format", "0.2", "--page-size", str(page_size), file)
    want_equal(strict_reader("0_2", file),
               [f"page_size {page_size}", "page_count 4", "free_pages 1"], "the new file")
    is_valid_after_changes(file, 40, file)


def main():
    tests = Tests()
    with work_directory() as work:
        for golden in goldens():
            if golden.name in FILES:
                tests.test(golden.name, is_valid_after_changes, golden.copy(work),
                           FILES[golden.name], golden.name)
        for page_size in PAGE_SIZES_OF_NEW_FILES:
            tests.test(f"new file, {page_size}", new_file_is_valid, page_size)
    want_equal(tests.passed + tests.failed, len(FILES) + len(PAGE_SIZES_OF_NEW_FILES), "tests")
    tests.finish()


if __name__ == "__main__":
    sys.exit(main())
