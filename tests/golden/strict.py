#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""The strict reader of format 0.2 is worth its name: it finds each rule that is broken in a file whose
checksums are all in order again, and says which."""
import os
import struct
import sys
import zlib

from support import TESTS, Tests, goldens, run, want, want_equal, work_directory

PAGE = 1024
CAPACITY = (PAGE - 12) // 30


class Mutant:
    """A file of the crate with 1024-byte pages, to be broken, in its first directory block above all."""

    def __init__(self, golden):
        with open(golden.path, "rb") as file:
            self.data = bytearray(file.read())
        self.active = 1 + self.data[12]
        self.blocks = struct.unpack_from("<I", self.data, 20)[0]
        a, b, active = struct.unpack_from("<QQB", self.data, 24)
        self.block, self.other_block = (b, a) if active else (a, b)
        self.used = [slot for slot in range(CAPACITY) if self.data[self.slot(slot)] == 1]

    def slot(self, slot):
        """Where an entry of the active directory block stands."""
        return self.block * PAGE + 8 + 30 * slot

    def put(self, form, at, *values):
        struct.pack_into(form, self.data, at, *values)

    def seal(self, page, start=0):
        at = page * PAGE
        self.put("<I", at + PAGE - 4, zlib.crc32(self.data[at + start:at + PAGE - 4]))

    def seal_all(self):
        for page in (1, 2, self.block, self.other_block):
            self.seal(page)
        self.seal(0, 20)
        at = self.active * PAGE
        self.put("<I", 16, zlib.crc32(self.data[at:at + PAGE]))

    def flip_bit(self, page):
        self.data[self.active * PAGE + 24 + page // 8] ^= 1 << page % 8


def put_at(form, where, *values):
    """A mutation: puts values where `where(mutant)` says."""
    return lambda mutant: mutant.put(form, where(mutant), *values)


def own_copy_twice(mutant):
    at = mutant.slot(mutant.used[0])
    mutant.data[at + 9:at + 17] = mutant.data[at + 1:at + 9]


def free_a_copy(mutant):
    page = struct.unpack_from("<Q", mutant.data, mutant.slot(mutant.used[0]) + 1)[0]
    mutant.flip_bit(page)
    free = struct.unpack_from("<Q", mutant.data, mutant.active * PAGE + 16)[0]
    mutant.put("<Q", mutant.active * PAGE + 16, free + 1)


def free_the_block(mutant):
    mutant.flip_bit(mutant.other_block)
    free = struct.unpack_from("<Q", mutant.data, mutant.active * PAGE + 16)[0]
    mutant.put("<Q", mutant.active * PAGE + 16, free + 1)


# What is done to the file, and a part of what the reader must say. All checksums are renewed after it.
BROKEN = (
    ("version is 0.1 or 0.2", put_at("<B", lambda m: 5, 0)),
    ("patch and build", put_at("<B", lambda m: 7, 1)),
    ("bytes 13-15", put_at("<B", lambda m: 15, 1)),
    ("behind the directory block references", put_at("<B", lambda m: 24 + 17 * m.blocks, 1)),
    ("behind the directory block references", put_at("<B", lambda m: PAGE - 5, 1)),
    ("the active metadata page behind its bitmap", put_at("<B", lambda m: m.active * PAGE + 1019, 1)),
    ("the inactive metadata page behind its bitmap",
     put_at("<B", lambda m: (3 - m.active) * PAGE + 1019, 1)),
    ("state before the active one", put_at("<Q", lambda m: m.active * PAGE + 8, 1 << 40)),
    ("those of the bitmap", put_at("<Q", lambda m: m.active * PAGE + 16, 1)),
    ("page 0 is allocated", lambda m: m.flip_bit(0)),
    ("page 2 is allocated", lambda m: m.flip_bit(2)),
    ("capacity 32 is 33", put_at("<I", lambda m: m.other_block * PAGE, 32)),
    ("bytes 4-7", put_at("<B", lambda m: m.block * PAGE + 5, 1)),
    ("page behind the entries", put_at("<B", lambda m: m.slot(CAPACITY), 1)),
    ("in_use is 0 or 1", put_at("<B", lambda m: m.slot(m.used[0]), 2)),
    ("CorruptProtectedDirectory", put_at("<B", lambda m: m.slot(m.used[0]) + 17, 2)),
    ("CorruptProtectedDirectory", put_at("<Q", lambda m: m.slot(m.used[0]) + 1, 2)),
    ("CorruptProtectedDirectory", put_at("<Q", lambda m: m.slot(m.used[0]) + 1, 1 << 60)),
    ("CorruptProtectedDirectory", own_copy_twice),
    ("is allocated", free_a_copy),
    ("directory block 0: its page", free_the_block),
    ("the active copy has its CRC", put_at("<I", lambda m: m.slot(m.used[0]) + 26, 0)),
    ("CorruptProtectedDirectory", put_at("<B", lambda m: 24 + 16, 2)),
    ("CorruptDirectoryIndex", put_at("<I", lambda m: 20, (PAGE - 28) // 17 + 1)),
)


def is_found(golden, rule, mutation):
    mutant = Mutant(golden)
    mutation(mutant)
    mutant.seal_all()
    with open("mutant.mpp", "wb") as file:
        file.write(mutant.data)
    result = run(sys.executable, "-B", os.path.join(TESTS, "support", "reader_0_2.py"), "--strict", "mutant.mpp")
    want_equal(result.returncode, 1, "exit status")
    want(rule in result.stderr.decode(), f"it says: {result.stderr.decode()}")


def first_commit_of_a_block(kind, mutate, is_kept):
    """The crate's commit of a new block writes its second page only: what the first has is no fault, until a second commit."""
    old, new, block = bytearray(PAGE), bytearray(PAGE), bytearray(PAGE)
    struct.pack_into("<QQQB", old, 0, 8, 0, 5, 0b111)
    struct.pack_into("<QQQB", new, 0, 8, 1, 1, 0b1111111)
    struct.pack_into("<II", block, 0, CAPACITY, 0)
    struct.pack_into("<BQQBQI", block, 8, 1, 5, 6, 0, 0, zlib.crc32(bytes(PAGE)))
    first = bytearray(kind)
    reference = [3, 4, 1]
    mutate(block, reference)
    for page in (old, new, block):
        struct.pack_into("<I", page, PAGE - 4, zlib.crc32(page[:-4]))
    page_0 = bytearray(b"MPPG\0\2\0\0".ljust(PAGE, b"\0"))
    struct.pack_into("<IB3xIIQQB", page_0, 8, 10, 1, zlib.crc32(new), 1, *reference)
    struct.pack_into("<I", page_0, PAGE - 4, zlib.crc32(page_0[20:-4]))
    pages = [page_0, old, new, first, block, bytes(PAGE), bytes(PAGE), bytes(PAGE)]
    if reference[2] == 0:
        pages[3], pages[4] = pages[4], pages[3]
    with open("fresh.mpp", "wb") as file:
        file.write(b"".join(map(bytes, pages)))
    result = run(sys.executable, "-B", os.path.join(TESTS, "support", "reader_0_2.py"), "--strict", "fresh.mpp")
    want_equal(result.returncode, 0 if is_kept else 1, f"exit status, {result.stderr.decode()}")


def another_entry(block, _):
    struct.pack_into("<BQQBQI", block, 38, 0, 5, 6, 0, 0, 1)


def another_generation(block, _):
    struct.pack_into("<Q", block, 8 + 18, 1)


def the_first_page(_, reference):
    reference[2] = 0


def unbroken_is_fine(golden):
    mutant = Mutant(golden)
    before = bytes(mutant.data)
    mutant.seal_all()
    want(mutant.data == before, "sealing changed a file that was in order")


def main():
    golden = next(golden for golden in goldens() if golden.name == "v02-1024-protected")
    tests = Tests()
    with work_directory():
        tests.test("an unbroken file stays as it is", unbroken_is_fine, golden)
        for kind in (bytes(PAGE), b"left by its last owner".ljust(PAGE, b"x")):
            tests.test("a block after one commit", first_commit_of_a_block, kind, lambda *_: None, True)
            for second in (another_entry, another_generation, the_first_page):
                tests.test(f"but not {second.__name__}", first_commit_of_a_block, kind, second, False)
        for number, (rule, mutation) in enumerate(BROKEN):
            tests.test(f"{number}: {rule}", is_found, golden, rule, mutation)
    tests.finish()


if __name__ == "__main__":
    sys.exit(main())
