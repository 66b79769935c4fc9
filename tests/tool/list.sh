#!/bin/sh
# SPDX-License-Identifier: MIT
# list and info: for people and for programs the same facts; a page that cannot be read does not hide the
# others.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

expect 0 mappedpages create --page-size 1K file
expect 0 mappedpages alloc --zero --count 3 file
expect 0 mappedpages alloc -p --count 2 file
echo one | mappedpages write file 4 || fail "write"
echo two | mappedpages write -p file 1 || fail "write -p"
crc_of() {
    python3 -c 'import sys, zlib; print("%08x" % zlib.crc32(sys.stdin.buffer.read()))'
}

expect 0 mappedpages list --long file
grep -Eq "^page 4 $(mappedpages read file 4 | crc_of)\$" out || fail "page 4: $(cat out)"
grep -Eq "^protected 1 $(mappedpages read -p file 1 | crc_of) generation [0-9]+ current [0-9]+\$" \
    out || fail "protected 1: $(cat out)"
expect 0 mappedpages list --regular file
said 'page 3' 'page 4' 'page 5'
expect 0 mappedpages list --protected file
said 'protected 0' 'protected 1'

# The JSON forms are JSON, and say what the text says.
cat >text.py <<'END'
import json, sys
listed = json.load(sys.stdin)
for key, word in (("regular", "page"), ("protected", "protected")):
    for page in listed.get(key, []):
        line = "%s %d" % (word, page["id"])
        if "error" in page:
            line += " error " + page["error"]
        elif "crc" in page:
            line += " " + page["crc"]
        if "generation" in page:
            line += " generation %(generation)d current %(current)d" % page
        if "other" in page:
            line += " other %(other)d" % page
        print(line)
END
for options in '' --long --regular --protected '--long --protected'; do
    for name in file "$golden/protected-bit-rot.mpp" "$golden/v02-1024-mixed.mpp"; do
        # shellcheck disable=SC2086 # the words are to be split
        mappedpages list $options "$name" >listed
        text=$?
        # shellcheck disable=SC2086
        mappedpages list --json $options "$name" >listed.json
        [ $? -eq $text ] || fail "list $options $name: another status with --json"
        python3 text.py <listed.json | diff -u listed - || fail "list $options $name: JSON differs"
    done
done

# A damaged page: only --long reads contents and can know.
rot=$golden/protected-bit-rot.mpp
expect 0 mappedpages list "$rot"
expect 1 mappedpages list --long "$rot"
grep -Eq '^protected 0 error CORRUPT_PAGE generation ' out || fail "the damaged page: $(head -n 1 out)"
[ "$(grep -c '^protected [0-9]* [0-9a-f]\{8\} ' out)" -eq 39 ] || fail "the other pages are missing"

# info: every number of the text is in the JSON form.
expect 0 mappedpages info --all file
for line in 'format: *1 ' 'page size: *1024 bytes' 'regular pages: *3' 'protected pages: *2 ' \
    'uuid: *[0-9a-f]*-[0-9a-f]*-[0-9a-f]*-[0-9a-f]*-[0-9a-f]*' 'space tree: *height' \
    'generation: *[0-9]'; do
    grep -q "^$line" out || fail "info shows no line '$line': $(cat out)"
done
mappedpages info --json file | python3 -c '
import json, os, sys
f = json.load(sys.stdin)
assert f["regular_pages"] == 3 and f["protected_pages"] == 2, f
assert f["free_pages"] + 3 + 2 + f["metadata_pages"] == f["total_pages"], f
assert f["file_bytes"] == os.stat("file").st_size, f
assert f["features"].keys() == {"compatible", "read_only_compatible", "incompatible"}, f
assert len(f["uuid"]) == 36 and f["version"] == "1.0.0.0", f
' || fail "info --json"

# What is no page file, is not there, or may not be read.
echo "no page file" >text
expect 3 mappedpages list text
complained '^mappedpages: text: '
said_nothing
expect 3 mappedpages info missing
complained '^mappedpages: missing: .*No such file or directory'
expect 3 mappedpages info .
complained '^mappedpages: \.: '
mkfifo fifo
expect 3 timeout 20 mappedpages info fifo
complained '^mappedpages: fifo: '
expect 3 mappedpages info --json text
python3 -c 'import json, sys; sys.exit(json.load(sys.stdin)["error"]["name"] != "CORRUPT_SUPERBLOCK")' \
    <out || fail "the failure as JSON: $(cat out)"
expect 3 mappedpages list --json missing
python3 -c '
import json, sys
e = json.load(sys.stdin)["error"]
assert e["name"] == "IO" and e["system_error"] == "No such file or directory", e' <out ||
    fail "the failure as JSON: $(cat out)"
printf '%b' 'caf\0303\0251 \0377 "\0134' >name
cp file "$(cat name)"
mappedpages info --json "$(cat name)" | python3 -c '
import json, sys
assert json.load(sys.stdin)["file"] == "caf\u00e9 \ufffd \"\\"' || fail "a file name in JSON"
