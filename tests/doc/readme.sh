#!/bin/sh
# SPDX-License-Identifier: MIT
# What README.md says one can try works: its program compiles without a warning and counts its runs in a
# protected page; its commands mount a file, and lose nothing when the driver is killed.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
set -e

awk '/^```/ { inside = ($0 == "```c"); next } inside' "$top_srcdir/README.md" >counter.c
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

need_fuse
awk '/^```/ { inside = ($0 == "```sh"); next } inside' "$top_srcdir/README.md" | grep -v '^scripts/\|^sudo ' >try.sh
mounts="mnt mnt2"
expect 0 sh try.sh
grep -qx mnt/pages/3 out || fail "grep did not find the page with the word"
last=$(grep -x '[0-9]*' out) # the last commit that was acknowledged
shown=$(sed -n 's/^state //p' out)
[ "$last" -gt 0 ] || fail "nothing was committed before the driver was killed"
[ "$shown" -eq "$last" ] || [ "$shown" -eq $((last + 1)) ] || fail "state $shown is shown after $last"
within 20 mappedpages check my.mpp || fail "my.mpp is not sound"
within 20 mappedpages check killed.mpp || fail "killed.mpp is not sound"
mountpoint -q mnt && fail "still mounted"
mountpoint -q mnt2 && fail "still mounted"
mounts=
