#!/bin/sh
# SPDX-License-Identifier: MIT
# create makes what it was asked for, and nothing where it cannot.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

# fact KEY FILE - a member of what info --json tells.
fact() {
    mappedpages info --json "$2" |
        python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

# is FILE KEY VALUE - compares a member.
is() {
    value=$(fact "$2" "$1") || fail "info --json $1"
    [ "$value" = "$3" ] || fail "$1: $2 is '$value' instead of '$3'"
}

for format in 1 0.2; do
    for size in 1024 4K 64k 1M 1m; do
        file=$format-$size.mpp
        expect 0 mappedpages create --format $format --page-size $size "$file"
        said_nothing
        is "$file" format $format
        is "$file" free_pages 1
        is "$file" metadata_pages 3
        is "$file" total_pages 4
        expect 0 mappedpages check "$file"
        expect 0 mappedpages list "$file"
        said_nothing
    done
    is $format-1024.mpp page_size 1024
    is $format-4K.mpp page_size 4096
    is $format-64k.mpp page_size 65536
    is $format-1M.mpp page_size 1048576
    is $format-1m.mpp page_size 1048576
    expect 0 mappedpages create -f $format -n 100 -s 1K $format-100.mpp
    is $format-100.mpp total_pages 100
    is $format-100.mpp free_pages 97
    is $format-100.mpp file_bytes 102400
    expect 3 mappedpages create -f $format -n 18446744073709551615 $format-huge.mpp
    complained "^mappedpages: $format-huge.mpp: "
    [ ! -e $format-huge.mpp ] || fail "a file was left behind"
done

expect 0 mappedpages create plain
is plain format 1
is plain page_size 4096
is plain label ''
expect 0 mappedpages create --label 'Größe "x" \ y' labelled
is labelled label 'Größe "x" \ y'
[ "$(fact uuid plain)" != "$(fact uuid labelled)" ] || fail "two files have one UUID"
printf 'a\033[2Jb' >label
expect 0 mappedpages create --label "$(cat label)" steering
expect 0 mappedpages info steering
grep -Fq 'a\x1b[2Jb' out || fail "info does not show a control character of the label as text"
[ "$(fact label steering)" = "$(cat label)" ] || fail "the label differs in JSON"

# What is there already stays as it is.
cp plain before
expect 3 mappedpages create plain
complained '^mappedpages: plain: .*exists'
same plain before
echo "not a page file" >text
expect 3 mappedpages create text
[ "$(cat text)" = "not a page file" ] || fail "create changed a file"
expect 3 mappedpages create no/such/directory
complained '^mappedpages: no/such/directory: .*No such file or directory'
