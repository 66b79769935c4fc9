#!/bin/sh
# SPDX-License-Identifier: MIT
# check: status 0 for whole files, 1 with a named fault for broken ones, 3 where it cannot look.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

for file in "$golden"/v0[12]-*.mpp; do
    expect 0 mappedpages check "$file"
    grep -q ': no fault (' out || fail "check $file: $(cat out)"
    expect 0 mappedpages check --json "$file"
    python3 -c '
import json, sys
c = json.load(sys.stdin)
assert c["clean"] is True and c["faults"] == [] and c["pages_checked"] > 0, c' <out ||
        fail "check --json $file: $(cat out)"
done

# A file that does not even open has that for its fault, by the name its dump gives it; a damaged page
# is one fault, and the rest is looked at.
for dump in "$golden"/*.dump; do
    file=${dump%.dump}.mpp
    name=$(sed -n 's/^error //p; s/^protected [0-9]* error //p' "$dump" | tr -d _ | tr '[:lower:]' '[:upper:]')
    [ -n "$name" ] || continue
    expect 1 mappedpages check "$file"
    sed 's/[ :].*//' out | tr -d _ | grep -qx "$name" || fail "check $file does not find $name: $(cat out)"
    grep -Eq ": 1 fault \(" out || fail "check $file: not one fault: $(cat out)"
    expect 1 mappedpages check --json "$file"
    python3 -c '
import json, sys
c = json.load(sys.stdin)
assert c["clean"] is False and len(c["faults"]) == 1, c
f = c["faults"][0]
assert f["name"].replace("_", "") == sys.argv[1] and f["message"], f' "$name" <out ||
        fail "check --json $file: $(cat out)"
done
expect 1 mappedpages check "$golden/protected-bit-rot.mpp"
grep -q '(128 pages and 40 protected pages checked)' out || fail "the rest was not checked: $(cat out)"

expect 3 mappedpages check missing
complained '^mappedpages: missing: .*No such file or directory'
expect 3 mappedpages check .
expect 3 mappedpages check --json missing
grep -q '"name": "IO"' out || fail "the failure as JSON: $(cat out)"

# Format 1: a changed byte in a protected page, and in the superblock. Not in what the last commit wrote:
# that would make it one that a crash cut short, and the file would rightly show the state before it.
expect 0 mappedpages create --page-size 1K file
expect 0 mappedpages alloc -p --count 2 file
echo content | mappedpages write -p file 1 || fail "write"
echo content | mappedpages write -p file 0 || fail "write"
expect 0 mappedpages check file
# shellcheck disable=SC2046 # the words are to be split
set -- $(mappedpages list -l file | grep '^protected 1 ')
cp file broken
printf X | dd of=broken bs=1 seek=$(($7 * 1024 + 100)) conv=notrunc status=none
expect 1 mappedpages check broken
grep -q '^CORRUPT_PAGE protected 1: ' out || fail "not found: $(cat out)"
cp file broken
printf X | dd of=broken bs=1 seek=40 conv=notrunc status=none
expect 1 mappedpages check broken

# Format 1: both copies of a node of the space tree. What is above it can be read, what is below it not.
expect 0 mappedpages create --page-size 1K tall
expect 0 mappedpages alloc --count 20000 tall
for page in 1 2; do
    expect 0 mappedpages alloc tall # so that the node is not of the last commit
done
expect 0 mappedpages info --all tall
grep -q '^space tree: *height [1-9]' out || fail "the tree is too low for this test: $(cat out)"
# With all low pages in use, those that are not listed are the file's own.
node=$(mappedpages list -r tall | awk 'NR > 1 && $2 != last + 1 { print last + 1; exit } { last = $2 }')
cp tall broken
for page in "$node" $((node + 64)); do
    printf XXXX | dd of=broken bs=1 seek=$((page * 1024 + 100)) conv=notrunc status=none
done
expect 1 mappedpages check broken
grep -q "^CORRUPT_METADATA page $node: .*$node" out || fail "not found: $(cat out)"
expect 3 mappedpages list broken
complained "^mappedpages: broken: .*$node"
expect 3 mappedpages list --json broken
python3 -c '
import json, sys
listed = json.load(sys.stdin)
assert listed["error"]["name"] == "CORRUPT_METADATA" and listed["error"]["page"] == int(sys.argv[1]), listed
' "$node" <out || fail "list --json: $(tail -n 9 out)"
cp broken before
expect 3 mappedpages alloc broken 5
expect 3 mappedpages free broken 4
same broken before
expect 0 mappedpages check tall

# A node that is lost is one fault, whatever is behind it; what cannot be looked at is said, and the rest is looked at. Where one
# of its slots is left nothing is lost, and that is a warning, until it is repaired.
expect 0 mappedpages create --page-size 1K nodes
expect 0 mappedpages alloc -p --count 100 nodes
leaf=$(python3 -c '
data = open("nodes", "rb").read()
for page in range(3, len(data) // 1024):
    node = data[page * 1024:(page + 1) * 1024]
    if node[:5] == b"MPGD\0" and node[8] == 1:
        print(page)
        break')
cp nodes broken
for page in "$leaf" $((leaf + 64)); do
    printf XXXX | dd of=broken bs=1 seek=$((page * 1024 + 100)) conv=notrunc status=none
done
expect 1 mappedpages check --json broken
python3 -c '
import json, sys
c = json.load(sys.stdin)
(f,) = c["faults"]
assert f["fault"] == "node" and f["page"] == int(sys.argv[1]), f
assert f["unchecked_protected"] == {"first": 31, "last": 61} and "unchecked_pages" not in f, f
assert c["protected_checked"] == 69 and c["protected_unchecked"] == 31 and c["pages_unchecked"] == 0, c' "$leaf" <out ||
    fail "check --json: $(cat out)"
printf XXXX | dd of=nodes bs=1 seek=$((leaf * 1024 + 100)) conv=notrunc status=none
expect 0 mappedpages check nodes
grep -q "^WARNING page $leaf: .*\[node-copy\]$" out || fail "no warning: $(cat out)"
grep -q '(.* and 100 protected pages checked)' out || fail "not all was looked at: $(cat out)"
expect 0 mappedpages check --repair nodes
grep -q '^node-copy: ' out || fail "not told: $(cat out)"
expect 0 mappedpages check nodes
grep -q ': no fault (' out || fail "it is not whole: $(cat out)"
