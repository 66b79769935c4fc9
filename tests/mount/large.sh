#!/bin/sh
# SPDX-License-Identifier: MIT
# Large pages: read and written piece by piece.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

for size in 65536 1048576 33554432; do
    rm -f f.mpp
    mappedpages create --page-size $size f.mpp || fail "create"
    mount_file f.mpp m -o raw
    head -c $size /dev/urandom >content
    touch m/pages/new m/protected/new || fail "create"
    for page in m/pages/* m/protected/0; do
        dd if=content of="$page" bs=300000 conv=notrunc status=none || fail "dd to $page"
        same "$page" content
        [ "$(stat -c %s "$page")" = $size ] || fail "size of $page"
        # One more write of a few bytes, and reading in odd pieces.
        cp content changed
        for file in changed "$page"; do
            printf 0123456789 | dd of="$file" bs=1 seek=$((size / 2 - 5)) conv=notrunc status=none
        done
        dd if="$page" bs=7777 status=none | cmp - changed || fail "$page after a small write"
        truncate -s $((size / 3)) changed "$page" && truncate -s $size changed || fail "truncate"
        same "$page" changed
        echo short >"$page" && echo short >changed && truncate -s $size changed
        same "$page" changed
    done

    # Committed over and over, a reader in between is never shown an old one.
    for step in 1 2 3; do
        echo "step $step" | dd of=m/protected/0 bs=1 conv=notrunc status=none || fail "dd"
        [ "$(head -n 1 m/protected/0)" = "step $step" ] || fail "read $(head -n 1 m/protected/0) after step $step"
    done
    if [ $size -le 1048576 ]; then
        dd if=f.mpp bs=$size count=1 status=none >wanted
        same m/raw/0 wanted
    fi
    unmount m
    expect 0 mappedpages check f.mpp
done
