# SPDX-License-Identifier: MIT
"""Format 1 without the library: sizes, roots, and the two trees of a root. See reader_1.py."""
import struct
import zlib

from reader import OpenError

ROOT, SPACE, DIRECTORY = b"MPGR", b"MPGS", b"MPGD"
NO_GENERATION = 1 << 63     # generations are below it
MANY = (1 << 32) - 1        # free units of a reference: that many or more
HEADER, REFERENCE, ENTRY = 32, 24, 32
AREAS_AT, ROOT_OVERHEAD = 152, 160
FREE, REGULAR, PROTECTED, METADATA = range(4)
USES = ("free", "regular", "protected", "metadata")
RESERVED_PAGES = 3
ORDERED = 1                 # flag of roots and records
IN_USE = 1                  # flag of entries


class Incomplete(OpenError):
    """Something that the commit of a root or record itself wrote is missing."""


def crc32(data, seed=0):
    return zlib.crc32(data, seed) & 0xFFFFFFFF


class Geometry:
    """The sizes that follow from the page size."""

    def __init__(self, page_size):
        self.page_size = page_size
        self.node = min(page_size, 4096)
        self.area = (self.node - ROOT_OVERHEAD) // 2
        self.slot_distance = max(65536 // page_size, 1)
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

    def pages_of(self, pair):
        """The two pages of a pair, one for each slot."""
        return pair, pair + self.slot_distance

    def slot_at(self, pair, slot):
        """Where in the file a slot of a pair begins."""
        return self.pages_of(pair)[slot] * self.page_size

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
    """Where the content of a protected page is."""

    def __init__(self, page, generation, crc, flags=IN_USE, rest=b""):
        self.page, self.generation, self.crc, self.flags = page, generation, crc, flags
        self.rest = rest        # what is to be zero
        self.in_use = bool(flags & IN_USE)

    @classmethod
    def read(cls, body, number):
        page, zero, generation, crc, flags, rest = struct.unpack_from(
            "<Q8sQIB3s", body, ENTRY * number)
        return cls(page, generation, crc, flags, zero + rest)


def header(node):
    tag, level, index, generation, used, crc = struct.unpack_from("<4sB3xQQII", node, 0)
    return tag, level, index, generation, used, crc


def node_crc(node, uuid):
    return crc32(node[32:], crc32(bytes(4), crc32(node[:28], crc32(uuid))))


def are_places(following, after, total):
    """Whether these can be the places of the next two records."""
    places = [place for place in (following, after) if place]
    return (all(RESERVED_PAGES <= place < total for place in places)
            and len(set(places)) == len(places) and not (after and not following))


class Root:
    def __init__(self, data, geometry, uuid):
        self.data = data
        self.tag, self.level, self.index, self.generation, self.used, self.crc = header(data)
        self.log2, self.flags, self.uuid = struct.unpack_from("<II16s", data, 32)
        self.total, self.free, self.protected, self.metadata = struct.unpack_from("<QQQQ", data, 56)
        self.heights = {SPACE: data[88], DIRECTORY: data[89]}
        self.next, self.after, self.salt = struct.unpack_from("<QQQ", data, 120)
        self.zeros = data[5:8] + data[90:96]
        self.twice = struct.unpack_from("<Q", data, 144)[0]
        self.again = struct.unpack_from("<Q", data, geometry.node - 8)[0]
        self.is_ordered = bool(self.flags & ORDERED)
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
            and self.free + self.protected + self.metadata <= self.total
            and self.protected <= self.free
            and are_places(self.next, self.after, self.total))


class Trees:
    """What both trees of a root hold: the use of each page, and the entries of protected pages."""

    def __init__(self, file, root, want):
        self.file, self.geometry, self.root, self.want = file, file.geometry, root, want
        self.nodes = {}         # page of a pair -> what it is the pair of
        self.singles = []       # nodes that are to be in both slots, and are not
        self.uses = self._read_space()
        self.entries = self._read_directory()

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
        pages = geometry.pages_of(reference.pair)
        # What the root's own commit wrote may be missing; anything else that is wrong is damage.
        fault = Incomplete if reference.generation == self.root.generation else OpenError
        if reference.pair < RESERVED_PAGES or pages[1] >= self.root.total:
            raise fault("CORRUPT_METADATA")
        for page in pages:
            self.want(f"{name}: its page {page} is also that of {self.nodes.get(page)}",
                      page not in self.nodes)
            self.nodes[page] = name
        node = self.file.read(geometry.slot_at(reference.pair, reference.slot), geometry.node)
        found = header(node)
        if (found[:4] != (kind, level, index, reference.generation)
                or reference.crc != found[5] or found[5] != node_crc(node, self.file.uuid)):
            raise fault("CORRUPT_METADATA")
        other = self.file.read(geometry.slot_at(reference.pair, 1 - reference.slot), geometry.node)
        if reference.generation <= self.root.twice and other != node:
            self.singles.append(name)
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
                entry = Entry.read(body, number)
                free += not entry.in_use
                if entry.in_use:
                    if not RESERVED_PAGES <= entry.page < self.root.total:
                        raise OpenError("CORRUPT_PROTECTED_DIRECTORY")
                    entries[first + number] = entry
            return free

        self._leaves(DIRECTORY, read_leaf)
        return entries
