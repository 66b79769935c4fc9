#!/bin/sh
# SPDX-License-Identifier: MIT
# Many pages named at once: ranges, and list --ids for what takes ids as arguments; and a page as a hexdump.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

expect 0 mappedpages create --page-size 1K file
expect 0 mappedpages alloc file 3-7 9 20-21
said 3 4 5 6 7 9 20 21
expect 0 mappedpages list --regular --ids file
said 3 4 5 6 7 9 20 21
expect 0 mappedpages free file 4-6 20-20
expect 0 mappedpages list -ri file
said 3 7 9 21
expect 0 mappedpages alloc -p file 0-2
expect 0 mappedpages list --protected --ids file
said 0 1 2
expect 0 mappedpages free -p file 1-2

# Several in one argument.
expect 0 mappedpages alloc file 30,32-34,36 38
said 30 32 33 34 36 38
expect 0 mappedpages free file 30,36,32-34 38

# All or none: 8 is not allocated.
expect 3 mappedpages free file 7-9
expect 0 mappedpages list -ri file
said 3 7 9 21
# The words are to be split.
# shellcheck disable=SC2046
expect 0 mappedpages free file $(mappedpages list -ri file)
expect 0 mappedpages list -ri file
said_nothing

for range in 9-7 3- '3,5-' '3,' ',3' '3,,5' '3,3' '3-5,4' -3 3-4-5 3-x 03-5 3-05 3--5 0-18446744073709551615 0-16777216; do
    expect 2 mappedpages free file -- "$range"
    [ "$range" != 3- ] || complained "the range '3-' has no end"
done
expect 2 mappedpages free file 3-5 4
complained 'page 4 is named twice'
# More than there is memory for the ids of is told by that, not by how much memory it would be.
# shellcheck disable=SC3045 # where it is not there, this is left out
if (ulimit -v 500000 && mappedpages list file) >/dev/null 2>&1; then
    (ulimit -v 500000 && mappedpages alloc -c 99999999 file) 2>err && fail "allocated more than there is memory for"
    complained 'file: not enough memory for the ids of 99999999 pages; ask for fewer at a time'
fi
expect 2 mappedpages list --ids file
expect 2 mappedpages list --ids --regular --long file
expect 2 mappedpages list --ids --regular --json file

# read -x says what hexdump says.
expect 0 mappedpages alloc -z file 3
{
    printf 'first line of it\001\177'
    head -c 500 /dev/zero
    printf 'end'
} | mappedpages write file 3 || fail "write"
expect 0 mappedpages read -x file 3
grep -qx '00000000  66 69 72 73 74 20 6c 69  6e 65 20 6f 66 20 69 74  |first line of it|' out || fail "$(cat out)"
grep -qx '00000010  01 7f 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|' out || fail "$(cat out)"
[ "$(grep -c '^\*$' out)" -eq 2 ] || fail "not two gaps: $(cat out)"
tail -n 1 out | grep -qx 00000400 || fail "the end: $(tail -n 1 out)"
expect 0 mappedpages read -x -p file 0
grep -q '^00000000  00 00' out || fail "$(cat out)"
