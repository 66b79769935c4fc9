# SPDX-License-Identifier: MIT
"""What the tests of golden files share: the files, the programs of the build, and mounting."""
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zlib

SKIPPED = 77
SECONDS_TO_MOUNT = 30
SECONDS_TO_END = 60
SECONDS_TO_UNMOUNT = 30

BUILD = os.environ["top_builddir"]
SOURCE = os.environ["top_srcdir"]
COMMAND = os.path.join(BUILD, "tools", "mappedpages")
DRIVER = os.path.join(BUILD, "fuse", "mappedpagesfs")
TESTS = os.path.join(SOURCE, "tests")
GOLDEN = os.path.join(TESTS, "golden")


class Golden:
    """A page file of the crate, and what it must show."""

    def __init__(self, name):
        self.name = name
        self.path = os.path.join(GOLDEN, name + ".mpp")
        with open(os.path.join(GOLDEN, name + ".dump"), encoding="ascii") as file:
            self.lines = file.read().splitlines()
        self.error = None
        if self.lines[0].startswith("error "):
            self.error = constant_name(self.lines[0].split()[1])

    def copy(self, directory):
        """A copy that may be changed."""
        path = os.path.join(directory, self.name + ".mpp")
        shutil.copyfile(self.path, path)
        return path

    def facts(self):
        return {key: int(value) for key, value in (line.split() for line in self.lines[:3])}

    def contents(self):
        return self.lines[3:]


def constant_name(name):
    """CorruptMetadata -> CORRUPT_METADATA; names in capitals stay."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()


def goldens():
    names = sorted(name[:-5] for name in os.listdir(GOLDEN) if name.endswith(".dump"))
    if len(names) < 31:
        raise SystemExit(f"{GOLDEN}: only {len(names)} golden files")
    return [Golden(name) for name in names]


class Failure(Exception):
    """A test failed; the argument says why."""


def want(condition, why):
    if not condition:
        raise Failure(why)


def want_equal(found, expected, what):
    if found == expected:
        return
    if isinstance(found, list) and isinstance(expected, list):
        extra = [line for line in found if line not in set(expected)]
        missing = [line for line in expected if line not in set(found)]
        raise Failure(f"{what}: found {extra[:5]}, missing {missing[:5]}")
    raise Failure(f"{what}: {found!r}, expected {expected!r}")


def crc(data):
    return f"{zlib.crc32(data):08x}"


def run(*arguments, **options):
    """Runs a program to its end; its output is in .stdout and .stderr."""
    return subprocess.run(arguments, capture_output=True, timeout=600, check=False, **options)


def command(*arguments, status=0, **options):
    """Runs `mappedpages` and expects an exit status. Returns what it printed."""
    result = run(COMMAND, *arguments, **options)
    want(result.returncode == status,
         f"mappedpages {' '.join(arguments)}: exit status {result.returncode}, expected {status}: "
         f"{result.stderr.decode(errors='replace')}")
    return result.stdout


def strict_reader(version, path):
    """What the independent reader sees, line by line. It finds no rule of the format broken."""
    result = run(sys.executable, "-B", os.path.join(TESTS, "support", f"reader_{version}.py"), "--strict", path)
    want(result.returncode == 0, result.stderr.decode())
    return result.stdout.decode().splitlines()


def skip_without_fuse():
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or not shutil.which("fusermount3"):
        print("cannot mount here: no /dev/fuse or no fusermount3")
        sys.exit(SKIPPED)


@contextlib.contextmanager
def mounted(file, options=None):
    """The page file as a directory. At the end it is unmounted, and the driver's exit status was 0."""
    with contextlib.ExitStack() as stack:
        directory = tempfile.mkdtemp(prefix="mnt-", dir=".")
        stack.callback(os.rmdir, directory)
        log = stack.enter_context(tempfile.TemporaryFile())
        arguments = [DRIVER, "-f", file, directory] + (["-o", options] if options else [])
        driver = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stderr=log)
        stack.callback(end, driver, directory)
        wait_for_mount(driver, directory, log)
        yield directory
        unmount(directory)
        status = driver.wait(SECONDS_TO_END)
        want(status == 0, f"the driver's exit status is {status}: {text_of(log)}")


def unmount(directory):
    """Something else on the machine may look into a new mount for a moment, and keep it busy."""
    deadline = time.monotonic() + SECONDS_TO_UNMOUNT
    while (result := run("fusermount3", "-u", directory)).returncode != 0:
        want(time.monotonic() < deadline,
             f"{directory}: cannot unmount: {result.stderr.decode(errors='replace')}")
        time.sleep(0.05)


def end(driver, directory):
    """Whatever happened: no mount and no process is left."""
    if os.path.ismount(directory):
        run("fusermount3", "-u", "-z", directory)
    if driver.poll() is None:
        driver.kill()
        driver.wait()


def wait_for_mount(driver, directory, log):
    deadline = time.monotonic() + SECONDS_TO_MOUNT
    while not os.path.ismount(directory):
        want(driver.poll() is None, f"the driver ended: {text_of(log)}")
        want(time.monotonic() < deadline, "nothing was mounted in time")
        time.sleep(0.01)


def text_of(log):
    log.seek(0)
    return log.read().decode(errors="replace")


@contextlib.contextmanager
def work_directory():
    """A directory to work in, current while it lasts."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="golden-", dir=".") as directory:
        os.chdir(directory)
        try:
            yield os.getcwd()
        finally:
            os.chdir(before)


class Tests:
    """Counts what passes and what fails, and says so line by line."""

    def __init__(self):
        self.failed = 0
        self.passed = 0

    def test(self, name, function, *arguments):
        try:
            function(*arguments)
        except (Failure, OSError, subprocess.TimeoutExpired) as error:
            self.failed += 1
            print(f"FAIL {name}: {error}", flush=True)
        else:
            self.passed += 1
            print(f"ok   {name}", flush=True)

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed or not self.passed else 0)
