#!/bin/sh
# SPDX-License-Identifier: MIT
# What README.md says one can try works: its program compiles without a warning and counts its runs in a
# protected page; its commands mount a file; nothing is lost when the driver is killed, as its demonstration shows;
# its figures are those of doc/performance.md, its pictures are there, and its map is true.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
set -e
readme=$top_srcdir/README.md

awk '/^```/ { inside = ($0 == "```c"); next } inside' "$readme" >counter.c
[ -s counter.c ]
# The words of $CC and $SANITIZERS are to be split.
# shellcheck disable=SC2086
"$top_builddir/libtool" --silent --tag=CC --mode=link ${CC:-cc} -std=c11 -Wall -Wextra -Werror ${SANITIZERS:-} \
    -static -I"$top_srcdir/src/api" -o counter counter.c "$top_builddir/src/libmappedpages.la"
set +e
for run in 1 2 3; do
    expect 0 ./counter
    said "run number $run"
done

# What is wrong with the file is told, not that it is there.
echo "not a page file" >counter.mpp
expect 1 ./counter
complained 'counter.mpp: '
grep -q exist err && fail "a damaged file was taken for one that is missing: $(cat err)"

# figure ROW - the number of that row of the tables.
figure() {
    sed -n "s#^ *$1 *| *\([0-9.]*\) .*#\1#p" "$top_srcdir/doc/performance.md" | head -n 1
}
# about TEXT FIGURE - fails unless README.md has TEXT, where @ is FIGURE with one decimal.
about() {
    [ -n "$2" ] || fail "doc/performance.md has no such row: $1"
    text=$(echo "$1" | sed "s/@/$(echo "$2" | awk '{ printf "%.1f", int($1 * 10 + 0.01) / 10 }')/")
    tr '\n' ' ' <"$readme" | tr -d '*' | tr -s ' ' | grep -qF "$text" || fail "README.md does not say: $text"
}
about '@ times as fast as LMDB' "$(figure 'protected commit / LMDB put')"
about '@ times as fast as SQLite' "$(figure 'protected commit / SQLite (WAL, FULL)')"
about '@ times as long as one write' "$(figure 'protected commit / floor' | awk '{ print 1 / $1 + 0.05 }')"
about 'opens in @ ms' "$(figure 'open, 1 TiB, 10^8 pages allocated')"

grep -o 'doc/pictures/[a-z-]*\.svg' "$readme" | sort -u >pictures
[ "$(wc -l <pictures)" -ge 5 ] || fail "few pictures: $(cat pictures)"
while read -r picture; do
    python3 -c 'import sys, xml.dom.minidom as x; x.parse(sys.argv[1])' "$top_srcdir/$picture" ||
        fail "$picture is no picture"
done <pictures

# The map is what the command draws now of the file that its script makes.
expect 0 "$top_srcdir/scripts/map-picture" "$top_builddir" map.svg
cmp map.svg "$top_srcdir/doc/pictures/map.svg" >&2 || fail "the map in README.md is another one: scripts/map-picture draws it"

need_fuse
awk '/^```/ { inside = ($0 == "```sh"); next } inside' "$readme" | grep -v '^scripts/\|^sudo ' >try.sh
mounts="mnt"
expect 0 sh try.sh
grep -qx mnt/pages/3 out || fail "grep did not find the page with the word"
within 20 mappedpages check my.mpp || fail "my.mpp is not sound"
mountpoint -q mnt && fail "still mounted"
mounts=

# It prints what README.md shows, but for the numbers, and has reasons to fail.
expect 0 "$top_srcdir/scripts/kill-demo" "$top_builddir" 2
[ "$(wc -l <out)" -eq 2 ] || fail "not two rounds: $(cat out)"
sed 's/[0-9][0-9]*/N/g' out | sort -u >shown
awk '/^```/ { inside = ($0 == "```console"); next } inside && !/^\$/' "$readme" | sed 's/[0-9][0-9]*/N/g' | sort -u |
    diff - shown >&2 || fail "README.md shows something else (<)"
