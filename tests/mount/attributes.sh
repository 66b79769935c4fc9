#!/bin/sh
# SPDX-License-Identifier: MIT
# Attributes: what tools set is kept as long as the mount; times change with content only.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

mappedpages create --page-size 4096 f.mpp || fail "create"
mappedpages alloc --zero --count 3 f.mpp >/dev/null && mappedpages alloc -p --count 2 f.mpp >/dev/null || fail "alloc"
touch -d '2001-02-03 04:05:06 UTC' f.mpp
mount_file f.mpp m

for file in m/pages/3 m/protected/0; do
    [ "$(stat -c %Y $file)" = "$(date -d '2001-02-03 04:05:06 UTC' +%s)" ] || fail "time: $(stat $file)"
    cat $file >/dev/null
    [ "$(stat -c %Y $file)" = "$(date -d '2001-02-03 04:05:06 UTC' +%s)" ] || fail "reading changed the time"
    echo x >$file
    [ "$(stat -c %Y $file)" -gt $(($(date +%s) - 60)) ] || fail "writing did not change the time: $(stat $file)"
    touch -d '1999-01-01 UTC' $file || fail "touch"
    [ "$(stat -c %Y $file)" = "$(date -d '1999-01-01 UTC' +%s)" ] || fail "touch did nothing: $(stat $file)"
    touch -d '1955-11-05 01:02:03.5 UTC' $file || fail "touch"
    [ "$(stat -c %Y $file)" = "$(date -d '1955-11-05 01:02:03 UTC' +%s)" ] || fail "before 1970: $(stat $file)"
    chmod 600 $file || fail "chmod"
    [ "$(stat -c %a $file)" = 600 ] || fail "chmod did nothing: $(stat $file)"
    if [ "$(id -u)" = 0 ]; then
        chown 12:34 $file || fail "chown"
        [ "$(stat -c %u:%g $file)" = 12:34 ] || fail "chown did nothing: $(stat $file)"
    fi
    chmod 4777 $file
    [ "$(stat -c %a $file)" = 777 ] || fail "a page is not a setuid program: $(stat $file)"
done
touch m/pages m/protected m && chmod 755 m/pages || fail "attributes of directories"
chmod 600 m/info 2>/dev/null && fail "changed /info"

# cp -p, and a freed page's successor does not inherit.
echo source >source && touch -d '2010-10-10 UTC' source && chmod 640 source
cp -p source m/pages/4 || fail "cp -p"
[ "$(stat -c '%a %Y' m/pages/4)" = "640 $(stat -c %Y source)" ] || fail "cp -p: $(stat m/pages/4)"
rm m/pages/4 && touch m/pages/4 || fail "recreate"
[ "$(stat -c %Y m/pages/4)" -gt $(($(date +%s) - 60)) ] || fail "an inherited time: $(stat m/pages/4)"
[ "$(stat -c %a m/pages/4)" != 640 ] || fail "an inherited mode: $(stat m/pages/4)"

# A directory's time changes with its names.
touch -d '2011-11-11 UTC' m/pages
touch m/pages/new
[ "$(stat -c %Y m/pages)" -gt $(($(date +%s) - 60)) ] || fail "creating did not change the time of the directory"
setfattr -n user.test -v 1 m/pages/3 2>/dev/null && fail "set an extended attribute"
unmount m
