#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads a page file of format 0.2 without the library, from the description of the format alone.

    reader_0_2.py [--strict] FILE

Prints what the file holds, in the form that golden/README.md describes: sizes and counts, then each
regular and each protected page with the CRC32 of its content; or `error NAME` for a file that cannot
be opened. Exit status 0 either way.

With --strict it holds the file against every rule that a writer of the format keeps, and not just
those that a reader needs: each broken rule is a line on stderr, and the exit status is 1. It is for
files whose writer was not killed at its last commits: a commit that was begun stays in inactive pages
until others go over them, which harms nobody but is told here.
"""
import struct
import sys
import zlib

import reader
from reader import OpenError

TAG = b"MPPG"
VERSION_MINOR = 2
PAGE_SIZE_LOG2 = range(10, 31)
RESERVED_PAGES = 3
PAGES_AT_LEAST = 4
INDEX_AT = 24           # of the directory block references in page 0
REFERENCE_SIZE = 17
BITMAP_AT = 24
ENTRIES_AT = 8
ENTRY_SIZE = 30


def crc32(data):
    return zlib.crc32(data) & 0xFFFFFFFF


def sealed(page, start=0):
    """Whether the CRC32 in a page's last four bytes is that of what stands before it."""
    return crc32(page[start:-4]) == struct.unpack_from("<I", page, len(page) - 4)[0]


