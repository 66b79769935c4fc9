#!/bin/sh
# SPDX-License-Identifier: MIT
# Two paths to a file, each with a cache of its own, as two machines have them: what one side commits the other sees,
# and who opens it next goes on from there.
if [ $# = 0 ]; then # in both formats
    "$0" 0.2 && exec "$0" 1
    exit
fi
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse
command -v bindfs >/dev/null || skip "no bindfs"

mkdir here there || fail "mkdir"
bindfs here there || skip "bindfs cannot be mounted"
leave() {
    fusermount3 -u -z "$work/there" 2>/dev/null
    clean_up
}
trap leave EXIT
mappedpages create here/f.mpp --format "$1" || fail "create"
expect 0 mappedpages alloc -p here/f.mpp
timeout 100 "$top_builddir/tests/mount/two_caches" here/f.mpp there/f.mpp || fail "one side does not see the other's work"
expect 0 mappedpages check here/f.mpp
