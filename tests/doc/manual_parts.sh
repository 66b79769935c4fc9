#!/bin/sh
# SPDX-License-Identifier: MIT
# The manual pages on sub-pages, allocators and typed pagers are true to their headers: they name every
# function and no other, and their examples do what they say.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

manual() {
    echo "$top_srcdir/doc/mappedpages_$1.3"
}

# The functions that a header declares, and those that a manual page names.
functions_of_header() {
    grep -oE '^(MPG_|static inline).*[ *]mpg_[a-z_]+\(' "$top_srcdir/src/api/mappedpages_$1.h" |
        grep -oE 'mpg_[a-z_]+\($' | tr -d '(' | sort -u
}
functions_of_manual() {
    sed -n '/^\.SH DESCRIPTION/,/^\.SH NOTES/p' "$(manual "$1")" |
        grep -oE '\bmpg_[a-z_]+ ?("?\(| ")' | grep -oE 'mpg_[a-z_]+' | sort -u
}

for page in sub allocator; do
    functions_of_header $page >declared
    [ "$(wc -l <declared)" -ge 12 ] || fail "only these functions found: $(cat declared)"
    functions_of_manual $page >named
    case $page in
    sub) printf '%s\n' mpg_page_sync mpg_sync | sort -u - declared >allowed ;;
    *) cp declared allowed ;;
    esac
    comm -23 declared named | grep . && fail "the page on $page does not name these"
    comm -13 allowed named | grep . && fail "the page on $page names these, which do not exist"
done

for page in sub allocator typed; do
    sed -n '/BEGIN EXAMPLE/,/END EXAMPLE/p' "$(manual $page)" | grep -v '^\.\\"' |
        sed 's/\\e/\\/g' >$page.c
    # The words of these variables are to be split.
    # shellcheck disable=SC2086
    "$top_builddir/libtool" --silent --tag=CC --mode=link ${CC:-cc} -std=c11 -Wall -Wextra -Werror \
        -D_DEFAULT_SOURCE ${SANITIZERS:-} -I"$top_srcdir/src/api" -o $page $page.c \
        "$top_builddir/src/libmappedpages.la" || fail "the example on $page does not build"
done

for _ in 1 2 3; do
    expect 0 ./sub
done
expect 0 mappedpages check list.mpp
grep -q "record 3" list.mpp || fail "the list has no third record"
expect 0 ./allocator
said "on a regular page
on a protected page
on a part of a page"
expect 0 mappedpages check units.mpp
expect 0 ./typed
grep -q "a record" blocks.mpp || fail "there is no record"
expect 0 mappedpages check blocks.mpp
