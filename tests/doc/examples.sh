#!/bin/sh
# SPDX-License-Identifier: MIT
# The EXAMPLES in the manual pages of the two programs do what is said of them, one after the other in one directory.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

# examples PAGE - its examples, as one types them.
examples() {
    sed -n '/^\.SH EXAMPLES/,/^\.SH SEE ALSO/p' "$top_srcdir/doc/$1" |
        awk '$0 == ".nf" { inside = 1; next } $0 == ".fi" { inside = 0 } inside' | sed 's/\\-/-/g; s/\\(aq/'"'"'/g; s/\\e/\\/g'
}

mkdir command driver
cd command || exit 99
examples mappedpages.1 >script
[ "$(grep -c mappedpages script)" -ge 10 ] || fail "these are the examples: $(cat script)"
expect 0 sh -e -u ./script
[ ! -s err ] || fail "the examples of mappedpages(1) complain: $(cat err)"
said 0 hello 100 none
expect 0 mappedpages check data.mpp
expect 0 mappedpages list data.mpp
said "protected 0"
expect 0 mappedpages list other.mpp
[ "$(grep -c '^page ' out)" -eq 2 ] || fail "not two regular pages: $(cat out)"
grep -qx 'page 100' out || fail "page 100 is not in the file of the other format: $(cat out)"

need_fuse
cd ../driver || exit 99
mounts=mnt
examples mappedpagesfs.1 | tee all | sed '/^fusermount3/,$d' >script
grep -q '^fusermount3 -u mnt$' all || fail "the examples do not end with an unmount: $(cat all)"
expect 0 sh -e -u ./script
page=$(sed -n '1s/^==> \(.*\) <==$/\1/p' out)
said "==> $page <==" "any page" "" "==> mnt/protected/0 <==" "never half of this"
[ "$(head -n 1 "$page")" = 'all of it' ] || fail "$page is not what was renamed to it"
[ "$(dd if=mnt/protected/0 bs=8 skip=4 count=1 status=none)" = 12345678 ] || fail "the eight bytes are not there"
[ "$(head -n 1 mnt/protected/0)" = "never half of this" ] || fail "something else was changed"
take_down mnt
mounts=
within 20 mappedpages check data.mpp || fail "data.mpp is not sound"
