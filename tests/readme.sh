#!/bin/sh
# SPDX-License-Identifier: MIT
# The program in README.md compiles without a warning, and counts its runs in a protected page.
set -eu

top=${top_builddir:?set by make check}
work=$(mktemp -d ./readme-XXXXXX)
trap 'rm -rf "$work"' EXIT

awk '/^```/ { inside = ($0 == "```c"); next } inside' "${top_srcdir:?set by make check}/README.md" \
    >"$work/counter.c"
[ -s "$work/counter.c" ]
# The words of $CC and $SANITIZERS are to be split.
# shellcheck disable=SC2086
"$top/libtool" --silent --tag=CC --mode=link ${CC:-cc} -std=c11 -Wall -Wextra -Werror ${SANITIZERS:-} \
    -static -I"$top_srcdir/src" -o "$work/counter" "$work/counter.c" "$top/src/libmappedpages.la"
cd "$work"
for run in 1 2 3; do
    found=$(./counter)
    [ "$found" = "run number $run" ] || {
        echo "run $run said: $found"
        exit 1
    }
done
