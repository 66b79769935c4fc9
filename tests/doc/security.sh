#!/bin/sh
# SPDX-License-Identifier: MIT
# SECURITY.md names a test for each thing that it says may not be, and each test that it names is there and is run.
set -eu

document=${top_srcdir:?set by make check}/SECURITY.md
work=$(mktemp -d ./security-XXXXXX)
trap 'rm -rf "$work"' EXIT
faults=0

fault() {
    echo "SECURITY.md: $*"
    faults=1
}

grep '^|' "$document" | grep -v '^|---\|^| it may |\|^| they may |' >"$work/rows"
[ "$(wc -l <"$work/rows")" -ge 20 ]
while IFS='|' read -r _ may _ tests _; do
    # shellcheck disable=SC2016
    echo "$tests" | grep -q '`[a-z]*/[a-z0-9_]*\.\(c\|sh\|py\)' || fault "no test for$may"
done <"$work/rows"

# shellcheck disable=SC2016 # the backquotes are the document's
grep -o '`[a-z]*/[a-z0-9_]*\.\(c\|sh\|py\)\(:[a-z_0-9]*\)\?`' "$document" | tr -d '`' | sort -u >"$work/tests"
[ "$(wc -l <"$work/tests")" -ge 25 ]
while IFS=: read -r file function; do
    name=${file#tests/}
    [ -e "$top_srcdir/tests/$name" ] || {
        fault "there is no tests/$name"
        continue
    }
    [ -z "$function" ] || grep -q "^static void $function(" "$top_srcdir/tests/$name" ||
        fault "tests/$name has no $function"
    grep -q "^[[:space:]]$(echo "$name" | sed 's/\.c$//')\( \\\\\)\?$" "$top_srcdir/tests/Makefile.am" ||
        fault "tests/$name is not run by make check"
done <"$work/tests"
echo "$(wc -l <"$work/rows") rows, $(wc -l <"$work/tests") tests"
[ $faults -eq 0 ]
