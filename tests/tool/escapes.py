#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""Nothing that command or driver writes can steer a terminal or show something else than it is: labels, paths, arguments and the
messages that name them, on standard output, standard error, /info of a mount, and syslog; in JSON by JSON's escapes."""
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

BUILD = os.environ["top_builddir"]
COMMAND = os.path.join(BUILD, "tools", "mappedpages")
DRIVER = os.path.join(BUILD, "fuse", "mappedpagesfs")
SANITIZERS = os.environ.get("SANITIZERS", "")

HARMFUL = [chr(c) for c in [*range(1, 0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F),
                            *range(0x2066, 0x206A), 0xFEFF]]
INVALID = [b"\x80", b"\x9b", b"\xc3", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"]
PLAIN = "é 日本 😀 ß"

failures = 0
tests = 0


def check(name, condition, why=""):
    global failures, tests
    tests += 1
    if not condition:
        failures += 1
        print(f"FAIL: {name}: {why}")


def shown(data):
    """Text as it must be shown."""
    result = b""
    for character in data.decode(errors="surrogateescape"):
        raw = character.encode(errors="surrogateescape")
        if character == "\\":
            result += b"\\\\"
        elif character in HARMFUL or "\udc80" <= character <= "\udcff":
            result += b"".join(b"\\x%02x" % byte for byte in raw)
        else:
            result += raw
    return result


def is_clean(output):
    """No harmful character, and no byte that is not UTF-8; line breaks end lines."""
    text = output.decode(errors="surrogateescape")
    return not any(c in HARMFUL and c != "\n" or "\udc80" <= c <= "\udcff" for c in text)


def run(*arguments, stdin=b""):
    return subprocess.run(arguments, input=stdin, capture_output=True, timeout=120, check=False)


def says(name, wanted, *arguments, stdin=b"", lines=None):
    """Runs a program: all it writes is clean, and what was harmful is shown escaped."""
    result = run(*arguments, stdin=stdin)
    output = result.stdout + result.stderr
    check(name, is_clean(output), f"{arguments[1:]}: {output!r}")
    if wanted is not None:
        check(name, wanted in output, f"{arguments[1:]}: {wanted!r} is not in {output!r}")
    if lines is not None:
        check(name, output.count(b"\n") == lines, f"{arguments[1:]}: {output!r} has not {lines} lines")
    return result


def command_with(name, text):
    """A path and a label with harmful text, through all commands, whether they succeed or fail."""
    path = b"f-" + text + b".mpp"
    escaped = shown(path)
    label = text[:60]
    says(name, None, COMMAND, "create", "-l", label, path)
    says(name, escaped, COMMAND, "create", path)
    says(name, b"label:             " + shown(label), COMMAND, "info", path)
    says(name, escaped, COMMAND, "check", path, lines=1)
    says(name, None, COMMAND, "list", path)
    says(name, None, COMMAND, "alloc", path)
    says(name, escaped, COMMAND, "read", path, "77", lines=1)
    says(name, escaped, COMMAND, "write", path, "77", lines=1)
    says(name, escaped, COMMAND, "free", path, "77", lines=1)
    says(name, None, COMMAND, "map", path)
    says(name, escaped.replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b">", b"&gt;"),
         COMMAND, "map", "--svg", "-", path)
    says(name, None, COMMAND, "trim", path)
    archive = run(COMMAND, "dump", path)
    check(name, is_clean(archive.stderr), repr(archive.stderr))
    others = [b"2" + path, b"3" + path]
    says(name, None, COMMAND, "copy", path, others[0])
    says(name, shown(others[0]), COMMAND, "copy", path, others[0])
    says(name, shown(others[1]), COMMAND, "rescue", path, others[1])
    says(name, escaped, COMMAND, "rescue", path, others[1])
    says(name, None, COMMAND, "load", others[0], stdin=b"no archive" * 100)
    for other in others:
        os.unlink(other)
        says(name, shown(other), COMMAND, "trim", other)
        says(name, shown(other), COMMAND, "dump", other)
        says(name, shown(other), COMMAND, "load", other, stdin=archive.stdout)
    says(name, None, COMMAND, "read", path, text)
    says(name, shown(text), COMMAND, text)
    says(name, shown(text), COMMAND, "info", b"--" + text)
    says(name, shown(text), COMMAND, "help", text)
    for verb in (("info", "-j"), ("check", "-j"), ("list", "-j"), ("info", "-j", path + b"2")):
        result = says(name, None, COMMAND, *verb, *([path] if len(verb) == 2 else []))
        check(name, b"\x7f" not in result.stdout and is_clean(result.stdout), f"{verb}: {result.stdout!r}")
    read = json.loads(run(COMMAND, "info", "-j", path).stdout)["label"]
    wanted = label.decode(errors="replace")
    check(name, "�" in wanted or read == wanted, f"label {read!r} in JSON")
    with open(path, "wb") as file:
        file.write(b"no page file")
    says(name, escaped, COMMAND, "info", path, lines=1)
    says(name, escaped, COMMAND, "check", path)
    os.unlink(path)


