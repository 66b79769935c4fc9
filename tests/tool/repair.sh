#!/bin/sh
# SPDX-License-Identifier: MIT
# check --repair: what it mends and says, that it asks before anything is given up, and that it can be taken back.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

# make FORMAT - forty protected pages and two regular ones.
make() {
    rm -f data.mpp data.mpp.undo
    make_pages data.mpp "$1" 40
    contents >wanted
    cp data.mpp whole.mpp
}

# contents - all that there is, by id.
contents() {
    mappedpages list data.mpp
    for page in $(mappedpages list -pi data.mpp); do
        mappedpages read -p data.mpp "$page" | cksum
    done
    for page in $(mappedpages list -ri data.mpp); do
        mappedpages read data.mpp "$page" | cksum
    done
}

# destroy BYTE COUNT - with zeros.
destroy() {
    dd if=/dev/zero of=data.mpp bs=1 seek="$1" count="$2" conv=notrunc status=none
    cp data.mpp damaged.mpp
}

# mended - the file is whole, and has what it had; taken back it is as damaged as it was.
mended() {
    expect 0 mappedpages check data.mpp
    grep -q ': no fault (' out || fail "it is not whole: $(cat out)"
    contents | diff wanted - >&2 || fail "it has not what it had"
    expect 0 mappedpages check --undo data.mpp.undo data.mpp
    said "data.mpp: as it was before the repair"
    same data.mpp damaged.mpp
    [ ! -e data.mpp.undo ] || fail "the undo file is still there"
}

for format in 1 0.2; do
    make $format
    expect 0 mappedpages check --repair data.mpp
    said "data.mpp: nothing to repair"
    same data.mpp whole.mpp
    [ ! -e data.mpp.undo ] || fail "an undo file of nothing"
done

# Format 1: page 0 from a root; a root from the other, which is a warning before.
make 1
destroy 0 4096
expect 1 mappedpages check data.mpp
complained "'mappedpages check --repair data.mpp' mends it"
expect 1 mappedpages check --repair --dry-run data.mpp
grep -q '^superblock: ' out || fail "not told of page 0: $(cat out)"
grep -q '^data.mpp: it would be repaired' out || fail "not told what would be done: $(cat out)"
same data.mpp damaged.mpp
expect 0 mappedpages check --repair data.mpp
mended
for root in 1 2; do
    make 1
    destroy $((root * 4096)) 512
    expect 0 mappedpages check data.mpp
    grep -q "^WARNING page $root: .*\[root\]" out || fail "no warning of root $root: $(cat out)"
    grep -q ': no fault, 1 warning (' out || fail "the sum is wrong: $(cat out)"
    expect 0 mappedpages check --json data.mpp
    python3 -c '
import json, sys
c = json.load(sys.stdin)
assert c["clean"] is True and c["warnings"] == 1, c
assert c["faults"][0]["name"] == "WARNING" and c["faults"][0]["fault"] == "root", c' <out || fail "check --json: $(cat out)"
    expect 0 mappedpages check --repair data.mpp
    grep -q '^root: ' out || fail "not told of root $root: $(cat out)"
    mended
done

# Format 0.2: the head of page 0; copies that do not count.
make 0.2
destroy 0 12
expect 1 mappedpages check data.mpp
expect 0 mappedpages check --repair data.mpp
mended
active=$(dd if=whole.mpp bs=1 skip=12 count=1 status=none | od -An -tu1 | tr -d ' ')
make 0.2
destroy $(((2 - active) * 4096)) 4096
expect 0 mappedpages check data.mpp
grep -q "^WARNING page $((2 - active)): .*\[metadata-copy\]" out || fail "no warning of the metadata: $(cat out)"
expect 0 mappedpages check --repair data.mpp
grep -q '^metadata-copy: ' out || fail "not told of the copy: $(cat out)"
mended

# What would be given up is asked for. Nobody answers: nothing is changed.
make 1
place=$(grep -abo 'protected 1 of 1' data.mpp | tail -n 1 | cut -d: -f1)
grep -abo 'protected 1 of 1' data.mpp | cut -d: -f1 | while read -r place; do
    destroy "$place" 4
done
expect 1 mappedpages check data.mpp
grep -q '\[content\]$' out || fail "the fault has no name: $(cat out)"
expect 1 mappedpages check --repair data.mpp </dev/null
grep -q 'nothing to repair, but for 1 protected page .*given up by --yes' out || fail "not told what agrees: $(cat out)"
same data.mpp damaged.mpp
expect 0 mappedpages check --repair --yes data.mpp
grep -q '^lost: ' out || fail "not told of what is lost: $(cat out)"
expect 0 mappedpages check data.mpp
expect 3 mappedpages read -p data.mpp 1
expect 0 mappedpages read -p data.mpp 2

# The undo file of an earlier repair is in the way; another name is not; and what was written since stays.
cp data.mpp repaired.mpp
expect 3 mappedpages check --repair --yes data.mpp
complained '^mappedpages: data.mpp.undo: it is the undo file of an earlier repair: remove it, or name another$'
expect 0 mappedpages check --repair --undo other data.mpp
echo later | mappedpages write -p data.mpp 2 || fail "write"
cp data.mpp later.mpp
expect 3 mappedpages check --undo data.mpp.undo data.mpp
complained 'written to since'
same data.mpp later.mpp
cp repaired.mpp data.mpp
expect 0 mappedpages check --json --undo data.mpp.undo data.mpp
python3 -c 'import json, sys
assert json.load(sys.stdin) == {"file": "data.mpp", "undone": True}' <out || fail "--undo --json: $(cat out)"
same data.mpp damaged.mpp

