#!/bin/sh
# SPDX-License-Identifier: MIT
# Random I/O on one page, compared with memory at every step: regular and protected, at page sizes from
# 1 KiB to 1 MiB, with what others see by reading, splicing and mapping. And fio, which writes, reads
# back and verifies in three ways.
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

operations=20000
[ -z "${MPG_TEST_SECONDS:-}" ] || operations=200000
random_io=$top_builddir/tests/mount/random_io

for size in 1K 4K 64K 1M; do
    format=1
    [ $size != 4K ] || format=0.2
    mappedpages create --format $format --page-size $size file >/dev/null || fail "create"
    mount_file file m
    touch m/pages/20 m/protected/3 m/pages/21 || fail "no pages"
    "$random_io" m/pages/20 "$operations" 1 || fail "pages of $size"
    "$random_io" m/protected/3 $((operations / 10)) 2 protected || fail "protected pages of $size"
    [ "$(tr -d '\0' <m/pages/21 | wc -c)" -eq 0 ] || fail "another page has changed"
    cp m/pages/20 page && cp m/protected/3 protected
    unmount m
    expect 0 mappedpages check file
    mount_file file m
    same m/pages/20 page
    same m/protected/3 protected
    echo "ok $size"
    if [ $size = 1M ] && command -v fio >/dev/null; then
        for engine in psync libaio mmap; do
            fio --name=verify --filename="$work/m/pages/20" --size=1M --bs=4k --rw=randwrite \
                --ioengine=$engine --iodepth=8 --verify=crc32c --do_verify=1 --fallocate=none \
                --verify_fatal=1 >fio.out 2>&1 || fail "fio with $engine: $(cat fio.out)"
        done
        fio --name=verify --filename="$work/m/protected/3" --size=1M --bs=4k --rw=randwrite \
            --ioengine=psync --verify=crc32c --do_verify=1 --fallocate=none --verify_fatal=1 \
            >fio.out 2>&1 || fail "fio on a protected page: $(cat fio.out)"
        echo "ok fio"
    fi
    unmount m
    rm file
done
