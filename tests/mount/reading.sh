#!/bin/sh
# SPDX-License-Identifier: MIT
# Tools that read: they see on a mount what they see in plain files.
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
. "$top_srcdir/tests/support/mount_tools.lib.sh"
need_fuse

# alike COMMAND… - the command prints the same in plain/ and in m/pages.
alike() {
    (cd plain && "$@" >../in_plain 2>&1) || fail "$* fails on plain files: $(cat in_plain)"
    (cd m/pages && "$@" >../../in_pages 2>&1) || fail "$* fails on a mount: $(cat in_pages)"
    case $1 in find | grep) sort -o in_plain in_plain && sort -o in_pages in_pages ;; esac
    diff in_plain in_pages >&2 || fail "$* prints something else on a mount"
    echo "ok $1"
}

for format in 1 0.2; do
    new_mount $format
    mkdir aside && mv plain/p? aside
    alike cat 10 11 19
    alike head -c 100 12
    alike head -n 3 12
    alike tail -c 77 13
    alike tail -n 2 13
    alike ls
    alike find . -type f -size -9k -name '1[0-4]'
    alike grep -r -c 'page 14 says' .
    alike grep -rl 'page 15 says' .
    alike md5sum 10 11 12 13 14 15 16 17 18 19
    alike wc 10 19
    alike od -A d -t x1 -N 64 16
    alike strings -n 8 17
    alike file 18
    alike git hash-object 10 11
    alike cksum 12
    alike sort 13
    (cd plain && md5sum -- * >../sums)
    (cd m/pages && md5sum -c --quiet ../../sums) >&2 || fail "md5sum -c"
    cmp m/pages/10 plain/10 || fail "cmp"
    diff -r plain m/pages >&2 || fail "diff -r"
    [ "$(find m/pages -type f | wc -l)" -eq 10 ] || fail "find does not find ten pages"
    # shellcheck disable=SC2012
    [ "$(ls -la m/pages | awk '$1 ~ /^-/ { bytes += $5 } END { print bytes }')" -eq 40960 ] ||
        fail "ls -la does not show ten pages of 4096 bytes"
    for id in 0 1 2 3 4; do
        cmp m/protected/$id aside/p$id || fail "protected page $id"
    done
    unmount m
    rm -r aside
done
