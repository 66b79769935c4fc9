#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Puts levels above the trees of a small page file of format 1, which was closed, for the corpus.

    raise.py FILE SPACE-HEIGHT DIRECTORY-HEIGHT NEW

FILE has pages of 1 KiB and both trees in its root. Written from doc/format.md alone.
"""
import struct
import sys
import zlib

PAGE = 1024
AREA = (PAGE - 160) // 2
REFERENCES = (PAGE - 32) // 24
APART = 65536 // PAGE
SPACE = b"MPGS", 152, (PAGE - 32) * 4
DIRECTORY = b"MPGD", 152 + AREA, (PAGE - 32) // 32


class File:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = bytearray(file.read())
        self.seed = zlib.crc32(self.data[16:32])
        roots = [self.data[at * PAGE:(at + 1) * PAGE] for at in (1, 2)]
        self.root = max(roots, key=lambda root: struct.unpack_from("<Q", root, 16))
        self.generation, = struct.unpack_from("<Q", self.root, 16)
        total, = struct.unpack_from("<Q", self.root, 56)
        if any(self.root[88:90]) or any(self.root[120:136]):
            sys.exit("its trees are not in its root, or it was not closed")
        self.uses = [self.root[152 + i // 4] >> 2 * (i % 4) & 3 for i in range(total)]
        self.entries = bytes(self.root[DIRECTORY[1]:DIRECTORY[1] + AREA])

    def take_pairs(self, count):
        """The lowest pages for so many nodes."""
        pairs, page = [], 3
        while len(pairs) < count:
            self.uses += [0] * (page + APART + 1 - len(self.uses))
            if self.uses[page] == self.uses[page + APART] == 0:
                self.uses[page] = self.uses[page + APART] = 3
                pairs.append(page)
            page += 1
        self.data += bytes(len(self.uses) * PAGE - len(self.data))
        return pairs

    def write_node(self, kind, level, body, pair):
        """Into both slots; returns the CRC."""
        node = bytearray(PAGE)
        used = PAGE if level == 0 else 32 + 24 * REFERENCES
        struct.pack_into("<4sBxxxQQI", node, 0, kind, level, 0, self.generation, used)
        node[32:32 + len(body)] = body
        struct.pack_into("<I", node, 28, zlib.crc32(bytes(node), self.seed))
        for page in pair, pair + APART:
            self.data[page * PAGE:(page + 1) * PAGE] = node
        return struct.unpack_from("<I", node, 28)[0]

    def raise_tree(self, tree, content, used, pairs):
        """Its content becomes leaf 0, and that one is below a node for each further level."""
        kind, area, span = tree
        free, body = span - used, content[:AREA]
        for level, pair in enumerate(pairs):
            crc = self.write_node(kind, level, content if level == 0 else body, pair)
            body = struct.pack("<QQII", pair * 2, self.generation, crc, min(free, 0xFFFFFFFF))
            free += (REFERENCES - 1) * span
            span *= REFERENCES
        self.root[area:area + AREA] = body.ljust(AREA, b"\0")

    def write(self, path):
        protected, = struct.unpack_from("<Q", self.root, 72)
        struct.pack_into("<4Q", self.root, 56, len(self.uses), self.uses.count(0), protected,
                         self.uses.count(3))
        struct.pack_into("<Q", self.root, 144, self.generation)
        struct.pack_into("<I", self.root, 28, 0)
        struct.pack_into("<I", self.root, 28, zlib.crc32(bytes(self.root), self.seed))
        self.data[PAGE:3 * PAGE] = self.root * 2
        with open(path, "wb") as file:
            file.write(self.data)


def main(source, space_height, directory_height, target):
    file = File(source)
    space_height, directory_height = int(space_height), int(directory_height)
    pairs = file.take_pairs(space_height + directory_height)
    bits = bytearray(PAGE - 32)
    for page, use in enumerate(file.uses):
        bits[page // 4] |= use << 2 * (page % 4)
    in_use = sum(file.entries[at] & 1 for at in range(28, AREA // 32 * 32, 32))
    file.raise_tree(SPACE, bytes(bits), len(file.uses) - file.uses.count(0), pairs[:space_height])
    file.raise_tree(DIRECTORY, file.entries, in_use, pairs[space_height:])
    file.root[88:90] = space_height, directory_height
    file.write(target)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
