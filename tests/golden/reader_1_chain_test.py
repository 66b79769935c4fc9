#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""A file of format 1 that a process left without closing it shows the last commit to a reader that shares no
code with the library; opened and closed it keeps every rule of doc/format.md. And that reader takes no
record that does not count, reports a gap, and finds each rule of records that is broken."""
import os
import struct
import sys
import zlib

from support import (BUILD, TESTS, Tests, command, run, strict_reader, want, want_equal,
                     work_directory)

LEFT_OPEN = os.path.join(BUILD, "tests", "golden", "left_open")
READER = os.path.join(TESTS, "support", "reader_1.py")
PAGE_SIZES = (1024, 2048, 4096, 8192, 65536)
PAGE_SIZE = 1024            # of the file that is broken
BODY, PART, ENTRY_DELTA = 104, 16, 24


def leave_open(file, page_size, seed, commits, *more):
    """What the file must show from the fourth line on."""
    result = run(LEFT_OPEN, file, str(page_size), str(seed), str(commits), *more)
    want_equal((result.returncode, result.stderr), (0, b""), "left_open")
    return result.stdout.decode().splitlines()


def live_reader(file):
    return run(sys.executable, "-B", READER, "--live", file)


def shows_what_was_committed(page_size):
    file = f"live-{page_size}.mpp"
    for seed, commits in enumerate((0, 1, 6, 40, 200)):
        expected = leave_open(file, page_size, seed, commits)
        result = live_reader(file)
        want_equal((result.returncode, result.stderr), (0, b""), "the reader")
        want_equal(result.stdout.decode().splitlines()[3:], expected, "contents")
    command("alloc", file)
    contents = [line for line in strict_reader("1", file)[3:] if line in set(expected)]
    want_equal(contents, expected, "contents after it was opened and closed")
    command("check", file)


class Mutant:
    """A file with a chain, to be broken and sealed again."""

    def __init__(self, file):
        with open(file, "rb") as content:
            self.data = bytearray(content.read())
        self.seed = zlib.crc32(self.data[16:32])
        self.root = max((PAGE_SIZE, 2 * PAGE_SIZE), key=lambda at: self.number("<Q", at + 16))
        self.records = []
        place = self.number("<Q", self.root + 120)
        while place and self.follows(place):
            self.records.append(place * PAGE_SIZE)
            place = self.number("<Q", self.records[-1] + 72)

    def follows(self, place):
        before = self.records[-1] if self.records else None
        crc = self.number("<I", self.root + 28 if before is None else before + 40)
        at = place * PAGE_SIZE
        return self.data[at:at + 4] == b"MPGL" and self.number("<I", at + 36) == crc

    def number(self, form, at):
        return struct.unpack_from(form, self.data, at)[0]

    def put(self, form, at, value):
        struct.pack_into(form, self.data, at, value)

    def part(self, record, number):
        """Where the name of a continuation stands, and where it is."""
        at = self.records[record] + BODY + PART * number
        return at, self.number("<Q", at) * PAGE_SIZE

    def parts(self, record):
        return self.number("<I", self.records[record] + 96)

    def delta(self, record):
        """Where the first delta of the directory stands."""
        return self.records[record] + BODY + PART * self.parts(record)

    def space_delta(self, record):
        """Where the first space delta stands; all are in the last block."""
        spaces = self.number("<I", self.records[record] + 92)
        block = self.part(record, self.parts(record) - 1)[1]
        want(spaces > 0, "the record has no space delta")
        return block + self.number("<I", block + 4) - 16 * spaces

    def seal_record(self, record):
        at = self.records[record]
        used = min(self.number("<I", at + 4), PAGE_SIZE)
        self.put("<I", at + 40, 0)
        self.put("<I", at + 40, zlib.crc32(self.data[at:at + used], self.seed))

    def seal_parts(self, record):
        for number in range(self.parts(record)):
            name, at = self.part(record, number)
            used = min(self.number("<I", at + 4), PAGE_SIZE)
            self.put("<I", name + 8, zlib.crc32(self.data[at:at + used], self.seed))

    def seal_chain(self):
        """All records, behind the root as it is now."""
        self.put("<I", self.root + 28, 0)
        link = root = zlib.crc32(self.data[self.root:self.root + PAGE_SIZE], self.seed)
        self.put("<I", self.root + 28, root)
        for record, at in enumerate(self.records):
            self.put("<I", at + 32, root)
            self.put("<I", at + 36, link)
            self.seal_record(record)
            link = self.number("<I", at + 40)

    def save(self):
        with open("mutant.mpp", "wb") as content:
            content.write(self.data)
        return live_reader("mutant.mpp")


def forget_last(file):
    """What a file shows without the last commit."""
    mutant = Mutant(file)
    mutant.put("<I", mutant.records[-1], 0)
    result = mutant.save()
    want_equal((result.returncode, result.stderr), (0, b""), "the reader")
    return result.stdout


def unbroken_is_fine(file):
    mutant = Mutant(file)
    before = bytes(mutant.data)
    want(len(mutant.records) >= 4, f"only {len(mutant.records)} records")
    want(mutant.parts(-1) > 0, "the last record has no continuation")
    mutant.seal_parts(-1)
    mutant.seal_chain()
    want(mutant.data == before, "sealing changed a file that was in order")
    want(forget_last(file) != live_reader(file).stdout, "the last commit changed nothing")


# What makes a record one that does not count: form, offset in it, and by what the number there changes.
# Its checksum is renewed, but for that one itself.
UNCOUNTED = (
    ("its tag", "<I", 0, 1),
    ("used too small", "<i", 4, -2000),
    ("used too large", "<I", 4, 1 << 20),
    ("used is another", "<I", 4, -8),
    ("generation of the one before", "<q", 8, -1),
    ("no generation", "<Q", 8, 1 << 63),
    ("another page", "<Q", 16, 1),
    ("generation of another root", "<Q", 24, -1),
    ("CRC of another root", "<I", 32, -1),
    ("link to another record", "<I", 36, -1),
    ("more pages than the file has", "<Q", 48, 1 << 30),
    ("next is another place", "<Q", 72, -1),
    ("after is no page", "<Q", 80, 1 << 40),
    ("a delta too many", "<I", 88, 1),
    ("a space delta too many", "<I", 92, 1),
    ("a continuation too few", "<I", 96, -1),
    ("a redo where there is none", "<I", 100, 1),
    ("two redos", "<I", 100, 2),
    ("more continuations than may be", "<I", 96, 64),
    ("a continuation beyond the end", "<Q", BODY, 1 << 40),
    ("a continuation elsewhere", "<Q", BODY, -1),
    ("CRC of a continuation", "<I", BODY + 8, -1),
)


def does_not_count(file, form, offset, change):
    mutant = Mutant(file)
    at = mutant.records[-1] + offset
    if offset == 8 and change == -1:
        change = mutant.number("<Q", mutant.records[-2] + 8) - mutant.number("<Q", at)
    size = struct.calcsize(form)
    mutant.put(form.upper(), at, (mutant.number(form, at) + change) % (1 << 8 * size))
    mutant.seal_record(-1)
    expected = forget_last(file)
    result = mutant.save()
    want_equal(result.stdout, expected, "what it shows")


def checksum_does_not_match(file):
    mutant = Mutant(file)
    mutant.put("<B", mutant.records[-1] + 60, mutant.number("<B", mutant.records[-1] + 60) ^ 1)
    expected = forget_last(file)
    want_equal(mutant.save().stdout, expected, "what it shows")


def part_is_none(file):
    """Its CRC is right, its tag is not."""
    mutant = Mutant(file)
    mutant.put("<I", mutant.part(-1, 0)[1], 0)
    mutant.seal_parts(-1)
    mutant.seal_record(-1)
    expected = forget_last(file)
    want_equal(mutant.save().stdout, expected, "what it shows")


def content_is_missing(file, ordered):
    """The last record is dropped then, unless it says that its contents were there before it."""
    mutant = Mutant(file)
    mutant.put("<I", mutant.records[-1] + 44, ordered)
    mutant.seal_record(-1)
    page = mutant.number("<Q", mutant.delta(-1) + 8)
    mutant.data[page * PAGE_SIZE] ^= 1
    expected = forget_last(file)
    result = mutant.save()
    if ordered:
        want(b"error CORRUPT_PAGE" in result.stdout, "it is not reported")
    else:
        want_equal(result.stdout, expected, "what it shows")


def gap_is_damage(file, record):
    mutant = Mutant(file)
    mutant.put("<I", mutant.records[record], 0)
    result = mutant.save()
    want_equal(result.stdout, b"error CORRUPT_METADATA\n", "what it shows")


# What the reader must say; where in the last record ("head", "delta", "space", "part"), form, offset, and
# by what the number there changes. All is sealed again.
BROKEN = (
    ("no flag but ORDERED", "head", "<I", 44, 2),
    ("free pages, there are", "head", "<Q", 56, 1),
    ("protected pages, there are", "head", "<Q", 64, 1),
    ("as many pages are free as are protected", "head", "<Q", 64, 1 << 40),
    ("zero behind the CRCs", "head", "<I", BODY + 12, 1),
    ("ids ascend", "delta", "<Q", 0, 1 << 20),
    ("CORRUPT_METADATA", "delta", "<Q", 0, 1),
    ("CORRUPT_METADATA", "delta", "<Q", 8, 1 << 40),
    ("CORRUPT_METADATA", "delta", "<Q", 8, "page 3, which is in use"),
    ("no flag of an entry but one", "delta", "<B", 20, 2),
    ("bytes 21-23 of a directory delta", "delta", "<B", 22, 1),
    ("that is no longer in use is zero", "delta", "<B", 20, -1),
    ("CORRUPT_METADATA", "space", "<Q", 0, 1 << 40),
    ("CORRUPT_METADATA", "space", "<I", 8, 1 << 20),
    ("a space delta of no page", "space", "<I", 8, -1),
    ("CORRUPT_METADATA", "space", "<B", 12, 2),
    ("bytes 13-15 of a space delta", "space", "<B", 14, 1),
)


def is_found(file, rule, where, form, offset, change):
    mutant = Mutant(file)
    begin = {"head": lambda: mutant.records[-1], "delta": lambda: mutant.delta(-1),
             "space": lambda: mutant.space_delta(-1)}[where]()
    at = begin + offset
    if isinstance(change, str):
        change = 3 - mutant.number(form, at)
    size = struct.calcsize(form)
    mutant.put(form.upper(), at, (mutant.number(form, at) + change) % (1 << 8 * size))
    # A content elsewhere is not that of the CRC; where a page is taken, not what is in it, is asked.
    mutant.put("<I", mutant.records[-1] + 44, mutant.number("<I", mutant.records[-1] + 44) | 1)
    mutant.seal_parts(-1)
    mutant.seal_chain()
    result = mutant.save()
    want_equal(result.returncode, 1, "exit status")
    want(rule in result.stderr.decode(), f"it says: {result.stderr.decode()[:400]}")


def redo_counts_until_it_is_marked(page_size, how):
    """What the last commit gives pages counts as long as nothing says that it is there, and not then."""
    file = f"{how}-{page_size}.mpp"
    expected = leave_open(file, page_size, 1, 3, how)
    with open(file, "rb") as content:
        data = bytearray(content.read())
    root = max((page_size, 2 * page_size), key=lambda at: struct.unpack_from("<Q", data, at + 16))
    at, place = 0, struct.unpack_from("<Q", data, root + 120)[0]
    while data[place * page_size:place * page_size + 4] == b"MPGL":
        at = place * page_size
        place = struct.unpack_from("<Q", data, at + 72)[0]
    parts, redos = struct.unpack_from("<II", data, at + 96)
    want(redos == 1 if how == "replace" else redos > 15, f"redos of the last record: {redos}")
    want(parts > 0 or how == "replace" or page_size > 1024, "one record names all")
    page, source = struct.unpack_from("<QQ", data, at + BODY + 16 * parts)
    mark = at + struct.unpack_from("<I", data, at + 4)[0]
    want_equal(bytes(data[mark:mark + 4]), b"MPGD", "the mark")
    for marked in (True, False):
        data[page * page_size + page_size // 2] ^= 1
        data[mark] ^= not marked
        shown = [line for line in expected if marked is False or not line.startswith(f"page {page} ")]
        with open("mutant.mpp", "wb") as content:
            content.write(data)
        result = live_reader("mutant.mpp")
        want_equal((result.returncode, result.stderr), (0, b""), "the reader")
        lines = result.stdout.decode().splitlines()[3:]
        want_equal([line for line in lines if line in expected], shown, "what it shows")
        data[page * page_size + page_size // 2] ^= 1
    want(data[source * page_size:(source + 1) * page_size]
         == data[page * page_size:(page + 1) * page_size], "the page beside holds something else")


def shrinking_is_found(file):
    mutant = Mutant(file)
    mutant.data.extend(bytes(5 * PAGE_SIZE))
    mutant.put("<Q", mutant.records[-2] + 48, mutant.number("<Q", mutant.records[-2] + 48) + 5)
    mutant.seal_chain()
    result = mutant.save()
    want(b"the file does not shrink" in result.stderr, result.stderr.decode()[:400])


def place_named_twice_is_found(file):
    mutant = Mutant(file)
    mutant.put("<Q", mutant.records[-1] + 80, mutant.records[0] // PAGE_SIZE)
    mutant.seal_chain()
    result = mutant.save()
    want(b"a page of the chain is named twice" in result.stderr, result.stderr.decode()[:400])


def place_in_use_is_found(file):
    """The root says that a record's page is a regular one."""
    mutant = Mutant(file)
    page = mutant.records[0] // PAGE_SIZE
    want_equal(mutant.number("<B", mutant.root + 88), 0, "height of the space tree")
    at = mutant.root + 152 + page // 4
    mutant.put("<B", at, mutant.number("<B", at) | 1 << 2 * (page % 4))
    mutant.seal_chain()
    result = mutant.save()
    want(b"of the chain is regular, not free" in result.stderr, result.stderr.decode()[:400])


