#!/bin/sh
# SPDX-License-Identifier: MIT
# doc/crate.md names no function, type, macro or error that the headers do not have, and no test that is
# not there; every line of its tables names a test, and every error of the crate's has its line.
set -eu

table=${top_srcdir:?set by make check}/doc/crate.md
work=$(mktemp -d ./crate-table-XXXXXX)
trap 'rm -rf "$work"' EXIT
faults=0

fault() {
    echo "doc/crate.md: $*"
    faults=1
}

grep -o '\b\(mpg\|MPG\)_[A-Za-z_0-9]*' "$table" | sort -u >"$work/names"
[ "$(wc -l <"$work/names")" -ge 60 ]
while read -r name; do
    grep -qw "$name" "$top_srcdir"/src/api/mappedpages*.h || fault "$name is in no header"
done <"$work/names"

grep '^|' "$table" | grep -v '^|---\|^| crate |' >"$work/rows"
[ "$(wc -l <"$work/rows")" -ge 50 ]
while IFS='|' read -r _ crate _ tests _; do
    echo "$tests" | tr '`' '\n' | sed -n '2~2p' >"$work/tests"
    [ -s "$work/tests" ] || fault "no test for$crate"
    while IFS=: read -r file function; do
        [ -e "$top_srcdir/tests/$file" ] || fault "there is no tests/$file"
        [ -z "$function" ] || grep -q "^static void $function(" "$top_srcdir/tests/$file" ||
            fault "there is no $function in tests/$file"
    done <"$work/tests"
done <"$work/rows"

for error in Io InvalidPageSize CorruptSuperblock CorruptMetadata OutOfBounds ReservedPage DoubleFree \
    Unavailable CorruptProtectedDirectory CorruptDirectoryIndex DirectoryFull; do
    grep -q "^| \`$error\`" "$table" || fault "$error is missing"
done
exit $faults
