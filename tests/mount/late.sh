#!/bin/sh
# SPDX-License-Identifier: MIT
# What reaches a protected page after the last descriptor was closed is committed when the file is
# released, unless who wrote it was killed.
if [ $# = 0 ]; then # in both formats
    "$0" 0.2 && exec "$0" 1
    exit
fi
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

late=$top_builddir/tests/mount/late
expect 0 mappedpages create --page-size 4096 --format "$1" f.mpp
mount_file f.mpp m
begins() {
    [ "$(head -n 1 "$1" | tr -d '\0')" = "$2" ]
}

for where in pages protected; do
    timeout 60 "$late" m/$where map 8 || fail "map"
    within 20 begins m/$where/8 new || fail "$where: what was written through a map is lost"
done
for way in registered racing; do
    for where in pages protected; do
        for round in 1 2 3 4 5; do
            echo old >m/$where/9
            timeout 60 "$late" m/$where/9 $way
            status=$?
            [ $status != 77 ] || break 3
            [ $status = 0 ] || fail "$way: status $status"
            within 20 begins m/$where/9 new || fail "$where, $way, $round: lost: $(cat m.log)"
        done
    done
done
[ ! -s m.log ] || fail "nothing was dropped, but: $(cat m.log)"
# The driver is told to end before it has heard of the release.
if [ $status != 77 ]; then
    for round in 1 2 3; do
        echo old >m/protected/9
        timeout 60 "$late" m/protected/9 registered || fail "registered: status $?"
        kill "$(cat m.pid)"
        wait "$(cat m.pid)" || fail "the driver ended with $?: $(cat m.log)"
        mounts=
        [ "$(mappedpages read -p f.mpp 9 | head -n 1)" = new ] || fail "driver told to end, $round: lost: $(cat m.log)"
        [ ! -s m.log ] || fail "driver told to end: $(cat m.log)"
        mount_file f.mpp m
    done
fi
if [ $status != 77 ]; then
    # This is told even of a process that is gone by then, where the kernel can: Linux 6.15.
    echo old >m/protected/9
    timeout -s KILL 60 "$late" m/protected/9 killed
    within 20 grep -q 'page 9: what process.* wrote was dropped: it was killed by signal 9' m.log
    dropped=$?
    if [ "$(uname -r | awk -F. '{ print $1 * 1000 + $2 }')" -ge 6015 ]; then
        [ $dropped = 0 ] || fail "killed: no word of it: $(cat m.log)"
        begins m/protected/9 old || fail "killed: committed"
    fi
fi
unmount m
expect 0 mappedpages check f.mpp