def main():
    tests = Tests()
    with work_directory():
        for page_size in PAGE_SIZES:
            tests.test(f"left open, {page_size}", shows_what_was_committed, page_size)
        file = "broken.mpp"
        tests.test("a file to break", leave_open, file, PAGE_SIZE, 1, 5)
        tests.test("an unbroken file stays as it is", unbroken_is_fine, file)
        for name, *mutation in UNCOUNTED:
            tests.test(f"does not count: {name}", does_not_count, file, *mutation)
        tests.test("does not count: a wrong checksum", checksum_does_not_match, file)
        tests.test("does not count: a continuation without a tag", part_is_none, file)
        tests.test("a missing content", content_is_missing, file, 0)
        tests.test("a missing content that was ordered", content_is_missing, file, 1)
        for record in (0, 1, -2):
            tests.test(f"a gap at record {record}", gap_is_damage, file, record)
        for number, (rule, *mutation) in enumerate(BROKEN):
            tests.test(f"{number}: {rule}", is_found, file, rule, *mutation)
        for page_size in (1024, 8192):
            for how in ("replace", "replace-many"):
                tests.test(f"a redo, {page_size}, {how}", redo_counts_until_it_is_marked,
                           page_size, how)
        tests.test("a file that shrinks", shrinking_is_found, file)
        tests.test("a place named twice", place_named_twice_is_found, file)
        tests.test("a place in use", place_in_use_is_found, file)
    tests.finish()


if __name__ == "__main__":
    sys.exit(main())
