#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""Rounds of somebody else who changes a page file while it is mounted and busy: truncates it, copies a backup
over it as cp does, or commits to it by another path, on which there is no lock. What the mount reported as
done after that must be in the file that is found then; what is not there, the log must give the reason for:
the file was changed. And from the next change on everything fails.

    MPG_ROUNDS   how many (default 9)
    MPG_SEED     of the choices; printed"""
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

ROUNDS = int(os.environ.get("MPG_ROUNDS", "9"))
SEED = int(os.environ.get("MPG_SEED", "1"))
LIMIT = 60  # seconds that anything may take
PROTECTED = 6
TOP = os.environ["top_builddir"]
COMMAND = os.path.join(TOP, "tools", "mappedpages")
DRIVER = os.path.join(TOP, "fuse", "mappedpagesfs")


def run(*arguments, **options):
    return subprocess.run(arguments, timeout=LIMIT, check=True, capture_output=True, **options).stdout


def until(condition, what):
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"FAIL: {what}")
        time.sleep(0.01)


def unmount(directory):
    """Tried again: something may be looking at it."""
    until(lambda: subprocess.run(["fusermount3", "-u", directory], stderr=subprocess.DEVNULL,
                                 check=False, timeout=LIMIT).returncode == 0, f"unmounting {directory}")


class Worker(threading.Thread):
    """Commits numbers to protected pages, one after the other, and notes what was reported as done."""

    def __init__(self, mount):
        super().__init__()
        self.mount = mount
        self.done = []      # (page, number, when it was begun)
        self.failed = 0
        self.stop = False

    def run(self):
        number = 0
        while not self.stop and self.failed < 3:
            number += 1
            page = number % PROTECTED
            begun = time.monotonic()
            try:
                fd = os.open(f"{self.mount}/protected/{page}", os.O_WRONLY)
                try:
                    os.pwrite(fd, b"%8d" % number, 0)
                finally:
                    os.close(fd)
                self.done.append((page, number, begun))
            except OSError:
                self.failed += 1


def truncate(file, rng):
    os.truncate(file, rng.randrange(os.path.getsize(file)))


def restore(file, rng):
    with open("backup", "rb") as source, open(file, "r+b") as target:
        target.truncate(0)
        if rng.random() < 0.5:
            time.sleep(0.002)
        shutil.copyfileobj(source, target)


def write_otherwise(_file, _rng):
    # The file may be between two commits of its own: whoever opens it then finds what is there.
    subprocess.run([COMMAND, "alloc", "--local-lock", "by the way/f"], check=False, timeout=LIMIT,
                   capture_output=True)


def found(file, page):
    """The number in a protected page, or None where the file cannot be read."""
    result = subprocess.run([COMMAND, "read", "-p", file, str(page)], check=False, timeout=LIMIT,
                            capture_output=True)
    if result.returncode != 0:
        print(f"page {page}: {result.stderr.decode().strip()}")
        return None
    return int(result.stdout[:8].strip(b" \0") or b"0")


def one_round(number, intrusion, rng):
    for name in ("f", "backup"):
        if os.path.exists(name):
            os.unlink(name)
    run(COMMAND, "create", "f", "--page-size", "4K", "--format", rng.choice(("1", "0.2")), "--pages", "60")
    run(COMMAND, "alloc", "-p", "-c", str(PROTECTED), "f")
    shutil.copyfile("f", "backup")
    with open("log", "wb") as log:
        driver = subprocess.Popen([DRIVER, "-f", "f", "m"], stderr=log)
    until(lambda: os.path.ismount("m") or driver.poll() is not None, "the mount does not come")
    worker = Worker("m")
    worker.start()
    until(lambda: len(worker.done) > 2 * PROTECTED, "nothing is committed")
    time.sleep(rng.random() * 0.02)
    intrusion("f", rng)
    changed = time.monotonic()
    time.sleep(0.02)
    worker.stop = True
    worker.join(LIMIT)
    unmount("m")
    driver.wait(LIMIT)
    with open("log", encoding="utf-8") as log:
        told = "somebody else has changed it" in log.read()
    last = {}
    for page, value, begun in worker.done:
        last[page] = (value, begun)
    for page, (value, begun) in last.items():
        there = found("f", page)
        if there == value:
            continue
        if begun > changed and intrusion is not write_otherwise:
            sys.exit(f"FAIL: round {number}, {intrusion.__name__}: {value} was reported as done in page "
                     f"{page} after the change, and {there} is there")
        if not told:
            sys.exit(f"FAIL: round {number}, {intrusion.__name__}: {value} was reported as done in page "
                     f"{page}, {there} is there, and nothing was said")


def main():
    if not os.access("/dev/fuse", os.W_OK) or shutil.which("fusermount3") is None:
        sys.exit(77)
    intrusions = [truncate, restore]
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    with tempfile.TemporaryDirectory(prefix="somebody-else-") as directory:
        os.chdir(directory)
        os.mkdir("m")
        os.mkdir("by the way")
        by_the_way = shutil.which("bindfs") is not None and subprocess.run(
            ["bindfs", ".", "by the way"], check=False, timeout=LIMIT).returncode == 0
        if by_the_way:
            intrusions.append(write_otherwise)
        try:
            for number in range(ROUNDS):
                one_round(number, intrusions[number % len(intrusions)], rng)
        finally:
            for mount in ("m", "by the way"):
                if os.path.ismount(mount):
                    subprocess.run(["fusermount3", "-u", "-z", mount], check=False, timeout=LIMIT)
            os.chdir("/")
    print(f"{ROUNDS} rounds")


main()
