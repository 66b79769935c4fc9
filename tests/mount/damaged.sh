#!/bin/sh
# SPDX-License-Identifier: MIT
# A protected page that does not match its checksum: an error and a line in the log, and the rest works.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

cp "$golden/protected-bit-rot.mpp" f.mpp && chmod u+w f.mpp || fail "copy"
for options in '' '-o ro'; do
    # shellcheck disable=SC2086 # the words are to be split
    mount_file f.mpp m $options
    bad=
    good=0
    for page in m/protected/*; do
        if cat "$page" >content 2>err; then
            good=$((good + 1))
        else
            complained 'Input/output error'
            bad="$bad $(basename "$page")"
        fi
    done
    [ -n "$bad" ] && [ $good -gt 0 ] || fail "damaged:$bad, $good good ones"
    for page in $bad; do
        grep -q "page $page\\b" m.log || fail "the log does not name page $page: $(cat m.log)"
        [ "$(stat -c %s "m/protected/$page")" -gt 0 ] || fail "no attributes of a damaged page"
    done
    if [ -z "$options" ]; then
        page=${bad##* }
        cp "m/protected/$page" copy 2>/dev/null && fail "copied a damaged page"
        # A part of it cannot be written. With all of it replaced, it is as good as any.
        printf X 2>/dev/null 1<>"m/protected/$page"
        cat "m/protected/$page" >content 2>/dev/null && fail "a part was written onto damaged content"
        echo mended >new
        cp new "m/protected/$page" || fail "replacing a damaged page"
        head -n 1 "m/protected/$page" | cmp - new || fail "the new content"
        rm "m/protected/$page" || fail "deleting a page that was damaged"
    fi
    unmount m
    cp "$golden/protected-bit-rot.mpp" f.mpp
done
