#!/bin/sh
# SPDX-License-Identifier: MIT
# rescue: what is saved of damaged files, what is said of it, and that nothing is left behind where it fails.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

# make FORMAT - three protected pages and two regular ones.
make() {
    rm -f data.mpp new.mpp
    make_pages data.mpp "$1" 3
    expect 0 mappedpages dump data.mpp
    mv out wanted.tar
}

# destroy BYTE COUNT - with zeros.
destroy() {
    dd if=/dev/zero of=data.mpp bs=1 seek="$1" count="$2" conv=notrunc status=none
}

# all_saved - what was there before is in the new file, under the same ids.
all_saved() {
    expect 0 mappedpages check new.mpp
    mkdir -p wanted got
    tar xf wanted.tar -C wanted
    expect 0 mappedpages dump new.mpp
    tar xf out -C got
    for kind in pages protected; do
        diff -r wanted/$kind got/$kind >&2 || fail "not all $kind were saved as they were"
    done
    rm -rf wanted got
}

for format in 1 0.2; do
    make $format
    cp data.mpp before.mpp
    expect 0 mappedpages rescue data.mpp new.mpp
    said "new.mpp: 3 protected pages saved; 2 regular pages saved"
    all_saved
    same data.mpp before.mpp

    # Without page 0; each message leads on.
    make $format
    destroy 0 4096
    expect 3 mappedpages info data.mpp
    [ $format = 0.2 ] || complained "'mappedpages rescue data.mpp NEW' saves it"
    rm new.mpp 2>/dev/null
    mappedpages rescue data.mpp new.mpp >told || fail "rescue without page 0: $(cat told)"
    grep -Eq '^(superblock|index): ' told || fail "not told of page 0: $(cat told)"
    all_saved
    rm new.mpp
    expect 0 mappedpages rescue --json data.mpp new.mpp
    python3 -c '
import json, sys
r = json.load(sys.stdin)
assert r["whole"] is True and r["protected_saved"] == 3 and r["regular_saved"] == 2, r
assert r["notes"] and all(n["name"] and n["message"] for n in r["notes"]), r' <out ||
        fail "rescue --json: $(cat out)"

    # Without pages 1 and 2 what is there is saved, if not everything under its id.
    make $format
    destroy 4096 8192
    mappedpages rescue data.mpp new.mpp >told
    [ -f new.mpp ] || fail "nothing was saved without pages 1 and 2: $(cat told)"
    expect 0 mappedpages check new.mpp
    for page in 0 1 2; do
        grep -aq "protected $page of $format" new.mpp || fail "the content of protected page $page is gone"
    done
done

# The example of the manual.
make 1
destroy 0 4096
expect 0 mappedpages rescue data.mpp new.mpp
sed -n '/^    \$ mappedpages rescue/,/^$/s/^    //p' "$top_srcdir/doc/repair.md" | sed '1d;/^$/d' | diff -u - out >&2 ||
    fail "repair.md shows something else"

# A destroyed content is lost, and said to be; everything else is saved.
place=$(grep -abo 'protected 1 of 1' data.mpp | cut -d: -f1)
for at in $place; do
    destroy "$at" 4
done
rm new.mpp
expect 1 mappedpages rescue data.mpp new.mpp
grep -q '^lost: .*protected page 1' out || fail "not told of the lost page: $(cat out)"
grep -q '2 protected pages saved, 1 lost; 2 regular pages saved' out || fail "the sum is wrong: $(cat out)"

# What is no page file stays what it is, and leaves nothing behind.
echo 'root:x:0:0:root:/root:/bin/sh' >passwd
rm new.mpp
expect 3 mappedpages info passwd
grep -q rescue err && fail "rescue is recommended for what is no page file"
expect 3 mappedpages rescue passwd new.mpp
complained 'nothing in it proves'
if [ -e new.mpp ] || [ -e new.mpp.part ]; then
    fail "something was left behind"
fi

# Killed at whatever call, it leaves no name that stands for half of it, nor one that is in the way of trying again.
named() { # what there is by names like those of the files
    find . -name '*.mpp*' | sort
}
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
    for format in 1 0.2; do
        make $format
        for moment in pwrite64:1 pwrite64:5 fdatasync:1 fdatasync:2 fdatasync:3 fsync:1; do
            named >before
            strace -qq -o /dev/null -e "inject=${moment%:*}:signal=KILL:when=${moment#*:}" \
                mappedpages rescue data.mpp new.mpp >out 2>err
            [ ! -e new.mpp ] || expect 0 mappedpages check new.mpp
            rm -f new.mpp
            named | diff before - >&2 || fail "killed at $moment, it left something"
            expect 0 mappedpages rescue data.mpp new.mpp
            rm new.mpp
        done
    done
fi

# A file that is there already is not touched, and one that is being written not read.
make 1
echo mine >new.mpp
expect 3 mappedpages rescue data.mpp new.mpp
[ "$(cat new.mpp)" = mine ] || fail "an existing file was overwritten"
expect 3 mappedpages rescue data.mpp data.mpp
expect 3 mappedpages rescue missing other.mpp

# Of many pages that may be older it is told in one line for each row of them; as JSON each has its own.
rm -f data.mpp new.mpp
expect 0 mappedpages create --page-size 1K data.mpp
expect 0 mappedpages alloc -p -c 100 data.mpp
destroy 0 3072
expect 1 mappedpages rescue data.mpp new.mpp
grep -qx "older: protected pages 0 to 99 may have been changed, or freed, since what is saved of them" out ||
    fail "not in one line: $(cat out)"
rm new.mpp
expect 1 mappedpages rescue --json data.mpp new.mpp
[ "$(grep -c '"name": "older"' out)" -eq 100 ] || fail "not each page has its note: $(cat out)"
