#!/bin/sh
# SPDX-License-Identifier: MIT
# The independent reader of format 0.2 shows every golden file as its dump says; with --strict it finds
# every rule kept in the files that the crate wrote, and a broken one in those changed by hand.
set -u

reader=${top_srcdir:?set by make check}/tests/support/reader_0_2.py
failed=0

fail() {
    echo "FAIL: $*" >&2
    failed=$((failed + 1))
}

count=0
for dump in "$top_srcdir"/tests/golden/*.dump; do
    name=$(basename "$dump" .dump)
    file=$top_srcdir/tests/golden/$name.mpp
    count=$((count + 1))
    python3 "$reader" "$file" | diff -u "$dump" - || fail "$name: not what its dump says"
    python3 "$reader" --strict "$file" >/dev/null 2>&1
    status=$?
    case $name in
    v0[12]-*) [ $status -eq 0 ] || fail "$name: the strict reader refuses a file of the crate" ;;
    *) [ $status -eq 1 ] || fail "$name: the strict reader misses what is broken" ;;
    esac
done
[ $count -ge 31 ] || fail "only $count golden files"
echo "$count golden files, $failed failures"
[ $failed -eq 0 ]
