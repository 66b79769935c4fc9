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

# holds NAME… - fails unless just these stand in the directory below.
holds() {
    for name; do echo "$name"; done | sort >wanted
    find disk -mindepth 1 -printf '%P\n' | sort | diff -u wanted - >&2 || fail "not what is to be there: $*"
}

mkdir disk shown || fail "mkdir"
"$top_builddir/tests/support/layer" -o "backing=$work/disk,$1" shown || fail "shown is not mounted"
within 20 mountpoint -q shown || fail "shown is not mounted"
made=
for format in 1 0.2; do
    expect 3 mappedpages create --format $format shown/f$format # locks are this mount's alone
    expect 3 mappedpages create --local-lock --format $format --pages 999999999999 shown/huge
    # shellcheck disable=SC2086
    holds $made
    expect 0 mappedpages create --local-lock --format $format shown/f$format
    case $1 in *no_directory_sync) complained 'its directory cannot be synced' ;; esac
    made="$made f$format"
    expect 3 mappedpages create --local-lock --format $format shown/f$format
    complained 'exists'
    # shellcheck disable=SC2086
    holds $made
    expect 0 mappedpages alloc --local-lock -c 20 shown/f$format
    expect 0 mappedpages alloc --local-lock -p shown/f$format
    expect 0 mappedpages check shown/f$format
done
