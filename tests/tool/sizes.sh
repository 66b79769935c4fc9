#!/bin/sh
# SPDX-License-Identifier: MIT
# Sizes are taken as people write them, wherever one is taken; and info shows them so, and nothing that nobody asked for.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

# made SIZE BYTES
made() {
    rm -f sized
    expect 0 mappedpages create -s "$1" sized
    mappedpages info -j sized | grep -q "\"page_size\": $2," || fail "$1 is not $2: $(mappedpages info -j sized)"
}
for size in 4096 4096B 4K 4k 4KiB 4kib 4Ki 4KIB; do
    case $size in
    4Ki) # half a unit is none
        expect 2 mappedpages create -s $size sized-$size
        [ ! -e sized-$size ] || fail "made with $size"
        ;;
    *) made $size 4096 ;;
    esac
done
made 1M 1048576
made 1MiB 1048576
made 1m 1048576
made 1GiB 1073741824
made 1G 1073741824
for size in 4KB 4Q 4KiBs 4K4 K iB '' ' 4K' '4 K' -4K +4K 04K 0x1000 4.5K 18446744073709551616 18014398509481984K 16E 99999999999999999999T; do
    expect 2 mappedpages create -s "$size" other
    complained "page size '$size' "
    [ ! -e other ] || fail "made with '$size'"
done
rm -f sized
expect 0 mappedpages create my.mpp
mappedpages dump my.mpp >my.tar || fail "dump"
for size in 1M 1MiB 1GiB 1T 512KiB; do
    expect 0 mappedpages load -m $size my.mpp <my.tar
done
expect 2 mappedpages load -m 1MB my.mpp <my.tar

# Bytes, and beside them what a person reads.
expect 0 mappedpages info my.mpp
grep -q '^page size: *4096 bytes (4 KiB)$' out || fail "the page size: $(cat out)"
grep -q '^file size: *16384 bytes (16 KiB)$' out || fail "the file size: $(cat out)"
grep -q ': *$' out && fail "an empty row: $(cat out)"
grep -Eq '[^0-9a-f-][0-9]{13}' out && fail "a limit that nobody asked for: $(cat out)"
cp out short
expect 0 mappedpages info -a my.mpp
grep -vxFf short out | cut -d : -f 1 >besides
[ "$(tr '\n' , <besides)" = "most pages,most protected,label,space tree,directory tree,features," ] ||
    fail "--all shows these besides: $(cat besides)"
grep -vxFf out short >less
[ ! -s less ] || fail "--all does not show: $(cat less)"
# Where they are met, limits are shown.
expect 0 mappedpages create -f 0.2 -s 1M small.mpp
expect 0 mappedpages info small.mpp
grep -q '^most pages: *[0-9]' out || fail "the limit of a small format: $(cat out)"
truncate -s 1536000 my.mpp
expect 0 mappedpages info my.mpp
grep -q '^file size: *1536000 bytes (1.4 MiB)$' out || fail "the file size: $(cat out)"
