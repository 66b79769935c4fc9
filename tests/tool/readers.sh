#!/bin/sh
# SPDX-License-Identifier: MIT
# Commands that read work while others write, and show whole pages: never a torn one, never a false fault.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

rounds=40 # of the writer
writer=
trap '[ -z "$writer" ] || kill "$writer" 2>/dev/null; wait; clean_up' EXIT # also when a look goes wrong

for format in 0.2 1; do
    file=f-$format
    expect 0 mappedpages create --format $format --page-size 1K $file
    expect 0 mappedpages alloc -p --count 4 $file
    for letter in a b c; do
        head -c 1024 /dev/zero | tr '\0' "$letter" >"content.$letter"
        mappedpages write -p $file 2 <content.$letter || fail "write -p"
    done

    # Each round changes a protected page twice, and allocates and frees pages of both kinds.
    (
        rm -f ended
        round=0
        while [ $round -lt $rounds ]; do
            round=$((round + 1))
            for letter in a b; do
                until mappedpages write -p $file 2 <content.$letter 2>write.err; do
                    grep -q ': busy: ' write.err || exit 1
                done
            done
            # While it is looked at by `check` it may be busy for longer than is waited for.
            if id=$(mappedpages alloc -p $file 2>write.err); then
                until mappedpages free -p $file "$id" 2>write.err; do
                    grep -q ': busy: ' write.err || exit 1
                done
            else
                grep -q ': busy: ' write.err || exit 1
            fi
        done
        : >ended
    ) &
    writer=$!

    looks=0
    while [ ! -e ended ] || [ $looks -eq 0 ]; do
        kill -0 $writer 2>/dev/null || break
        looks=$((looks + 1))
        expect 0 mappedpages read -p $file 2
        cmp -s out content.a || cmp -s out content.b || cmp -s out content.c ||
             fail "a page that nobody wrote: $(head -c 99 out)"
        expect 0 mappedpages list --long $file
        grep -q '^protected 2 ' out || fail "page 2 is missing: $(cat out)"
        expect 0 mappedpages info $file
        expect 0 mappedpages check $file
    done
    wait $writer
    writer=
    [ -e ended ] || fail "the writer failed: $(cat write.err)"
    rm ended
    expect 0 mappedpages check $file
    echo "format $format: $looks looks while $rounds rounds were written"
done
