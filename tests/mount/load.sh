#!/bin/sh
# SPDX-License-Identifier: MIT
# Eight clients that ask for this and that at random: all are answered, the driver ends by itself, and the file is
# sound. It ends by an unmount, by a signal while they are at it, and by an unmount that does not wait for them.
# MPG_TEST_SECONDS makes each longer.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse
command -v python3 >/dev/null || skip "no python3"

seconds=${MPG_TEST_SECONDS:-2}
endings='1:unmount 0.2:signal'
[ -z "${MPG_TEST_SECONDS:-}" ] || endings='1:unmount 1:signal 1:lazily 0.2:unmount 0.2:signal 0.2:lazily'
seed=$$

for ending in $endings; do
    rm -f file
    expect 0 mappedpages create --page-size 4096 --format "${ending%:*}" file
    mount_file file m
    clients=
    for client in 1 2 3 4 5 6 7 8; do
        # One that is not answered is not waited for.
        timeout -s KILL $((seconds + 60)) python3 "$top_srcdir/tests/mount/load.py" m "$seconds" $((seed + client)) \
            >"said.$client" 2>&1 &
        clients="$clients $!"
    done
    case $ending in
    *signal) sleep $((seconds / 2)) && kill "$(cat m.pid)" ;;
    *lazily) sleep $((seconds / 2)) && fusermount3 -u -z m ;;
    esac
    for client in $clients; do
        wait "$client" || fail "$ending, from $seed on: $(cat said.*)"
    done
    case $ending in
    *unmount) unmount m ;;
    *)
        within 60 sh -c "! grep -q '^State:.*[RSD]' /proc/$(cat m.pid)/status" || fail "$ending, from $seed on: the driver does not end"
        wait "$(cat m.pid)" || fail "$ending, from $seed on: the driver fails"
        fusermount3 -u -z m 2>/dev/null
        mounts=
        ;;
    esac
    expect 0 mappedpages check file
    seed=$((seed + 10))
done
