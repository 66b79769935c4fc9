#!/bin/sh
# SPDX-License-Identifier: MIT
# trim gives the disk space of free pages back to ext4, xfs, btrfs and tmpfs; nothing of what is in use changes; what is
# handed out afterwards has space behind it, also where the disk has become full since.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

# kib FILE - what it takes on its disk.
kib() {
    sync "$1"
    du -k "$1" | cut -f 1
}

# fill FILE - 2000 pages of 4 KiB with something in each, of which 20 stay, and some protected pages.
fill() {
    # shellcheck disable=SC2086
    expect 0 mappedpages create $format -n 2200 "$1"
    expect 0 mappedpages alloc -c 2000 "$1"
    expect 0 mappedpages alloc -p -c 5 "$1"
    for id in 0 1 2 3 4; do
        echo "protected $id" >in
        expect 0 mappedpages write -p "$1" $id <in
    done
    echo "page 1500" >in
    expect 0 mappedpages write "$1" 1500 <in
    expect 0 mappedpages free "$1" 20-1490 1510-2002
}

# is_whole FILE
is_whole() {
    expect 0 mappedpages check "$1"
    for id in 0 1 2 3 4; do
        expect 0 mappedpages read -p "$1" $id
        head -n 1 out | tr -d '\0' | grep -qx "protected $id" || fail "[$kind] protected page $id: $(head -c 40 out)"
    done
    expect 0 mappedpages read "$1" 1500
    head -n 1 out | tr -d '\0' | grep -qx "page 1500" || fail "[$kind] page 1500"
}

# trims FILE - it does, in both formats.
trims() {
    for format in '' '--format 0.2'; do
        rm -f "$1"
        fill "$1"
        before=$(kib "$1")
        [ "$before" -ge 7000 ] || fail "[$kind] it took $before KiB only"
        length=$(stat -c %s "$1")
        expect 0 mappedpages trim --json "$1"
        grep -q '"bytes_given_back"' out || fail "$(cat out)"
        after=$(kib "$1")
        [ "$after" -le 1000 ] || fail "[$kind] $format $before KiB became $after"
        [ "$(stat -c %s "$1")" -eq "$length" ] || fail "[$kind] its length changed"
        is_whole "$1"
        # Again there is nothing to give back.
        expect 0 mappedpages trim "$1"
        grep -q '^0 bytes' out || fail "[$kind] a second time: $(cat out)"
        expect 0 mappedpages alloc -c 1000 "$1"
        [ "$(kib "$1")" -ge 4000 ] || fail "[$kind] what was handed out has no space: $(kib "$1") KiB"
        is_whole "$1"
    done
}

kind=here
format=
fill ./asked
expect 0 mappedpages trim ./asked || skip "no holes here"
expect 2 mappedpages trim
expect 3 mappedpages trim ./missing
expect 0 mappedpages trim --quiet ./asked
[ ! -s out ] || fail "--quiet: $(cat out)"

# shellcheck source=tests/support/disks.lib.sh
. "$top_srcdir/tests/support/disks.lib.sh"

tried=
for kind in ext4 xfs btrfs tmpfs; do
    new_disk $kind || continue
    tried="$tried $kind"
    trims disk/file
    # On a disk that has become full, what was given back is gone, and that is said before anything is harmed.
    format=
    rm disk/file
    fill disk/file
    expect 0 mappedpages trim disk/file
    dd if=/dev/zero of=disk/filler bs=1M >err 2>&1
    dd if=/dev/zero of=disk/filler2 bs=4k >err 2>&1
    sync
    if [ $kind != btrfs ]; then
        expect 3 mappedpages alloc -c 1400 disk/file
        complained 'No space left'
        echo "protected 3" >in
        expect 0 mappedpages write -p disk/file 3 <in
    fi
    is_whole disk/file
    umount disk || fail "cannot unmount"
    mounted=
done
[ -n "$tried" ] || skip "no disk can be made here: $(cat err)"
echo "tried:$tried"
