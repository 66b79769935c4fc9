#!/bin/sh
# SPDX-License-Identifier: MIT
# Listings: in order of the ids, whole whatever changes meanwhile; sizes, /info and /raw.
if [ $# = 0 ]; then # in both formats
    "$0" 0.2 && exec "$0" 1
    exit
fi
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

count=3000
mappedpages create --page-size 1K --format "$1" f.mpp || fail "create"
mappedpages alloc --count $count f.mpp >ids || fail "alloc"
mappedpages alloc -p --count 100 f.mpp >/dev/null || fail "alloc -p"
mount_file f.mpp m -o raw

# ids DIR - what a listing gives, in its own order.
ids() {
    # shellcheck disable=SC2010 # the names are what ls lists, in its order
    ls -f "$1" | grep -v '^\.'
}

ids m/pages >listed
expect 0 sort -n -c listed
[ "$(wc -l <listed)" = $count ] || fail "$(wc -l <listed) pages are listed"
ids m/protected >listed
seq 0 99 | diff - listed >&2 || fail "protected pages are not listed 0 to 99"
ls m/pages >listed && ls m/pages | diff listed - >&2 || fail "the second listing differs"

# Half of it deleted while it is read: nothing twice, nothing missing that stays.
cat >during.py <<'END'
import os, sys
directory = "m/pages"
before = sorted(int(name) for name in os.listdir(directory))
kept = set(before[::2])
seen = []
with os.scandir(directory) as entries:
    for entry in entries:
        seen.append(int(entry.name))
        number = before[len(before) - len(seen)]
        if number not in kept and os.path.exists("%s/%d" % (directory, number)):
            os.unlink("%s/%d" % (directory, number))
assert len(seen) == len(set(seen)), "a page was listed twice"
assert kept <= set(seen), "a page was not listed"
# A listing that the kernel does not have in its cache misses what is deleted ahead of it.
for number in set(before) - kept:
    if os.path.exists("%s/%d" % (directory, number)):
        os.unlink("%s/%d" % (directory, number))
assert sorted(int(name) for name in os.listdir(directory)) == sorted(kept)
END
timeout 100 python3 during.py || fail "listing while deleting"
find m/pages -type f -name '*[02468]' -delete || fail "find -delete"
[ -z "$(find m/pages -name '*[02468]')" ] || fail "pages are left"
find m/pages -type f -delete || fail "find -delete"
[ -z "$(ls m/pages)" ] || fail "pages are left"

# A new page is listed at once.
touch m/pages/77 && [ "$(ls m/pages)" = 77 ] || fail "the listing: $(ls m/pages)"
touch m/pages/new && [ "$(ls m/pages | wc -l)" = 2 ] || fail "the listing: $(ls m/pages)"

# Sizes.
[ "$(stat -f -c %S m)" = 1024 ] || fail "block size: $(stat -f m)"
# Two pages fewer than before; but what others do on the disk below counts, too, so more than one try.
two_fewer() {
    blocks=$(stat -f -c %f m)
    touch m/pages/new m/pages/new || fail "new"
    [ "$(stat -f -c %f m)" -le $((blocks - 2)) ]
}
within 10 two_fewer || fail "$(stat -f -c %f m) free blocks after two pages, $blocks before"
[ "$(df --output=itotal m | tail -n 1)" -gt 100 ] || fail "df -i"

# What the command prints, live.
mappedpages info f.mpp >wanted || fail "info"
same m/info wanted
[ "$(stat -c %s m/info)" = "$(wc -c <wanted)" ] || fail "size of /info"
rm m/pages/77
grep -q "^regular pages: *$(find m/pages -type f | wc -l)\$" m/info || fail "/info is not live: $(cat m/info)"
echo x 2>/dev/null >m/info && fail "wrote to /info"

# The file itself, page by page.
pages=$(sed -n 's/^pages: *//p' m/info)
[ "$(ls m/raw | wc -l)" = "$pages" ] || fail "$(ls m/raw | wc -l) of $pages pages under /raw"
for page in 0 1 2 10; do
    dd if=f.mpp bs=1K skip=$page count=1 of=wanted status=none
    same m/raw/$page wanted
done

# That listing is of now, whatever other directories did to the file; by those who list both ways.
grown() {
    pages=$(sed -n 's/^pages: *//p' m/info)
    [ "$pages" -gt "$before" ] || fail "the file did not grow"
    [ "$(ls m/raw | wc -l)" = "$pages" ] || fail "$(ls m/raw | wc -l) of $pages pages under /raw after $1"
    [ "$(find m/raw -type f -size 2 | wc -l)" = "$pages" ] || fail "find in /raw after $1"
    before=$pages
}
before=$pages
touch "m/pages/$((before + 100))" && grown "creating a page"
echo x >m/pages/x.tmp && mv m/pages/x.tmp "m/pages/$((before + 100))" && grown "a rename"
python3 -c 'import os, sys
while os.stat("f.mpp").st_size < 1024 * (int(sys.argv[1]) + 10):
    os.close(os.open("m/protected/new", os.O_CREAT | os.O_WRONLY))' "$before" && grown "protected pages"
echo x 2>/dev/null >m/raw/10 && fail "wrote to /raw"
rm -f m/raw/10 2>/dev/null
[ -e m/raw/10 ] || fail "deleted from /raw"
unmount m
expect 0 mappedpages check f.mpp
mount_file f.mpp m
[ -e m/raw ] && fail "/raw is there unasked"
unmount m
