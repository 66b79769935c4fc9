#!/bin/sh
# SPDX-License-Identifier: MIT
# What another user may do on a mount: nothing without allow_other, and with it what the permission bits say; nobody makes devices or
# programs that run as somebody else.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse
[ "$(id -u)" = 0 ] || skip "another user can only be tried by root"
command -v runuser >/dev/null || skip "no runuser"
id nobody >/dev/null 2>&1 || skip "no user nobody"
chmod 755 "$work"

as_nobody() {
    runuser -u nobody -- "$@"
}

mappedpages create --page-size 1K f.mpp || fail "create"

# Not let in: not even to look.
mount_file f.mpp m
echo ours >m/pages/5 || fail "write"
echo safe >m/protected/0 || fail "write"
for path in m m/info m/pages m/pages/5 m/protected/0; do
    as_nobody ls "$path" >/dev/null 2>&1 && fail "$path is seen by somebody else"
done
unmount m

# Let in, to look.
mount_file f.mpp m -o allow_other,umask=022
[ "$(as_nobody head -n 1 m/pages/5)" = ours ] || fail "not to be read"
as_nobody cat m/info >/dev/null || fail "info is not to be read"
refused() {
    as_nobody sh -c "$1" >/dev/null 2>&1 && fail "not refused: $1"
    [ "$(head -n 1 m/pages/5)" = ours ] || fail "page 5 has changed by: $1"
    [ "$(head -n 1 m/protected/0)" = safe ] || fail "protected page 0 has changed by: $1"
}
refused 'echo theirs >m/pages/5'
refused 'echo theirs >>m/pages/5'
refused 'echo theirs 1<>m/protected/0'
refused ': >m/protected/0'
refused 'rm -f m/pages/5'
refused 'mv m/pages/5 m/pages/6'
refused 'touch m/pages/7'
refused 'touch m/protected/new'
refused 'truncate -s 0 m/pages/5'
refused 'chmod 666 m/pages/5'
refused 'chown nobody m/pages/5'
refused 'ln m/pages/5 m/pages/8'
refused 'mkdir m/pages/9'
refused 'setfattr -n user.x -v y m/pages/5'

# Nor does the owner make what is dangerous.
mknod m/pages/9 c 1 3 2>/dev/null && fail "a device was made"
mkfifo m/pages/9 2>/dev/null && fail "a FIFO was made"
ln -s /etc/passwd m/pages/9 2>/dev/null && fail "a symbolic link was made"
chmod 4755 m/pages/5 2>/dev/null && fail "set-user-ID was taken"
[ ! -u m/pages/5 ] || fail "set-user-ID is there"
unmount m
mappedpages check f.mpp || fail "check"
echo "nothing was let through"
