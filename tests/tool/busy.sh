#!/bin/sh
# SPDX-License-Identifier: MIT
# A file that is mounted: commands that write are refused at once as busy, those that read show its last
# committed state.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

need_fuse

for format in 0.2 1; do
    file=f-$format
    expect 0 mappedpages create --format $format --page-size 1K "$file"
    expect 0 mappedpages alloc --count 3 --zero "$file"
    expect 0 mappedpages alloc -p --count 3 "$file"
    echo before | mappedpages write -p "$file" 1 || fail "write -p"
    mount_file "$file" mnt-$format

    for command in "alloc $file" "alloc -p $file" "free $file 3" "free -p $file 0" "write $file 3" \
        "write -p $file 0"; do
        # shellcheck disable=SC2086 # the words are to be split
        expect 3 mappedpages $command </dev/null
        said_nothing
        complained "^mappedpages: $file: busy: "
    done

    expect 0 mappedpages list "$file"
    said 'page 3' 'page 4' 'page 5' 'protected 0' 'protected 1' 'protected 2'
    expect 0 mappedpages read -p "$file" 1
    [ "$(head -n 1 out)" = before ] || fail "the committed content: $(head -n 1 out)"
    echo after >mnt-$format/protected/1 || fail "writing through the mount"
    rm mnt-$format/pages/4 || fail "rm"
    expect 0 mappedpages read -p "$file" 1
    [ "$(head -n 1 out)" = after ] || fail "the content committed since: $(head -n 1 out)"
    expect 0 mappedpages list --long "$file"
    expect 0 mappedpages list "$file"
    said 'page 3' 'page 5' 'protected 0' 'protected 1' 'protected 2'
    expect 0 mappedpages info --json "$file"
    grep -q '"regular_pages": 2,' out || fail "info: $(cat out)"
    expect 0 mappedpages info "$file"
    same out "mnt-$format/info"
    expect 0 mappedpages check "$file"
    unmount mnt-$format

    expect 0 mappedpages free "$file" 5
    expect 0 mappedpages check "$file"
done
