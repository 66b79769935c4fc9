#!/bin/sh
# SPDX-License-Identifier: MIT
# A driver with a limit for the length of files: a page beyond it is EFBIG for who asks, and the mount lives on,
# also when the log reaches the limit.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse
command -v prlimit >/dev/null || skip "no prlimit"

for format in 1 0.2; do
    expect 0 mappedpages create -f "$format" file
    mount_file file dir
    prlimit --pid "$(cat dir.pid)" --fsize=400000 || fail "no limit"
    touch dir/pages/10 || fail "a page within the limit"
    for page in 5000 400; do
        ! touch dir/pages/$page 2>err || fail "page $page is beyond the limit"
        grep -q 'File too large' err || fail "another error: $(cat err)"
    done
    (: >dir/pages/11) || fail "one more page within the limit"
    rm dir/pages/10 || fail "it cannot free"
    [ "$(ls dir/pages)" = "11" ] || fail "pages: $(ls dir/pages)"
    unmount dir
    expect 0 mappedpages check file
    rm -rf file dir
done