class Metadata:
    def __init__(self, page):
        self.total, self.generation, self.free = struct.unpack_from("<QQQ", page, 0)
        self.bitmap = page[BITMAP_AT:-4]

    def is_allocated(self, page):
        return self.bitmap[page // 8] >> (page % 8) & 1 == 1


class Reference:
    """A directory block as page 0 names it."""

    def __init__(self, page0, number):
        at = INDEX_AT + REFERENCE_SIZE * number
        a, b, self.active = struct.unpack_from("<QQB", page0, at)
        self.pages = (a, b)


class Entry:
    """A slot of a directory block: one protected page."""

    def __init__(self, block, slot):
        at = ENTRIES_AT + ENTRY_SIZE * slot
        (self.in_use, a, b, self.active, self.generation, self.crc) = struct.unpack_from(
            "<BQQBQI", block, at)
        self.pages = (a, b)


class PageFile:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        self._read_superblock()
        self._read_metadata()
        self._read_directory()

    def page(self, number):
        return self.data[number * self.page_size:(number + 1) * self.page_size]

    def _read_superblock(self):
        if len(self.data) < 20 or self.data[:4] != TAG:
            raise OpenError("CorruptSuperblock")
        major, minor = self.data[4], self.data[5]
        log2, self.active = struct.unpack_from("<IB", self.data, 8)
        if major != 0 or minor > VERSION_MINOR:
            raise OpenError("CorruptSuperblock")
        if log2 not in PAGE_SIZE_LOG2:
            raise OpenError("InvalidPageSize")
        self.page_size = 1 << log2
        if len(self.data) < PAGES_AT_LEAST * self.page_size or self.active > 1:
            raise OpenError("CorruptSuperblock")
        self.superblock = self.page(0)
        self.metadata_crc, self.blocks = struct.unpack_from("<II", self.superblock, 16)

    def _read_metadata(self):
        named = self.page(1 + self.active)
        other = self.page(2 - self.active)
        if sealed(named) and crc32(named) == self.metadata_crc:
            self.metadata = Metadata(named)
        elif sealed(other):
            self.metadata = Metadata(other)
        else:
            raise OpenError("CorruptMetadata")
        total = self.metadata.total
        if total < PAGES_AT_LEAST or total > (self.page_size - 28) * 8:
            raise OpenError("CorruptMetadata")
        if total * self.page_size > len(self.data):
            raise OpenError("TRUNCATED")

    def _read_directory(self):
        self.capacity = (self.page_size - 12) // ENTRY_SIZE
        self.references = []
        self.directory = []         # the content of each block that counts
        self.entries = {}           # protected id -> Entry, those in use
        if self.blocks > 0:
            if self.blocks > (self.page_size - 28) // REFERENCE_SIZE:
                raise OpenError("CorruptDirectoryIndex")
            if not sealed(self.superblock, 20):
                raise OpenError("CorruptDirectoryIndex")
        for number in range(self.blocks):
            self._read_block(number)
        self._see_that_pages_are_disjoint()

    def _read_block(self, number):
        reference = Reference(self.superblock, number)
        if reference.active > 1 or not all(map(self._is_user_page, reference.pages)):
            raise OpenError("CorruptProtectedDirectory")
        block = self.page(reference.pages[reference.active])
        if not self._is_block(block):
            block = self.page(reference.pages[1 - reference.active])
        if not self._is_block(block):
            raise OpenError("CorruptProtectedDirectory")
        self.references.append(reference)
        self.directory.append(block)
        for slot in range(struct.unpack_from("<I", block, 0)[0]):
            entry = Entry(block, slot)
            if entry.in_use:
                if entry.active > 1 or not all(map(self._is_user_page, entry.pages)):
                    raise OpenError("CorruptProtectedDirectory")
                self.entries[number * self.capacity + slot] = entry

    def _is_block(self, block):
        """A copy of a block counts if its CRC holds and its entries fit in it."""
        return sealed(block) and struct.unpack_from("<I", block, 0)[0] <= self.capacity

    def _is_user_page(self, page):
        return RESERVED_PAGES <= page < self.metadata.total

    def _see_that_pages_are_disjoint(self):
        self.internal = set()
        for owner in self.references + list(self.entries.values()):
            for page in owner.pages:
                if page in self.internal:
                    raise OpenError("CorruptProtectedDirectory")
                self.internal.add(page)

    def regular_pages(self):
        for page in range(RESERVED_PAGES, self.metadata.total):
            if self.metadata.is_allocated(page) and page not in self.internal:
                yield page

    def dump(self):
        yield f"page_size {self.page_size}"
        yield f"page_count {self.metadata.total}"
        yield f"free_pages {self.metadata.free}"
        for page in self.regular_pages():
            yield f"page {page} {crc32(self.page(page)):08x}"
        for number, entry in sorted(self.entries.items()):
            crc = crc32(self.page(entry.pages[entry.active]))
            if crc == entry.crc:
                yield f"protected {number} {crc:08x}"
            else:
                yield f"protected {number} error CORRUPT_PAGE"


class Checker:
    """What a writer has to keep, beyond what a reader needs."""

    def __init__(self, file):
        self.file = file
        self.broken = []

    def want(self, rule, kept):
        if not kept:
            self.broken.append(rule)

    def want_zero(self, what, data):
        self.want(f"{what} is zero", not any(data))

    def check(self):
        self._superblock()
        self._metadata()
        for number, reference in enumerate(self.file.references):
            self._block(number, reference)
        for number, entry in sorted(self.file.entries.items()):
            self._entry(number, entry)
        return self.broken

    def _superblock(self):
        page0, blocks = self.file.superblock, self.file.blocks
        self.want("the version is 0.1 or 0.2", page0[4] == 0 and page0[5] in (1, VERSION_MINOR))
        self.want_zero("version patch and build", page0[6:8])
        self.want_zero("page 0, bytes 13-15", page0[13:16])
        active = self.file.page(1 + self.file.active)
        self.want("the superblock has the CRC of the active metadata page",
                  crc32(active) == self.file.metadata_crc)
        self.want_zero("page 0 behind the directory block references",
                       page0[INDEX_AT + REFERENCE_SIZE * blocks:-4])
        self.want("the directory index has its CRC",
                  sealed(page0, 20) or (blocks == 0 and not any(page0[-4:])))

    def _metadata(self):
        metadata, pages = self.file.metadata, {}
        for name, number in (("active", 1 + self.file.active), ("inactive", 2 - self.file.active)):
            page = self.file.page(number)
            self.want(f"the {name} metadata page has its CRC", sealed(page))
            pages[name] = Metadata(page)
            used = BITMAP_AT + (pages[name].total + 7) // 8
            self.want_zero(f"the {name} metadata page behind its bitmap", page[used:-4])
        active, inactive = pages["active"], pages["inactive"]
        self.want("the inactive metadata page is the state before the active one",
                  inactive.generation + 1 == active.generation
                  or (active.generation == 0
                      and self.file.page(1) == self.file.page(2)))
        for page in range(RESERVED_PAGES):
            self.want(f"page {page} is allocated", metadata.is_allocated(page))
        free = sum(not metadata.is_allocated(page) for page in range(metadata.total))
        self.want(f"free pages ({metadata.free}) are those of the bitmap ({free})",
                  metadata.free == free)
        rest = range(metadata.total, (metadata.total + 7) // 8 * 8)
        self.want("bits beyond the last page are zero", not any(map(metadata.is_allocated, rest)))

    def _has_one_commit(self, number, reference):
        """The first commit of a block puts its first protected page there, into the second copy. It leaves the first
        copy as the page was when it was taken, with whatever its last owner left there."""
        block, capacity = self.file.directory[number], self.file.capacity
        first = Entry(block, 0)
        return (reference.active == 1 and first.in_use == 1 and first.active == 0 and first.generation == 0
                and not any(block[ENTRIES_AT + ENTRY_SIZE:ENTRIES_AT + ENTRY_SIZE * capacity]))

    def _block(self, number, reference):
        name = f"directory block {number}"
        for page in reference.pages:
            self.want(f"{name}: its page {page} is allocated", self.file.metadata.is_allocated(page))
        for what, page in (("active", reference.pages[reference.active]),
                           ("inactive", reference.pages[1 - reference.active])):
            block = self.file.page(page)
            if what == "inactive" and self._has_one_commit(number, reference):
                continue
            self.want(f"{name}: its {what} page {page} has its CRC", sealed(block))
            capacity = struct.unpack_from("<I", block, 0)[0]
            self.want(f"{name}: the {what} capacity {capacity} is {self.file.capacity}",
                      capacity == self.file.capacity)
            self.want_zero(f"{name}: bytes 4-7 of its {what} page", block[4:8])
            used = ENTRIES_AT + ENTRY_SIZE * self.file.capacity
            self.want_zero(f"{name}: its {what} page behind the entries", block[used:-4])
        for slot in range(self.file.capacity):
            entry = Entry(self.file.directory[number], slot)
            self.want(f"{name}: slot {slot}: in_use is 0 or 1", entry.in_use <= 1)
            self.want(f"{name}: slot {slot}: active is 0 or 1", entry.active <= 1)

    def _entry(self, number, entry):
        name = f"protected page {number}"
        for page in entry.pages:
            self.want(f"{name}: its page {page} is allocated",
                      self.file.metadata.is_allocated(page))
        content = self.file.page(entry.pages[entry.active])
        self.want(f"{name}: the active copy has its CRC", crc32(content) == entry.crc)


if __name__ == "__main__":
    sys.exit(reader.main("0.2", PageFile, lambda file: Checker(file).check()))
