# SPDX-License-Identifier: MIT
"""Page files and models of them in memory, changed alike."""
import errno
import json
import os

from support import Failure, command, crc, want, want_equal

# Kinds of pages, named as the directories of a mount, and what a dump calls them.
KINDS = {"pages": "page", "protected": "protected"}


class Model:
    """All pages as they are when it is made, and as changed since through its methods. Each changes
    the file and `self.pages` alike."""

    def __init__(self, rng, page_size):
        self.rng = rng
        self.page_size = page_size
        self.pages = {kind: self.load(kind) for kind in KINDS}

    def some(self, kind):
        """One of the readable pages, or None."""
        numbers = [number for number, data in self.pages[kind].items() if data is not None]
        return self.rng.choice(numbers) if numbers else None

    def any_bytes(self):
        return self.rng.randbytes(self.rng.randint(0, self.page_size))

    def padded(self, data):
        return data.ljust(self.page_size, b"\0")

    def change(self, operations):
        """That many random changes."""
        for _ in range(operations):
            self.rng.choice(self.changes)(self, self.rng.choice(list(KINDS)))


class Commanded(Model):
    """A page file, changed by the command `mappedpages`. Its pages are known by their CRC32."""

    def __init__(self, file, rng):
        self.file = file
        super().__init__(rng, json.loads(command("info", "--json", file))["page_size"])

    @staticmethod
    def options(kind):
        return ["--protected"] if kind == "protected" else []

    def load(self, kind):
        """Number and CRC32 of each page, as the command lists them."""
        lines = command("list", "--long", *self.options(kind), self.file).decode().splitlines()
        words = [line.split() for line in lines]
        return {int(word[1]): word[2] for word in words if word[0] == KINDS[kind]}

    def put(self, kind, number, data):
        self.pages[kind][number] = crc(self.padded(data))

    def write(self, kind):
        number = self.some(kind)
        if number is not None:
            data = self.any_bytes()
            command("write", *self.options(kind), self.file, str(number), input=data)
            self.put(kind, number, data)

    def allocate(self, kind):
        count = self.rng.choice((1, 1, 2, 5, 40))
        options = [] if kind == "protected" else ["--zero"]
        lines = command("alloc", *self.options(kind), *options, "--count", str(count), self.file)
        for number in map(int, lines.split()):
            want(number not in self.pages[kind], f"{kind} {number} was given out twice")
            self.put(kind, number, b"")

    def free(self, kind):
        numbers = sorted(self.pages[kind])
        numbers = self.rng.sample(numbers, min(len(numbers), self.rng.choice((1, 1, 3, 30))))
        if numbers:
            command("free", *self.options(kind), self.file, *map(str, numbers))
        for number in numbers:
            del self.pages[kind][number]

    changes = (write, write, write, allocate, free)

    def contents(self):
        """The lines of a dump that tell what the pages hold."""
        return [f"{word} {number} {check}" for kind, word in KINDS.items()
                for number, check in sorted(self.pages[kind].items())]

    def verify(self):
        for kind in KINDS:
            want_equal(self.load(kind), self.pages[kind], kind)


class Mount(Model):
    """A mounted page file, changed as ordinary programs would."""

    def __init__(self, path, rng):
        self.path = path
        super().__init__(rng, os.statvfs(path).f_bsize)
        for kind, pages in self.pages.items():
            for number in pages:
                want_equal(os.stat(self.name(kind, number)).st_size, self.page_size,
                           f"size of {kind}/{number}")

    def load(self, kind):
        return {number: self.read(kind, number) for number in self.listing(kind)}

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

    def verify(self):
        for kind, pages in self.pages.items():
            want_equal(self.listing(kind), sorted(pages), f"{kind}: listing")
            for number, data in pages.items():
                if self.read(kind, number) != data:
                    raise Failure(f"{kind}/{number} does not hold what was written")

    def contents(self):
        """The lines of a dump that tell what the pages hold."""
        return [f"{word} {number} " + ("error CORRUPT_PAGE" if data is None else crc(data))
                for kind, word in KINDS.items()
                for number, data in sorted(self.pages[kind].items())]

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
        old = self.pages[kind][number]
        self.pages[kind][number] = old[:offset] + data + old[offset + len(data):]

    def rewrite(self, kind):
        number = self.some(kind)
        if number is None:
            return
        data = self.any_bytes()
        with open(self.name(kind, number), "wb", buffering=0) as file:
            file.write(data)
        self.pages[kind][number] = self.padded(data)

    def truncate(self, kind):
        number = self.some(kind)
        if number is None:
            return
        length = self.rng.randint(0, self.page_size)
        os.truncate(self.name(kind, number), length)
        self.pages[kind][number] = self.padded(self.pages[kind][number][:length])

    def free(self, kind):
        number = self.some(kind)
        if number is not None:
            os.unlink(self.name(kind, number))
            del self.pages[kind][number]

    def allocate(self, kind):
        data = self.any_bytes()
        with open(os.path.join(self.path, kind, "new"), "xb", buffering=0) as file:
            if data:
                file.write(data)
        added = set(self.listing(kind)) - set(self.pages[kind])
        want(len(added) == 1, f"{kind}/new: appeared {added}")
        self.pages[kind][added.pop()] = self.padded(data)

    def allocate_number(self, kind):
        """A number near the others; it may be in internal use, and is refused then."""
        number = self.rng.randrange(3, 3 + max([20, *self.pages[kind]]) * 5 // 4)
        if number in self.pages[kind]:
            return
        try:
            with open(self.name(kind, number), "xb", buffering=0) as file:
                want_equal(os.fstat(file.fileno()).st_size, self.page_size,
                           f"size of the new {kind}/{number}")
        except PermissionError:
            if kind != "pages":
                raise
            return
        self.pages[kind][number] = bytes(self.page_size)

    changes = (write_part, write_part, rewrite, truncate, free, allocate, allocate_number)
