#!/bin/sh
# SPDX-License-Identifier: MIT
# Somebody makes a page file longer while it is mounted: the commit that meets it fails when the page is closed, and from
# then on a write fails at once, for it could never be committed. The log says why. Reading goes on.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

# tell PAGE - how writing a byte to a protected page ends: the call that fails, or "done".
tell() {
    python3 - "$1" <<'EOF'
import os, sys
page = os.open(sys.argv[1], os.O_WRONLY)
for name, call in (("write", lambda: os.pwrite(page, b"x", 0)), ("close", lambda: os.close(page))):
    try:
        call()
    except OSError as error:
        sys.exit(print(name, os.strerror(error.errno)))
print("done")
EOF
}

# is WANTED PAGE - compares.
is() {
    told=$(tell "$2")
    [ "$told" = "$1" ] || fail "$2: $told instead of $1: $(cat m.log)"
}

for format in 1 0.2; do
    expect 0 mappedpages create --format $format --pages 60 f$format
    expect 0 mappedpages alloc -p -c 2 f$format
    mount_file f$format m
    is 'done' m/protected/0
    truncate -s +4096 f$format
    is 'close Input/output error' m/protected/0
    grep -q 'commit: .*somebody else has changed it' m.log || fail "the log does not say so: $(cat m.log)"
    is 'write Input/output error' m/protected/0
    is 'write Input/output error' m/protected/1
    grep -q 'protected page 1: nothing is taken any more: changed by somebody else' m.log ||
        fail "the log does not say why: $(cat m.log)"
    cat m/protected/1 >content || fail "reading ends, too"
    [ "$(stat -c %s f$format)" = $((61 * 4096)) ] || fail "the file was written to"
    take_down m
    wait "$(cat m.pid)" && fail "the driver ended as if all was well"
    mounts=
done
