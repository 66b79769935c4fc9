#!/bin/sh
# SPDX-License-Identifier: MIT
# label and uuid show and change what names a file of format 1; nothing else of it changes, and format 0.2 has neither.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

# is_whole FILE - it keeps every rule of the format, and shows what it showed at first
is_whole() {
    expect 0 mappedpages check "$1"
    python3 "$top_srcdir/tests/support/reader_1.py" --strict "$1" >strict 2>&1 || fail "$1: $(cat strict)"
    mappedpages dump "$1" | tar xOf - pages protected >now || fail "$1: dump"
    cmp -s now first || fail "$1: other pages"
}

for size in 1K 4K 64K; do
    rm -f f.mpp
    expect 0 mappedpages create --page-size $size --label before f.mpp
    expect 0 mappedpages alloc -p -c 40 f.mpp
    expect 0 mappedpages alloc -c 40 f.mpp
    echo content | mappedpages write -p f.mpp 7 || fail "write"
    mappedpages dump f.mpp | tar xOf - pages protected >first

    expect 0 mappedpages label f.mpp
    said before
    sixty_four=$(printf '%064d' 7)
    for label in x "$sixty_four" 'ein Wörtchen' before ''; do
        expect 0 mappedpages label f.mpp "$label"
        said_nothing
        expect 0 mappedpages label f.mpp
        said "$label"
        is_whole f.mpp
    done
    expect 0 mappedpages label --json f.mpp again
    grep -q '"label": "again"' out || fail "$(cat out)"

    uuid=$(mappedpages uuid f.mpp) || fail "uuid"
    chmod 640 f.mpp
    expect 0 mappedpages uuid f.mpp 00112233-4455-6677-8899-aabbccddeeFF
    said 00112233-4455-6677-8899-aabbccddeeff
    expect 0 mappedpages uuid --json f.mpp
    grep -q '"uuid": "00112233-4455-6677-8899-aabbccddeeff"' out || fail "$(cat out)"
    is_whole f.mpp
    [ "$(stat -c %a f.mpp)" = 640 ] || fail "mode $(stat -c %a f.mpp)"
    expect 0 mappedpages label f.mpp
    said again
    ln -s f.mpp link
    expect 0 mappedpages uuid -q link new
    said_nothing
    [ -L link ] || fail "the link is gone"
    rm link
    new=$(mappedpages uuid f.mpp)
    [ "$new" != "$uuid" ] && [ "$new" != 00112233-4455-6677-8899-aabbccddeeff ] || fail "it is not new: $new"
    is_whole f.mpp
done
[ "$(find . -name 'f.mpp*' | wc -l)" = 1 ] || fail "something was left: $(ls)"

# What makes no sense.
for wrong in x 00112233-4455-6677-8899-aabbccddee 00112233445566778899aabbccddeeff \
    00112233-4455-6677-8899-aabbccddeefff 00000000-0000-0000-0000-000000000000 \
    0011223g-4455-6677-8899-aabbccddeeff ''; do
    expect 2 mappedpages uuid f.mpp "$wrong"
done
expect 2 mappedpages label f.mpp "${sixty_four}5"
expect 2 mappedpages label f.mpp a b
[ "$(mappedpages label f.mpp)" = again ] && [ "$(mappedpages uuid f.mpp)" = "$new" ] || fail "it changed"

# Text from a file cannot steer a terminal.
expect 0 mappedpages label f.mpp "$(printf '\033[31m')"
expect 0 mappedpages label f.mpp
said '\x1b[31m'

# Format 0.2 has neither, and says so; nothing is changed.
expect 0 mappedpages create --format 0.2 old.mpp
sum=$(md5sum <old.mpp)
for words in 'label old.mpp' 'label old.mpp x' 'uuid old.mpp' 'uuid old.mpp new'; do
    # shellcheck disable=SC2086
    expect 3 mappedpages $words
    said_nothing
    complained 'old.mpp: files of format 0.2 have no '
done
[ "$(md5sum <old.mpp)" = "$sum" ] || fail "a file of format 0.2 was changed"
expect 3 mappedpages uuid --json old.mpp
grep -q '"name": "INVALID"' out || fail "$(cat out)"

# A file that is busy; and one that may only be read.
hold f.mpp
for words in 'label -w 0 f.mpp x' 'uuid -w 0 f.mpp new'; do
    # shellcheck disable=SC2086
    expect 3 mappedpages $words 8>&-
    complained 'f.mpp: busy: open in process'
done
expect 0 mappedpages uuid f.mpp 8>&-
said "$new"
exec 8>&-
