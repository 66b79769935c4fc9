#!/bin/sh
# SPDX-License-Identifier: MIT
# A file that is in use: who unmounts it can mount it again at once; who waits gets it; and who is refused
# learns who has it. MPG_TEST_ROUNDS: rounds of unmounting and mounting again.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

rounds=${MPG_TEST_ROUNDS:-25}
[ -z "${MPG_TEST_SECONDS:-}" ] || rounds=100
page_file=$work/f.mpp
mkdir m other
mappedpages create --page-size 1K f.mpp || fail "create"

# Again and again, with something to be written at the end each time.
mounts=m
echo 0 >m.pid
round=0
while [ $round -lt "$rounds" ]; do
    round=$((round + 1))
    expect 0 mappedpagesfs "$page_file" "$work/m" -o commit=60
    touch m/pages/new || fail "round $round: not mounted"
    echo $round >m/protected/$round || fail "round $round: cannot write"
    take_down m
done
# And the command, at once after an unmount.
round=0
while [ $round -lt 5 ]; do
    round=$((round + 1))
    expect 0 mappedpagesfs "$page_file" "$work/m" -o commit=60
    touch m/pages/new || fail "not mounted"
    take_down m
    expect 0 mappedpages alloc f.mpp
done
mounts=
expect 0 mappedpages check f.mpp

# now - the time in hundredths of a second
now() {
    cut -d ' ' -f 1 /proc/uptime | tr -d .
}

# A driver that is ending, for longer than it takes to look twice: it has no mount any more, and holds the file.
# Here it is one that is stopped, so that the moment lasts.
mount_file f.mpp m
kill -STOP "$(cat m.pid)"
umount -l m 2>/dev/null || fusermount3 -u -z m || fail "cannot unmount"
mounts=
# Somebody else's mount, left behind by a driver that was killed, may have the number of ours: nobody can tell it
# from ours then. (Each try waits two seconds for the driver.)
names_driver() {
    expect 3 mappedpages alloc f.mpp
    grep -q "^mappedpages: f.mpp: busy: process $(cat m.pid) (.*mappedpagesf.*) holds it" err
}
within 2 names_driver || fail "not the driver that is ending: $(cat err)"
# Another mount gets the number of the one that is gone.
expect 0 mappedpages create other.mpp
mappedpagesfs -f other.mpp other & echo $! >other.pid
mounts=other
within 20 mountpoint -q other || fail "other: not mounted"
within 2 names_driver || fail "not the driver that is ending: $(cat err)"
expect 3 mappedpages alloc other.mpp
complained "^mappedpages: other.mpp: busy: mounted on $work/other"
take_down other
mounts=
(sleep 0.5 && kill -CONT "$(cat m.pid)") &
expect 0 mappedpagesfs "$page_file" "$work/m" -o wait=60
mounts=m
kill -0 "$(cat m.pid)" 2>/dev/null && [ "$(awk '{ print $3 }' "/proc/$(cat m.pid)/stat")" != Z ] &&
    fail "mounted while another driver had the file"

# One that is mounted is named at once, and waited for only if that is asked for.
start=$(now)
expect 32 mappedpagesfs "$page_file" "$work/other"
complained "^mappedpagesfs: $page_file: busy: mounted on $work/m"
expect 3 mappedpages alloc f.mpp
complained "^mappedpages: f.mpp: busy: mounted on $work/m"
expect 3 mappedpages write f.mpp 3 </dev/null
complained "busy: mounted on $work/m"
expect 3 mappedpages alloc --json f.mpp
grep -q '"name": "BUSY"' out || fail "--json: $(cat out)"
grep -q "mounted on $work/m" out || fail "--json: $(cat out)"
[ $(($(now) - start)) -lt 800 ] || fail "it was waited for a driver that is not ending"
(sleep 0.5 && take_down "$work/m") &
expect 0 mappedpages alloc --wait 60 f.mpp
mounts=
wait $!

# Also where its source has another name, if the kernel tells which mount a driver serves.
mount_file f.mpp m -o fsname=named
if grep -q fuse_connection "/proc/$(cat m.pid)/fdinfo/"*; then
    expect 32 mappedpagesfs "$page_file" "$work/other"
    complained "^mappedpagesfs: $page_file: busy: mounted on $work/m"
    expect 3 mappedpages alloc f.mpp
    complained "^mappedpages: f.mpp: busy: mounted on $work/m"
fi
unmount m

# Any other process is named, too.
hold f.mpp
start=$(now)
expect 32 mappedpagesfs "$page_file" "$work/m"
complained "^mappedpagesfs: $page_file: busy: open in process $holder (python3"
expect 3 mappedpages free f.mpp 3
complained "^mappedpages: f.mpp: busy: open in process $holder (python3"
[ $(($(now) - start)) -lt 800 ] || fail "it was waited for a process that is no driver"
expect 32 mappedpagesfs "$page_file" "$work/m" -o wait=1
[ $(($(now) - start)) -ge 100 ] || fail "wait=1 did not wait"
(sleep 0.5 && kill $holder) &
expect 0 mappedpagesfs "$page_file" "$work/m" -o wait=60
mounts=m
exec 8>&-

# What a user may not see is not guessed at.
if [ "$(id -u)" = 0 ] && command -v runuser >/dev/null; then
    chmod 755 "$work"
    chmod 666 f.mpp
    cp "$top_builddir/tools/.libs/mappedpages" own 2>/dev/null || cp "$top_builddir/tools/mappedpages" own
    cp "$top_builddir"/src/.libs/libmappedpages.so* . 2>/dev/null
    expect 3 runuser -u nobody -- env LD_LIBRARY_PATH="$work" ./own alloc f.mpp
    complained "busy: mounted on $work/m$"
    take_down m
    mounts=
    expect 0 mappedpages alloc f.mpp
    hold f.mpp
    expect 3 runuser -u nobody -- env LD_LIBRARY_PATH="$work" ./own alloc f.mpp
    complained 'busy: open or mounted elsewhere, where this user cannot see it'
    exec 8>&-
    wait $holder
else
    take_down m
    mounts=
fi
expect 0 mappedpages alloc f.mpp

# Names of mount points come out as one line, whatever is in them.
dir=$(printf 'a\nb\033[31m')
mkdir "$dir"
expect 0 mappedpagesfs "$page_file" "$work/$dir"
expect 3 mappedpages alloc f.mpp
take_down "$dir"
complained 'busy: mounted on .*/a?b?\[31m'
[ "$(wc -l <err)" -eq 1 ] || fail "more than a line: $(cat err)"

# What a killed driver left is told from a busy file.
mount_file f.mpp m
kill -9 "$(cat m.pid)"
wait "$(cat m.pid)" 2>/dev/null
expect 32 mappedpagesfs "$page_file" "$work/m"
complained 'Transport endpoint is not connected: the driver that served it was killed; unmount it first'
take_down m
mounts=
expect 0 mappedpages check f.mpp
