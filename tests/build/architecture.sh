#!/bin/sh
# SPDX-License-Identifier: MIT
# The table of floors in doc/architecture.md has a place for every file of the library, and no other.
# shellcheck source=tests/lib.sh
. "${top_srcdir:?set by make check}/tests/lib.sh"

sed -n '/^## Floors/,/^## /p' "$top_srcdir/doc/architecture.md" | grep '^|' |
    grep -oE '`[a-z0-9_]+\.[ch]`' | tr -d '`' | sort >named
uniq -d <named | grep . >&2 && fail "these have two places"
[ "$(wc -l <named)" -ge 40 ] || fail "only these are named: $(cat named)"
for file in "$top_srcdir"/src/*.[ch]; do
    name=$(basename "$file")
    grep -qx "$name" named || grep -qx "${name%.h}.c" named || fail "$name has no place"
done
while read -r name; do
    [ -f "$top_srcdir/src/$name" ] || fail "there is no $name"
done <named
