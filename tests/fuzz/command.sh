#!/bin/sh
# SPDX-License-Identifier: MIT
# The command on hostile files: it answers, or says why not, and never dies of a signal.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

# A hostile file may ask to be grown without end: that must not fill the disk.
trap "" XFSZ
ulimit -f 131072 || exit 99 # 64 MiB

mutations=${MPG_FUZZ_FILES:-6}

# run COMMAND... - may succeed, find that the answer is no, or fail with a reason.
run() {
    timeout 60 "$@" >out 2>err
    status=$?
    case $status in
    0) ;;
    1) [ -s out ] || [ -s err ] || fail "exit status 1 without a word: $*" ;;
    3) grep -q '^mappedpages: .' err || fail "exit status 3 without a reason: $*" ;;
    *)
        cat err >&2
        cp "$file" "${TMPDIR:-/tmp}/fuzz_command.mpp"
        fail "exit status $status: $* (kept as ${TMPDIR:-/tmp}/fuzz_command.mpp)"
        ;;
    esac
    if grep -q 'Sanitizer\|runtime error' err; then
        cat err >&2
        fail "a sanitizer's report: $*"
    fi
}

mkdir files
for seed_file in "$top_srcdir"/tests/fuzz/corpus/*.mpp; do
    rm -f files/*
    "$top_builddir/tests/fuzz/mutations_test" -w "$seed_file" 1000 files "$mutations" || fail "mutating $seed_file"
    for file in files/*.mpp; do
        run mappedpages info "$file"
        run mappedpages check "$file"
        run mappedpages list "$file"
        run mappedpages read -p "$file" 0
        run mappedpages alloc "$file"
        run mappedpages alloc -p "$file"
    done
done
