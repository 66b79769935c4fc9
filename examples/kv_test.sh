#!/bin/sh
# SPDX-License-Identifier: MIT
# The key-value store keeps what it was given, and its records and their number agree whenever it dies.
set -eu

kv=${top_builddir:?set by make check}/examples/kv
work=$(mktemp -d ./kv-XXXXXX)
trap 'rm -rf "$work"' EXIT
store=$work/store

refused() {
    if "$@" 2>/dev/null; then
        echo "should have been refused: $*"
        exit 1
    fi
}

[ "$("$kv" "$store" count)" = 0 ]
"$kv" "$store" set color green
"$kv" "$store" set shape "a round one"
[ "$("$kv" "$store" get color)" = green ]
[ "$("$kv" "$store" get shape)" = "a round one" ]
"$kv" "$store" set color blue
[ "$("$kv" "$store" get color)" = blue ]
[ "$("$kv" "$store" count)" = 2 ]
[ "$("$kv" "$store" list | sort)" = "color blue
shape a round one" ]
"$kv" "$store" delete color
refused "$kv" "$store" get color
refused "$kv" "$store" delete color
refused "$kv" "$store" set "" value
refused "$kv" "$store" set "a key that is longer than 31 bytes" value
[ "$("$kv" "$store" count)" = 1 ]
[ "$("$kv" "$store" list)" = "shape a round one" ]
"$kv" "$store" delete shape

# Killed at some moment of many updates: everything said to be there is there, at most one more, and
# the number of records is that of the records.
i=0
while [ $i -lt 600 ]; do
    echo "key$i value$i"
    i=$((i + 1))
done >"$work/lines"
for lines in 0 1 2 5 17 40 80; do
    rm -f "$store"
    : >"$work/said"
    "$kv" "$store" import <"$work/lines" >"$work/said" &
    pid=$!
    while [ "$(wc -l <"$work/said")" -lt $lines ] && kill -0 "$pid" 2>/dev/null; do
        :
    done
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true

    count=$("$kv" "$store" count)
    said=$(wc -l <"$work/said")
    [ "$count" -ge "$said" ]
    [ "$count" -le $((said + 1)) ]
    "$kv" "$store" list | sort >"$work/list"
    head -n "$count" "$work/lines" | sort >"$work/expected"
    cmp "$work/list" "$work/expected"
done
