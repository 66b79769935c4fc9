#!/bin/sh
# SPDX-License-Identifier: MIT
# Where a lock does not keep out who comes to the file by another path, it is not opened for writing, and that is
# said; who insists may write, and is told when somebody else did.
if [ $# = 0 ]; then # in both formats
    "$0" 0.2 && exec "$0" 1
    exit
fi
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse
command -v bindfs >/dev/null || skip "no bindfs"

mkdir direct "by the way - fuse" || fail "mkdir"
bindfs direct "by the way - fuse" || skip "bindfs cannot be mounted"
there="by the way - fuse/f.mpp"
leave() {
    fusermount3 -u -z "$work/by the way - fuse" 2>/dev/null
    clean_up
}
trap leave EXIT

mappedpages create direct/f.mpp --format "$1" || fail "create"
expect 0 mappedpages alloc -c 3 direct/f.mpp
expect 0 mappedpages alloc -p direct/f.mpp
cp direct/f.mpp before

# Refused, with the reason, and with what to do about it; reading is not.
for command in "alloc" "free" "write"; do
    # No id for alloc, one for the others.
    # shellcheck disable=SC2046
    expect 3 mappedpages $command "$there" $([ "$command" = alloc ] || echo 3) </dev/null
    complained "does not keep out who comes to the file by another path"
    complained "--local-lock"
done
expect 3 mappedpages create "by the way - fuse/new.mpp"
complained "does not keep out"
[ ! -e direct/new.mpp ] || fail "a refused file was left behind"
same before direct/f.mpp
expect 0 mappedpages check "$there"
expect 0 mappedpages list "$there"
mkdir m || fail "mkdir"
expect 32 mappedpagesfs -f "$there" m
complained "-o local_lock"
complained "with -o ro it may be mounted"
mount_file "$there" m -o ro
expect 0 cat m/info
unmount m

# Who insists may.
expect 0 mappedpages create --local-lock "by the way - fuse/new.mpp"
expect 0 mappedpages alloc --local-lock "$there"
expect 0 mappedpages free --local-lock "$there" 3
echo content >content
expect 0 mappedpages write --local-lock -p "$there" 0 <content
expect 0 mappedpages check direct/f.mpp

# Two writers at once, each with a lock of its own: one commits, and the other is told.
mount_file "$there" m -o local_lock
: >m/pages/new || fail "a page by the way"
expect 0 mappedpages alloc -p direct/f.mpp
# shellcheck disable=SC2016
expect 2 sh -c ': >m/pages/new'
grep -q "somebody else has changed it" m.log || fail "the log does not say why: $(cat m.log)"
cp direct/f.mpp after
# A shell's own printf does not look at what closing a file says.
env printf x 2>/dev/null >m/protected/0
fusermount3 -u m || fail "unmount"
mounts=
wait "$(cat m.pid)" && fail "the driver ended well"
same after direct/f.mpp
expect 0 mappedpages check direct/f.mpp

# Without a list of mounts nothing tells, and the worst is assumed, where it may be.
# (Sanitizers need it, too.)
if [ -z "${SANITIZERS:-}" ] && [ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null; then
    # shellcheck disable=SC2016
    expect 3 unshare -m sh -c 'mount -t tmpfs none /proc && exec mappedpages alloc "$1"' sh "$there"
    complained "cannot be told"
    # shellcheck disable=SC2016
    expect 0 unshare -m sh -c 'mount -t tmpfs none /proc && exec mappedpages alloc "$1"' sh direct/f.mpp
fi
