#!/bin/sh
# SPDX-License-Identifier: MIT
# A file that is damaged beyond opening gets a sentence and status 3 from every command, and is not changed
# by any.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

# refused COMMAND ARGUMENT…
refused() {
    expect 3 mappedpages "$@" </dev/null
    said_nothing
    complained '^mappedpages: broken: .* .* .*'
    same broken "$original"
}

count=0
for dump in "$golden"/*.dump; do
    grep -q '^error' "$dump" || continue
    original=${dump%.dump}.mpp
    count=$((count + 1))
    cp "$original" broken
    chmod u+w broken
    refused info broken
    refused list broken
    refused list --long broken
    refused read broken 3
    refused read -p broken 0
    refused write broken 3
    refused write -p broken 0
    refused alloc broken
    refused alloc -p broken
    refused free broken 3
    refused free -p broken 0
    rm broken
done
[ $count -ge 15 ] || fail "only $count broken files"
