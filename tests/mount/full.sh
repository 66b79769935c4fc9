#!/bin/sh
# SPDX-License-Identifier: MIT
# A full disk: the operation that needs space says so, and everything else goes on.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse
[ "$(id -u)" = 0 ] || skip "a small filesystem can only be mounted by root"

mkdir host
mount -t tmpfs -o size=2M tmpfs host || fail "no small filesystem"
trap 'umount -l "$work/host" 2>/dev/null; clean_up' EXIT

for format in 0.2 1; do
    mappedpages create --page-size 4096 --format $format host/f.mpp || fail "create"
    mount_file host/f.mpp m
    touch m/protected/new || fail "create a protected page"
    echo committed >m/protected/0 || fail "write a protected page"

    # Pages until the disk is full.
    made=0
    while touch m/pages/new 2>err; do
        made=$((made + 1))
        [ $made -lt 1000 ] || fail "1000 pages of 4 KiB in 2 MiB"
    done
    complained 'No space left'
    [ $made -gt 100 ] || fail "only $made pages of 4 KiB in 2 MiB"
    [ "$(ls m/pages | wc -l)" = $made ] || fail "$(ls m/pages | wc -l) pages are listed, of $made"
    touch m/pages/5000 2>err && fail "created a page behind the end of a full disk"
    complained 'No space left'
    page=$(ls m/pages | tail -n 1)
    mv "m/pages/$page" m/pages/5001 2>err && fail "renamed to a page behind the end of a full disk"
    [ -e "m/pages/$page" ] || fail "the page is gone after a failed rename"

    # What is there has its space.
    echo rewritten >"m/pages/$page" || fail "rewrite a page"
    sync "m/pages/$page" || fail "fsync"
    echo changed >m/protected/0 || fail "commit on a full disk"
    [ "$(head -n 1 m/protected/0)" = changed ] || fail "what was committed: $(head -n 1 m/protected/0)"
    [ "$(stat -f -c %a m)" -le 2 ] || fail "df shows $(stat -f -c %a m) free pages on a full disk"

    # A page that is freed can be had again.
    rm "m/pages/$page" && touch m/pages/new || fail "a freed page cannot be had"
    unmount m
    expect 0 mappedpages check host/f.mpp
    rm host/f.mpp

    # A sparse file on a full disk: the first write of a commit says so, as shells ignore close.
    mappedpages create --page-size 4096 --format $format --pages 100 host/f.mpp || fail "create"
    mappedpages alloc -p --count 10 host/f.mpp >/dev/null || fail "alloc -p"
    cp --sparse=always host/f.mpp host/sparse.mpp || fail "copy"
    if [ "$(stat -c %b host/sparse.mpp)" -lt "$(stat -c %b host/f.mpp)" ]; then
        dd if=/dev/zero of=host/filler bs=4096 status=none 2>/dev/null
        mount_file host/sparse.mpp m
        echo x 2>err >m/protected/9 && fail "no word of the full disk"
        complained 'No space left'
        rm host/filler
        echo x >m/protected/9 || fail "no room although there is"
        [ "$(head -n 1 m/protected/9)" = x ] || fail "not committed"
        unmount m
        expect 0 mappedpages check host/sparse.mpp
    fi
    rm -f host/*.mpp host/filler

    # A trim leaves disk space behind what next contents need, and the mount takes them.
    mappedpages create --page-size 4096 --format $format --pages 300 host/f.mpp || fail "create"
    mappedpages alloc -p --count 10 host/f.mpp >/dev/null || fail "alloc -p"
    expect 0 mappedpages trim host/f.mpp
    dd if=/dev/zero of=host/filler bs=4096 status=none 2>/dev/null
    mount_file host/f.mpp m
    for id in 0 4 9 4; do
        echo "trimmed $id" >m/protected/$id || fail "[$format] no room for what a trim left room for"
    done
    [ "$(head -n 1 m/protected/4)" = 'trimmed 4' ] || fail "not committed"
    unmount m
    expect 0 mappedpages check host/f.mpp
    rm -f host/*.mpp host/filler
done
umount host
