#!/bin/sh
# SPDX-License-Identifier: MIT
# The counter counts from run to run, and no run that was killed takes it back or makes it skip.
set -eu

counter=${top_builddir:?set by make check}/examples/counter
work=$(mktemp -d ./counter-XXXXXX)
trap 'rm -rf "$work"' EXIT

for expected in 1 2 3; do
    [ "$("$counter" "$work/file")" = "$expected" ]
done

# A number that was printed was counted; a run that was killed has counted or has not.
last=3
for round in 0 1 2 3 4 5 6 7 8 9 10 11; do
    : >"$work/out"
    "$counter" "$work/file" >"$work/out" &
    pid=$!
    spins=0
    while [ "$spins" -lt $((round * 100)) ]; do
        spins=$((spins + 1))
    done
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    now=$("$counter" "$work/file")
    printed=$(cat "$work/out")
    [ "$now" -ge $((${printed:-$last} + 1)) ]
    [ "$now" -le $((last + 2)) ]
    last=$now
done

# What is not a page file is refused and left alone.
echo "not a page file" >"$work/text"
if "$counter" "$work/text" 2>"$work/message"; then
    echo "counted in a text file"
    exit 1
fi
grep -q . "$work/message"
[ "$(cat "$work/text")" = "not a page file" ]
