#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Changes a mounted page file as ordinary programs would, and says what it must hold then.

    golden_mount_model.py [--operations N] [--seed N] MOUNTPOINT

Reads every page, does N random operations (writes, truncations, frees, allocations, of regular and of
protected pages) on the mount and on a model in memory, reads everything back, and prints the model: a
line `page ID CRC32` or `protected ID CRC32` for each page, as in golden/README.md. A page that cannot
be read for its CRC shows as `error CORRUPT_PAGE` and is left alone.
"""
import argparse
import errno
import os
import random
import sys
import zlib

KINDS = (("pages", "page"), ("protected", "protected"))


class Mount:
    def __init__(self, path, rng):
        self.path = path
        self.rng = rng
        self.model = {"pages": {}, "protected": {}}
        for kind in self.model:
            for number in self.listing(kind):
                self.model[kind][number] = self.read(kind, number)
        sizes = {os.stat(self.name(kind, number)).st_size
                 for kind, pages in self.model.items() for number in pages}
        if len(sizes) > 1:
            raise SystemExit(f"pages of different sizes: {sizes}")
        self.page_size = os.statvfs(path).f_bsize
        if sizes and sizes != {self.page_size}:
            raise SystemExit(f"pages of {sizes} bytes, blocks of {self.page_size}")

    def name(self, kind, number):
        return os.path.join(self.path, kind, str(number))

    def listing(self, kind):
        names = os.listdir(os.path.join(self.path, kind))
        if len(set(names)) != len(names):
            raise SystemExit(f"{kind}: listed twice")
        return sorted(int(name) for name in names)

    def read(self, kind, number):
        """The content, or None where the mount says EIO."""
        try:
            with open(self.name(kind, number), "rb") as file:
                return file.read()
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return None

    def some(self, kind):
        """One of the readable pages, or None."""
        numbers = [number for number, data in self.model[kind].items() if data is not None]
        return self.rng.choice(numbers) if numbers else None

    # Operations. Each does the same to the mount and to the model.

    def write_part(self, kind):
        number = self.some(kind)
        if number is None:
            return
        offset = self.rng.randrange(self.page_size)
        data = self.rng.randbytes(self.rng.randint(1, self.page_size - offset))
        with open(self.name(kind, number), "r+b", buffering=0) as file:
            file.seek(offset)
            if file.write(data) != len(data):
                raise SystemExit(f"{kind}/{number}: a short write")
            if self.rng.random() < 0.2:
                os.fsync(file.fileno())
        old = self.model[kind][number]
        self.model[kind][number] = old[:offset] + data + old[offset + len(data):]

    def rewrite(self, kind):
        number = self.some(kind)
        if number is None:
            return
        data = self.rng.randbytes(self.rng.randint(0, self.page_size))
        with open(self.name(kind, number), "wb", buffering=0) as file:
            file.write(data)
        self.model[kind][number] = data.ljust(self.page_size, b"\0")

    def truncate(self, kind):
        number = self.some(kind)
        if number is None:
            return
        length = self.rng.randint(0, self.page_size)
        os.truncate(self.name(kind, number), length)
        self.model[kind][number] = self.model[kind][number][:length].ljust(self.page_size, b"\0")

    def free(self, kind):
        number = self.some(kind)
        if number is not None:
            os.unlink(self.name(kind, number))
            del self.model[kind][number]

    def allocate(self, kind):
        data = self.rng.randbytes(self.rng.randint(0, self.page_size))
        with open(os.path.join(self.path, kind, "new"), "xb", buffering=0) as file:
            if data:
                file.write(data)
        added = set(self.listing(kind)) - set(self.model[kind])
        if len(added) != 1:
            raise SystemExit(f"{kind}/new: appeared {added}")
        self.model[kind][added.pop()] = data.ljust(self.page_size, b"\0")

    def allocate_number(self, kind):
        """A number near the others; it may be in internal use, and is refused then."""
        number = self.rng.randrange(3, 3 + max([20, *self.model[kind]]) * 5 // 4)
        if number in self.model[kind]:
            return
        try:
            with open(self.name(kind, number), "xb", buffering=0) as file:
                if os.fstat(file.fileno()).st_size != self.page_size:
                    raise SystemExit(f"{kind}/{number}: not of the page size when created")
        except PermissionError:
            if kind != "pages":
                raise
            return
        self.model[kind][number] = bytes(self.page_size)

    def change(self, operations):
        kinds = list(self.model)
        changes = (self.write_part, self.write_part, self.rewrite, self.truncate, self.free,
                   self.allocate, self.allocate_number)
        for _ in range(operations):
            self.rng.choice(changes)(self.rng.choice(kinds))

    def verify(self):
        for kind, pages in self.model.items():
            if self.listing(kind) != sorted(pages):
                raise SystemExit(f"{kind}: listed {self.listing(kind)}, expected {sorted(pages)}")
            for number, data in pages.items():
                if self.read(kind, number) != data:
                    raise SystemExit(f"{kind}/{number}: not what was written")

    def show(self):
        for kind, word in KINDS:
            for number, data in sorted(self.model[kind].items()):
                if data is None:
                    print(word, number, "error CORRUPT_PAGE")
                else:
                    print(word, number, f"{zlib.crc32(data):08x}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--operations", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("mountpoint")
    arguments = parser.parse_args()
    mount = Mount(arguments.mountpoint, random.Random(arguments.seed))
    mount.change(arguments.operations)
    mount.verify()
    mount.show()


if __name__ == "__main__":
    sys.exit(main())
