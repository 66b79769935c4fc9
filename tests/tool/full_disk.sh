#!/bin/sh
# SPDX-License-Identifier: MIT
# Small disks of ext4, xfs, btrfs and tmpfs that are full: what is there can be written and freed, what needs room is
# told so, nothing dies by a signal, and when there is room again all goes on. Also with a file that came as a copy,
# with holes.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
# shellcheck source=tests/support/disks.lib.sh
. "$top_srcdir/tests/support/disks.lib.sh"

# Reserves most of it at once, and writes the rest.
fill_disk() {
    room=$(($(stat -f -c '%a * %S' disk) - 8 * 1048576))
    if [ $kind = btrfs ] || ! fallocate -l $room disk/filler 2>err; then
        dd if=/dev/zero of=disk/filler bs=1M >err 2>&1
    fi
    dd if=/dev/zero of=disk/filler2 bs=4k >err 2>&1
    sync
}

# no_signal COMMAND… - it works, or says that it cannot.
no_signal() {
    status=0
    "$@" >out 2>err || status=$?
    [ $status -eq 0 ] || [ $status -eq 3 ] || fail "[$kind] status $status: $*: $(cat err)"
    [ $status -eq 0 ] || grep -q -e 'No space left' -e 'allocate' err || fail "[$kind] $*: $(cat err)"
}

# goes_on FORMAT HOW [ARGUMENT…] - a program has a file that was made so open while the disk is full, and goes on when there is
# room again.
goes_on() {
    format=$1
    how=$2
    shift 2
    expect 0 mappedpages create -f "$format" -n 200 disk/made
    expect 0 mappedpages alloc -c 60 disk/made
    expect 0 mappedpages alloc -p -c 3 disk/made
    echo old >in
    expect 0 mappedpages write disk/made 30 <in
    "$@" disk/made disk/opened 2>err || { rm -f disk/made disk/opened; return 0; } # no such copy here
    sync
    fill_disk
    timeout 100 "$top_builddir/tests/tool/full_disk_client" disk/opened disk/filler disk/filler2 >out 2>&1 ||
        fail "[$kind, format $format, $how] status $?: $(cat out)"
    rm -f disk/filler disk/filler2
    expect 0 mappedpages check disk/opened
    rm -f disk/made disk/opened
}

tried=
for kind in ext4 xfs btrfs tmpfs; do
    new_disk $kind || continue
    tried="$tried $kind"
    expect 0 mappedpages create -n 200 disk/file
    expect 0 mappedpages alloc -c 60 disk/file
    expect 0 mappedpages alloc -p -c 3 disk/file
    for id in 0 1 2; do
        echo old >in
        expect 0 mappedpages write -p disk/file $id <in
    done
    expect 0 cp --reflink=never --sparse=always disk/file disk/copy
    fill_disk
    # The file itself has all that it needs.
    for round in 1 2 3 4; do
        echo "new $round" >in
        expect 0 mappedpages write -p disk/file 1 <in
        expect 0 mappedpages free disk/file $((round + 10))
        expect 0 mappedpages alloc disk/file
        expect 0 mappedpages write disk/file 20 <in
    done
    expect 3 mappedpages alloc -c 100000 disk/file
    complained 'No space left'
    expect 0 mappedpages check disk/file
    # The copy may not.
    for round in 1 2 3 4; do
        no_signal mappedpages alloc disk/copy
        no_signal mappedpages write -p disk/copy 1 <in
        no_signal mappedpages free disk/copy $((round + 20))
    done
    expect 0 mappedpages check disk/copy
    rm -f disk/filler disk/filler2
    sync
    for file in file copy; do
        expect 0 mappedpages alloc -c 50 disk/$file
        expect 0 mappedpages write -p disk/$file 2 <in
        expect 0 mappedpages free disk/$file 40
        expect 0 mappedpages check disk/$file
    done
    rm -f disk/file disk/copy
    for format in 1 0.2; do
        goes_on $format 'as a copy with holes' cp --reflink=never --sparse=always
    done
    case $kind in
    xfs) goes_on 1 'as a clone' cp --reflink=always ;;
    btrfs) goes_on 1 'as a copy' cp --reflink=never ;;
    esac
    umount disk || fail "cannot unmount"
    mounted=
done
[ -n "$tried" ] || skip "no disk can be made here: $(cat err)"
echo "tried:$tried"
