#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""The spare copy of page 0 that this library leaves in files of format 0.2 never takes back what the crate committed after it.

The crate is played here: it commits a directory block by writing the block's inactive page and then page 0, without touching
the metadata, and knows nothing of spares. Histories of both programs in turn end with a torn write of page 0; what is seen
afterwards is the state before the commit that was torn, or after it, or an error, but never an older one. Where the torn commit
is the library's own, the spare must count."""
import os
import random
import struct
import sys
import tempfile
import zlib

from support import COMMAND, Tests, command, crc, run, want, want_equal

PAGE = 1024
CAPACITY = (PAGE - 12) // 30
HISTORIES = int(os.environ.get("MPG_SPARE_HISTORIES", "20"))


def sealed(page, first=0):
    page = bytearray(page)
    struct.pack_into("<I", page, PAGE - 4, zlib.crc32(page[first:PAGE - 4]))
    return page


class Crate:
    """Opens the file as the crate does. Each step is one whole commit: what is written, page 0 last."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            self.data = bytearray(file.read())
        self.page_0 = self.page(0)
        self.active = self.page_0[12]
        self.metadata = self.page(1 + self.active)

    def page(self, number):
        return bytearray(self.data[number * PAGE:(number + 1) * PAGE])

    def put(self, number, content):
        self.data[number * PAGE:(number + 1) * PAGE] = content

    def save(self, torn_from=None):
        """Writes everything; torn_from: the page 0 before, of which the second sector stays."""
        if torn_from is not None:
            self.put(0, self.page_0[:512] + torn_from[512:])
        else:
            self.put(0, self.page_0)
        with open(self.path, "r+b") as file:
            file.write(self.data)

    def reference(self, block):
        return struct.unpack_from("<QQB", self.page_0, 24 + 17 * block)

    def blocks(self):
        return struct.unpack_from("<I", self.page_0, 20)[0]

    def commit_block(self, block, content):
        a, b, active = self.reference(block)
        self.put(a if active else b, sealed(content))
        self.page_0[24 + 17 * block + 16] = 1 - active
        self.page_0 = sealed(self.page_0, 20)

    def commit_metadata(self):
        total, generation, free = struct.unpack_from("<QQQ", self.metadata)
        struct.pack_into("<QQQ", self.metadata, 0, total, generation + 1, free)
        self.active = 1 - self.active
        self.put(1 + self.active, sealed(self.metadata))
        self.page_0[12] = self.active

    def take(self):
        total = struct.unpack_from("<Q", self.metadata)[0]
        free = next(page for page in range(total) if not self.metadata[24 + page // 8] >> page % 8 & 1)
        self.mark(free, -1)
        return free

    def mark(self, page, change):
        self.metadata[24 + page // 8] ^= 1 << page % 8
        struct.pack_into("<Q", self.metadata, 16, struct.unpack_from("<Q", self.metadata, 16)[0] + change)

    def content(self, block):
        a, b, active = self.reference(block)
        return self.page(b if active else a)

    def used(self):
        return [block * CAPACITY + slot for block in range(self.blocks()) for slot in range(CAPACITY)
                if self.content(block)[8 + 30 * slot]]

    def write(self, number, text):
        block, slot = divmod(number, CAPACITY)
        content, at = self.content(block), 8 + 30 * slot
        used, a, b, active, generation, _ = struct.unpack_from("<BQQBQI", content, at)
        data = text.ljust(PAGE, b"\0")
        self.put(a if active else b, data)
        struct.pack_into("<BQQBQI", content, at, used, a, b, 1 - active, generation + 1, zlib.crc32(data))
        self.commit_block(block, content)

    def alloc(self):
        """The bitmap first, then the block."""
        number = next(n for n in range(self.blocks() * CAPACITY) if n not in self.used())
        a, b = self.take(), self.take()
        self.commit_metadata()
        yield None
        block, slot = divmod(number, CAPACITY)
        content = self.content(block)
        struct.pack_into("<BQQBQI", content, 8 + 30 * slot, 1, a, b, 0, 0, zlib.crc32(self.page(a)))
        self.commit_block(block, content)
        yield number

    def free(self, number):
        """The block first, then the bitmap."""
        block, slot = divmod(number, CAPACITY)
        content = self.content(block)
        _, a, b = struct.unpack_from("<BQQ", content, 8 + 30 * slot)
        content[8 + 30 * slot] = 0
        self.commit_block(block, content)
        yield None
        self.mark(a, 1)
        self.mark(b, 1)
        self.commit_metadata()
        yield None


def state_of(crate):
    """What the file shows: the checksum of every protected page's content."""
    state = {}
    for number in crate.used():
        block, slot = divmod(number, CAPACITY)
        _, a, b, active = struct.unpack_from("<BQQB", crate.content(block), 8 + 30 * slot)
        state[number] = crc(crate.page(b if active else a))
    return state


