#!/bin/sh
# SPDX-License-Identifier: MIT
# Damaged files of the crate: each is checked, rescued and repaired. What says that it is whole is whole to a reader that
# checks every rule; what is not there as it was is told; and a repair is taken back byte for byte.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

strict() {
    python3 "$top_srcdir/tests/support/reader_0_2.py" --strict "$1" >out 2>&1 || fail "$2: the strict reader refuses it: $(cat out)"
}

# rescue_and_repair FILE STATUS - rescue ends with that status; 3: nothing can be done with it.
rescue_and_repair() {
    rm -f new mended mended.undo
    cp "$1" mended
    chmod u+w mended
    expect 1 mappedpages check -q mended
    expect "$2" mappedpages rescue -q "$1" new
    if [ "$2" -eq 3 ]; then
        expect 3 mappedpages check -qr --yes mended
        same "$1" mended
        return
    fi
    expect 0 mappedpages check -q new
    strict new "$1, rescued"
    expect 0 mappedpages check -qr --yes mended
    expect 0 mappedpages check -q mended
    strict mended "$1, repaired"
    expect 0 mappedpages check -q --undo mended.undo mended
    same "$1" mended
}

# What is lost, or in doubt, by file; of all others everything is saved.
for dump in "$golden"/*.dump; do
    grep -q error "$dump" || continue
    name=$(basename "$dump" .dump)
    case $name in
    nothing | ten-bytes) status=3 ;;
    bad-both-dir | dir-block-out-of-range | dir-entr* | protected-bit-rot | three-pages | truncated-half) status=1 ;;
    *) status=0 ;;
    esac
    rescue_and_repair "$golden/$name.mpp" $status
done
# These open, and one of two copies is damaged.
rescue_and_repair "$golden/bad-active-dir.mpp" 1
rescue_and_repair "$golden/bad-active-meta.mpp" 0

# damage NAME PYTHON - the same of a whole file of the crate, after that was done to its bytes, d.
damage() {
    python3 -c "
d = bytearray(open('$golden/v02-1024-mixed.mpp', 'rb').read())
block = [int.from_bytes(d[24 + 8 * i:32 + 8 * i], 'little') for i in range(2)]
$2
open('$1', 'wb').write(d)" || fail "$1"
}
damage page-0 'd[0:1024] = bytes(1024)'
mappedpages info page-0 2>err && fail "a file without page 0 opens"
complained 'it was one: its page 0 is overwritten'
damage both-blocks 'for page in block: d[page * 1024:page * 1024 + 1024] = bytes(1024)'
rescue_and_repair both-blocks 1
rm new
expect 1 mappedpages rescue -q both-blocks new
grep -q '^orphan: nothing is known of protected pages 0 to 32 ' out || fail "lost ids are not told: $(cat out)"
grep -q '; 0 regular pages saved, [0-9]* more that may be regular ones$' out || fail "who had a page is said to be known: $(cat out)"
expect 1 mappedpages check -qr mended </dev/null
same both-blocks mended
damage cut-by-one 'd = d[:-1]'
damage page-size 'd[8] = 0'
damage stamped 'd[0:4] = b"DAMN"'
for name in page-0 cut-by-one page-size stamped; do
    mappedpages rescue -q $name rescued-$name >out 2>err
    status=$?
    [ $status -le 1 ] || fail "$name: nothing is saved: $(cat err)"
    rescue_and_repair $name $status
done

# A byte of the index says which copy of a block counts. Where the index does not hold, the later one does.
python3 -c "
d = bytearray(open('$golden/bad-dir-index.mpp', 'rb').read())
d[40] ^= 1
open('whole', 'wb').write(d)" || fail "whole"
expect 0 mappedpages check -q whole
rm -f new
expect 0 mappedpages rescue -q "$golden/bad-dir-index.mpp" new
mappedpages read -p whole 28 >wanted
mappedpages read -p new 28 | cmp - wanted >&2 || fail "an older content of page 28 is rescued"
