#!/bin/sh
# SPDX-License-Identifier: MIT
# bench measures everything it tells of, leaves nothing behind, however it ends, and says why it cannot.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

rows='write_and_sync commit_page commit_64_pages commit_8_threads allocate_or_free read'

# left_nothing - the directory is as empty as it was.
left_nothing() {
    [ -z "$(ls -A ground)" ] || fail "left behind: $(ls -A ground)"
}

mkdir ground
expect 0 mappedpages bench ground
grep -q ' [1-9][0-9.]* .*[1-9].* x$' out || fail "no figures: $(cat out)"
left_nothing

expect 0 mappedpages bench --json ground
for row in $rows; do
    grep -A 1 "\"$row\": {" out | grep -q '"nanoseconds": [1-9]' || fail "nothing of $row: $(cat out)"
done
left_nothing

# Asked to end while it measures. It may be done before it is asked: then it is tried again.
has_begun() {
    [ -n "$(ls ground)" ]
}
for _ in $(seq 100); do
    mappedpages bench ground >out 2>err &
    bench=$!
    within 2 has_begun
    kill -TERM $bench 2>err
    wait $bench
    status=$?
    left_nothing
    [ "$status" -eq 0 ] || break
done
[ "$status" -eq 143 ] || fail "status $status: $(cat err)"
said_nothing

expect 3 mappedpages bench missing
complained '^mappedpages: missing: No such file or directory$'
echo >file
expect 3 mappedpages bench file
complained '^mappedpages: file: Not a directory'

# Where there is no room.
# shellcheck source=tests/support/disks.lib.sh
. "$top_srcdir/tests/support/disks.lib.sh"
kind=tmpfs
if new_disk $kind; then
    dd if=/dev/zero of=disk/filler bs=1M >err 2>&1
    rm -rf ground
    mkdir disk/ground && ln -s disk/ground ground
    expect 3 mappedpages bench ground
    complained 'ground: No space left on device'
    left_nothing
fi
