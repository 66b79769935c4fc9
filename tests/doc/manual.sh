#!/bin/sh
# SPDX-License-Identifier: MIT
# The manual page of the library is true to its header: it names every function and every error, and
# nothing else; its example compiles without a warning and does what it says.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

manual=$top_srcdir/doc/mappedpages.3
header=$top_srcdir/src/api/mappedpages.h

grep '^MPG_API' -A 2 "$header" | grep -o '\bmpg_[a-z_]*(' | tr -d '(' | sort -u >functions
[ "$(wc -l <functions)" -ge 50 ] || fail "only these functions found in the header: $(cat functions)"
grep -Eo '\bmpg_[a-z_]+( |"?\(| ")' "$manual" | grep -Eo 'mpg_[a-z_]+' | sort -u >named
while read -r function; do
    grep -qx "$function" named || fail "the manual page does not name $function"
done <functions
grep -Eo '\bmpg_[a-z_]+' "$header" | sort -u >known
while read -r name; do
    grep -qx "$name" known || fail "the manual page names $name, which the header does not have"
done <named

grep -Eo '\bMPG_E_[A-Z_]+ = ' "$header" | sed 's/ = //' | sort >errors
sed -n '/^\.SH ERRORS/,/^\.SH EXAMPLE/s/^\.B \(MPG_E_[A-Z_]*\)$/\1/p' "$manual" | sort |
    diff -u errors - >&2 || fail "the table of errors differs"

sed -n '/BEGIN EXAMPLE/,/END EXAMPLE/p' "$manual" | grep -v '^\.\\"' | sed 's/\\e/\\/g' >example.c
# The words of these variables are to be split.
# shellcheck disable=SC2086
"$top_builddir/libtool" --silent --tag=CC --mode=link ${CC:-cc} -std=c11 -Wall -Wextra -Werror ${SANITIZERS:-} \
    -I"$top_srcdir/src/api" -o example example.c "$top_builddir/src/libmappedpages.la" ||
    fail "the example does not build"
for run in 1 2 3; do
    expect 0 ./example
    said "run $run"
done
expect 0 mappedpages check counter.mpp
