#!/bin/sh
# SPDX-License-Identifier: MIT
# What programs were built with is still what the library has: its functions and types against those written down in
# build/libmappedpages.abi. Where a change is wanted (doc/abi.md says which may be), that file is made again:
#
#   make -C tests update-abi
#
# and a reader of its difference sees what changed.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

library=$top_builddir/src/.libs/libmappedpages.so
written=$top_srcdir/tests/build/libmappedpages.abi

command -v abidiff >/dev/null || skip "no abidiff"
[ "$(uname -m)" = x86_64 ] || skip "what is written down is of x86_64"
[ -e "$library" ] || skip "no shared library in this build"
readelf -S "$library" | grep -q ' \.debug_info' || skip "built without -g"

abidiff "$written" "$library" >differences 2>&1 ||
    fail "the library differs from $written: $(cat differences)"

# A field that is another, and a function that is gone, would have been seen.
sed "/name='page_size' type-id/s/type-id='[^']*'/type-id='type-id-1'/; s/'mpg_page_sync'/'mpg_page_flush'/" \
    "$written" >other.abi
abidiff other.abi "$library" >differences 2>&1 && fail "a difference is not seen"
grep -q mpg_page_flush differences || fail "a function that is gone is not named: $(cat differences)"
grep -q "page_size" differences || fail "a field that changed is not named: $(cat differences)"
exit 0
