#!/bin/sh
# SPDX-License-Identifier: MIT
# /info and /info.json say what the command says; sizes are options as people write them; what became of the page
# file is told at the end.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

for format in 1 0.2; do
    made=$format.mpp
    mappedpages create -f $format "$made" || fail "create"
    mount_file "$PWD/$made" mnt-$format -o scratch=4MiB,stage=128KiB
    echo 'a page' >mnt-$format/pages/new
    [ -z "$(find mnt-$format -maxdepth 1 -name 'info*')" ] ||
        fail "what is listed: $(ls mnt-$format)"
    mappedpages info "$PWD/$made" >text && mappedpages info -j "$PWD/$made" >json || fail "info"
    same text mnt-$format/info
    same json mnt-$format/info.json
    python3 -c 'import json, sys
info = json.load(open(sys.argv[1]))
assert info["regular_pages"] == 1, info' mnt-$format/info.json || fail "not JSON: $(cat mnt-$format/info.json)"
    [ "$(stat -c %s mnt-$format/info.json)" -eq "$(wc -c <json)" ] || fail "its size"
    expect 1 rm -f mnt-$format/info.json
    expect 1 cp json mnt-$format/info.json
    unmount mnt-$format
    [ ! -s mnt-$format.log ] || fail "it says: $(cat mnt-$format.log)"
done

for size in 4KB 1Q MiB 1MiBs ''; do
    expect 1 mappedpagesfs -f 1.mpp mnt-1 -o "scratch=$size"
    complained "scratch=$size: expected a whole number of bytes"
    expect 1 mappedpagesfs -f 1.mpp mnt-1 -o "stage=$size"
done

# Deleted under the mount: it goes on, and the end says so.
mount_file 1.mpp gone
rm 1.mpp
expect 0 env echo 'still there' >gone/pages/new
unmount gone
grep -q '1.mpp: the page file was deleted while it was mounted' gone.log || fail "not told: $(cat gone.log)"