def driver_with(name, text):
    """What the driver says before it mounts anything."""
    path = b"f-" + text + b".mpp"
    escaped = shown(path)
    os.makedirs(b"m", exist_ok=True)
    says(name, escaped, DRIVER, "-f", path, b"m")
    says(name, escaped, DRIVER, "-f", "nothing", path)
    says(name, shown(text), DRIVER, "-f", "-o", b"x" + text.replace(b",", b"").replace(b"\\", b""), path, b"m") \
        if b"\\" not in text else None
    says(name, shown(text), DRIVER, "-f", b"--x" + text, path, b"m")
    says(name, escaped, DRIVER, "-f", path, b"m", path)


@contextlib.contextmanager
def mounted(path, log=None, environment=None):
    """Mounted on m; log: where standard error goes, in the foreground."""
    with open(log or os.devnull, "wb") as errors:
        arguments = [DRIVER, *(["-f"] if log else []), path, "m"]
        driver = subprocess.Popen(arguments, stderr=errors, stdin=subprocess.DEVNULL, env=environment)
        try:
            for _ in range(600):
                if os.path.ismount("m") or log and driver.poll() is not None:
                    break
                time.sleep(0.05)
            check("mount", os.path.ismount("m"), "no mount")
            yield
        finally:
            for _ in range(100):
                if not os.path.ismount("m") or run("fusermount3", "-u", "m").returncode == 0:
                    break
                time.sleep(0.1)
            driver.wait(60)


def damaged(path):
    """A page file with the label and a protected page whose content is not what was committed."""
    run(COMMAND, "create", "-l", HOSTILE[:60], path)
    run(COMMAND, "alloc", "-p", path)
    run(COMMAND, "write", "-p", path, "0", stdin=b"content")
    pages = run(COMMAND, "list", "-l", "-p", path).stdout.split()
    current = int(pages[pages.index(b"current") + 1])
    with open(path, "r+b") as file:
        file.seek(current * 4096)
        file.write(b"rotten")


def on_a_mount():
    path = b"f-" + HOSTILE + b".mpp"
    damaged(path)
    with mounted(path, "log"):
        with open("m/info", "rb") as file:
            info = file.read()
        check("info", is_clean(info), repr(info))
        check("info", b"label:             " + shown(HOSTILE[:60]) in info, repr(info))
        run("cat", "m/protected/0")
        says("busy", shown(path), COMMAND, "alloc", path)
    with open("log", "rb") as file:
        log = file.read()
    check("log", is_clean(log) and shown(path) in log, repr(log))


SYSLOG = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static void put(const char *format, va_list arguments)
{
    int fd = open(getenv("SYSLOG_OUT"), O_WRONLY | O_APPEND | O_CREAT, 0600);
    vdprintf(fd, format, arguments);
    dprintf(fd, "\n");
    close(fd);
}
void syslog(int priority, const char *format, ...)
{
    va_list arguments;
    (void)priority;
    va_start(arguments, format);
    put(format, arguments);
    va_end(arguments);
}
void __syslog_chk(int priority, int flag, const char *format, ...)
{
    va_list arguments;
    (void)priority;
    (void)flag;
    va_start(arguments, format);
    put(format, arguments);
    va_end(arguments);
}
"""


def in_syslog():
    """The driver in the background; a library in front of the system's catches what goes to syslog."""
    if SANITIZERS:
        return
    path = b"f-" + HOSTILE + b".mpp"
    with open("syslog.c", "w", encoding="ascii") as file:
        file.write(SYSLOG)
    subprocess.run([*os.environ.get("CC", "cc").split(), "-shared", "-fPIC", "-o", "syslog.so", "syslog.c"], check=True)
    environment = dict(os.environ, LD_PRELOAD=os.path.abspath("syslog.so"), SYSLOG_OUT=os.path.abspath("syslog.out"))
    with mounted(path, environment=environment):
        run("cat", "m/protected/0")
    with open("syslog.out", "rb") as file:
        log = file.read()
    check("syslog", is_clean(log) and shown(path) in log, repr(log))


HOSTILE = "a\x1b]0;b\x07\x9b31m\u202ec\u2066d\u200fe\u061cf\u2028g\\h\x7f\x85".encode() + b"\x9b\xff"


def main():
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    try:
        for text in ["".join(HARMFUL[i:i + 12]) for i in range(0, len(HARMFUL), 12)]:
            command_with(ascii(text), text.encode())
        for text in (*INVALID, HOSTILE, "back\\slash & <x>".encode(), PLAIN.encode()):
            command_with(ascii(text), text)
            driver_with(ascii(text), text)
        if os.access("/dev/fuse", os.R_OK | os.W_OK) and shutil.which("fusermount3"):
            on_a_mount()
            in_syslog()
    finally:
        os.chdir("/")
        shutil.rmtree(folder)
    print(f"{tests} tests, {failures} failures")
    sys.exit(failures != 0)


if __name__ == "__main__":
    main()
