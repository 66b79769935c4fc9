#!/bin/sh
# SPDX-License-Identifier: MIT
# The program in README.md compiles without a warning, and counts its runs in a protected page.
. "${top_srcdir:?set by make check}/tests/lib.sh"
set -e

awk '/^```/ { inside = ($0 == "```c"); next } inside' "$top_srcdir/README.md" >counter.c
[ -s counter.c ]
# The words of $CC and $SANITIZERS are to be split.
# shellcheck disable=SC2086
"$top_builddir/libtool" --silent --tag=CC --mode=link ${CC:-cc} -std=c11 -Wall -Wextra -Werror ${SANITIZERS:-} \
    -static -I"$top_srcdir/src" -o counter counter.c "$top_builddir/src/libmappedpages.la"
set +e
for run in 1 2 3; do
    expect 0 ./counter
    said "run number $run"
done
