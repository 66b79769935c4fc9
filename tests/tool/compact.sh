#!/bin/sh
# SPDX-License-Identifier: MIT
# mappedpages compact: a file becomes short and shows what it showed; --renumber tells the numbers; busy, read-only, full
# standard output, JSON; files of the crate as its rules want them; damage is left alone.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

pages_of() { # FILE
    mappedpages info --json "$1" | sed -n 's/.*"total_pages": \([0-9]*\).*/\1/p'
}

contents_of() { # FILE DIRECTORY
    rm -rf "$2" && mkdir "$2"
    mappedpages dump "$1" >archive || fail "dump $1"
    tar xf archive -C "$2" || fail "tar"
    rm "$2/info.json"
}

# fill FILE FORMAT - 12 protected pages, and regular ones at 3 to 9 and at 2600, 2700.
fill() {
    rm -f "$1"
    expect 0 mappedpages create --format "$2" -n 3000 "$1"
    expect 0 mappedpages alloc "$1" 3-9 2600 2700
    expect 0 mappedpages alloc -p -c 12 "$1"
    for id in 0 5 11; do
        echo "protected $id" | mappedpages write -p "$1" $id || fail "write"
    done
    for id in 4 2600 2700; do
        echo "page $id" | mappedpages write "$1" $id || fail "write"
    done
}

for format in 1 0.2; do
    fill a.mpp $format
    contents_of a.mpp before
    expect 0 mappedpages compact --json a.mpp
    grep -q '"pages_before": 3000' out || fail "$(cat out)"
    [ "$(pages_of a.mpp)" -eq 2701 ] || fail "[$format] $(pages_of a.mpp) pages"
    contents_of a.mpp after
    diff -r before after >&2 || fail "[$format] it shows something else"
    expect 0 mappedpages check a.mpp
    # A copy is as short, in either format.
    fill in_use.mpp $format
    expect 0 mappedpages free in_use.mpp 2600 2700
    rm -r before/pages/2600 before/pages/2700
    for to in 1 0.2; do
        rm -f short.mpp
        expect 0 mappedpages copy --compact --format $to in_use.mpp short.mpp
        [ "$(pages_of short.mpp)" -le 60 ] || fail "[$format to $to] the copy has $(pages_of short.mpp) pages"
        expect 0 mappedpages check short.mpp
        contents_of short.mpp after
        diff -r before after >&2 || fail "[$format to $to] the copy shows something else"
    done
    expect 0 mappedpages check in_use.mpp
    [ "$(pages_of in_use.mpp)" -eq 3000 ] || fail "the file that was copied became shorter"
    contents_of a.mpp before
    # Without what is at the end it is short at once.
    cp a.mpp b.mpp
    expect 0 mappedpages free b.mpp 2600 2700
    expect 0 mappedpages compact b.mpp
    grep -q '^[1-9][0-9]* bytes given back' out || fail "$(cat out)"
    [ "$(pages_of b.mpp)" -le 60 ] || fail "[$format] $(pages_of b.mpp) pages"
    [ "$(stat -c %s b.mpp)" -eq $((4096 * $(pages_of b.mpp))) ] || fail "[$format] its length"
    expect 0 mappedpages check b.mpp
    # By other numbers.
    expect 0 mappedpages compact --renumber a.mpp
    mv out moved
    [ "$(pages_of a.mpp)" -le 60 ] || fail "[$format] $(pages_of a.mpp) pages after --renumber"
    [ "$(grep -o '"pages_after":[0-9]*' moved | cut -d: -f2)" -ge "$(pages_of a.mpp)" ] || fail "$(cat moved)"
    for id in 2600 2700; do
        to=$(sed -n "s/.*\\[$id,\\([0-9]*\\)\\].*/\\1/p" moved)
        [ "$(mappedpages read a.mpp "$to" | tr -d '\0')" = "page $id" ] || fail "[$format] page $id, now $to: $(cat moved)"
        mv "before/pages/$id" "before/pages/$to"
    done
    contents_of a.mpp after
    diff -r before after >&2 || fail "[$format] --renumber: it shows something else"
    expect 0 mappedpages check a.mpp
    [ $format = 1 ] || expect 0 python3 "$top_srcdir/tests/support/reader_0_2.py" --strict a.mpp
    expect 0 mappedpages compact --renumber a.mpp
    grep -q '"moved":\[\]' out || fail "nothing was to move: $(cat out)"
done

# Little more is left than what is used, and (format 1) a page for each next content.
expect 0 mappedpages create tight.mpp
expect 0 mappedpages alloc -p -c 3000 tight.mpp
expect 0 mappedpages alloc -c 4000 tight.mpp
expect 0 mappedpages compact --renumber tight.mpp
expect 0 mappedpages info --json tight.mpp
python3 -c '
import json
info = json.load(open("out"))
least = 3 + info["regular_pages"] + 2 * info["protected_pages"] + info["metadata_pages"]
assert info["total_pages"] <= least + 50 + 16, info # the slots of a node are 16 pages apart' || fail "it has more pages than it needs"

# Damage is left alone.
fill damaged.mpp 1
page=$(mappedpages list --long --json damaged.mpp | tr -d '\n ' | sed 's/.*"id":11,[^}]*"current":\([0-9]*\).*/\1/')
printf 'x' | dd of=damaged.mpp bs=1 seek=$((page * 4096)) conv=notrunc 2>/dev/null
cp damaged.mpp same.mpp
expect 3 mappedpages compact damaged.mpp
complained 'protected page 11 does not match its checksum'
expect 1 mappedpages check damaged.mpp
[ "$(pages_of damaged.mpp)" -eq 3000 ] || fail "a damaged file was made shorter"

# Who moves pages and cannot say so moves none.
fill a.mpp 1
if [ -c /dev/full ]; then
    mappedpages compact --renumber a.mpp >/dev/full 2>err && fail "the list was lost, and it went on"
    expect 0 mappedpages list a.mpp
    grep -qx 'page 2700' out || fail "a page has another number, and nobody knows which"
fi
expect 2 mappedpages compact
expect 3 mappedpages compact missing.mpp
