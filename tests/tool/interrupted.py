#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""Ctrl-C in whatever takes long: it ends by the signal or was done already, the file is whole and holds what it held, and nothing is
left lying about. On a terminal there is a bar while it takes long, and not with --quiet or where standard error is no terminal."""
import io
import os
import pty
import signal
import subprocess
import tarfile
import tempfile
import time

COMMAND = os.path.join(os.environ["top_builddir"], "tools", "mappedpages")
ROUNDS = 12 if os.environ.get("MPG_TEST_SECONDS") else 2
work = tempfile.TemporaryDirectory(prefix="tool-interrupted-")
os.chdir(work.name)
os.mkdir("temporary")
os.environ["TMPDIR"] = os.path.join(work.name, "temporary")


def real():
    """The program itself, which a signal to libtool's script would miss."""
    program = os.path.join(os.path.dirname(COMMAND), ".libs", "mappedpages")
    if os.path.exists(program):
        libraries = os.path.join(os.environ["top_builddir"], "src", ".libs")
        os.environ["LD_LIBRARY_PATH"] = libraries
        return program
    return COMMAND


PROGRAM = real()


def begin(*arguments, **more):
    # Whoever started us may ignore it, and so would the child.
    return subprocess.Popen([PROGRAM, *arguments], preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **more)


def run(*arguments, **more):
    more.setdefault("stdout", subprocess.PIPE)
    done = subprocess.run([PROGRAM, *arguments], stderr=subprocess.PIPE, check=False, timeout=300, **more)
    assert done.returncode == 0, (arguments, done.returncode, done.stderr)
    return done.stdout


def make(path, form):
    run("create", "-f", form, "-s", "4K", path)
    run("alloc", "-c", "800", path)
    run("alloc", "-p", "-c", "800", path)
    for page in 0, 400, 799:
        run("write", "-p", path, str(page), input=b"protected %d" % page)
    pages = run("list", "-ri", path).split()
    for page in pages[0], pages[-1]:
        run("write", path, page.decode(), input=b"regular " + page)
    run("free", path, *(page.decode() for page in pages[5:-5:2]))


def content(path):
    """What its pages hold."""
    with tarfile.open(fileobj=io.BytesIO(run("dump", path))) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive if member.name != "info.json"}


def remove(path):
    if path and os.path.exists(path):
        os.unlink(path)


def interrupted(form, name, arguments, changes, makes=None, stdin=None):
    """Runs a command to its end for its time, and then again and again with a signal on the way."""
    subprocess.run(["cp", "--sparse=always", "original", "file"], check=True)
    before = content("file")
    begun = time.monotonic()
    run(*arguments, **({"stdin": open(stdin, "rb")} if stdin else {}))
    took = time.monotonic() - begun
    after = content("file")
    remove(makes)
    for round_ in range(ROUNDS):
        subprocess.run(["cp", "--sparse=always", "original", "file"], check=True)
        process = begin(*arguments, stdin=open(stdin, "rb") if stdin else subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                        stderr=subprocess.PIPE)
        time.sleep(took * (round_ + 0.3) / ROUNDS)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=300)
        assert process.returncode in (0, -signal.SIGINT), (form, name, process.returncode, said)
        run("check", "file")
        assert content("file") in ((before, after) if changes else (before,)), (form, name, "another content")
        if makes and os.path.exists(makes):
            run("check", makes)
            assert content(makes) == before, (form, name, "it has its name, and is not whole")
        assert process.returncode == 0 or not (makes and os.path.exists(makes)), (form, name, "it is there")
        left = set(os.listdir(".")) - {"original", "file", "archive.tar", "temporary", makes}
        remove(makes)
        assert not left and not os.listdir("temporary"), (form, name, left, os.listdir("temporary"))


def in_a_pipe(form, name, arguments):
    """Interrupted while nobody takes what it writes."""
    process = begin(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.read(1000)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == -signal.SIGINT, (form, name, process.returncode, said)
    assert not os.listdir("temporary"), (form, name, os.listdir("temporary"))


def on_a_terminal(form, quiet):
    """dump, whose reader is slow: what it says meanwhile on a terminal."""
    ours, theirs = pty.openpty()
    process = begin("dump", *(["-q"] if quiet else []), "original", stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    begun, length = time.monotonic(), 0
    while data := process.stdout.read(100000):
        length += len(data)
        if time.monotonic() - begun < 1.2:
            time.sleep(0.1)
    assert process.wait(300) == 0
    said = b""
    try:
        while data := os.read(ours, 65536):
            said += data
    except OSError:
        pass  # that is how a terminal ends
    os.close(ours)
    if quiet:
        assert said == b"", (form, said)
    else:
        assert b"[" in said and b" %" in said and said.endswith(b"\r\x1b[K"), (form, said)


for form in "1", "0.2":
    for file in os.listdir("."):
        if file != "temporary":
            os.unlink(file)
    make("original", form)
    with open("archive.tar", "wb") as archive:
        run("dump", "original", stdout=archive)
    interrupted(form, "check", ["check", "file"], False)
    interrupted(form, "copy", ["copy", "file", "made"], False, makes="made")
    interrupted(form, "rescue", ["rescue", "file", "made"], False, makes="made")
    interrupted(form, "trim", ["trim", "file"], False)
    interrupted(form, "compact", ["compact", "file"], False)
    interrupted(form, "load", ["load", "file"], True, stdin="archive.tar")
    in_a_pipe(form, "dump", ["dump", "original"])
    in_a_pipe(form, "copy", ["copy", "original", "-"])
    on_a_terminal(form, False)
    on_a_terminal(form, True)
work.cleanup()
