#!/bin/sh
# SPDX-License-Identifier: MIT
# What is written to batch is a tar archive: its pages are changed as one transaction when it is closed, and the kernel shows them
# then; of one that is damaged, foreign, too large or whose writer is killed nothing is, and close, the log and batch itself say so.
# batch.sh [FORMAT…]
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

# told PATTERN - batch says that of the last one.
told() {
    grep -q "^batch [0-9]* of [^:]*: $1" m/batch || fail "batch says: $(cat m/batch)"
}

# logged PATTERN - so does the log.
logged() {
    grep -q "mappedpagesfs: batch [0-9]* of [^:]*: $1" m.log || fail "no '$1' in the log: $(cat m.log)"
}

# shows PATH TEXT
shows() {
    [ "$(tr -d '\0' <"m/$1")" = "$2" ] || fail "$1 is '$(tr -d '\0' <"m/$1" | head -c 200)' instead of '$2'"
}

# fill TEXT - the directory d has pages whose content says that.
fill() {
    mkdir -p d/pages d/protected
    for page in pages/9 pages/77 protected/3 protected/4; do
        echo "$1 of $page" >d/$page
    done
}

# all_show TEXT - so does the mount.
all_show() {
    for page in pages/9 pages/77 protected/3 protected/4; do
        shows $page "$1 of $page"
    done
}

# By each way that people write files.
try_tools() {
    echo 'old of pages/9' >m/pages/9 || fail "no page"
    echo 'old of protected/3' >m/protected/3 || fail "no protected page"
    # The kernel has seen all of it, and remembers it.
    ls -l m m/pages m/protected >/dev/null && ls m/pages m/protected >/dev/null
    [ "$(ls m/pages m/protected | tr '\n' ' ')" = 'm/pages: 9  m/protected: 3 ' ] || fail "listed: $(ls m/pages m/protected)"
    cat m/pages/9 m/protected/3 >before || fail "reading"
    fill first
    expect 0 tar -C d -cf m/batch .
    all_show first
    [ "$(ls m/pages m/protected | tr '\n' ' ')" = 'm/pages: 77 9  m/protected: 3 4 ' ] || fail "listed: $(ls m/pages m/protected)"
    told 'committed: 2 regular and 2 protected pages, 2 of them new$'
    fill second
    (cd d && tar c protected/3 pages/9 >../m/batch) || fail "tar c >batch"
    shows protected/3 'second of protected/3' && shows pages/9 'second of pages/9'
    shows protected/4 'first of protected/4' && shows pages/77 'first of pages/77'
    told 'committed: 1 regular and 1 protected pages, 0 of them new$'
    for way in 'cp x.tar m/batch' 'cat x.tar >m/batch' 'cat x.tar >>m/batch' 'dd if=x.tar of=m/batch bs=700 2>err' \
        'dd if=x.tar of=m/batch bs=4k conv=fsync 2>err' 'cp --sparse=always x.tar m/batch' 'cat early.tar x.tar | cat >m/batch'; do
        fill early
        tar -C d -cf early.tar .
        fill "$way"
        tar -C d -cf x.tar .
        expect 0 sh -c "$way"
        all_show "$way"
    done
    # A whole dump goes back, with what it says about itself.
    expect 0 sh -c 'mappedpages dump "$1" >m/batch' sh "$PWD/f.mpp"
    all_show "$way"
    told 'committed: 2 regular and 2 protected'
    # It is not a page, and stays where it is.
    [ -z "$(find m -maxdepth 1 -name batch)" ] || fail "it is listed"
    expect 0 ls -l m/batch
    expect 1 rm -f m/batch
    expect 1 mv x.tar m/batch
    true >m/batch
    told 'nothing was written to it$'
}

