#!/bin/sh
# SPDX-License-Identifier: MIT
# Making a file where directories cannot be synced, and where nothing can be renamed, so that nothing open can be removed
# either: it is made, or nothing is left of it.
if [ $# = 0 ]; then
    for lacking in no_rename no_directory_sync no_rename,no_directory_sync; do
        "$0" $lacking || exit
    done
    exit 0
fi
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

leave() {
    fusermount3 -u -z "$work/shown" 2>/dev/null
    clean_up
}
trap leave EXIT

# What stands in the directory below is what is wanted.
is_as_wanted() {
    find disk -mindepth 1 -printf '%P\n' | sort >found
    cmp -s wanted found
}

# holds NAME… - fails unless just these stand in the directory below. What was removed while it was open may be there
# under another name for a moment longer, until the filesystem hears that it was closed.
holds() {
    for name; do echo "$name"; done | sort >wanted
    within 20 is_as_wanted || fail "not what is to be there: $(diff wanted found)"
}

mkdir disk shown || fail "mkdir"
"$top_builddir/tests/support/layer" -o "backing=$work/disk,$1" shown || fail "shown is not mounted"
within 20 mountpoint -q shown || fail "shown is not mounted"
made=
for format in 1 0.2; do
    expect 3 mappedpages create --format $format --pages 999999999999 shown/huge
    # shellcheck disable=SC2086
    holds $made
    # What kind of filesystem this is nobody knows: that is said, and no reason to refuse.
    expect 0 mappedpages create --format $format shown/f$format
    complained 'a lock may not keep out who comes to the file by another path'
    case $1 in *no_directory_sync) complained 'its directory cannot be synced' ;; esac
    made="$made f$format"
    expect 3 mappedpages create --format $format shown/f$format
    complained 'exists'
    # shellcheck disable=SC2086
    holds $made
    expect 0 mappedpages alloc -c 20 shown/f$format
    expect 0 mappedpages alloc -p shown/f$format
    expect 0 mappedpages check shown/f$format
    # One that was made elsewhere and brought there.
    mappedpages create --format $format brought.mpp || fail "create"
    cp brought.mpp shown/f$format.brought || fail "cp"
    made="$made f$format.brought"
    expect 0 mappedpages alloc -c 20 shown/f$format.brought
    expect 0 mappedpages check disk/f$format.brought
    rm brought.mpp
done
expect 0 mappedpages create --local-lock shown/insisted
! grep -q 'by another path' err || fail "who insists is told all the same"
expect 3 mappedpages free shown/f1 999999 # the hint of a lock is no part of what other commands say
! grep -q 'by another path' err || fail "each command complains of the filesystem"
# A mount says so in its log; the other path is noticed, as anywhere.
mkdir m || fail "mkdir"
mount_file shown/f1 m
grep -q 'by another path' m.log || fail "the log does not say what a lock does there"
: >m/pages/new || fail "no page by the mount"
expect 0 mappedpages alloc disk/f1
# shellcheck disable=SC2016
expect 2 sh -c ': >m/pages/new'
grep -q "somebody else has changed it" m.log || fail "the log does not say why: $(cat m.log)"
fusermount3 -u m || fail "unmount"
mounts=
expect 0 mappedpages check disk/f1
