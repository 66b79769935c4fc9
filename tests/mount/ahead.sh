#!/bin/sh
# SPDX-License-Identifier: MIT
# Reading pages in order makes the driver push those that follow; what is read is right all the same,
# while others write.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

count=2000
mappedpages create --page-size 4096 f.mpp || fail "create"
mappedpages alloc --zero --count $count f.mpp >/dev/null || fail "alloc"

cat >ahead.py <<'END'
import mmap, os, random, sys, threading

ids = sorted(int(name) for name in os.listdir("m/pages"))
path = "m/pages/%d"

def fill():
    for id in ids:
        with open(path % id, "r+b") as file:
            file.write(b"%08d" % id * 512)

def read_in_order():
    for id in ids:
        with open(path % id, "rb") as file:
            assert file.read() == b"%08d" % id * 512, id

def drop_caches():
    """Lists with attributes, so that the kernel knows the files, and forgets their content."""
    for id in ids:
        fd = os.open(path % id, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)

if sys.argv[1] == "fill":
    fill()
elif sys.argv[1] == "read":
    drop_caches()
    read_in_order()
else:
    # One thread reads in order, again and again, while others change pages just before it gets there.
    versions = {id: 0 for id in ids}
    done = threading.Event()
    failures = []

    def content(id, version):
        return (b"%06d.%05d" % (id, version)).ljust(4096, b"+")

    def reader():
        while not done.is_set():
            drop_caches()
            for id in ids:
                with open(path % id, "rb") as file:
                    file.read()

    def writer(seed):
        choose = random.Random(seed)
        mine = ids[seed::4]
        for step in range(1, 4000):
            id = choose.choice(mine)
            versions[id] += 1
            new = content(id, versions[id])
            way = choose.randrange(3)
            if way == 0:
                with open(path % id, "r+b") as file:
                    file.write(new)
            elif way == 1:
                os.truncate(path % id, 0)
                with open(path % id, "rb") as file:
                    if file.read() != bytes(4096):
                        failures.append(("truncated", id))
                with open(path % id, "r+b") as file:
                    file.write(new)
            else:
                with open(path % id, "r+b") as file:
                    map = mmap.mmap(file.fileno(), 4096)
                    map[:] = new
                    map.close()
            with open(path % id, "rb") as file:
                if file.read() != new:
                    failures.append(("written", way, id))

    threads = [threading.Thread(target=writer, args=(seed,)) for seed in range(4)]
    reading = threading.Thread(target=reader)
    reading.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    reading.join()
    assert not failures, failures[:5]
    for id in ids:
        if versions[id]:
            with open(path % id, "rb") as file:
                assert file.read() == content(id, versions[id]), id
    drop_caches()
    for id in ids:
        if versions[id]:
            with open(path % id, "rb") as file:
                assert file.read() == content(id, versions[id]), id
END

mount_file f.mpp m
timeout 60 python3 ahead.py fill || fail "fill"
unmount m

# Something is pushed, on a writable mount as on a read-only one.
for options in '' '-o ro'; do
    # shellcheck disable=SC2086 # the words are to be split
    mount_file f.mpp m -d $options
    ls -l m/pages >/dev/null
    : >m.log
    timeout 60 python3 ahead.py read || fail "reading in order: mount $options"
    grep -q 'NOTIFY: code=4' m.log || grep -q 'opcode: READ ' m.log || fail "no request at all"
    reads=$(grep -c 'opcode: READ ' m.log)
    [ "$reads" -lt $((count * 9 / 10)) ] || fail "mount $options: $reads reads of $count pages: nothing was pushed"
    unmount m
done

mount_file f.mpp m
ls -l m/pages >/dev/null
timeout 100 python3 ahead.py both || fail "reading in order and writing"
unmount m
expect 0 mappedpages check f.mpp