# Whatever is no archive of pages changes nothing, and close says EINVAL.
try_bad() {
    fill bad
    (cd d && tar cf ../good.tar pages protected) || fail "tar"
    python3 - <<'END' || fail "what is no archive of pages"
import errno, gzip, io, os, random, tarfile

def apply(data):
    fd = os.open("m/batch", os.O_WRONLY | os.O_TRUNC)
    while data:
        data = data[os.write(fd, data):]
    try:
        os.close(fd)
        return 0
    except OSError as error:
        return error.errno

def archive(*members):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "pages/9"
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content or b""))
    return made.getvalue()

def shown():
    return [open("m/" + page, "rb").read() for page in
            ("pages/9", "pages/77", "protected/3", "protected/4")] + [sorted(os.listdir("m/pages")), sorted(os.listdir("m/protected"))]

good = open("good.tar", "rb").read()
page = ("protected/3", b"bad")
before = shown()
bad = {
    "cut in a member": good[:3000], "cut in a header": good[:700], "cut between members": good[:1024],
    "cut before its end": good.rstrip(b"\0") + b"\0" * (-len(good.rstrip(b"\0")) % 512),
    "zeros": bytes(10240), "one byte": b"x", "text": b"pages\n" * 1000, "compressed": gzip.compress(good),
    "a header changed": good[:530] + b"\xff" + good[531:],
    "something behind the end": good + b"and more" * 64,
    "a foreign name": archive(page, ("other/1", b"x")), "no number": archive(page, ("pages/x", b"x")),
    "a leading zero": archive(page, ("pages/09", b"x")), "a path outside": archive(page, ("../pages/9", b"x")),
    "a huge number": archive(page, ("pages/99999999999999999999999", b"x")),
    "a link": archive(page, ("pages/77", None)), "too long": archive(page, ("pages/77", b"x" * 4097)),
    "no pages": archive(("info.json", b"{}")),
    "control characters": archive(page, ("pages/\x1b[31m\n2", b"x")),
}
for what, data in bad.items():
    error = apply(data)
    assert error == errno.EINVAL, (what, error)
    text = open("m/batch").read()
    assert "nothing was changed: " in text and text.count("\n") == 1 and "\x1b" not in text, (what, text)
    assert shown() == before, what
# What the library refuses.
for what, name, wanted in (("a page of the file itself", "pages/1", errno.EPERM), ("beyond the format", "pages/%d" % 2**44, None)):
    error = apply(archive(page, ("pages/9", b"bad"), (name, b"x")))
    assert error and error == (wanted or error), (what, error)
    assert shown() == before, what
# Damaged at random: what is refused changed nothing; what is not, as contents have no checksum, changed pages of the archive alone.
random.seed(1)
for _ in range(40):
    data = bytearray(good)
    for _ in range(random.randint(1, 3)):
        data[random.randrange(len(data))] = random.choice((0, 255, random.randrange(256)))
    if apply(bytes(data)) != 0:
        assert shown() == before
    else:
        assert sorted(os.listdir("m/pages")) == before[4] and sorted(os.listdir("m/protected")) == before[5]
        before = shown()
# The last of several counts.
assert apply(archive(("protected/3", b"first"), ("pages/9", b"first"), ("protected/3", b"last"), ("pages/9", b"last"))) == 0
assert open("m/protected/3", "rb").read(5) == b"last\0" and open("m/pages/9", "rb").read(5) == b"last\0"
END
    logged 'nothing was changed: pages/x: it names no page'
}

