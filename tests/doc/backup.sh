#!/bin/sh
# SPDX-License-Identifier: MIT
# doc/backup.md: every command in it is run, in its order, and does what is said.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

expect 0 mappedpages create live.mpp
expect 0 mappedpages alloc live.mpp 3-20
expect 0 mappedpages alloc -p live.mpp 0-9
for page in 0 5; do
    echo "protected $page" | mappedpages write -p live.mpp $page || fail "write"
done
awk '/^```/ { inside = ($0 == "```sh"); next } inside' "$top_srcdir/doc/backup.md" >commands.sh
[ "$(wc -l <commands.sh)" -ge 15 ] || fail "commands are missing: $(cat commands.sh)"
expect 0 sh -e commands.sh
for file in backup.mpp restored.mpp live.mpp another.mpp for-the-crate.mpp ours.mpp fresh.mpp short.mpp; do
    expect 0 mappedpages check $file
    [ "$(mappedpages read -p $file 5 | tr -d '\0')" = "protected 5" ] || fail "protected page 5 of $file"
    [ "$(mappedpages list $file | wc -l)" -eq 28 ] || fail "$file has other pages: $(mappedpages list $file)"
done
[ "$(mappedpages info --json for-the-crate.mpp | grep -c '"format": "0.2"')" -eq 1 ] || fail "the format for the crate"

# What it says of a mount.
grep -q '`cat pages.tar >mnt/batch`' "$top_srcdir/doc/backup.md" || fail "another command for a mount"
if [ -w /dev/fuse ] && command -v fusermount3 >/dev/null; then
    expect 0 mappedpages create mounted.mpp
    mount_file mounted.mpp mnt
    cat pages.tar >mnt/batch || fail "batch"
    grep -q committed mnt/batch || fail "batch says: $(cat mnt/batch)"
    unmount mnt
    [ "$(mappedpages read -p mounted.mpp 5 | tr -d '\0')" = "protected 5" ] || fail "protected page 5 by batch"
    [ "$(mappedpages list mounted.mpp | wc -l)" -eq 28 ] || fail "by batch there are other pages"
fi
