# SPDX-License-Identifier: MIT
"""Makes page files of format 0.2 that say they are huge and take a few blocks of disk, all checksums right."""
import os
import struct
import zlib

METADATA_CRC = 0x2144DF1C       # that of any page that ends with its own checksum
POLYNOMIAL = 0xEDB88320


def _multiply(a, b):
    """The product of two polynomials over GF(2), reflected, modulo that of the CRC."""
    product = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = (b >> 1) ^ (POLYNOMIAL if b & 1 else 0)
    return product


def crc_zeros(crc, length):
    """Continues a CRC over so many zeros."""
    register, power = crc ^ 0xFFFFFFFF, 1 << 23          # x^8: one byte
    while length:
        if length & 1:
            register = _multiply(register, power)
        power = _multiply(power, power)
        length >>= 1
    return register ^ 0xFFFFFFFF


def crc_sparse(pieces, length):
    """The CRC of `length` bytes that are zero but for {offset: bytes}."""
    crc, at = 0, 0
    for offset, data in sorted(pieces.items()):
        crc = zlib.crc32(data, crc_zeros(crc, offset - at))
        at = offset + len(data)
    return crc_zeros(crc, length - at)


class Hostile:
    """A sparse page file under construction."""

    def __init__(self, path, log2, pages):
        self.page_size = 1 << log2
        self.pages = pages
        self.file = open(path, "w+b")
        self.file.truncate(pages << log2)

    def put(self, page, at, data):
        self.file.seek(page * self.page_size + at)
        self.file.write(data)

    def put_sealed(self, page, pieces, first=0):
        """Writes pieces of a page and the checksum of what is behind `first`."""
        for at, data in pieces.items():
            self.put(page, at, data)
        crc = crc_sparse({at - first: data for at, data in pieces.items() if at >= first},
                         self.page_size - 4 - first)
        self.put(page, self.page_size - 4, struct.pack("<I", crc))

    def superblock(self, references, count=None, active=0, seal=True):
        count = len(references) if count is None else count
        head = b"MPPG\0\2\0\0" + struct.pack("<IB3xI", self.page_size.bit_length() - 1, active, METADATA_CRC)
        index = struct.pack("<I", count) + b"".join(struct.pack("<QQB", *each) for each in references)
        self.put(0, 0, head)
        self.put_sealed(0, {20: index}, 20)
        if not seal:
            self.put(0, self.page_size - 4, b"torn")

    def metadata(self, used, free=None, total=None, generation=1, more=None, pages=(1, 2)):
        """Metadata that marks the first `used` pages; more: {page: byte of the bitmap}."""
        total = self.pages if total is None else total
        free = total - used if free is None else free
        bitmap = b"\xff" * (used // 8) + bytes([(1 << used % 8) - 1])
        pieces = {0: struct.pack("<QQQ", total, generation, free) + bitmap}
        for page, byte in (more or {}).items():
            pieces[24 + page // 8] = bytes([byte])
        for page in pages:
            self.put_sealed(page, pieces)

    def block(self, page, capacity, entries=None):
        """A directory block; entries: {slot: (page a, page b)}."""
        pieces = {0: struct.pack("<II", capacity, 0)}
        for slot, pair in (entries or {}).items():
            pieces[8 + 30 * slot] = struct.pack("<BQQBQI", 1, *pair, 0, 0, 0)
        self.put_sealed(page, pieces)

    @property
    def capacity(self):
        return (self.page_size - 12) // 30

    def close(self):
        self.file.close()


def largest(folder, log2, limit):
    """How many pages, up to a limit, a file here can have."""
    path = os.path.join(folder, "largest")
    with open(path, "w+b") as file:
        while limit > 4:
            try:
                file.truncate(limit << log2)
                break
            except OSError:
                limit //= 2
    os.unlink(path)
    return limit
