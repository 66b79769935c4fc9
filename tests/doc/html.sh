#!/bin/sh
# SPDX-License-Identifier: MIT
# `make html` makes a page of HTML of each manual page, and what they refer to among each other is there.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

command -v mandoc >/dev/null || skip "no mandoc"
mkdir doc
expect 0 make -C doc -f "$top_builddir/doc/Makefile" html srcdir="$top_srcdir/doc"
for page in "$top_srcdir"/doc/*.[137]; do
    [ -s "doc/html/$(basename "$page").html" ] || fail "nothing of $page: $(cat err)"
done
# The pages of single functions are installed as names of the page of their group.
grep -ho 'href="mappedpages[a-z_]*\.[137]\.html"' doc/html/*.html | sort -u | sed 's/.*"\(.*\)"/\1/' >referred
[ "$(wc -l <referred)" -ge 10 ] || fail "few references: $(cat referred)"
while read -r name; do
    [ -s "doc/html/$name" ] || fail "there is no $name, which another page refers to"
done <referred
