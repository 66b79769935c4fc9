# SPDX-License-Identifier: MIT
"""A mounted page file and a model of it in memory, changed alike as ordinary programs would."""
import errno
import os

from golden_support import Failure, crc, want, want_equal

# Directories of the mount, and what a dump calls the pages in them.
KINDS = {"pages": "page", "protected": "protected"}


class Mount:
    """All pages as they are when it is made, and as changed since through its methods."""

    def __init__(self, path, rng):
        self.path = path
        self.rng = rng
        self.model = {kind: {} for kind in KINDS}
        for kind in self.model:
            for number in self.listing(kind):
                self.model[kind][number] = self.read(kind, number)
        self.page_size = os.statvfs(path).f_bsize
        for kind, pages in self.model.items():
            for number in pages:
                want_equal(os.stat(self.name(kind, number)).st_size, self.page_size,
                           f"size of {kind}/{number}")

    def name(self, kind, number):
        return os.path.join(self.path, kind, str(number))

    def listing(self, kind):
        names = os.listdir(os.path.join(self.path, kind))
        want_equal(len(set(names)), len(names), f"{kind}: names listed once")
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
            want_equal(file.write(data), len(data), f"{kind}/{number}: bytes written")
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
        want(len(added) == 1, f"{kind}/new: appeared {added}")
        self.model[kind][added.pop()] = data.ljust(self.page_size, b"\0")

    def allocate_number(self, kind):
        """A number near the others; it may be in internal use, and is refused then."""
        number = self.rng.randrange(3, 3 + max([20, *self.model[kind]]) * 5 // 4)
        if number in self.model[kind]:
            return
        try:
            with open(self.name(kind, number), "xb", buffering=0) as file:
                want_equal(os.fstat(file.fileno()).st_size, self.page_size,
                           f"size of the new {kind}/{number}")
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
            want_equal(self.listing(kind), sorted(pages), f"{kind}: listing")
            for number, data in pages.items():
                if self.read(kind, number) != data:
                    raise Failure(f"{kind}/{number} does not hold what was written")

    def contents(self):
        """The lines of a dump that tell what the pages hold."""
        return [f"{word} {number} " + ("error CORRUPT_PAGE" if data is None else crc(data))
                for kind, word in KINDS.items()
                for number, data in sorted(self.model[kind].items())]