# What the kernel remembers, and maps; times; what handles do meanwhile.
try_caches() {
    python3 - <<'END' || fail "caches and handles"
import errno, io, mmap, os, subprocess, tarfile, time

def archive(**pages):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in pages.items():
            info = tarfile.TarInfo(name.replace("_", "/"))
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return made.getvalue()

def apply(data):
    with open("m/batch", "wb", buffering=0) as batch:
        assert batch.write(data) == len(data)

# Who has it mapped sees the new content; what he wrote before is older than the batch, what he writes then newer.
fd = os.open("m/pages/9", os.O_RDWR)
shared = mmap.mmap(fd, 4096)
shared[0:4] = b"mine"
shared[100:104] = b"mine"
was = os.stat("m/pages/9").st_mtime_ns, os.stat("m/protected/3").st_mtime_ns
apply(archive(pages_9=b"batch", protected_3=b"batch"))
assert shared[0:5] == b"batch" and shared[100:104] == bytes(4), shared[0:120]
assert os.pread(fd, 5, 0) == b"batch"
shared[0:4] = b"late"
shared.flush()
assert open("m/pages/9", "rb").read(6) == b"lateh\0"
now = os.stat("m/pages/9").st_mtime_ns, os.stat("m/protected/3").st_mtime_ns
assert now[0] > was[0] and now[1] > was[1], (was, now)

# A private map of a protected page, which the kernel caches.
reader = os.open("m/protected/3", os.O_RDONLY)
private = mmap.mmap(reader, 4096, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
assert private[0:5] == b"batch"
apply(archive(protected_3=b"again"))
assert private[0:5] == b"again", private[0:5]

# What another handle staged of the same page stays: exactly its bytes come on top.
staged = os.open("m/protected/3", os.O_WRONLY)
os.pwrite(staged, b"staged", 10)
apply(archive(protected_3=b"under it"))
os.close(staged)
assert open("m/protected/3", "rb").read(16) == b"under it\0\0staged"

# A page that is deleted and comes back by a batch is another file.
old = os.open("m/pages/77", os.O_RDWR)
os.unlink("m/pages/77")
apply(archive(pages_77=b"new"))
try:
    os.pwrite(old, b"x", 0)
    raise SystemExit("the old page can be written still")
except OSError as error:
    assert error.errno == errno.ESTALE, error
assert open("m/pages/77", "rb").read(4) == b"new\0"
assert sorted(os.listdir("m/pages")) == ["77", "9"]

# Two at once: each is one. fsync is as good as close; what was truncated begins again.
first, second = (os.open("m/batch", os.O_WRONLY) for _ in range(2))
one, other = archive(protected_3=b"one"), archive(protected_3=b"two", protected_4=b"two")
for at in range(0, len(other), 512):
    os.write(second, other[at:at + 512])
    os.write(first, one[at:at + 512])
os.fsync(second)
assert open("m/protected/3", "rb").read(3) == b"two" == open("m/protected/4", "rb").read(3)
os.ftruncate(first, 5000)
os.ftruncate(first, 0)
os.pwrite(first, archive(protected_4=b"four"), 0)
os.close(first)
assert open("m/protected/4", "rb").read(4) == b"four"
os.close(second)
assert open("m/protected/3", "rb").read(3) == b"two"

# A child that ends with an inherited descriptor ends nothing; nor does closing a duplicate before anything is written.
writer = os.open("m/batch", os.O_WRONLY)
os.close(os.dup(writer))
data = archive(protected_3=b"whole")
os.write(writer, data[:600])
subprocess.run(["true"], pass_fds=[writer], check=True)
os.write(writer, data[600:])
os.close(writer)
assert open("m/protected/3", "rb").read(5) == b"whole"

# With a write missing it is none, whatever comes then.
limit = os.open("m/batch", os.O_WRONLY)
try:
    os.pwrite(limit, b"x", 1 << 40)
    raise SystemExit("a terabyte was staged")
except OSError as error:
    assert error.errno == errno.ENOSPC, error
os.pwrite(limit, archive(protected_3=b"not so"), 0)
try:
    os.close(limit)
    raise SystemExit("a batch with a write missing was applied")
except OSError as error:
    assert error.errno == errno.ENOSPC, error
assert open("m/protected/3", "rb").read(5) == b"whole"
END
}

# Who wrote it is killed; what does not fit; the driver is told to end.
try_endings() {
    fill killed
    tar -C d -cf x.tar .
    python3 -c '
import os, signal
fd = os.open("m/batch", os.O_WRONLY)
os.write(fd, open("x.tar", "rb").read())
os.kill(os.getpid(), signal.SIGKILL)'
    within 20 grep -q 'batch [0-9]*: what process [0-9]* (python3[^)]*) wrote was dropped: it was killed by signal 9' m.log ||
        fail "no word of a killed writer: $(cat m.log)"
    [ "$(tr -d '\0' <m/protected/3)" = whole ] || fail "what a killed process wrote was committed"
    told 'nothing was changed: who wrote it was killed'
    hold_written m/batch x.tar
    end_driver m
    exec 8>&-
    wait $writer
    grep -q "batch [0-9]*: what process $writer (python3[^)]*) wrote was dropped: the mount ended" m.log ||
        fail "no word of what was staged at the end: $(cat m.log)"
    fusermount3 -u -z m 2>/dev/null
    expect 0 mappedpages check f.mpp
    mount_file f.mpp m -o stage=64K
    [ "$(tr -d '\0' <m/protected/3)" = whole ] || fail "what was staged at the end was committed"
    expect 1 dd if=/dev/zero of=m/batch bs=4k count=40
    complained 'No space left'
    # Members are small, their pages are not.
    rm -rf many && mkdir -p many/pages
    for id in $(seq 100 120); do : >many/pages/"$id"; done
    tar -C many -cf many.tar .
    expect 1 cp many.tar m/batch
    complained 'No space left'
    told 'nothing was changed: its pages take more memory'
    [ ! -e m/pages/100 ] || fail "some of it was changed"
    unmount m
}

# Killed in the middle: all of a batch or nothing; in format 1 of regular pages that were there, too.
try_crash() {
    rm -f f.mpp
    expect 0 mappedpages create -f "$format" f.mpp
    [ -z "${MPG_TEST_SECONDS:-}" ] && rounds=2 || rounds=60
    for round in $(seq $rounds); do
        mount_file f.mpp m
        python3 - "$round" "$format" <<'END' 2>writer.err &
import io, sys, tarfile
begin = int(sys.argv[1]) * 1000000
again = ["protected/%d" % i for i in range(20)] + ["pages/%d" % i for i in range(20, 60) if sys.argv[2] == "1"]
for number in range(begin, begin + 1000000):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name in again + ["pages/%d" % (100 + number % 1000000 * 2 + begin // 500 + i) for i in range(2)]:
            content = b"%d" % number
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    with open("m/batch", "wb", buffering=0) as batch:
        batch.write(made.getvalue())
    open("acknowledged", "w").write(str(number))
END
        writer=$!
        rm -f acknowledged
        within 60 test -s acknowledged || fail "nothing is written: $(cat writer.err)"
        sleep 0.0$((round * 7 % 10))
        kill -9 "$(cat m.pid)"
        wait "$(cat m.pid)" 2>/dev/null
        wait $writer
        mounts=
        fusermount3 -u -z m 2>/dev/null
        expect 0 mappedpages check f.mpp
        mappedpages dump f.mpp >dump.tar || fail "dump"
        python3 - <<'END' || fail "round $round"
import tarfile
stamps, pages = set(), {}
with tarfile.open("dump.tar") as tar:
    for member in tar:
        if member.name == "info.json":
            continue
        number = int(tar.extractfile(member).read().rstrip(b"\0"))
        kind, page = member.name.split("/")
        if kind == "protected" or int(page) < 100:
            stamps.add(number)
        else:
            pages[number] = pages.get(number, 0) + 1
assert len(stamps) == 1, "pages of several batches: %s" % stamps
assert set(pages.values()) == {2}, "half a batch of regular pages"
assert max(pages) == max(stamps), "regular pages of %d, protected ones of %d" % (max(pages), max(stamps))
assert max(stamps) >= int(open("acknowledged").read() or 0), "what was acknowledged is gone"
END
    done
}

# Maps that are written, truncations, creating and deleting beside batches of the same pages: all of it goes on to the end.
try_crowd() {
    rm -f f.mpp
    expect 0 mappedpages create -f "$format" f.mpp
    mount_file f.mpp m -o max_threads=4
    python3 - "${MPG_TEST_SECONDS:-0.5}" <<'END' || fail "beside others: $(cat m.log)"
import io, mmap, os, random, sys, tarfile, threading, time
end = time.monotonic() + float(sys.argv[1])
pages = ["pages/%d" % i for i in range(10, 20)] + ["protected/%d" % i for i in range(5)]
failed = []

def batches():
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name in random.sample(pages, 8):
            info = tarfile.TarInfo(name)
            info.size = 5
            tar.addfile(info, io.BytesIO(b"batch"))
    fd = os.open("m/batch", os.O_WRONLY)
    os.write(fd, made.getvalue())
    os.close(fd)

def maps():
    fd = os.open("m/" + random.choice(pages[:10]), os.O_RDWR | os.O_CREAT)
    try:
        with mmap.mmap(fd, 4096) as shared:
            for _ in range(20):
                shared[random.randrange(4096)] = 7
    finally:
        os.close(fd)

def others():
    name = "m/" + random.choice(pages)
    random.choice([lambda: os.truncate(name, 0), lambda: os.unlink(name), lambda: open(name, "rb").read(), lambda: os.listdir("m/pages")])()

def work(what):
    while time.monotonic() < end:
        try:
            what()
        except OSError as error:
            if error.errno not in (1, 2, 16, 17, 116): # EPERM (a copy of a protected page came there), ENOENT, EBUSY, EEXIST, ESTALE
                failed.append((what, error))
                return

threads = [threading.Thread(target=work, args=(what,), daemon=True) for what in (batches, batches, others, others)]
# A map of a page that is deleted under it ends in SIGBUS: in a process of its own.
child = os.fork()
if child == 0:
    work(maps)
    print(*failed, file=sys.stderr, flush=True)
    os._exit(1 if failed else 0)
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(60 + float(sys.argv[1]))
    assert not thread.is_alive(), "it does not go on"
assert not failed, failed
_, status = os.waitpid(child, 0)
assert status in (0, 7), status
END
    unmount m
    expect 0 mappedpages check f.mpp
}

[ $# -gt 0 ] || set -- 1 0.2
for format; do
    rm -rf f.mpp d m
    expect 0 mappedpages create -f "$format" f.mpp
    mount_file f.mpp m
    try_tools
    try_bad
    try_caches
    try_endings
    try_crash
    try_crowd
done

# A mount that cannot write has none. Others may look, not write, however open pages are to them.
mount_file f.mpp m -o ro
[ ! -e m/batch ] || fail "it is there, read-only"
expect 1 cp x.tar m/batch
complained 'Read-only'
unmount m
[ "$(id -u)" = 0 ] && command -v runuser >/dev/null || exit 0
chmod 755 "$work"
rm f.mpp
expect 0 mappedpages create f.mpp
expect 0 mappedpages alloc f.mpp 9
mount_file f.mpp m -o allow_other,umask=0
expect 0 cp x.tar m/batch
runuser -u nobody -- cat m/batch | grep -q 'committed' || fail "others cannot read what became of it"
runuser -u nobody -- sh -c 'echo x >m/pages/9' || fail "others may write pages here"
runuser -u nobody -- sh -c 'cat x.tar >m/batch' 2>/dev/null && fail "others may write it"
exec 7>m/batch
mount -o remount,ro,bind m 2>/dev/null && fail "read-only while it is written"
exec 7>&-
within 20 mount -o remount,ro,bind m || fail "cannot be remounted"
expect 1 cp x.tar m/batch
mount -o remount,rw,bind m
unmount m
