#!/bin/sh
# SPDX-License-Identifier: MIT
# Mounting hostile files: refused with a reason, or served with errors where the file is damaged. The
# daemon lives until it is unmounted.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

# A hostile file may ask to be grown without end: that must not fill the disk.
trap "" XFSZ
ulimit -f 131072 || exit 99 # 64 MiB

mutations=${MPG_FUZZ_FILES:-3}
served=0

# All that a visitor may do. What fails is no fault, and may not take long.
visit() {
    timeout 60 sh -c '
        ls -l m m/protected >/dev/null
        for page in m/[0-9]* m/protected/[0-9]*; do
            head -c 64 "$page" >/dev/null
        done
        echo new | dd of=m/protected/0 conv=notrunc status=none
        touch m/400 m/protected/40
        rm -f m/3 m/protected/1
    ' >/dev/null 2>&1
    [ $? -ne 124 ] || fail "a visit to $file took a minute"
}

mkdir files
for seed_file in "$top_srcdir"/tests/fuzz/corpus/*.mpp; do
    rm -f files/*
    "$top_builddir/tests/fuzz/mutations_test" -w "$seed_file" 2000 files "$mutations" || fail "mutating $seed_file"
    for file in files/*.mpp; do
        mkdir -p m
        timeout 60 mappedpagesfs -f "$file" m 2>m.log &
        daemon=$!
        tries=0
        until mountpoint -q m || ! kill -0 "$daemon" 2>/dev/null || [ $tries -eq 200 ]; do
            sleep 0.05
            tries=$((tries + 1))
        done
        if mountpoint -q m; then
            echo "$daemon" >m.pid
            mounts=m
            visit
            mountpoint -q m && kill -0 "$daemon" || fail "the daemon died of $file: $(cat m.log)"
            take_down m
            served=$((served + 1))
            mounts=
        fi
        wait "$daemon"
        status=$?
        [ $status -lt 124 ] || fail "exit status $status for $file: $(cat m.log)"
        [ $status -eq 0 ] || [ -s m.log ] || fail "refused $file without a reason"
        if grep -q 'Sanitizer\|runtime error' m.log; then
            cat m.log >&2
            fail "a sanitizer's report on $file"
        fi
    done
done
[ $served -gt 0 ] || fail "no file was served"
