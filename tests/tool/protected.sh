#!/bin/sh
# SPDX-License-Identifier: MIT
# Protected pages: alloc, write, read, list and free them, on both formats; several at once all or none.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

# member NAME VALUE - the error that was printed as JSON has it.
member() {
    python3 -c 'import json, sys
error = json.load(open("out"))["error"]
assert str(error[sys.argv[1]]) == sys.argv[2], error
assert not ("page" in error and "protected" in error), error' "$@" || fail "member $1"
}

for format in 0.2 1; do
    file=f-$format
    expect 0 mappedpages create --format $format --page-size 1K "$file"
    expect 0 mappedpages alloc -p "$file"
    said 0
    expect 0 mappedpages alloc --protected --count 3 "$file"
    said 1 2 3
    expect 0 mappedpages alloc -p "$file" 7 5
    said 7 5
    expect 0 mappedpages alloc -p --json "$file"
    [ "$(tr -d ' \n' <out)" = '{"protected":[4]}' ] || fail "alloc -p --json: $(cat out)"
    expect 0 mappedpages list "$file"
    said 'protected 0' 'protected 1' 'protected 2' 'protected 3' 'protected 4' 'protected 5' \
        'protected 7'

    head -c 1024 /dev/zero >zeros
    expect 0 mappedpages read -p "$file" 7
    same out zeros
    head -c 1024 /dev/urandom >whole
    expect 0 mappedpages write -p "$file" 7 <whole
    expect 0 mappedpages read -p "$file" 7
    same out whole
    echo hello >hello
    { cat hello && head -c 1018 /dev/zero; } >padded
    expect 0 mappedpages write -p "$file" 7 <hello
    expect 0 mappedpages read -p "$file" 7
    same out padded
    cat whole hello >long
    expect 3 mappedpages write -p "$file" 7 <long
    expect 0 mappedpages read -p "$file" 7
    same out padded

    # Each write goes to another page, in format 0.2 to the other of two, and is a generation of its own.
    mappedpages list -l "$file" | grep '^protected 7 ' >first
    expect 0 mappedpages write -p "$file" 7 <hello
    mappedpages list -l "$file" | grep '^protected 7 ' >second
    # shellcheck disable=SC2046 # the words are to be split
    set -- $(cat first second)
    # protected 7 CRC generation N current A, in format 0.2 also other B; twice
    if [ $# -eq 18 ]; then
        [ "$7 $9" = "${18} ${16}" ] || fail "the copies did not alternate: $*"
        [ "$3 ${12}" = "$3 $3" ] || fail "one content with two checksums"
        [ "$5" -lt "${14}" ] || fail "the generation did not rise: $*"
    else
        [ $# -eq 14 ] || fail "list --long: $*"
        [ "$7" != "${14}" ] || fail "the content is where it was: $*"
        [ "$3 ${10}" = "$3 $3" ] || fail "one content with two checksums"
        [ "$5" -lt "${12}" ] || fail "the generation did not rise: $*"
    fi
    # The words are to be split.
    # shellcheck disable=SC2046
    set -- $(cat second)

    # The two kinds have ids of their own.
    expect 3 mappedpages read "$file" 0
    expect 3 mappedpages read "$file" "$7"
    expect 3 mappedpages write "$file" "$7" <hello
    expect 3 mappedpages free "$file" "$7"
    complained "^mappedpages: $file: "

    cp "$file" before
    expect 3 mappedpages alloc -p "$file" 8 5
    expect 3 mappedpages alloc -pj "$file" 8 5
    member name EXISTS
    member protected 5
    expect 3 mappedpages alloc -pj "$file" 18446744073709551614
    member name DIRECTORY_FULL
    member protected 18446744073709551614
    expect 0 mappedpages alloc "$file" 200
    expect 3 mappedpages alloc -j "$file" 200
    member name EXISTS
    member page 200
    expect 0 mappedpages free "$file" 200
    expect 0 mappedpages alloc -pz "$file" 9
    expect 0 mappedpages free -p "$file" 9
    cp "$file" before
    expect 2 mappedpages alloc -p "$file" 8 8
    complained 'page 8 is named twice'
    expect 3 mappedpages alloc -p "$file" 8 18446744073709551615
    expect 3 mappedpages free -p "$file" 0 6
    expect 2 mappedpages free -p "$file" 0 0
    complained 'page 0 is named twice'
    expect 3 mappedpages free -p "$file" 0 18446744073709551615
    expect 0 mappedpages list --long "$file"
    mv out listed
    expect 0 mappedpages list --long before
    same out listed
    for id in 6 9 18446744073709551615; do
        expect 3 mappedpages read -p "$file" $id
        complained "^mappedpages: $file: .*$id"
        expect 3 mappedpages write -p "$file" $id <hello
        expect 3 mappedpages free -p "$file" $id
    done

    expect 0 mappedpages free -p "$file" 5 0 1
    expect 0 mappedpages list "$file"
    said 'protected 2' 'protected 3' 'protected 4' 'protected 7'
    expect 0 mappedpages read -p "$file" 7
    same out padded
    expect 0 mappedpages alloc -p "$file"
    said 0
    expect 0 mappedpages read -p "$file" 0
    same out zeros
    if [ -c /dev/full ]; then
        mappedpages alloc -p "$file" >/dev/full 2>err
        complained 'the pages were freed again'
    fi
    expect 0 mappedpages list -p "$file"
    said 'protected 0' 'protected 2' 'protected 3' 'protected 4' 'protected 7'
    expect 0 mappedpages check "$file"
done

# A damaged page is told of, not shown, and a new content mends it.
cp "$golden/protected-bit-rot.mpp" rot
chmod u+w rot
expect 3 mappedpages read -p rot 0
complained '^mappedpages: rot: protected page 0 has checksum '
said_nothing
expect 0 mappedpages read -p rot 1
expect 0 mappedpages write -p rot 0 <hello
expect 0 mappedpages read -p rot 0
same out padded
expect 0 mappedpages check rot
