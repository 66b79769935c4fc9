#!/bin/sh
# SPDX-License-Identifier: MIT
# An ordinary user mounts a file of their own, through fusermount3.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse
need_ordinary_user "$top_srcdir/tests/mount/user.sh"

# The programs must be within that user's reach.
chmod 755 "$work"
mkdir theirs && chown $user theirs
program=$top_builddir/fuse/.libs/mappedpagesfs
[ -x "$program" ] || program=$top_builddir/fuse/mappedpagesfs # linked statically: no wrapper
cp "$program" "$work/mappedpagesfs" || fail "copy of the program"
cp "$top_builddir"/src/.libs/libmappedpages.so* "$work" 2>/dev/null
cat >user.sh <<'END'
set -e
cd "$1/theirs"
LD_LIBRARY_PATH=$1
export LD_LIBRARY_PATH
mkdir m
unmount() {
    tries=600
    until fusermount3 -u m 2>unmount.err; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || { cat unmount.err >&2; exit 1; }
        sleep 0.05
    done
}
ready() {
    read -r line <ready && [ "$line" = READY=1 ]
}
mkfifo ready
"$1/mappedpagesfs" -f f.mpp m -o ready_fd=7 7>ready &
ready
echo mine >m/pages/5
echo safe >m/protected/new
[ "$(head -n 1 m/pages/5)" = mine ]
[ "$(head -n 1 m/protected/0)" = safe ]
[ "$(stat -c %U m/pages/5)" = nobody ]
sed -i s/mine/ours/ m/pages/5
[ "$(head -n 1 m/pages/5)" = ours ]
rm m/pages/5
[ ! -e m/pages/5 ]
touch outside
unmount
wait $!
"$1/mappedpagesfs" f.mpp "$1/theirs/m"
grep -q ours m/pages/* && exit 1
[ "$(head -n 1 m/protected/0)" = safe ]
unmount

# A file that may only be read can be mounted read-only, one that may not be read cannot.
chmod 444 f.mpp
"$1/mappedpagesfs" f.mpp m 2>err && exit 1
grep 'with -o ro it may be' err
chmod 000 f.mpp
"$1/mappedpagesfs" f.mpp m 2>err && exit 1
grep 'f.mpp: no permission' err
grep 'with -o ro' err && exit 1
chmod 600 f.mpp
END
mappedpages create --page-size 1K --format 0.2 theirs/f.mpp || fail "create"
chown $user theirs/f.mpp
expect 0 timeout 60 runuser -u $user -- sh "$work/user.sh" "$work"

# Others, root as well, have no business there unless asked in.
mkdir theirs/n && chown $user theirs/n
mkfifo ready && chmod 666 ready
timeout 60 runuser -u $user -- env LD_LIBRARY_PATH="$work" "$work/mappedpagesfs" -f theirs/f.mpp theirs/n \
    -o ready_fd=7 7>ready 2>err &
daemon=$!
read -r line <ready
[ "$line" = READY=1 ] || fail "not mounted: $(cat err)"
ls theirs/n >out 2>err && fail "root looks into a user's mount"
within 30 runuser -u $user -- fusermount3 -u theirs/n || fail "unmount"
wait $daemon || fail "the driver ended with status $?: $(cat err)"
expect 0 mappedpages check theirs/f.mpp

# What that user may not do is told with what helps.
cp "$top_builddir/tools/.libs/mappedpages" own 2>/dev/null || cp "$top_builddir/tools/mappedpages" own || fail "copy of the command"
expect 3 runuser -u $user -- env LD_LIBRARY_PATH="$work" ./own create new.mpp
complained '^mappedpages: new.mpp: no permission to make it in its directory$'
touch closed && chmod 600 closed
# shellcheck disable=SC2016
expect 32 unshare -m sh -c 'mount --bind closed /dev/fuse && exec runuser -u "$1" -- env LD_LIBRARY_PATH=. ./mappedpagesfs theirs/f.mpp theirs/n' sh $user
complained "/dev/fuse: Permission denied; .*'chmod 666 /dev/fuse' by root"
