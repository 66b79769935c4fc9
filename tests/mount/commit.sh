#!/bin/sh
# SPDX-License-Identifier: MIT
# -o commit=: creating and deleting become durable later, at fsync, or at the end; never in part.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

# committed - the regular pages that somebody else sees who opens the file now.
committed() {
    mappedpages list f.mpp | sed -n 's/^page //p' | paste -s -d ' '
}

for format in 0.2 1; do
    rm -f f.mpp
    mappedpages create --page-size 4096 --format $format f.mpp || fail "create"
    mount_file f.mpp m -o commit=1000
    touch m/pages/20 m/pages/21 || fail "create"
    [ "$(ls m/pages | paste -s -d ' ')" = '20 21' ] || fail "listed: $(ls m/pages)"
    [ -z "$(committed)" ] || fail "durable at once: $(committed)"

    # fsync of a directory, and of a file.
    sync m/pages || fail "sync of a directory"
    [ "$(committed)" = '20 21' ] || fail "after fsync of a directory: $(committed)"
    touch m/pages/22 && rm m/pages/20 || fail "create and delete"
    echo content >m/pages/21 && sync m/pages/21 || fail "sync of a file"
    [ "$(committed)" = '21 22' ] || fail "after fsync of a file: $(committed)"

    # Killed: all since then is lost, nothing else.
    touch m/pages/23 m/pages/24
    kill -9 "$(cat m.pid)"
    wait "$(cat m.pid)" 2>/dev/null
    fusermount3 -u -z m
    expect 0 mappedpages check f.mpp
    mount_file f.mpp m -o commit=1000
    [ "$(ls m/pages | paste -s -d ' ')" = '21 22' ] || fail "after the kill: $(ls m/pages)"
    [ "$(head -n 1 m/pages/21)" = content ] || fail "the content after the kill"

    # The end of the mount.
    touch m/pages/25
    unmount m
    [ "$(committed)" = '21 22 25' ] || fail "after unmounting: $(committed)"

    # The time.
    mount_file f.mpp m -o commit=1
    touch m/pages/26
    within 30 sh -c 'mappedpages list f.mpp | grep -qx "page 26"' || fail "never durable"
    unmount m
done
