#!/bin/sh
# SPDX-License-Identifier: MIT
# The event loop keeps every line it said was safe, many at a time, and none of a line otherwise.
set -eu

event_loop=${top_builddir:?set by make check}/examples/event_loop
work=$(mktemp -d ./event-loop-XXXXXX)
trap 'rm -rf "$work"' EXIT

i=0
while [ $i -lt 3000 ]; do
    echo "this is line $i"
    i=$((i + 1))
done >"$work/lines"

# Each line is said to be safe once, and is there.
"$event_loop" "$work/file" <"$work/lines" >"$work/said"
cut -d' ' -f2- "$work/said" | sort >"$work/said-sorted"
sort "$work/lines" | cmp - "$work/said-sorted"
sort "$work/said" >"$work/said-sorted"
"$event_loop" "$work/file" list | sort | cmp - "$work/said-sorted"

printf 'no end of line' | "$event_loop" "$work/short" >"$work/said"
[ "$(cat "$work/said")" = "0 no end of line" ]

# One line at a time is answered without a second one.
mkfifo "$work/in" "$work/out"
"$event_loop" "$work/slow" <"$work/in" >"$work/out" &
pid=$!
exec 3>"$work/in" 4<"$work/out"
for line in one two three; do
    echo "$line" >&3
    read -r _ answer <&4
    [ "$answer" = "$line" ]
done
exec 3>&-
wait "$pid"
exec 4<&-

# Killed: what was said is there, and what is there was asked for.
sort "$work/lines" >"$work/sorted"
for lines in 1 100 700 1500; do
    rm -f "$work/file"
    : >"$work/said"
    "$event_loop" "$work/file" <"$work/lines" >"$work/said" &
    pid=$!
    while [ "$(wc -l <"$work/said")" -lt $lines ] && kill -0 "$pid" 2>/dev/null; do
        :
    done
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    "$event_loop" "$work/file" list >"$work/list"
    # The last line may have been cut off by the kill.
    sed '$d' "$work/said" | sort >"$work/said-sorted"
    sort "$work/list" | comm -23 "$work/said-sorted" - >"$work/missing"
    cut -d' ' -f2- "$work/list" | sort | comm -13 "$work/sorted" - >"$work/strange"
    [ ! -s "$work/missing" ]
    [ ! -s "$work/strange" ]
done
