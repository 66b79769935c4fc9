#!/bin/sh
# SPDX-License-Identifier: MIT
# What is renamed over a regular page replaces it: a scratch file, another number, a protected page. In format 1 as a
# whole, by a record that says so (doc/durability.md); killed at once, the driver leaves all of what was acknowledged.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

# page CHARACTER - a page of it
page() {
    head -c 4096 /dev/zero | tr '\0' "$1"
}

# holds FILE CHARACTER - what it must be full of
holds() {
    page "$2" | cmp -s - "$1" || fail "format $format: $1 is not full of $2"
}

# is_marked - fails unless the file holds the mark of a redo that was carried out
is_marked() {
    grep -q MPGD f.mpp || fail "format $format: $1 was not by a redo"
}

# kill_it - kills the driver, and mounts again
kill_it() {
    kill -9 "$(cat m.pid)"
    wait "$(cat m.pid)" 2>/dev/null
    take_down m
    mount_file f.mpp m -o scratch=any
}

for format in 1 0.2; do
    rm -f f.mpp
    expect 0 mappedpages create --format $format --page-size 4096 f.mpp
    mount_file f.mpp m -o scratch=any
    page a >m/pages/40 || fail "create"
    page b >m/pages/41 || fail "create"
    page c >m/protected/2 || fail "create"
    exec 5<m/pages/40

    page d >m/pages/temporary
    mv m/pages/temporary m/pages/40 || fail "format $format: rename of a scratch file"
    [ $format = 0.2 ] || is_marked "a rename of a scratch file"
    holds m/pages/40 d
    [ ! -e m/pages/temporary ] || fail "format $format: it is there yet"
    exec 5<&-
    kill_it
    holds m/pages/40 d

    mv m/pages/41 m/pages/40 || fail "format $format: rename of a page"
    [ $format = 0.2 ] || is_marked "a rename of a page"
    holds m/pages/40 b
    [ ! -e m/pages/41 ] || fail "format $format: the page that was renamed is there yet"
    kill_it
    holds m/pages/40 b
    [ ! -e m/pages/41 ] || fail "format $format: the page that was renamed is there again"

    mv m/protected/2 m/pages/40 || fail "format $format: rename of a protected page"
    holds m/pages/40 c
    [ ! -e m/protected/2 ] || fail "format $format: the protected page is there yet"

    # Written to afterwards, it keeps that.
    page e | dd of=m/pages/40 bs=4096 conv=notrunc,fsync status=none || fail "write"
    kill_it
    holds m/pages/40 e
    unmount m
    expect 0 mappedpages check f.mpp
done
