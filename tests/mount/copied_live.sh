#!/bin/sh
# SPDX-License-Identifier: MIT
# Copies of a file that is mounted, while eight threads commit through the mount as fast as they can: each opens, is without fault, and shows
# every page as one of its commits left it, none older than what was committed before the copying began; those that a ninth one
# changes together, by archives written to batch, as one and the same of its transactions left them. MPG_TEST_COPIES=n: so many,
# MPG_TEST_FILE_MIB=n: of a file of that size.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

cat >write.py <<'END'
# write.py MOUNT PAGES TOGETHER: each of eight threads stamps its protected pages, one after the other, and one more those behind them,
# all together; eight bytes for each page in `acknowledged` say how far they are.
import io, mmap, os, struct, sys, tarfile, threading
mount, pages, together = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
size = 4096
fd = os.open("acknowledged", os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 8 * (pages + together))
board = mmap.mmap(fd, 8 * (pages + together))
failed = []

def work(first):
    number = 0
    try:
        while not os.path.exists("enough"):
            number += 1
            for page in range(first, pages, 8):
                with open("%s/protected/%d" % (mount, page), "r+b", buffering=0) as file:
                    assert file.write(struct.pack("<Q", number) * (size // 8)) == size
                board[8 * page:8 * page + 8] = struct.pack("<Q", number)
    except Exception as error:
        failed.append(error)
        os._exit(1)

def archive(number):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for page in range(pages, pages + together):
            member = tarfile.TarInfo("protected/%d" % page)
            member.size = size
            tar.addfile(member, io.BytesIO(struct.pack("<Q", number) * (size // 8)))
    return made.getvalue()

def work_together():
    number = 0
    try:
        while not os.path.exists("enough"):
            number += 1
            with open(mount + "/batch", "wb", buffering=0) as file:
                content = archive(number)
                assert file.write(content) == len(content)
            board[8 * pages:] = struct.pack("<Q", number) * together
    except Exception as error:
        failed.append(error)
        os._exit(1)

threads = [threading.Thread(target=work, args=(i,)) for i in range(8)] + [threading.Thread(target=work_together)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
END
cat >judge.py <<'END'
# judge.py ARCHIVE BEFORE PAGES: every page is of one stamp, which is not older; those from PAGES on are all of the same.
import struct, sys, tarfile
before = open(sys.argv[2], "rb").read()
pages, stamps = 0, set()
for member in (archive := tarfile.open(sys.argv[1])):
    if not member.name.startswith("protected/"):
        continue
    page = int(member.name[10:])
    content = archive.extractfile(member).read()
    assert content == content[:8] * 512, "protected page %d is a mixture" % page
    stamp, = struct.unpack("<Q", content[:8])
    least, = struct.unpack_from("<Q", before, 8 * page)
    assert stamp >= least, "protected page %d shows %d, and %d was committed" % (page, stamp, least)
    pages += 1
    if page >= int(sys.argv[3]):
        stamps.add(stamp)
assert len(stamps) == 1, "what was changed together shows %s" % stamps
assert pages == len(before) // 8
END

pages=64
together=16
for format in 1 0.2; do
    rm -f enough acknowledged
    expect 0 mappedpages create --format $format live-$format
    expect 0 mappedpages alloc -p -c $((pages + together)) live-$format
    last=$((${MPG_TEST_FILE_MIB:-0} * 256 - 1))
    [ $format = 1 ] || [ $last -lt 32000 ] || last=32000 # it is small
    [ $last -lt 0 ] || expect 0 mappedpages alloc live-$format $last
    mount_file live-$format m-$format
    python3 write.py m-$format $pages $together 2>writer.err &
    writer=$!
    # shellcheck disable=SC2064
    trap "kill $writer 2>/dev/null; clean_up" EXIT
    within 60 sh -c '[ -s acknowledged ] && python3 -c "import sys; sys.exit(b\"\\0\" * 8 in [open(\"acknowledged\", \"rb\").read()[8 * i:8 * i + 8] for i in range(80)])"' ||
        fail "$format: nothing is written: $(cat writer.err)"
    for round in $(seq "${MPG_TEST_COPIES:-3}"); do
        cp acknowledged before
        expect 0 mappedpages copy --json live-$format copy
        sed -n 's/.*"held_us": \([0-9]*\).*/\1/p' out >>held
        expect 0 mappedpages check copy
        mappedpages dump copy >copy.tar || fail "$format, $round: dump"
        python3 judge.py copy.tar before $pages || fail "$format, copy $round"
        rm copy
    done
    kill -0 $writer || fail "$format: the writer ended: $(cat writer.err)"
    : >enough
    wait $writer || fail "$format: a commit through the mount failed: $(cat writer.err)"
    trap clean_up EXIT
    unmount m-$format
    expect 0 mappedpages check live-$format
    echo "format $format: the gate was closed for $(sort -n held | tail -n 1) us at most"
    rm held
done