def seen(path):
    """The same through the library; None if it cannot be opened."""
    listed = run(COMMAND, "list", "-p", "-l", path)
    if listed.returncode != 0:
        want("directory index" in listed.stderr.decode(), f"it says {listed.stderr.decode()}")
        return None
    return {int(words[1]): words[2] for words in map(str.split, listed.stdout.decode().splitlines())}


def make(path):
    command("create", "-f", "0.2", "-s", str(PAGE), "-n", "256", path)
    command("alloc", "-p", "-c", str(CAPACITY + 3), path)


def library_commits(chance, path):
    """One commit of the library: with a spare, or a commit that needs none."""
    numbers = Crate(path).used()
    kind = chance.randrange(4)
    if kind == 0:
        command("alloc", path)
    else:
        command("write", "-p", path, str(chance.choice(numbers)), input=b"library %d" % chance.getrandbits(32))


def crate_commits(chance, path, torn=False):
    """One operation of the crate; torn: its last write of page 0 that changes the index is. Returns the states it may show."""
    crate = Crate(path)
    before = state_of(crate)
    kind = chance.randrange(5)
    page_0 = crate.page_0
    if kind == 0 and len(before) < 2 * CAPACITY - 2:
        steps = list_steps(crate, crate.alloc())
    elif kind == 1 and len(before) > CAPACITY:
        steps = list_steps(crate, crate.free(chance.choice(sorted(before))))
    else:
        crate.write(chance.choice(sorted(before)), b"crate %d" % chance.getrandbits(32))
        steps = [(page_0, bytes(crate.data), crate.page_0)]
    if torn:
        old, data, new = next(step for step in steps if step[0][20:] != step[2][20:])
        crate.data, crate.page_0 = bytearray(data), bytearray(new)
        after = state_of(crate)
        crate.save(torn_from=old)
    else:
        crate.save()
        after = state_of(crate)
    return before, after


def list_steps(crate, steps):
    """Page 0 before, the rest of the file, page 0 after: of each commit of an operation."""
    result, before = [], bytearray(crate.page_0)
    for _ in steps:
        result.append((before, bytes(crate.data), bytearray(crate.page_0)))
        before = bytearray(crate.page_0)
    return result


def newest_is_never_taken_back(seed):
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "f.mpp")
        make(path)
        for _ in range(8):
            for _ in range(chance.randrange(1, 3)):
                library_commits(chance, path)
            for _ in range(chance.randrange(3)):
                crate_commits(chance, path)
            with open(path, "rb") as file:
                whole = file.read()
            allowed = crate_commits(chance, path, torn=True)
            found = seen(path)
            want(found is None or found in allowed, f"seed {seed}: a durable commit was taken back")
            if found is not None:       # opened for writing, too, and what that leaves
                command("alloc", path)
                want(seen(path) in allowed, f"seed {seed}: taken back by opening for writing")
            with open(path, "wb") as file:
                file.write(whole)


def text(content):
    return crc(content.ljust(PAGE, b"\0"))


def one_later_commit():
    """The smallest of these histories, in two blocks."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "f.mpp")
        make(path)
        command("write", "-p", path, "0", input=b"library")
        for first, second in ((0, CAPACITY), (CAPACITY, 0), (0, 0), (CAPACITY, CAPACITY)):
            crate = Crate(path)
            crate.write(first, b"durable")
            crate.save()
            crate = Crate(path)
            page_0 = crate.page_0
            crate.write(second, b"in flight")
            crate.save(torn_from=page_0)
            found = seen(path)
            want(found is None or found[first] in map(text, (b"durable", b"in flight")),
                 "a durable commit was taken back")
            crate.save()


def own_spare_counts():
    """Of a torn commit of the library, the spare is as good as page 0 was."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "f.mpp")
        make(path)
        for number in (0, CAPACITY, 1, 0):
            crate = Crate(path)             # what it wrote last must not be in the way either
            crate.write(CAPACITY, b"crate")
            crate.save()
            page_0 = Crate(path).page_0
            command("write", "-p", path, str(number), input=b"library")
            crate = Crate(path)
            crate.save(torn_from=page_0)
            found = seen(path)
            want(found is not None and found[number] == text(b"library"), "the spare does not count")
            command("alloc", path)
            want_equal(seen(path), found, "after opening for writing")


def main():
    tests = Tests()
    tests.test("one later commit", one_later_commit)
    tests.test("the spare of the torn commit itself", own_spare_counts)
    for seed in range(HISTORIES):
        tests.test(f"history {seed}", newest_is_never_taken_back, seed)
    tests.finish()


if __name__ == "__main__":
    sys.exit(main())
