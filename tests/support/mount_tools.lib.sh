# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# What the tests of ordinary tools on a mount share. Sourced after lib.sh: mounts a new file of the
# format named in $1 on m, with some pages; plain/ holds the same content in plain files.

# content ID - page_size bytes that differ from page to page, in lines of text.
content() {
    yes "$(printf '%-63s' "page $1 says line after line what it is")" | head -c "$page_size"
}

# new_mount FORMAT - regular pages 10…19 and protected pages 0…4 with content.
new_mount() {
    page_size=4096
    rm -rf file plain
    mkdir plain
    mappedpages create --format "$1" --page-size "$page_size" file >/dev/null || fail "no file"
    mount_file file m
    for id in 10 11 12 13 14 15 16 17 18 19; do
        content $id >plain/$id
        cat plain/$id >m/pages/$id || fail "page $id cannot be written"
    done
    for id in 0 1 2 3 4; do
        content $((id + 100)) >plain/p$id
        cat plain/p$id >m/protected/$id || fail "protected page $id cannot be written"
    done
}

# shows ID FILE - page ID has the content of FILE, padded with zeros.
shows() {
    cp "$2" wanted && truncate -s "$page_size" wanted
    cmp m/pages/"$1" wanted >&2 || fail "page $1 does not show $2"
}

protected_shows() {
    cp "$2" wanted && truncate -s "$page_size" wanted
    cmp m/protected/"$1" wanted >&2 || fail "protected page $1 does not show $2"
}

# After a new mount everything is as it was, and the file is sound.
end_mount() {
    mkdir before after
    cp m/pages/* before/
    unmount m
    expect 0 mappedpages check file
    mount_file file m
    cp m/pages/* after/
    diff -r before after >&2 || fail "another content after a new mount"
    unmount m
    rm -rf before after
}
