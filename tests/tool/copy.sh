#!/bin/sh
# SPDX-License-Identifier: MIT
# mappedpages copy: every page, in either format and back, with its number and content; files of the crate as its rules
# want them; a name that is taken, damage, limits, a full disk and Ctrl-C leave nothing behind.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

unpack() { # FILE DIRECTORY
    rm -rf "$2" && mkdir "$2"
    mappedpages dump "$1" | tar xf - -C "$2" || fail "dump $1"
    rm "$2/info.json"
}

strict() {
    expect 0 python3 "$top_srcdir/tests/support/reader_0_2.py" --strict "$1"
}

value() { # FILE MEMBER
    mappedpages info --json "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$2"
}

# 0.2 → 1 → 0.2, and each to its own format.
round_trip() {
    rm -f one two same
    unpack "$1" want
    expect 0 mappedpages copy -f 1 "$1" one
    expect 0 mappedpages copy --format 0.2 one two
    expect 0 mappedpages copy "$1" same
    for copy in one two same; do
        expect 0 mappedpages check $copy
        unpack $copy have
        diff -r want have >&2 || fail "$copy of $1 has something else"
    done
    strict two
    [ "$(value same format)" = "$(value "$1" format)" ] || fail "same is of another format"
}

files=0
for file in "$golden"/*.mpp; do
    if mappedpages dump "$file" >/dev/null 2>&1; then
        round_trip "$file"
        files=$((files + 1))
    fi
done
[ $files -ge 10 ] || fail "only $files golden files"

# Random ones: MPG_TEST_FILES of them.
cat >random.py <<'EOF'
import random, sys
seed = int(sys.argv[1])
r = random.Random(seed)
size = r.choice((1024, 2048, 4096))
print("create --format %s --page-size %d file" % (r.choice(("0.2", "1")), size))
def ranges(most, limit):
    ids = sorted(r.sample(range(limit), r.randrange(most)))
    return " ".join(str(3 + i) for i in ids)
pages = ranges(200, r.choice((200, 400, 3000)))
if pages:
    print("alloc file " + pages)
ids = " ".join(str(i) for i in sorted(r.sample(range(r.choice((60, 300))), r.randrange(50))))
if ids:
    print("alloc -p file " + ids)
for page in pages.split()[::7]:
    print("write file " + page)
for i in ids.split()[::3]:
    print("write -p file " + i)
if pages:
    print("free file " + " ".join(pages.split()[::5]))
EOF
for seed in $(seq "${MPG_TEST_FILES:-6}"); do
    rm -f file
    python3 random.py "$seed" >script
    while read -r line; do
        # The words of a line are arguments.
        # shellcheck disable=SC2086
        head -c 700 /dev/urandom | mappedpages $line >/dev/null || fail "seed $seed: $line"
    done <script
    round_trip file
done

# ---- UUID and label ----

expect 0 mappedpages create --label "of ours" live
expect 0 mappedpages alloc -p live 0-99
expect 0 mappedpages copy live other
expect 0 mappedpages copy --same-uuid live moved
[ "$(value other uuid)" != "$(value live uuid)" ] || fail "two files of one UUID"
[ "$(value moved uuid)" = "$(value live uuid)" ] || fail "not the same UUID"
[ "$(value other label)" = "of ours" ] || fail "the label: $(value other label)"

# ---- an older copy ----

for format in 0.2 1; do
    rm -f file older
    expect 0 mappedpages create --format $format file
    expect 0 mappedpages alloc file 3-40
    expect 0 mappedpages alloc -p file 0-9
    for page in 3 20 40; do
        echo "regular $page" | mappedpages write file $page || fail "write"
    done
    expect 0 mappedpages copy file older
    uuid=$(value older uuid 2>&1 | tail -n 1)
    echo new | mappedpages write -p file 5 || fail "write"
    expect 0 mappedpages free file 20
    expect 0 mappedpages copy --json --update file older
    grep -q '"updated": true' out || fail "what was done: $(cat out)"
    unpack file want
    unpack older have
    diff -r want have >&2 || fail "the older copy has something else"
    [ "$(value older uuid 2>&1 | tail -n 1)" = "$uuid" ] || fail "another UUID"
    rm older
    expect 0 mappedpages copy -u file older
    rm -f copied stranger
    expect 0 mappedpages create --format $format stranger
    expect 0 mappedpages alloc -p stranger 3
    echo here | mappedpages write -p stranger 3 || fail "write"
    cp stranger copied
    expect 3 mappedpages copy --update file copied
    complained 'copied: .*older copy'
    complained '.--update --force'
    cmp stranger copied || fail "a stranger was changed"
done
expect 0 mappedpages copy --update --force file copied
unpack copied have
diff -r want have >&2 || fail "what was replaced by force has something else"
expect 2 mappedpages copy --force file copied
expect 2 mappedpages copy --update file -

# ---- free pages take no space ----

expect 0 mappedpages create wide
expect 0 mappedpages alloc wide 3-6000
head -c 4096 /dev/urandom | mappedpages write wide 3000 || fail "write"
expect 0 mappedpages free wide 3-2999
expect 0 mappedpages copy wide narrow
[ "$(du -k narrow | cut -f 1)" -le 400 ] || fail "the copy takes $(du -k narrow | cut -f 1) KiB"

# ---- to a pipe ----

mappedpages copy live - | cat >piped || fail "copy to a pipe"
expect 0 mappedpages check piped
[ "$(value piped protected_pages)" = 100 ] || fail "what came through the pipe"

# One whose reader is stuck can be ended all the same, and nothing is left of it.
mkfifo stuck
mkdir temporary
for command in 'copy wide -' 'dump wide'; do
    # As if it were written to, for dump.
    rm -f began
    (
        head -c 1 >/dev/null
        : >began
        exec sleep 60
    ) <stuck &
    reader=$!
    # shellcheck disable=SC2086
    TMPDIR=$PWD/temporary timeout -k 1 50 mappedpages $command >stuck 2>err &
    sender=$!
    tries=0
    while [ ! -e began ] && [ $tries -lt 600 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    sleep 0.5
    kill $sender
    wait $sender
    status=$?
    kill $reader
    wait $reader 2>/dev/null
    [ $status -ne 137 ] || fail "$command: it cannot be ended"
    [ -z "$(ls temporary)" ] || fail "$command: left in the temporary directory: $(ls temporary)"
done

# ---- what cannot be ----

expect 3 mappedpages copy live other
complained 'other: .*exists'
expect 3 mappedpages copy missing new
complained 'missing: '
expect 3 mappedpages copy "$golden/bad-magic.mpp" new
expect 3 mappedpages copy "$golden/protected-bit-rot.mpp" new
complained 'checksum'
expect 0 mappedpages create --page-size 1K large
expect 0 mappedpages alloc large 9000
expect 3 mappedpages copy -f 0.2 large new
complained 'format 0.2 holds'
expect 2 mappedpages copy live
expect 2 mappedpages copy -f 2 live new
expect 2 mappedpages copy --json live -
(
    ulimit -f 64
    trap '' XFSZ
    expect 3 mappedpages copy wide new
) || exit 1
[ ! -e new ] || fail "something is left of a copy that failed"
find . -name '.mappedpages-*' | grep . >&2 && fail "something is left of a copy that failed"

# ---- beside a writer that has it mounted, or open ----

expect 0 mappedpages copy --json live described
grep -q '"protected_pages": 100' out || fail "what was copied: $(cat out)"
