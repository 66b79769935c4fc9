#!/bin/sh
# SPDX-License-Identifier: MIT
# Each example of doc/repair.md, in the order in which they stand there, on a file that is damaged as the text says. Checksums
# differ from file to file.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

document=$top_srcdir/doc/repair.md

# destroy FILE BYTE COUNT - with zeros.
destroy() {
    dd if=/dev/zero of="$1" bs=1 seek="$2" count="$3" conv=notrunc status=none
}

# example NUMBER - what stands there: commands after a "$", and what they say.
example() {
    awk -v wanted="$1" '
        /^    \$ / && !inside { inside = 1; number++ }
        !/^    / { inside = 0 }
        inside && number == wanted { print substr($0, 5) }' "$document"
}

without_checksums() {
    sed -E 's/\b[0-9a-f]{8}\b/CHECKSUM/g' "$1"
}

# runs NUMBER - its commands say what stands there. (Their words have no spaces in them.)
runs() {
    example "$1" >wanted
    [ -s wanted ] || fail "there is no example $1"
    sed -n 's/^\$ //p' wanted | while read -r line; do
        echo "\$ $line"
        $line 2>&1 </dev/null
    done >got
    without_checksums wanted >wanted.text
    without_checksums got | diff -u wanted.text - >&2 || fail "example $1 of repair.md says something else"
}

# 1: a root is lost.
make_pages data.mpp 1 3
destroy data.mpp 8192 4096
runs 1

# 2: both slots of a node are.
mappedpages create -q -s 1K node.mpp 2>/dev/null || expect 0 mappedpages create -s 1K node.mpp
expect 0 mappedpages alloc -p -c 100 node.mpp
expect 0 mappedpages alloc -c 1000 node.mpp
destroy node.mpp 5120 512
destroy node.mpp 70656 512
runs 2

# 3: page 0 is, and is mended; 4: that is taken back.
rm data.mpp
make_pages data.mpp 1 3
destroy data.mpp 0 4096
cp data.mpp damaged.mpp
runs 3
runs 4
same data.mpp damaged.mpp

# 5: page 0 is, and what is there goes to a new file.
runs 5
expect 0 mappedpages check new.mpp

[ "$(grep -c '^    \$ ' "$document")" -eq 5 ] || fail "there are examples that this test does not know"
