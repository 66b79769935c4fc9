#!/bin/sh
# SPDX-License-Identifier: MIT
# A read-only mount beside a writer shows committed states, each whole, and follows the writer.
if [ $# = 0 ]; then # in both formats
    "$0" 0.2 && exec "$0" 1
    exit
fi
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

mappedpages create --page-size 4096 --format "$1" f.mpp || fail "create"
mount_file f.mpp w
for id in 10 11 12; do
    echo "page $id" >w/pages/$id
done
echo zero >w/protected/0
mount_file f.mpp r -o ro,raw

# Whatever is done in one is there in the other at once, by each way of asking.
agree() {
    diff -r w/pages r/pages >&2 && diff -r w/protected r/protected >&2 || fail "they differ after $1"
    [ "$(ls -f r/pages | sort)" = "$(ls -f w/pages | sort)" ] || fail "listings differ after $1"
    cmp w/info r/info >&2 || fail "/info differs after $1"
}
agree "mounting"
echo one >w/protected/0 && agree "a commit"
echo changed >w/pages/11 && agree "a write"
touch w/pages/13 w/protected/1 && agree "creating"
[ -f r/pages/13 ] && [ "$(stat -c %s r/protected/1)" = 4096 ] || fail "what was created is not there"
rm w/pages/12 && agree "deleting"
[ -e r/pages/12 ] && fail "what was deleted is there"
mv w/pages/10 w/pages/20 && agree "a rename"
touch w/pages/500 && agree "growing the file"
[ "$(ls r/raw | wc -l)" = "$(sed -n 's/^pages: *//p' w/info)" ] || fail "/raw"
touch r/pages/new 2>err && fail "created a page"
complained 'Read-only'
[ "$(stat -c %Y r/pages/20)" -gt $(($(date +%s) - 600)) ] || fail "time: $(stat r/pages/20)"

# An open file and a map follow, too; a map within a moment.
cat >open.py <<'END'
import mmap, os, time
fd = os.open("r/protected/0", os.O_RDONLY)
regular = os.open("r/pages/11", os.O_RDONLY)
maps = [mmap.mmap(f, 4096, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) for f in (fd, regular)]
for turn in range(3):
    content = b"turn %d" % turn
    for name in "w/protected/0", "w/pages/11":
        with open(name, "r+b") as page:
            page.write(content)
    assert os.pread(fd, 6, 0) == os.pread(regular, 6, 0) == content
    deadline = time.monotonic() + 60
    while any(content_of[:6] != content for content_of in maps):
        assert time.monotonic() < deadline, "a map never showed what was committed"
        time.sleep(0.05)
END
python3 open.py || fail "open files"

# Commit after commit, each of a page full of one number: no reader sees half of one, an older one after
# a newer one, or an error; nor do listings miss what stays.
cat >commits.py <<'END'
import os, struct, sys, threading
STEPS = int(sys.argv[1])
def whole(number):
    return struct.pack("<I", number) * 1024
def write():
    for number in range(1, STEPS + 1):
        fd = os.open("w/protected/%d" % (number % 2), os.O_WRONLY)
        os.write(fd, whole(number))
        os.close(fd)
        os.close(os.open("w/pages/%d" % (600 + number % 7), os.O_CREAT | os.O_WRONLY))
        if number % 7 == 0:
            for other in range(7):
                os.path.exists("w/pages/%d" % (600 + other)) and os.unlink("w/pages/%d" % (600 + other))
def read(page):
    newest = 0
    while not done:
        fd = os.open("r/protected/%d" % page, os.O_RDONLY)
        content = os.read(fd, 4096)
        os.close(fd)
        number = struct.unpack("<I", content[:4])[0]
        if content != whole(number) or number < newest:
            wrong.append("page %d shows %d after %d, whole: %s" % (page, number, newest, content == whole(number)))
            return
        newest = number
        if not {"11", "13", "20", "500"} <= set(os.listdir("r/pages")):
            wrong.append("a page is not listed")
            return
def run(function, *arguments):
    try:
        function(*arguments)
    except BaseException as error:
        wrong.append(repr(error))
for page in 0, 1:
    with open("w/protected/%d" % page, "r+b", buffering=0) as file:
        file.write(whole(0))
done, wrong = False, []
readers = [threading.Thread(target=run, args=(read, page)) for page in (0, 1, 0, 1)]
for reader in readers:
    reader.start()
run(write)
done = True
for reader in readers:
    reader.join()
assert not wrong, wrong
END
timeout 200 python3 commits.py "${MPG_FOLLOW_COMMITS:-300}" || fail "a reader saw what never was"
agree "all of that"

# Another writer comes, and goes.
unmount w
echo gone | mappedpages write -p f.mpp 0 >/dev/null 2>&1
mount_file f.mpp w
echo "another writer" >w/protected/0 && touch w/pages/30 && agree "another writer"
unmount w
[ "$(head -n 1 r/protected/0)" = "another writer" ] || fail "without a writer"
unmount r
grep -v 'serving' r.log && fail "the reader logged something"
expect 0 mappedpages check f.mpp
