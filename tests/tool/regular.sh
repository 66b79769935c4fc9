#!/bin/sh
# SPDX-License-Identifier: MIT
# Regular pages: alloc, write, read, list and free them, on both formats; several at once all or none.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

for format in 0.2 1; do
    file=f-$format
    expect 0 mappedpages create --format $format --page-size 1K "$file"

    # Lowest ids first; given ids; beyond the end.
    expect 0 mappedpages alloc "$file"
    said 3
    expect 0 mappedpages alloc --count 3 --zero "$file"
    said 4 5 6
    expect 0 mappedpages alloc "$file" 20 9 --zero
    said 20 9
    expect 0 mappedpages alloc --json "$file" 21
    [ "$(tr -d ' \n' <out)" = '{"regular":[21]}' ] || fail "alloc --json: $(cat out)"
    expect 0 mappedpages list "$file"
    said 'page 3' 'page 4' 'page 5' 'page 6' 'page 9' 'page 20' 'page 21'

    # Contents: short ones are filled with zeros, whole ones kept to the byte, long ones refused.
    head -c 1024 /dev/zero >zeros
    expect 0 mappedpages read "$file" 20
    same out zeros
    head -c 1024 /dev/urandom >whole
    expect 0 mappedpages write "$file" 3 <whole
    expect 0 mappedpages read "$file" 3
    same out whole
    echo hello >hello
    { cat hello && head -c 1018 /dev/zero; } >padded
    expect 0 mappedpages write "$file" 3 <hello
    said_nothing
    expect 0 mappedpages read "$file" 3
    same out padded
    cat whole hello >long
    expect 3 mappedpages write "$file" 3 <long
    complained '^mappedpages: standard input: longer than a page of 1024 bytes'
    expect 3 mappedpages write "$file" 3 <&-
    complained '^mappedpages: standard input: .*nothing was written'
    expect 0 mappedpages read "$file" 3
    same out padded
    mappedpages read "$file" 3 | mappedpages write "$file" 4 || fail "a pipe from a file into itself"
    expect 0 mappedpages read "$file" 4
    same out padded
    expect 0 mappedpages write "$file" 4 </dev/null
    expect 0 mappedpages read "$file" 4
    same out zeros

    # All or none.
    cp "$file" before
    expect 3 mappedpages alloc "$file" 30 9 31
    complained "^mappedpages: $file: "
    expect 2 mappedpages alloc "$file" 30 31 30
    complained 'page 30 is named twice'
    expect 3 mappedpages alloc "$file" 30 1
    expect 3 mappedpages alloc "$file" 30 18446744073709551615
    expect 3 mappedpages alloc "$file" --count 1000000000000000000
    expect 2 mappedpages free "$file" 3 4 4
    complained 'page 4 is named twice'
    expect 3 mappedpages free "$file" 3 8
    expect 3 mappedpages free "$file" 3 0
    expect 3 mappedpages free "$file" 3 18446744073709551615
    expect 0 mappedpages list --long "$file"
    mv out listed
    expect 0 mappedpages list --long before
    same out listed
    for id in 0 1 2 8 4096 18446744073709551615; do
        expect 3 mappedpages read "$file" $id
        complained "^mappedpages: $file: .*$id"
        said_nothing
        expect 3 mappedpages write "$file" $id <hello
    done

    expect 0 mappedpages free "$file" 9 20 4
    said_nothing
    expect 0 mappedpages list "$file"
    said 'page 3' 'page 5' 'page 6' 'page 21'
    expect 3 mappedpages read "$file" 9
    expect 3 mappedpages free "$file" 9
    expect 0 mappedpages read "$file" 3
    same out padded

    # A page nobody was told of is not kept.
    if [ -c /dev/full ]; then
        mappedpages alloc --count 5 "$file" >/dev/full 2>err
        status=$?
        [ $status -eq 3 ] || fail "status $status from alloc on a full device"
        complained 'the pages were freed again'
        mappedpages read "$file" 3 >/dev/full 2>err
        status=$?
        [ $status -eq 3 ] || fail "status $status from read on a full device"
        complained 'standard output: No space left on device'
        expect 0 mappedpages list "$file"
        said 'page 3' 'page 5' 'page 6' 'page 21'
    fi
    expect 0 mappedpages check "$file"
done
