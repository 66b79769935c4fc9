#!/bin/sh
# SPDX-License-Identifier: MIT
# Read-only mounts: many at once, nothing changes, and what was read once needs no request.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

cp "$golden/v02-1024-mixed.mpp" f.mpp && chmod 444 f.mpp || fail "copy"
sum=$(md5sum <f.mpp)
mount_file f.mpp a -o ro
mount_file f.mpp b -o ro

mappedpagesfs -f f.mpp a 2>err && fail "mounted for writing"
expect 0 diff -r a/pages b/pages
expect 0 diff -r a/protected b/protected
expect 0 cmp a/info b/info
page=$(ls a/pages | head -n 1)
touch a/pages/new 2>err && fail "created a page"
complained 'Read-only'
rm -f "a/pages/$page" 2>err && fail "deleted a page"
echo x 2>/dev/null >"a/pages/$page" && fail "wrote a page"
truncate -s 0 "a/protected/0" 2>err && fail "truncated a page"
mv "a/pages/$page" a/pages/500 2>err && fail "renamed a page"
chmod 600 "a/pages/$page" 2>err && fail "changed a mode"
[ -s a/info ] || fail "no info"
unmount a
unmount b

# The second reading of everything is no business of the driver's any more.
mount_file f.mpp m -o ro -d
cat m/pages/* m/protected/* >first || fail "reading"
grep -c 'opcode: READ ' m.log >reads || fail "no request at all was logged"
: >m.log
cat m/pages/* m/protected/* >second || fail "reading again"
same first second
if grep -E 'opcode: (OPEN|READ|FLUSH|RELEASE|LOOKUP|GETATTR) ' m.log | head >requests; then
    [ ! -s requests ] || fail "requests of a warm read: $(cat requests)"
fi
unmount m
[ "$(md5sum <f.mpp)" = "$sum" ] || fail "the file changed"
