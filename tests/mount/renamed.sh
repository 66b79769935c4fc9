#!/bin/sh
# SPDX-License-Identifier: MIT
# Owner, mode, lock and content are of one file: the one that was opened, also where its name, or a link that
# led to it, names another file by the time the driver asks.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse
need_strace

expect 0 mappedpages create one
expect 0 mappedpages create other
ln -s one file

# Each call that names the file, after the mount's options were looked at: there is one, that opens it.
mkdir dir
strace -f -qq -e trace=file -o trace mappedpagesfs -f file dir 2>log &
tracer=$!
mounts=dir
within 20 mountpoint -q dir || fail "not mounted: $(cat log)"
fusermount3 -u dir || fail "cannot unmount"
mounts=
wait $tracer
last=$(grep -n 'readlink.*file"\|/one", *[A-Z0-9_|]*O_RDWR' trace | tail -n 1 | cut -d: -f1)
[ "$(grep -c '/one".*O_' trace)" -eq 1 ] || fail "the file is opened more than once: $(grep '/one"' trace)"
sed "1,${last}d" trace | grep '/one"' | grep -v -e readlink -e mount && fail "the file is named after it was opened"

# The file that is mounted is renamed away, and another takes its name: nothing of that one is seen or changed.
expect 0 mappedpages alloc one 5
chmod 640 one
chmod 600 other
mount_file file dir
mv one moved
mv other one
(: >dir/pages/7) || fail "cannot allocate"
[ "$(stat -c %a dir/pages/5)" = 640 ] || fail "mode of another file"
df dir >/dev/null || fail "df"
unmount dir
expect 0 mappedpages list moved
said 'page 5' 'page 7'
expect 0 mappedpages list one
said_nothing
