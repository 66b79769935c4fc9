#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads a page file of format 1 without the library, from doc/format.md alone.

    reader_1.py [--strict] FILE

Prints what the file holds, in the form that golden/README.md describes: sizes and counts, then each
regular and each protected page with the CRC32 of its content; or `error NAME` for a file that cannot
be opened. Exit status 0 either way.

With --strict it holds the file against every rule of the format, and not just those that a reader
needs: both trees whole, all free counts right, every page used once and by what the space tree says.
Each broken rule is a line on stderr, and the exit status is 1. It is for files that were closed: a crash
may leave one of the roots torn until the next commit.
"""
import struct
import sys
import zlib

import reader
from reader import OpenError

TAG = b"MPPG"
ROOT, SPACE, DIRECTORY = b"MPGR", b"MPGS", b"MPGD"
NO_GENERATION = 1 << 63     # generations are below it
MANY = (1 << 32) - 1        # free units of a reference: that many or more
HEADER, REFERENCE, ENTRY = 32, 24, 32
AREAS_AT = 120              # in a root
FREE, REGULAR, PROTECTED, METADATA = range(4)
USES = ("free", "regular", "protected", "metadata")
RESERVED_PAGES = 3


def crc32(data, seed=0):
    return zlib.crc32(data, seed) & 0xFFFFFFFF


class Geometry:
    """The sizes that follow from the page size."""

    def __init__(self, page_size):
        self.page_size = page_size
        self.node = min(page_size, 4096)
        self.area = (self.node - 128) // 2
        self.pair_pages = 2 if page_size < 8192 else 1
        self.references = (self.node - HEADER) // REFERENCE
        self.area_references = self.area // REFERENCE
        self.most_pages = (1 << 63) // page_size

    def leaf_units(self, kind):
        body = self.node - HEADER
        return body * 4 if kind == SPACE else body // ENTRY

    def area_units(self, kind):
        return self.area * 4 if kind == SPACE else self.area // ENTRY

    def most_units(self, kind):
        return self.most_pages if kind == SPACE else (self.most_pages - RESERVED_PAGES) // 2

    def slot_at(self, pair, slot):
        """Where in the file a slot of a pair begins."""
        step = self.page_size if self.pair_pages == 2 else self.page_size // 2
        return pair * self.page_size + slot * step

    def reach(self, kind, height):
        """Units that a tree of this height covers."""
        if height == 0:
            return self.area_units(kind)
        return self.area_references * self.references ** (height - 1) * self.leaf_units(kind)

    def is_possible_height(self, kind, height):
        return height == 0 or self.reach(kind, height - 1) < self.most_units(kind)


class Reference:
    def __init__(self, body, number):
        place, self.generation, self.crc, self.free = struct.unpack_from(
            "<QQII", body, REFERENCE * number)
        self.pair, self.slot = place >> 1, place & 1
        self.is_absent = place == 0


class Entry:
    def __init__(self, body, number):
        a, b, self.generation, self.crc, self.flags = struct.unpack_from(
            "<QQQIB", body, ENTRY * number)
        self.pages = (a, b)
        self.in_use = bool(self.flags & 1)
        self.current = self.pages[self.flags >> 1 & 1]
        self.rest = body[ENTRY * number + 29:ENTRY * number + 32]


class Root:
    def __init__(self, data, geometry, uuid):
        self.data = data
        self.tag, self.level, self.index, self.generation, self.used, self.crc = header(data)
        self.log2, self.flags, self.uuid = struct.unpack_from("<II16s", data, 32)
        self.total, self.free, self.protected, self.metadata = struct.unpack_from("<QQQQ", data, 56)
        self.heights = {SPACE: data[88], DIRECTORY: data[89]}
        self.again = struct.unpack_from("<Q", data, geometry.node - 8)[0]
        area = geometry.area
        self.areas = {SPACE: data[AREAS_AT:AREAS_AT + area],
                      DIRECTORY: data[AREAS_AT + area:AREAS_AT + 2 * area]}
        self.is_valid = (
            (self.tag, self.level, self.index, self.used) == (ROOT, 0, 0, geometry.node)
            and self.crc == node_crc(data, uuid)
            and 1 << self.log2 == geometry.page_size and self.uuid == uuid
            and self.generation == self.again < NO_GENERATION
            and all(geometry.is_possible_height(*height) for height in self.heights.items())
            and RESERVED_PAGES <= self.total <= geometry.most_pages
            and max(self.free, self.protected, self.metadata) <= self.total)


def header(node):
    tag, level, index, generation, used, crc = struct.unpack_from("<4sB3xQQII", node, 0)
    return tag, level, index, generation, used, crc


def node_crc(node, uuid):
    return crc32(node[32:], crc32(bytes(4), crc32(node[:28], crc32(uuid))))


class PageFile:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        self.broken = []        # rules that a strict reader misses
        self._read_superblock()
        self._choose_root()
        self.nodes = {}         # first page of a pair -> what it is the pair of
        self.uses = self._read_space()
        self.entries = self._read_directory()

    def want(self, rule, kept):
        if not kept:
            self.broken.append(rule)

    def page(self, number):
        return self.data[number * self.geometry.page_size:(number + 1) * self.geometry.page_size]

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

    def _choose_root(self):
        """The valid root with the higher generation; that its commit is complete shows later."""
        size = self.geometry.node
        self.roots = [Root(self.page(number)[:size], self.geometry, self.uuid)
                      for number in (1, 2)]
        valid = [root for root in self.roots if root.is_valid]
        if not valid:
            raise OpenError("CORRUPT_METADATA")
        self.root = max(valid, key=lambda root: root.generation)
        if self.root.total * self.geometry.page_size > len(self.data):
            raise OpenError("TRUNCATED")

    # The trees.

    def _leaves(self, kind, read_leaf):
        """Calls read_leaf(body, first unit, how many) for each leaf there is."""
        geometry, height = self.geometry, self.root.heights[kind]
        area = self.root.areas[kind]
        if height == 0:
            read_leaf(area, 0, geometry.area_units(kind))
            return
        for number in range(geometry.area_references):
            self._descend(kind, Reference(area, number), height - 1, number, read_leaf)
        self.want("a root's area is zero behind its references",
                  not any(area[REFERENCE * geometry.area_references:]))

    def _descend(self, kind, reference, level, index, read_leaf):
        """Returns how many units below the reference are free."""
        geometry = self.geometry
        covered = geometry.references ** level * geometry.leaf_units(kind)
        if reference.is_absent:
            return covered
        name = f"{kind.decode()} node {index} of level {level}"
        body = self._node(kind, reference, level, index, name)
        if level == 0:
            free = read_leaf(body, index * geometry.leaf_units(kind), geometry.leaf_units(kind))
        else:
            first = index * geometry.references
            free = sum(self._descend(kind, Reference(body, number), level - 1, first + number,
                                     read_leaf)
                       for number in range(geometry.references))
            self.want(f"{name}: zero behind its references",
                      not any(body[REFERENCE * geometry.references:]))
        self.want(f"{name}: the reference counts {reference.free} free units, there are {free}",
                  reference.free == min(free, MANY))
        return free

    def _node(self, kind, reference, level, index, name):
        """The body of the node that a reference names."""
        geometry = self.geometry
        last = reference.pair + geometry.pair_pages - 1
        if reference.pair < RESERVED_PAGES or last >= self.root.total:
            raise OpenError("CORRUPT_METADATA")
        for page in range(reference.pair, last + 1):
            self.want(f"{name}: its page {page} is also that of {self.nodes.get(page)}",
                      page not in self.nodes)
            self.nodes[page] = name
        at = geometry.slot_at(reference.pair, reference.slot)
        node = self.data[at:at + geometry.node]
        found = header(node)
        if (found[:4] != (kind, level, index, reference.generation)
                or reference.crc != found[5] or found[5] != node_crc(node, self.uuid)):
            raise OpenError("CORRUPT_METADATA")
        used = geometry.node if level == 0 else HEADER + REFERENCE * geometry.references
        self.want(f"{name}: used is {found[4]}, not {used}", found[4] == used)
        self.want(f"{name}: bytes 5-7 are zero", not any(node[5:8]))
        self.want(f"{name}: born in {reference.generation}, later than the root",
                  reference.generation <= self.root.generation)
        return node[HEADER:]

    def _read_space(self):
        uses = bytearray(self.root.total)

        def read_leaf(body, first, count):
            free = 0
            for number in range(count):
                use = body[number // 4] >> 2 * (number % 4) & 3
                free += use == FREE
                if first + number < len(uses):
                    uses[first + number] = use
                else:
                    self.want(f"page {first + number}, beyond the end, is free", use == FREE)
            return free

        self._leaves(SPACE, read_leaf)
        return uses

    def _read_directory(self):
        entries = {}

        def read_leaf(body, first, count):
            free = 0
            for number in range(count):
                entry = Entry(body, number)
                free += not entry.in_use
                if entry.in_use:
                    if not all(RESERVED_PAGES <= page < self.root.total for page in entry.pages):
                        raise OpenError("CORRUPT_PROTECTED_DIRECTORY")
                    entries[first + number] = entry
            return free

        self._leaves(DIRECTORY, read_leaf)
        return entries

    def dump(self):
        yield f"page_size {self.geometry.page_size}"
        yield f"page_count {self.root.total}"
        yield f"free_pages {self.root.free}"
        for page, use in enumerate(self.uses):
            if use == REGULAR:
                yield f"page {page} {crc32(self.page(page)):08x}"
        for number, entry in sorted(self.entries.items()):
            crc = crc32(self.page(entry.current))
            if crc == entry.crc:
                yield f"protected {number} {crc:08x}"
            else:
                yield f"protected {number} error CORRUPT_PAGE"

    # What a writer has to keep, beyond what a reader needs.

    def check(self):
        self._check_superblock()
        self._check_roots()
        self._check_uses()
        for number, entry in sorted(self.entries.items()):
            name = f"protected page {number}"
            self.want(f"{name}: its current copy has its CRC",
                      crc32(self.page(entry.current)) == entry.crc)
            self.want(f"{name}: changed by a commit there was",
                      0 < entry.generation <= self.root.generation)
            self.want(f"{name}: no flags but the two", entry.flags <= 3)
            self.want(f"{name}: bytes 29-31 of its entry are zero", not any(entry.rest))
        return self.broken

    def _check_superblock(self):
        self.want("the version is 1.0.0.0", self.superblock[4:8] == bytes((1, 0, 0, 0)))
        self.want("superblock, bytes 12-15 are zero", not any(self.superblock[12:16]))
        self.want("no feature is set", self.features == (0, 0, 0))
        self.want("the superblock is zero behind the label", not any(self.superblock[128:-4]))
        label = self.superblock[64:128].rstrip(b"\0")
        self.want("the label has no zero byte inside", b"\0" not in label)
        try:
            label.decode()
        except UnicodeDecodeError:
            self.want("the label is UTF-8", False)

    def _check_roots(self):
        root = self.root
        a, b = self.roots
        self.want("both roots are valid", a.is_valid and b.is_valid)
        self.want("the roots are of different generations", a.generation != b.generation)
        for number, each in enumerate(self.roots, 1):
            self.want(f"root {number}: no flag but ORDERED", each.flags <= 1)
            self.want(f"root {number}: bytes 5 and 90-95 are zero",
                      not any(each.data[5:6] + each.data[90:96]))
            self.want(f"root {number}: the features of the superblock",
                      each.data[96:120] == self.superblock[32:56])
        counts = [self.uses.count(use) for use in range(4)]
        for what, counted, found in (("free", root.free, counts[FREE]),
                                     ("protected", root.protected, len(self.entries)),
                                     ("metadata", root.metadata, counts[METADATA])):
            self.want(f"the root counts {counted} {what} pages, there are {found}",
                      counted == found)

    def _check_uses(self):
        """Every page has one owner, and the use that its owner gives it."""
        owners = {page: "the file itself" for page in range(RESERVED_PAGES)}
        owners.update(self.nodes)
        expected = dict.fromkeys(owners, METADATA)
        for number, entry in self.entries.items():
            for page in entry.pages:
                self.want(f"page {page} of protected page {number} is also that of "
                          f"{owners.get(page)}", page not in owners)
                owners[page] = f"protected page {number}"
                expected[page] = PROTECTED
        for page, use in enumerate(self.uses):
            if page in expected:
                self.want(f"page {page} of {owners[page]} is {USES[use]}", use == expected[page])
            else:
                self.want(f"page {page} is {USES[use]} and nobody's", use in (FREE, REGULAR))


if __name__ == "__main__":
    sys.exit(reader.main("1", PageFile, PageFile.check))
