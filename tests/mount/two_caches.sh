#!/bin/sh
# SPDX-License-Identifier: MIT
# Two paths to a file, each with a cache of its own, as two machines have them: what one side commits the other sees,
# and who opens it next goes on from there. Where locks reach both, and where each side has its own.
if [ $# = 0 ]; then # in both formats
    for format in 0.2 1; do
        "$0" $format cluster || exit
        "$0" $format alone || exit
    done
    exit 0
fi
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

leave() {
    fusermount3 -u -z "$work/here" 2>/dev/null
    fusermount3 -u -z "$work/there" 2>/dev/null
    clean_up
}
trap leave EXIT

# layer DIRECTORY OPTIONS - shows `disk` there too, by way of a cache of its own.
layer() {
    "$top_builddir/tests/support/layer" -o "backing=$work/disk,$2" "$work/$1" || fail "$1 is not mounted"
    within 20 mountpoint -q "$work/$1" || fail "$1 is not mounted"
}

mkdir disk here there || fail "mkdir"
case $2 in
cluster) # the library knows such ones by the name of their kind; and closing takes its time there
    layer here locks,slow_release,subtype=glusterfs
    layer there locks,slow_release,subtype=glusterfs
    ;;
alone)
    layer there subtype=other
    rmdir here && ln -s disk here
    ;;
esac
mappedpages create here/f.mpp --format "$1" || fail "create"
expect 0 mappedpages alloc -p here/f.mpp
timeout 100 "$top_builddir/tests/mount/two_caches" here/f.mpp there/f.mpp >seen || fail "one side does not see the other's work"
cat seen
grep -q '^begins at 0 10 20 30 40 ' seen || fail "somebody did not begin where the other had ended"
expect 0 mappedpages check here/f.mpp