# While somebody has it open nothing is done, and who it is is said; what would be done is told without permission to write.
hold data.mpp
expect 3 mappedpages check --repair --yes data.mpp
complained "busy: .*process $holder"
expect 3 mappedpages check --undo other data.mpp
complained "busy: .*process $holder"
exec 8>&-
wait "$holder"
expect 0 mappedpages check --repair --wait 60 --yes data.mpp
expect 0 mappedpages check --undo data.mpp.undo data.mpp
chmod 755 .
# Where what was built, or this directory, is not for others to see, that is left out.
if [ "$(id -u)" = 0 ] && setpriv --reuid=65534 --clear-groups "$top_builddir/tools/mappedpages" info data.mpp >/dev/null 2>&1; then
    chmod 444 data.mpp
    expect 1 setpriv --reuid=65534 --clear-groups "$top_builddir/tools/mappedpages" check --repair --dry-run data.mpp
    expect 3 setpriv --reuid=65534 --clear-groups "$top_builddir/tools/mappedpages" check --repair data.mpp
    complained "no permission to write it; 'mappedpages rescue data.mpp NEW' only reads it"
    chmod 644 data.mpp
fi

# A file with nothing of a page file in it; an undo file that is none; and options that make no sense.
echo 'root:x:0:0:root:/root:/bin/sh' >passwd
cp passwd before
expect 3 mappedpages check --repair --yes passwd
complained 'nothing in it proves'
same passwd before
expect 1 mappedpages check passwd
grep -q -- --repair err && fail "a repair is recommended for what is no page file"
expect 3 mappedpages check --repair --undo passwd data.mpp
same passwd before
expect 3 mappedpages check --undo missing data.mpp
expect 2 mappedpages check --yes data.mpp
expect 2 mappedpages check --repair --yes --dry-run data.mpp

# What says that it is of a format of the future is not taken for damage without consent.
cp whole.mpp future.mpp
printf '\011' | dd of=future.mpp bs=1 seek=4 conv=notrunc status=none
cp future.mpp before
expect 3 mappedpages check future.mpp
expect 1 mappedpages check --repair future.mpp </dev/null
grep -q '^superblock: page 0 says format 9.0, which is newer' out || fail "not told of the version: $(cat out)"
same future.mpp before
expect 0 mappedpages check --repair --yes future.mpp
expect 0 mappedpages check future.mpp

# As JSON.
expect 0 mappedpages check --repair --yes --json data.mpp
python3 -c '
import json, sys
r = json.load(sys.stdin)
assert r["changed"] is True and r["protected_lost"] == 1 and r["faults"] == 1 and r["faults_left"] == 0, r
assert r["undo"] == "data.mpp.undo" and [n["name"] for n in r["notes"]], r' <out || fail "--repair --json: $(cat out)"

# What went wrong with the undo file, and what to do; nothing is changed.
make 1
destroy 0 4096
mkdir directory
for name in directory missing/undo passwd; do
    expect 3 mappedpages check --repair --undo $name data.mpp
    complained '--undo names another place'
    same data.mpp damaged.mpp
done
expect 3 mappedpages check --undo missing data.mpp
complained 'a repair of FILE leaves FILE.undo, unless --undo named another$'
expect 3 mappedpages check --undo whole.mpp data.mpp
complained 'the undo file stands before the page file'
expect 3 mappedpages rescue data.mpp ./data.mpp
complained 'a rescue makes a new file'
same data.mpp damaged.mpp
# One that is cut, and one of another file, take nothing back.
expect 0 mappedpages check --repair data.mpp
head -c 5000 data.mpp.undo >short
cp data.mpp repaired.mpp
expect 3 mappedpages check --undo short data.mpp
complained 'or not whole$'
cp whole.mpp another.mpp
echo other | mappedpages write -p another.mpp 3 || fail "write"
cp another.mpp before
expect 3 mappedpages check --undo data.mpp.undo another.mpp
complained 'or that was of another file$'
same another.mpp before
same data.mpp repaired.mpp

# Format 0.2: a directory block that is whole, but as it was before the last commits: its other copy tells.
make 0.2
echo newer | mappedpages write -p data.mpp 7 || fail "write"
python3 -c '
old, new = open("whole.mpp", "rb").read(), bytearray(open("data.mpp", "rb").read())
page = int.from_bytes(new[24 + 8 * new[40]:32 + 8 * new[40]], "little") * 4096
new[page:page + 4096] = old[page:page + 4096]
open("data.mpp", "wb").write(new)'
cp data.mpp damaged.mpp
expect 0 mappedpages check data.mpp
grep -q '^WARNING page [0-9]*: .* has a later state of directory block 0 .*\[unfinished\]$' out || fail "no warning of the older block: $(cat out)"
rm -f new
expect 1 mappedpages rescue data.mpp new
grep -q '^older: protected pages 0 to 39 ' out || fail "rescue does not tell that pages may be older: $(cat out)"
expect 0 mappedpages check --repair data.mpp
grep -q '^unfinished: page [0-9]* has a later state' out || fail "repair does not tell: $(cat out)"
