#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""Files of format 1, changed by the command and through a mount, keep every rule of doc/format.md, by a
reader that shares no code with the library; and that reader finds each rule that is broken. Records are the
business of reader_1_chain_test.py."""
import os
import random
import shutil
import struct
import sys
import zlib

from model import Commanded, Mount
from support import (TESTS, Tests, command, mounted, run, strict_reader, want,
                            want_equal, work_directory)

PAGE_SIZES = (1024, 2048, 4096, 8192, 65536)
STEPS = 4 # times that a file is looked at between changes


def create(name, page_size):
    file = f"{name}-{page_size}.mpp"
    command("create", "--page-size", str(page_size), "--label", "été", file)
    return file


def new_file_is_valid(page_size):
    want_equal(strict_reader("1", create("new", page_size)),
               [f"page_size {page_size}", "page_count 4", "free_pages 1"], "the new file")


def is_valid_when_changed_by_the_command(page_size):
    file = create("edited", page_size)
    model = Commanded(file, random.Random(page_size))
    for step in range(STEPS):
        model.change(15)
        want_equal(strict_reader("1", file)[3:], model.contents(), f"step {step}: contents")
        command("check", file)


def is_valid_when_changed_through_a_mount(page_size, options):
    file = create(f"mounted-{options}", page_size)
    for seed in range(2):
        with mounted(file, options) as mountpoint:
            mount = Mount(mountpoint, random.Random(f"{page_size} {seed}"))
            mount.change(60)
            mount.verify()
        want_equal(strict_reader("1", file)[3:], mount.contents(), f"round {seed}: contents")
        command("check", file)


def is_valid_when_trees_grow():
    """At 1024 bytes a page, trees of two levels: 80,000 pages and 1,200 protected pages."""
    file = create("grown", 1024)
    for arguments, count in ((["--protected"], 20), ([], 5000), (["--protected"], 1180),
                             ([], 75000)):
        command("alloc", *arguments, "--count", str(count), file)
        strict_reader("1", file)
    lines = strict_reader("1", file)
    want_equal(sum(line.startswith("page ") for line in lines), 80000, "regular pages")
    want_equal(sum(line.startswith("protected ") for line in lines), 1200, "protected pages")
    info = command("info", "--all", file).decode()
    for height in ("space", "directory"):
        want(any(height in line and line.split()[-1] == "2" for line in info.splitlines()),
             f"the {height} tree is not of height 2: {info}")
    command("free", "--protected", file, *map(str, range(100, 1200, 2)))
    strict_reader("1", file)


class Mutant:
    """A file of two levels, to be broken and sealed again up to the root."""

    def __init__(self, file):
        with open(file, "rb") as content:
            self.data = bytearray(content.read())
        self.uuid = bytes(self.data[16:32])
        self.root = max((1024, 2048), key=lambda at: self.number("<Q", at + 16))

    def number(self, form, at):
        return struct.unpack_from(form, self.data, at)[0]

    def put(self, form, at, value):
        struct.pack_into(form, self.data, at, value)

    def seal(self, at):
        """Renews the CRC of the node at a byte, and returns it."""
        self.put("<I", at + 28, 0)
        crc = zlib.crc32(self.data[at:at + 1024], zlib.crc32(self.uuid))
        self.put("<I", at + 28, crc)
        return crc

    def path(self, area, levels):
        """Where the first references from an area down stand, and the nodes that they name."""
        reference, found = self.root + area, []
        for _ in range(levels):
            place = self.number("<Q", reference)
            node = ((place >> 1) + (place & 1) * 64) * 1024
            found.append((reference, node))
            reference = node + 32
        return found

    def seal_path(self, area, levels):
        for reference, node in reversed(self.path(area, levels)):
            self.put("<I", reference + 16, self.seal(node))
        self.seal(self.root)


SPACE_AREA, DIRECTORY_AREA = 152, 152 + 432

# What the reader must say; which tree; which node from the root down (-1: the root); form, offset in the
# node, and by what the number there is changed. All checksums are renewed afterwards.
BROKEN = (
    ("free pages are counted, there are", SPACE_AREA, -1, "<Q", 64, -1),
    ("protected pages are counted, there are", SPACE_AREA, -1, "<Q", 72, -1),
    ("metadata pages are counted, there are", SPACE_AREA, -1, "<Q", 80, -1),
    ("bytes 5-7 and 90-95", SPACE_AREA, -1, "<B", 6, 1),
    ("bytes 5-7 and 90-95", SPACE_AREA, -1, "<B", 91, 1),
    ("closed files have all nodes twice", SPACE_AREA, -1, "<Q", 144, -1),
    ("no flag but ORDERED", SPACE_AREA, -1, "<I", 36, 2),
    ("features of the superblock", SPACE_AREA, -1, "<Q", 96, 1),
    ("both roots are valid", SPACE_AREA, -1, "<B", 88, 20),
    ("both roots are valid", SPACE_AREA, -1, "<Q", 1016, 1),
    ("both roots are valid", SPACE_AREA, -1, "<Q", 64, 1 << 40),
    ("both roots are valid", SPACE_AREA, -1, "<Q", 72, 1 << 40),
    ("both roots are valid", SPACE_AREA, -1, "<Q", 120, 2),
    ("both roots are valid", SPACE_AREA, -1, "<Q", 120, 1 << 40),
    ("both roots are valid", SPACE_AREA, -1, "<Q", 128, 5),
    ("no record follows", SPACE_AREA, -1, "<Q", 120, 5),
    ("the newest root is complete", SPACE_AREA, -1, "<Q", 56, 1 << 40),
    ("the reference counts", SPACE_AREA, -1, "<I", SPACE_AREA + 20, 1),
    ("the reference counts", SPACE_AREA, 0, "<I", 32 + 20, 1),
    ("the reference counts", DIRECTORY_AREA, 0, "<I", 32 + 20, 1),
    ("CORRUPT_METADATA", SPACE_AREA, 0, "<Q", 8, 1),
    ("CORRUPT_METADATA", SPACE_AREA, 0, "<Q", 16, 1),
    ("CORRUPT_METADATA", DIRECTORY_AREA, 1, "<B", 4, 1),
    ("used is", DIRECTORY_AREA, 1, "<I", 24, 1),
    ("bytes 5-7 are zero", DIRECTORY_AREA, 1, "<B", 6, 1),
    ("both slots are the same", SPACE_AREA, 1, "<B", 40, 1),
    ("zero behind its references", DIRECTORY_AREA, 0, "<B", 32 + 24 * 41, 1),
    ("is regular", SPACE_AREA, 1, "<B", 32, -2),
    ("has its CRC", DIRECTORY_AREA, 1, "<I", 32 + 24, 1),
    ("no flag but one", DIRECTORY_AREA, 1, "<B", 32 + 28, 2),
    ("bytes 8-15 and 29-31 of its entry", DIRECTORY_AREA, 1, "<B", 32 + 8, 1),
    ("bytes 8-15 and 29-31 of its entry", DIRECTORY_AREA, 1, "<B", 32 + 30, 1),
    ("CORRUPT_PROTECTED_DIRECTORY", DIRECTORY_AREA, 1, "<Q", 32, 1 << 40),
    ("is also that of", DIRECTORY_AREA, 1, "<Q", 32, 1),
    ("by a commit there was", DIRECTORY_AREA, 1, "<Q", 32 + 16, 1 << 40),
)


def is_found(file, rule, area, depth, form, offset, change):
    mutant = Mutant(file)
    at = offset + (mutant.root if depth < 0 else mutant.path(area, 2)[depth][1])
    mutant.put(form, at, mutant.number(form, at) + change)
    if depth >= 0:
        mutant.seal_path(area, depth + 1)
    else:
        mutant.seal(mutant.root)
    with open("mutant.mpp", "wb") as content:
        content.write(mutant.data)
    result = run(sys.executable, "-B", os.path.join(TESTS, "support", "reader_1.py"), "--strict",
                 "mutant.mpp")
    want_equal(result.returncode, 1, "exit status")
    want(rule in result.stderr.decode(), f"it says: {result.stderr.decode()[:400]}")


def unbroken_is_fine(file):
    mutant = Mutant(file)
    before = bytes(mutant.data)
    mutant.seal_path(SPACE_AREA, 2)
    mutant.seal_path(DIRECTORY_AREA, 2)
    want(mutant.data == before, "sealing changed a file that was in order")


def main():
    tests = Tests()
    with work_directory():
        for page_size in PAGE_SIZES:
            tests.test(f"new file, {page_size}", new_file_is_valid, page_size)
            tests.test(f"command, {page_size}", is_valid_when_changed_by_the_command, page_size)
            if os.access("/dev/fuse", os.R_OK | os.W_OK) and shutil.which("fusermount3"):
                tests.test(f"mount, {page_size}", is_valid_when_changed_through_a_mount, page_size,
                           None)
        tests.test("trees that grow", is_valid_when_trees_grow)
        tests.test("an unbroken file stays as it is", unbroken_is_fine, "grown-1024.mpp")
        for number, (rule, *mutation) in enumerate(BROKEN):
            tests.test(f"{number}: {rule}", is_found, "grown-1024.mpp", rule, *mutation)
    tests.finish()


if __name__ == "__main__":
    sys.exit(main())
