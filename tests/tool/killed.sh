#!/bin/sh
# SPDX-License-Identifier: MIT
# Commands that are interrupted or killed harm nothing: the file stays whole, a protected page shows one
# content or the other, and an interrupted alloc still tells the ids of what it allocated.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

rounds=20 # for each signal

head -c 1024 /dev/zero | tr '\0' A >a
head -c 1024 /dev/zero | tr '\0' B >b

# after MILLISECONDS SIGNAL COMMAND… - runs it and sends it the signal after that time.
after() {
    delay=$(printf '0.%03d' "$1")
    signal=$2
    shift 2
    # To the process alone, and no SIGCONT after it, which a leak checker at its end could not bear.
    timeout --foreground -k 60 -s "$signal" "$delay" "$@" >out 2>err
    [ $? -ne 137 ] || [ "$signal" = KILL ] || fail "it did not end after SIG$signal: $*"
}

# told_pages FILE - fails if FILE has regular pages other than those that alloc told of.
told_pages() {
    mappedpages list -r "$1" | sed 's/^page //' | sort >listed
    sort told | diff -u - listed >&2 || fail "there are pages that nobody was told of"
}

for format in 0.2 1; do
    for signal in INT TERM KILL; do
        file=f-$format-$signal
        expect 0 mappedpages create --format $format --page-size 1K "$file"
        expect 0 mappedpages alloc -p --count 3 "$file"
        expect 0 mappedpages write -p "$file" 1 <a
        : >told
        round=0
        while [ $round -lt $rounds ]; do
            round=$((round + 1))
            after $((2 * round)) "$signal" mappedpages alloc --count 20 "$file"
            cat out >>told
            [ "$signal" = KILL ] || told_pages "$file"
            [ $((round % 2)) -eq 0 ] && content=a || content=b
            after $((2 * round)) "$signal" mappedpages write -p "$file" 1 <"$content"
            expect 0 mappedpages read -p "$file" 1
            cmp -s out a || cmp -s out b || fail "SIG$signal: a page that nobody wrote"
            after $((2 * round)) "$signal" mappedpages create --format $format new
            if [ -e new ] && [ "$signal" != KILL ]; then
                expect 0 mappedpages check new
            fi
            rm -f new
        done
        expect 0 mappedpages check "$file"
        expect 0 mappedpages alloc "$file"
    done
done
