#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads a page file of format 1 without the library, from doc/format.md alone.

    reader_1.py [--strict | --live] FILE

Prints what the file holds, in the form that golden/README.md describes: sizes and counts, then each
regular and each protected page with the CRC32 of its content; or `error NAME` for a file that cannot
be opened. Exit status 0 either way.

With --strict it holds the file against every rule of the format, and not just those that a reader
needs: both trees whole, every record, all free counts right, every page used once and by what the space
tree says. Each broken rule is a line on stderr, and the exit status is 1. It is for files that were
closed: both roots lead to the same state, and no record follows. With --live it leaves out that last
part, for a file as a killed process leaves it.
"""
import struct
import sys

import reader
from reader import OpenError
from reader_1_chain import Chain, Replay
from reader_1_trees import (FREE, IN_USE, METADATA, ORDERED, PROTECTED, REGULAR, RESERVED_PAGES,
                            USES, Geometry, Incomplete, Root, Trees, crc32)

TAG = b"MPPG"


class PageFile:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        self.broken = []        # rules that a strict reader misses
        self._read_superblock()
        self.page_count = len(self.data) // self.geometry.page_size
        self._open()

    def want(self, rule, kept):
        if not kept:
            self.broken.append(rule)

    def read(self, at, size):
        return self.data[at:at + size]

    def page(self, number):
        return self.read(number * self.geometry.page_size, self.geometry.page_size)

    def _read_superblock(self):
        if len(self.data) < 12 or self.data[:4] != TAG:
            raise OpenError("CORRUPT_SUPERBLOCK")
        if self.data[4] != 1:
            raise OpenError("UNSUPPORTED_VERSION")
        log2 = struct.unpack_from("<I", self.data, 8)[0]
        if not 10 <= log2 <= 30:
            raise OpenError("INVALID_PAGE_SIZE")
        self.geometry = Geometry(1 << log2)
        size = self.geometry.node
        if len(self.data) < RESERVED_PAGES << log2:
            raise OpenError("CORRUPT_SUPERBLOCK")
        self.superblock = self.data[:size]
        if crc32(self.superblock[:-4]) != struct.unpack_from("<I", self.superblock, size - 4)[0]:
            raise OpenError("CORRUPT_SUPERBLOCK")
        self.uuid = self.superblock[16:32]
        self.features = struct.unpack_from("<QQQ", self.superblock, 32)
        if self.features[2]:
            raise OpenError("UNSUPPORTED_VERSION")

    def _open(self):
        """The valid root with the higher generation whose commit is complete, and what follows it."""
        size = self.geometry.node
        self.roots = [Root(self.page(number)[:size], self.geometry, self.uuid)
                      for number in (1, 2)]
        valid = sorted((root for root in self.roots if root.is_valid),
                       key=lambda root: -root.generation)
        fault = OpenError("CORRUPT_METADATA")
        for root in valid:
            self.broken.clear()
            try:
                self._begin_with(root)
                return
            except Incomplete as incomplete:
                fault = incomplete
        raise fault

    def _begin_with(self, root):
        if root.total > self.page_count:
            raise Incomplete("TRUNCATED")
        chain = Chain(self, root)
        try:
            trees = Trees(self, root, self.want)
            if not root.is_ordered and not chain.records:
                self._verify_born_in(root, trees)
        except Incomplete as incomplete:
            # What was synced before, or has a successor, was there: then it is damage.
            if root.is_ordered or chain.records:
                raise OpenError(*incomplete.args) from incomplete
            raise
        self.trees = trees
        self.root, self.state = root, Replay(trees, self.want)
        self.records = chain.records
        if self.records and not chain.contents_are_there(self.records[-1]):
            self.records = self.records[:-1]
        for record in self.records:
            self.state.apply(record)
        self.state.check_rest(root, self.records)

    def _verify_born_in(self, root, trees):
        for entry in trees.entries.values():
            if (entry.generation == root.generation
                    and crc32(self.page(entry.page)) != entry.crc):
                raise Incomplete("CORRUPT_PAGE")

    def content(self, page):
        """That of a regular page; what the last commit was to put there counts until it is marked as done."""
        last = self.records[-1] if self.records else None
        for redo in last.redos if last and not last.is_marked else []:
            if redo.page == page:
                return self.page(redo.source)
        return self.page(page)

    def dump(self):
        yield f"page_size {self.geometry.page_size}"
        yield f"page_count {self.state.total}"
        yield f"free_pages {self.state.free}"
        for page, use in enumerate(self.state.uses):
            if use == REGULAR:
                yield f"page {page} {crc32(self.content(page)):08x}"
        for number, entry in sorted(self.state.entries.items()):
            crc = crc32(self.page(entry.page))
            if crc == entry.crc:
                yield f"protected {number} {crc:08x}"
            else:
                yield f"protected {number} error CORRUPT_PAGE"

    # What a writer has to keep, beyond what a reader needs.

    def check(self):
        self.check_live()
        a, b = self.roots
        self.want("both roots are valid", a.is_valid and b.is_valid)
        self.want("the newest root is complete",
                  self.root.generation == max(a.generation, b.generation))
        self.want("roots of one generation are the same",
                  a.data == b.data or a.generation != b.generation)
        self.want("no record follows", not (self.records or a.next or b.next))
        self.want("closed files have all nodes twice",
                  self.root.twice in (a.generation, b.generation) or not self.trees.nodes)
        for name in self.trees.singles:
            self.want(f"{name}: both slots are the same", False)
        return self.broken

    def check_live(self):
        self._check_superblock()
        self._check_roots()
        self._check_uses()
        for number, entry in sorted(self.state.entries.items()):
            name = f"protected page {number}"
            self.want(f"{name}: its content has its CRC",
                      crc32(self.page(entry.page)) == entry.crc)
            self.want(f"{name}: put there by a commit there was",
                      0 < entry.generation <= self.state.generation)
            self.want(f"{name}: no flag but one", entry.flags <= IN_USE)
            self.want(f"{name}: bytes 8-15 and 29-31 of its entry are zero", not any(entry.rest))
        return self.broken

    def _check_superblock(self):
        self.want("the version is 1.0.0.0", self.superblock[4:8] == bytes((1, 0, 0, 0)))
        self.want("superblock, bytes 12-15 are zero", not any(self.superblock[12:16]))
        self.want("no feature is set", self.features == (0, 0, 0))
        self.want("the superblock is zero behind label and balance", not any(self.superblock[132:-4]))
        label = self.superblock[64:128].rstrip(b"\0")
        self.want("the label has no zero byte inside", b"\0" not in label)
        try:
            label.decode()
        except UnicodeDecodeError:
            self.want("the label is UTF-8", False)

    def _check_roots(self):
        for number, root in enumerate(self.roots, 1):
            if not root.is_valid:
                continue
            self.want(f"root {number}: no flag but ORDERED", root.flags <= ORDERED)
            self.want(f"root {number}: bytes 5-7 and 90-95 are zero", not any(root.zeros))
            self.want(f"root {number}: the features of the superblock",
                      root.data[96:120] == self.superblock[32:56])
        state = self.state
        counts = [state.uses.count(use) for use in range(4)]
        for what, counted, found in (("free", state.free, counts[FREE]),
                                     ("protected", state.protected, len(state.entries)),
                                     ("metadata", self.root.metadata, counts[METADATA])):
            self.want(f"{counted} {what} pages are counted, there are {found}", counted == found)

    def _check_uses(self):
        """Every page has one owner, and the use that its owner gives it."""
        owners = {page: "the file itself" for page in range(RESERVED_PAGES)}
        owners.update(self.state.nodes)
        expected = dict.fromkeys(owners, METADATA)
        for number, entry in self.state.entries.items():
            self.want(f"page {entry.page} of protected page {number} is also that of "
                      f"{owners.get(entry.page)}", entry.page not in owners)
            owners[entry.page] = f"protected page {number}"
            expected[entry.page] = PROTECTED
        for page, use in enumerate(self.state.uses):
            if page in expected:
                self.want(f"page {page} of {owners[page]} is {USES[use]}", use == expected[page])
            else:
                self.want(f"page {page} is {USES[use]} and nobody's", use in (FREE, REGULAR))


if __name__ == "__main__":
    sys.exit(reader.main("1", PageFile, PageFile.check, PageFile.check_live))
