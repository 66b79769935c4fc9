#!/bin/sh
# SPDX-License-Identifier: MIT
# The public headers declare the functions of symbols.list, and the shared library exports them: all of
# them and nothing else. A new function is added to the list by hand, so that none slips out unseen.
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
set -e

list=$top_srcdir/tests/build/symbols.list
library=$top_builddir/src/.libs/libmappedpages.so

LC_ALL=C sort -u "$list" >listed

# What stands between MPG_API and the bracket ends in the function's name.
cat "$top_srcdir"/src/api/mappedpages*.h | tr '\n' ' ' | sed 's|/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/| |g' |
    sed 's/[;{}]/\n/g' | sed -n 's/.*MPG_API [^(]*\(mpg_[a-z0-9_]*\)(.*/\1/p' |
    LC_ALL=C sort -u >headers
[ -s headers ]
diff -u listed headers ||
    fail "symbols.list (-) and the functions marked MPG_API in the headers (+) differ"

if [ ! -e "$library" ]; then
    echo "no shared library in this build; headers agree with the list"
    exit 0
fi
nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' |
    LC_ALL=C sort -u >exported
diff -u listed exported ||
    fail "symbols.list (-) and what the shared library exports (+) differ"
echo "$(wc -l <listed) functions, declared and exported"
