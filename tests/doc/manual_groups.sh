#!/bin/sh
# SPDX-License-Identifier: MIT
# The manual pages on groups of functions: their examples compile without a warning and do what they
# say, every page is set without a warning, and `man` finds the page of each function once installed.
# (That the synopses are true to the headers is for manual_synopsis.py.)
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

# example GROUP LINE… - builds and runs the example of a page, which must write these lines.
example() {
    group=$1
    shift
    sed -n '/BEGIN EXAMPLE/,/END EXAMPLE/p' "$top_srcdir/doc/mappedpages_$group.3" |
        grep -v '^\.\\"' | sed 's/\\e/\\/g' >"$group.c"
    # The words of these variables are to be split.
    # shellcheck disable=SC2086
    "$top_builddir/libtool" --silent --tag=CC --mode=link ${CC:-cc} -std=c11 -pedantic -Wall -Wextra \
        -Werror ${SANITIZERS:-} -I"$top_srcdir/src/api" -o "$group" "$group.c" \
        "$top_builddir/src/libmappedpages.la" || fail "the example on $group does not build"
    expect 0 "./$group"
    cp err "$group.err"
    if [ $# -gt 0 ]; then
        said "$@"
    else
        said_nothing
    fi
    expect 0 mappedpages check "$group.mpp"
}

example files "inventory: 4 pages of 8192 bytes"
example pages "page 3: hello, world"
example protected "first, then second" "still first"
example snapshot "it was 42"
example txn
expect 0 mappedpages info --json txn.mpp
for page in 0 1; do
    expect 0 mappedpages read --protected txn.mpp $page
    od -An -t d8 -N 8 out | tr -d ' ' >>amounts
done
printf '%s\n' -30 30 | diff -u - amounts >&2 || fail "the amount was not moved"
example iter 3 5
example check "0 faults"
example rescue "1 regular pages saved"
example repair "0 faults, 0 left"
example life "most of it is a hole"
example copy "1 protected page"
example compact "shorter: yes"
example errors
grep -q "another process is at work on errors.mpp" errors.err || fail "no word on a busy file: $(cat errors.err)"

# Every page of the manual has an example that some test runs.
for page in "$top_srcdir"/doc/mappedpages*.3; do
    grep -q "END EXAMPLE" "$page" || fail "$page has no example"
done

# ---- typesetting ----

if command -v groff >/dev/null; then
    for page in "$top_srcdir"/doc/*.[137]; do
        groff -t -ww -man -Tutf8 "$page" 2>&1 >/dev/null | grep . >&2 && fail "groff warns of $page"
    done
fi

# ---- the pages of single functions ----

mkdir -p man/man3
cp "$top_srcdir"/doc/mappedpages*.3 man/man3
find man/man3 | sort >pages
expect 0 "$top_srcdir/doc/aliases.sh" install man/man3
[ "$(find man/man3 -name 'mpg_*' | wc -l)" -ge 90 ] || fail "too few functions: $(find man/man3)"
for function in mpg_alloc mpg_txn_commit mpg_last_error mpg_async_sync mpg_sub_adopt mpg_unit_get \
    MPG_DEFINE_PAGER; do
    read -r macro page <man/man3/$function.3 || fail "$function has no page"
    [ "$macro" = .so ] || fail "the page of $function is not a reference"
    grep -q "$function(" "man/$page" || fail "$page, to which $function refers, does not name it"
done
if command -v man >/dev/null; then
    man -M "$work/man" mpg_alloc_at 2>&1 | tr -d '\b' | grep -q MAPPEDPAGES_PAGES ||
        fail "man does not find mpg_alloc_at"
fi
expect 0 "$top_srcdir/doc/aliases.sh" uninstall man/man3
find man/man3 | sort | diff -u pages - >&2 || fail "not all of it is gone again"
