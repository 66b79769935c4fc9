#!/bin/sh
# SPDX-License-Identifier: MIT
# The manual page on requests that do not wait is true to its header: it names every function and no
# other, and its example does what it says.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

manual=$top_srcdir/doc/mappedpages_async.3

grep '^MPG_API' -A 1 "$top_srcdir/src/api/mappedpages_async.h" | grep -oE '\bmpg_[a-z_]+\(' | tr -d '(' |
    sort -u >declared
[ "$(wc -l <declared)" -ge 18 ] || fail "only these functions found in the header: $(cat declared)"
sed -n '/^\.SS Queues/,/^\.SS Completions/p' "$manual" | grep -oE '\bmpg_[a-z_]+ ?("?\(| ")' |
    grep -oE 'mpg_[a-z_]+' | sort -u | diff -u declared - >&2 || fail "the page names other functions"

sed -n '/BEGIN EXAMPLE/,/END EXAMPLE/p' "$manual" | grep -v '^\.\\"' | sed 's/\\e/\\/g; s/\\-/-/g' >example.c
# The words of these variables are to be split.
# shellcheck disable=SC2086
"$top_builddir/libtool" --silent --tag=CC --mode=link ${CC:-cc} -std=c11 -Wall -Wextra -Werror ${SANITIZERS:-} \
    -I"$top_srcdir/src/api" -o example example.c "$top_builddir/src/libmappedpages.la" ||
    fail "the example does not build"
expect 0 ./example
sort out >sorted
printf 'first: success\nsecond: success\n' | diff -u - sorted >&2 || fail "the example says something else"
expect 0 mappedpages read -p kept.mpp 1
grep -q second out || fail "the second page was not kept"
expect 0 mappedpages check kept.mpp
