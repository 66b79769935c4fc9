#!/bin/sh
# SPDX-License-Identifier: MIT
# Where /proc does not show who was killed, a mount says so. And where it does, but the exit status of other
# users' programs is not for the driver to know, it still tells most of those that were killed.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse
[ "$(id -u)" = 0 ] || skip "mounts of its own only root can have"
for command in unshare setpriv; do
    command -v $command >/dev/null || skip "no $command"
done

[ -z "${SANITIZERS:-}" ] || skip "sanitizers need /proc"

# Everything below is within a mount namespace of its own, where /proc may be hidden.
if [ -z "${own_mounts:-}" ]; then
    cd / && rm -rf "$work"
    own_mounts=yes exec unshare -m sh "$top_srcdir/tests/mount/unseen.sh"
fi
mount --make-rprivate / 2>/dev/null || skip "mounts cannot be made private"
mount -t tmpfs -o dev,mode=755 tmpfs /mnt || skip "no devices of its own"
mknod -m 666 /mnt/fuse c 10 229 || skip "no device of its own"
mount --bind /mnt/fuse /dev/fuse || skip "no device of its own"
echo user_allow_other >fuse.conf
[ -e /etc/fuse.conf ] || skip "no /etc/fuse.conf"
mount --bind fuse.conf /etc/fuse.conf || skip "no configuration of its own"
chmod 755 "$work"
program=$top_builddir/fuse/.libs/mappedpagesfs
[ -x "$program" ] || program=$top_builddir/fuse/mappedpagesfs # linked statically: no wrapper
cp "$program" mappedpagesfs || fail "copy of the driver"
cp "$top_builddir/tests/mount/endings" . || fail "copy of the program"
cp "$top_builddir"/src/.libs/libmappedpages.so* . 2>/dev/null
LD_LIBRARY_PATH=$work
export LD_LIBRARY_PATH

# as USER COMMAND… - with that number, and no rights.
as() {
    user=$1
    shift
    setpriv --reuid="$user" --regid="$user" --clear-groups "$@"
}

new_file() {
    mappedpages create --page-size 4096 f.mpp >/dev/null || fail "no file"
    mappedpages alloc -p f.mpp >/dev/null || fail "no page"
}

# serve USER [OPTION…] - mounts f.mpp on m for all, as that user.
serve() {
    user=$1
    shift
    rm -rf f.mpp m && mkdir m && chown "$user" m
    new_file
    chown "$user" f.mpp || fail "no file of $user"
    as "$user" "$work/mappedpagesfs" -f f.mpp m -o allow_other,umask=0 "$@" 2>m.log &
    echo $! >m.pid
    mounts=m
    within 20 mountpoint -q m || fail "not mounted: $(cat m.log)"
}
warned() {
    grep -q "$1.*cannot be told from those that end by themselves" m.log
}
ends() { # WAY COMMITTED - of ten
    committed=$(as 1000 timeout 60 ./endings m/protected/0 "$1" 10) || fail "$1: something else"
    [ "$committed" = "$2" ] || fail "$1: $committed of 10 committed instead of $2: $(cat m.log)"
}

# Another user's programs, seen by an ordinary user.
serve 65534
! grep -q 'cannot be told' m.log || fail "warned of nothing: $(cat m.log)"
for way in close exit return exec handler; do
    ends $way 10
done
for way in SIGTERM SIGKILL; do
    ends $way 0
done
unmount m

# hidepid: those of other users are hidden.
mount -t proc -o hidepid=2 proc /proc || skip "no /proc of its own"
serve 65534
warned hidepid || fail "hidepid: no warning: $(cat m.log)"
ends exit 10
ends SIGKILL 10
grep -q 'whether .* was killed cannot be told' m.log || fail "no word of a client that is unseen: $(cat m.log)"
unmount m
serve 0
! grep -q 'cannot be told' m.log || fail "root sees them, but was warned: $(cat m.log)"
ends SIGKILL 0
unmount m
umount /proc

# That of another PID namespace.
rm -rf f.mpp m && mkdir m
new_file
unshare --pid --fork "$work/mappedpagesfs" f.mpp m -f 2>m.log &
echo $! >m.pid
mounts=m
within 20 mountpoint -q m || fail "not mounted: $(cat m.log)"
warned 'another PID namespace' || fail "another PID namespace: no warning: $(cat m.log)"
unmount m

# None at all.
umount -l /proc
rm -rf f.mpp m && mkdir m
new_file
"$work/mappedpagesfs" -f f.mpp m 2>m.log &
echo $! >m.pid
mounts=m
tries=400
until [ -e m/info ]; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || fail "not mounted: $(cat m.log)"
    sleep 0.05
done
warned 'not mounted' || fail "no /proc: no warning: $(cat m.log)"
[ "$(timeout 60 ./endings m/protected/0 exit 5)" = 5 ] || fail "no /proc: exit"
end_driver m # umount(8) needs /proc
