#!/bin/sh
# SPDX-License-Identifier: MIT
# fstrim on a mount, and -o discard: disk space of deleted pages goes back to the filesystem that the page file lies on.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse
command -v fstrim >/dev/null || skip "no fstrim"

kib() {
    sync f.mpp
    du -k f.mpp | cut -f 1
}

# make_and_delete - 400 pages of 4 KiB with something in them, of which pages 3 to 22 stay.
make_and_delete() {
    made=0
    while [ $made -lt 400 ]; do
        made=$((made + 1))
        touch m/pages/new || fail "create"
    done
    echo kept >m/pages/10
    rm -f $(seq -f 'm/pages/%g' 23 402)
    sync m/pages/10
}

expect 0 mappedpages create -n 900 f.mpp
mount_file f.mpp m -o commit=60
make_and_delete
before=$(kib)
[ "$before" -ge 3000 ] || fail "it took $before KiB only"
expect 0 fstrim -v m
after=$(kib)
[ "$after" -le 1500 ] || fail "$before KiB became $after: $(cat out)"
[ "$(head -n 1 m/pages/10)" = kept ] || fail "page 10"
touch m/pages/new || fail "create afterwards"
unmount m
expect 0 mappedpages check f.mpp

rm f.mpp
expect 0 mappedpages create -n 900 f.mpp
mount_file f.mpp m -o commit=60,discard
before=$(kib)
make_and_delete
after=$(kib)
[ "$after" -le $((before - 1000)) ] || fail "with discard: $before KiB became $after"
[ "$(head -n 1 m/pages/10)" = kept ] || fail "page 10 with discard"
unmount m
expect 0 mappedpages check f.mpp

# Who may not.
if [ "$(id -u)" -eq 0 ] && command -v runuser >/dev/null; then
    mount_file f.mpp m -o allow_other
    runuser -u nobody -- fstrim m 2>err && fail "nobody may trim"
    unmount m
fi
mount_file f.mpp m -o ro
fstrim m 2>err && fail "a read-only mount is trimmed"
unmount m
exit 0
