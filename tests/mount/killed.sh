#!/bin/sh
# SPDX-License-Identifier: MIT
# The driver is killed in the middle of things: the next mount finds everything that was acknowledged.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

# Each worker notes what it is about to do, does it, and notes that it was acknowledged.
cat >worker.py <<'END'
import os, sys
kind, number, log = sys.argv[1], int(sys.argv[2]), open(sys.argv[3], "w", buffering=1)
base = 100 + 100 * number
step = 0
try:
    while True:
        step += 1
        if kind == "create":
            path = "m/pages/%d" % (base + step % 50)
            verb = "unlink" if os.path.exists(path) else "create"
            log.write("? %s %s\n" % (verb, path))
            if verb == "create":
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            else:
                os.unlink(path)
            log.write("! %s %s\n" % (verb, path))
        elif kind == "commit":
            path = "m/protected/%d" % number
            log.write("? commit %s %d\n" % (path, step))
            fd = os.open(path, os.O_WRONLY)
            for part in range(0, 4096, 1024):
                os.pwrite(fd, b"%08d" % step * 128, part)
            os.close(fd)
            log.write("! commit %s %d\n" % (path, step))
        else:
            path = "m/pages/%d" % base
            log.write("? rename %s %d\n" % (path, step))
            with open("m/pages/%d.tmp" % number, "wb") as file:
                file.write(b"%08d" % step)
            os.replace("m/pages/%d.tmp" % number, path)
            log.write("! rename %s %d\n" % (path, step))
except OSError:
    pass  # the driver is gone
END

cat >verify.py <<'END'
import glob, os, sys
for name in glob.glob("log.*"):
    state, pending = {}, None
    for line in open(name):
        if not line.endswith("\n"):
            break
        mark, verb, path, *step = line.split()
        if mark == "?":
            pending = (verb, path, step)
        else:
            state[path] = (verb, step)
            pending = None
    for path, (verb, step) in state.items():
        doubtful = [pending] if pending and pending[1] == path else []
        allowed = [(verb, path, step)] + doubtful
        if verb in ("create", "unlink"):
            there = os.path.exists(path)
            assert there in [v == "create" for v, _, _ in allowed], (path, allowed)
            if there:
                assert open(path, "rb").read() == bytes(4096), path
        else:
            content = open(path, "rb").read()
            wanted = [b"%08d" % int(s[0]) for _, _, s in allowed]
            if verb == "commit":
                assert content in [w * 512 for w in wanted], (path, content[:8], wanted)
            elif not doubtful:
                assert content == wanted[0].ljust(4096, b"\0"), (path, content[:8], wanted)
    if not state:
        sys.exit("nothing was acknowledged in " + name)
END

# And fio, whose blocks tell by themselves whether they are whole. It is in a loop that only the end of the driver ends.
fio_on_pages() {
    fio --bs=512 --size=4k --rw=randwrite --fsync=8 --ioengine=psync --fallocate=none --verify=crc32c --verify_fatal=1 \
        "$@" --name=protected --filename="$work/m/protected/6" --name=regular --filename="$work/m/pages/$page" >fio.out 2>&1
}

pauses='0.1 0.37'
[ -z "${MPG_TEST_SECONDS:-}" ] || pauses='0.11 0.23 0.3 0.41 0.53 0.67 0.2 0.37 0.7 1'
for format in 0.2 1; do
    rm -f f.mpp
    mappedpages create --page-size 4096 --format $format f.mpp || fail "create"
    mappedpages alloc -p --count 10 f.mpp >/dev/null || fail "alloc -p"
    for pause in $pauses; do
        fio=$(command -v fio)
        [ "$pause" != 0.1 ] || fio= # one round with it is enough
        mount_file f.mpp m
        rm -f log.* m/pages/[1-9]*
        if [ -n "$fio" ]; then
            rm -f m/protected/6
            touch m/protected/6 m/pages/new && page=$(cat m/pages/last) || fail "no pages for fio"
            fio_on_pages --do_verify=0 || fail "fio: status $?: $(cat fio.out)"
        fi
        workers=
        for number in 1 2 3; do
            for kind in create commit; do
                python3 worker.py $kind $number log.$kind.$number &
                workers="$workers $!"
            done
        done
        python3 worker.py rename 5 log.rename.5 &
        workers="$workers $!"
        if [ -n "$fio" ]; then
            (! fio_on_pages --loops=1000000) &
            verifier=$!
        fi
        for log in create.1 create.2 create.3 commit.1 commit.2 commit.3 rename.5; do
            within 20 grep -q '^!' log.$log || fail "nothing was acknowledged in log.$log"
        done
        sleep "$pause"
        kill -9 "$(cat m.pid)"
        # shellcheck disable=SC2086 # the words are to be split
        wait $workers
        if [ -n "$fio" ]; then
            wait "$verifier" || fail "fio: nobody told it that the driver is gone: $(cat fio.out)"
            ! grep -q '^verify: \|verify failed' fio.out || fail "fio reads back something else: $(cat fio.out)"
        fi
        fusermount3 -u -z m
        wait "$(cat m.pid)" 2>/dev/null
        expect 0 mappedpages check f.mpp
        mount_file f.mpp m
        python3 verify.py || fail "format $format after $pause s"
        [ -z "$fio" ] || fio_on_pages --verify_only || fail "fio, format $format after $pause s: $(cat fio.out)"
        unmount m
    done
done
