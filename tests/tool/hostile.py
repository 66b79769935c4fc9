#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""A page file that says it is huge costs what it takes on the disk, and not what it says: with either format, with every
command, in memory and in time."""
import os
import shutil
import subprocess
import sys
import tempfile

SOURCE = os.environ["top_srcdir"]
sys.path.insert(0, os.path.join(SOURCE, "tests", "support"))
from hostile_0_2 import Hostile, largest  # noqa: E402

COMMAND = os.path.join(os.environ["top_builddir"], "tools", "mappedpages")
SANITIZED = "-fsanitize" in os.environ.get("SANITIZERS", "")
MOST_KIB = 64 << 10
MOST_SECONDS = 2.0         # of the processor; a quiet machine needs a tenth
GIB_LOG2 = 30

failures = 0
tests = 0


def program():
    """The command itself: libtool's script would be measured along with it."""
    real = os.path.join(os.path.dirname(COMMAND), ".libs", "mappedpages")
    return real if os.path.exists(real) else COMMAND


def measured(*arguments, stdin=b""):
    """Runs the command; returns exit status, output, KiB and seconds."""
    environment = dict(os.environ)
    environment["LD_LIBRARY_PATH"] = os.path.join(os.environ["top_builddir"], "src", ".libs")
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out:
        given.write(stdin)
        given.seek(0)
        with subprocess.Popen([program(), *arguments], stdin=given, stdout=out, stderr=out,
                              env=environment) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        return (process.returncode, out.read(100000).decode(errors="replace"), usage.ru_maxrss,
                usage.ru_utime + usage.ru_stime)


def test(name, wanted, *arguments, stdin=b"", says=""):
    """One command: its exit status, and that it costs little."""
    global failures, tests
    tests += 1
    status, output, memory, seconds = measured(*arguments, stdin=stdin)
    faults = []
    if status != wanted:
        faults.append(f"exit status {status} instead of {wanted}: {output[:300]}")
    if says not in output:
        faults.append(f"does not say {says!r}: {output[:300]}")
    if not SANITIZED and memory > MOST_KIB:
        faults.append(f"{memory} KiB of memory")
    if seconds > MOST_SECONDS * (10 if SANITIZED else 1):
        faults.append(f"{seconds:.2f} s of the processor")
    if faults:
        failures += 1
    print(f"{'FAIL' if faults else 'ok'}: {name}: {arguments[0]}: {memory} KiB, {seconds:.2f} s",
          *faults, sep="\n  " if faults else "")


def many_blocks(path, log2, count, capacity=0):
    file = Hostile(path, log2, 3 + 2 * count + 4)
    file.superblock([(3 + 2 * k, 4 + 2 * k, 0) for k in range(count)])
    file.metadata(3 + 2 * count)
    for k in range(count):
        file.block(3 + 2 * k, file.capacity if capacity is None else capacity)
    file.close()


def only_second_copies(path, log2, count):
    """The copies that page 0 names are holes."""
    file = Hostile(path, log2, 3 + 2 * count)
    file.superblock([(3 + 2 * k, 4 + 2 * k, 0) for k in range(count)])
    file.metadata(3 + 2 * count)
    for k in range(count):
        file.block(4 + 2 * k, file.capacity)
    file.close()


def entries_far_out(path, log2):
    """Three protected pages: in the first slot, in the middle and in the last."""
    file = Hostile(path, log2, 16)
    file.superblock([(3, 4, 0)])
    file.metadata(11)
    file.block(3, file.capacity, {0: (5, 6), file.capacity // 2: (7, 8), file.capacity - 1: (9, 10)})
    file.close()


def empty_bitmap(path, log2, pages):
    """As many pages as a file can have, of which nothing is in use but the last."""
    file = Hostile(path, log2, pages)
    file.superblock([])
    file.metadata(3, free=pages - 4, more={pages - 1: 1 << (pages - 1) % 8})
    file.close()


def torn_index(path, log2, pages):
    """A torn page 0, so that all free pages are looked through for a spare."""
    file = Hostile(path, log2, pages)
    file.superblock([(3, 4, 0)], seal=False)
    file.metadata(5)
    file.block(3, file.capacity)
    file.close()


def counts_all(path, log2):
    """As many directory blocks as page 0 could name, of which none is there."""
    file = Hostile(path, log2, 8)
    file.superblock([], count=(file.page_size - 28) // 17)
    file.metadata(3)
    file.close()


def bad_metadata(path, log2):
    file = Hostile(path, log2, 8)
    file.superblock([])
    file.metadata(3, total=(file.page_size - 28) * 8)
    file.close()


def look(name, path, entry=None):
    """Every command that only looks, and one that writes."""
    test(name, 0, "info", path)
    test(name, 0, "check", path)
    test(name, 0, "list", path)
    if entry is not None:
        test(name, 0, "list", "-p", path)
    test(name, 0, "alloc", path)
    test(name, 0, "alloc", "-p", path)
    test(name, 0, "check", path)


def format_0_2(folder):
    path = os.path.join(folder, "f.mpp")
    many_blocks(path, 24, 40)
    test("40 blocks of 16 MiB", 0, "info", path)
    test("40 blocks of 16 MiB", 0, "check", path)
    many_blocks(path, 24, 40, capacity=None)
    look("40 blocks of 16 MiB, all slots free", path)
    many_blocks(path, GIB_LOG2, 2, capacity=None)
    look("2 blocks of 1 GiB", path)
    many_blocks(path, 20, 1500, capacity=None)
    look("1500 blocks of 1 MiB", path)
    only_second_copies(path, 26, 50)
    test("first copies missing", 0, "info", path)
    test("first copies missing", 1, "check", path)
    entries_far_out(path, 24)
    test("entries far out", 0, "list", "-p", path)
    torn_index(path, 24, 1000)
    test("torn index", 3, "info", path, says="directory index")
    pages = largest(folder, 24, 1 << 26)
    empty_bitmap(path, 24, pages)
    look(f"{pages} pages of 16 MiB", path)
    torn_index(path, 24, pages)
    test(f"torn index, {pages} pages", 3, "info", path, says="directory index")
    counts_all(path, GIB_LOG2)
    test("a count without references", 3, "info", path)
    bad_metadata(path, GIB_LOG2)
    test("more pages than the file", 3, "info", path)
    os.unlink(path)
    test("new", 0, "create", "-f", "0.2", "-s", str(1 << GIB_LOG2), path)
    look("new", path)


def format_1(folder):
    path = os.path.join(folder, "g.mpp")
    test("format 1", 0, "create", "-f", "1", "-s", str(1 << GIB_LOG2), path)
    look("format 1", path)
    test("format 1", 0, "write", path, "3", stdin=b"text")
    test("format 1", 0, "info", path)
    test("a page of 1 GiB", 0, "list", "-l", "-r", path, says="page 3 ")


def main():
    folder = tempfile.mkdtemp()
    try:
        format_0_2(folder)
        format_1(folder)
    finally:
        shutil.rmtree(folder)
    print(f"{tests} tests, {failures} failures")
    sys.exit(failures != 0)


if __name__ == "__main__":
    main()
