#!/bin/sh
# SPDX-License-Identifier: MIT
# What went wrong is told in the words of who typed it, in one line that says what to do where there is something to do,
# and not where there is not.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

# tells WORDS COMMAND... - fails unless the command says just this, after its own name, and ends with 3.
tells() {
    words=$1
    shift
    expect 3 mappedpages "$@"
    printf 'mappedpages: %s\n' "$words" | diff -u - err >&2 || fail "mappedpages $*: not what it is to say (-)"
}

expect 0 mappedpages create my.mpp
echo text >notes.txt
: >empty
mkdir directory
tells "my.mpp: exists already; 'mappedpages info my.mpp' shows it" create my.mpp
tells "notes.txt: exists already; it is no page file; take another name" create notes.txt
tells "directory: exists already; it is a directory; name a file in it" create directory
tells "empty: exists already; it is an empty file, which may be removed" create empty
tells "no/my.mpp: No such file or directory; there is no directory 'no'" create no/my.mpp
expect 3 mappedpages create -f 0.2 -n 1000000 big.mpp
complained 'format 0.2 holds .*; format 1 holds more$'

for command in "info FILE" "list FILE" "map FILE" "read FILE 3" "write FILE 3" "alloc FILE" "free FILE 3" "check FILE" "dump FILE" "load FILE"; do
    for name in missing.mpp notes.txt directory; do
        # The words are to be split.
        # shellcheck disable=SC2046
        set -- $(echo "$command" | sed "s/FILE/$name/")
        [ "$1 $name" != "check notes.txt" ] || continue
        case $name in
        missing.mpp) tells "missing.mpp: No such file or directory; 'mappedpages create missing.mpp' makes one" "$@" ;;
        notes.txt) tells "notes.txt: 5 bytes are too few for a page file" "$@" ;;
        directory) tells "directory: Is a directory" "$@" ;;
        esac
    done
done </dev/null
tells "a b: No such file or directory; 'mappedpages create FILE' makes one" info 'a b'
# shellcheck disable=SC2016
tells '$(id): No such file or directory; '"'mappedpages create FILE' makes one" info '$(id)'
tells "notes.txt/my.mpp: Not a directory; 'notes.txt' is a file" info notes.txt/my.mpp
tells "notes.txt: Not a directory; a directory is wanted, for instance the one it is in" bench notes.txt

# A link to nowhere, and what is no file.
ln -s nowhere dangling
tells "dangling: exists already; it is a symbolic link to what is not there, which may be removed" create dangling
tells "dangling: No such file or directory; it is a symbolic link to what is not there" info dangling
mkfifo pipe
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'
for command in info alloc check "check -r" "rescue -q"; do
    for name in pipe socket; do
        case $command in
        rescue*) tells "$name: not a regular file" rescue $name new ;;
        *)
            # The words are to be split.
            # shellcheck disable=SC2086
            tells "$name: not a regular file" $command $name
            ;;
        esac
    done
done
tells "/proc/version: 0 bytes are too few for a page file" info /proc/version

# What is no page file, and what was one.
head -c 20000 /dev/zero | tr '\0' 'x' >text
tells "text: not a page file: it does not begin with MPPG" info text
expect 1 mappedpages check text
[ ! -s err ] || fail "something is advised about a text: $(cat err)"
tells "empty: 0 bytes are too few for a page file; remove it, and 'mappedpages create empty' makes one" info empty
for size in 1K 4K 64K; do
    rm -f lost
    expect 0 mappedpages create -s $size lost
    expect 0 mappedpages alloc -p lost
    dd if=/dev/zero of=lost bs=1024 count=1 conv=notrunc status=none
    expect 3 mappedpages info lost
    complained 'does not begin with MPPG; it was one: its page 0 is overwritten'
    expect 1 mappedpages check lost
    complained '^mappedpages: lost: it was one'
done
# Page 0 of format 0.2 is lost with all that tells the page size; the metadata is not. A page size that is none is damage.
for size in 1K 4K 64K; do
    rm -f lost
    expect 0 mappedpages create -f 0.2 -s $size lost
    expect 0 mappedpages alloc -p lost
    cp lost size
    dd if=/dev/urandom of=lost bs=1024 count=1 conv=notrunc status=none
    expect 3 mappedpages info lost
    complained 'it was one: its page 0 is overwritten'
    expect 0 mappedpages check --repair --yes lost
    rm lost.undo
done
printf '\0' | dd of=size bs=1 seek=8 conv=notrunc status=none
expect 1 mappedpages check size
complained "'mappedpages check --repair size' mends what can be mended"
# What begins further on: behind a partition table, a header, a mark of text.
for skipped in 3 512 32256 1048576; do
    {
        head -c $skipped /dev/zero
        cat my.mpp
    } >shifted
    for command in info check "check -r" rescue; do
        saved=
        [ "$command" != rescue ] || saved=saved
        # The words are to be split.
        # shellcheck disable=SC2086
        mappedpages $command shifted $saved 2>err >out && fail "$command takes a shifted file"
        complained "at byte $skipped of it: 'tail -c +$((skipped + 1)) shifted >NEW' takes it out"
    done
    tail -c +$((skipped + 1)) shifted | cmp - my.mpp || fail "that is not where it begins"
done
# So little is left that nothing can be done: no command sends to another one that sends back.
head -c 3000 my.mpp >stump
expect 3 mappedpages check --repair stump
grep -q "'mappedpages" err && fail "something is advised: $(cat err)"
expect 3 mappedpages rescue stump new
grep -q "'mappedpages" err && fail "something is advised: $(cat err)"

mappedpages dump my.mpp >my.tar || fail "dump"
expect 3 mappedpages info my.tar
complained "'mappedpages load' puts its pages into a page file"
cp my.mpp future
printf '\7' | dd of=future bs=1 seek=4 conv=notrunc status=none
expect 3 mappedpages check future
complained 'is newer than this library knows; a newer mappedpages reads it$'
cp "$golden/protected-bit-rot.mpp" rot && chmod u+w rot
expect 3 mappedpages read -p rot 0
complained "; writing it anew mends it: 'mappedpages write -p rot 0'$"
echo anew >new
expect 0 mappedpages write -p rot 0 <new
expect 0 mappedpages read -p rot 0

tells "my.mpp: there is no page 77; 'mappedpages list my.mpp' tells which there are" read my.mpp 77
tells "my.mpp: there is no protected page 0; 'mappedpages list my.mpp' tells which there are" read -p my.mpp 0
tells "my.mpp: there is no page 77; 'mappedpages alloc my.mpp 77' allocates it" write my.mpp 77 </dev/null
tells "my.mpp: there is no protected page 5; 'mappedpages alloc -p my.mpp 5' allocates it" write -p my.mpp 5 </dev/null
expect 0 mappedpages alloc -p my.mpp 5
expect 0 mappedpages write -p my.mpp 5 </dev/null
tells "my.mpp: page 0 belongs to the file itself; 0, 1 and 2 always do: 'mappedpages list my.mpp' tells which are yours" \
    read my.mpp 0

# Of the two formats only the small one has a larger one beside it.
tells "no.mpp: the format cannot hold 18446744073709551615 pages" create -n 18446744073709551615 no.mpp

# Of two files, which one it is about.
echo x >second
tells "second: exists already; a rescue makes a new file: take another name" rescue my.mpp second
tells "none.undo: No such file or directory; a repair of FILE leaves FILE.undo, unless --undo named another" check --undo none.undo my.mpp
# Room, not what was called to get it.
tells "huge.mpp: No space left: the disk has not enough room for it" create -n 99999999999 huge.mpp
[ ! -e huge.mpp ] || fail "something is left of what had no room"
# Nothing is no archive, and not a mistake without a word.
tells "standard input: there is nothing in it; nothing was changed" load my.mpp </dev/null
tar cf none.tar -T /dev/null
tells "standard input: there is nothing in it; nothing was changed" load my.mpp <none.tar
tells "standard input: not a tar archive; nothing was changed" load my.mpp <notes.txt
tells "standard input: Is a directory; nothing was changed" load my.mpp <directory
if mappedpages dump my.mpp >/dev/full 2>err; then
    fail "a full disk went unnoticed"
fi
complained 'standard output: No space left on device$'
(
    TMPDIR=$work/nowhere
    export TMPDIR
    tells "$work/nowhere: a temporary file for the archive: No such file or directory; nothing was changed; the environment's TMPDIR names another directory" \
        load my.mpp <my.tar
) || exit 1
tells "/dev/null: not a regular file" info /dev/null
# Where a format has no room, the other one has; and where that has none, there is nothing to advise.
expect 0 mappedpages create -f 0.2 small.mpp
expect 3 mappedpages alloc small.mpp 40000
complained "; 'mappedpages copy -f 1 small.mpp NEW' makes a file of it that has room$"
expect 3 mappedpages alloc my.mpp 18446744073709551615
complained 'that the format can hold$'
# Who types them the wrong way round.
expect 2 mappedpages my.mpp info
complained "no command 'my.mpp'; the command comes first: 'mappedpages info my.mpp'$"
expect 2 mappedpages -j list
complained "no command '-j'; the command comes first: 'mappedpages list -j'$"
for slip in creat/create craete/create cretae/create createe/create crXate/create Create/create lst/list chcek/check; do
    expect 2 mappedpages ${slip%/*} my.mpp
    complained "there is no command '${slip%/*}'; '${slip#*/}' is one$"
done
for other in c cr creates.mpp ''; do
    expect 2 mappedpages "$other" my.mpp
    complained "there is no command '$other'$"
done

# Programs get it, too.
expect 3 mappedpages info -j missing.mpp
python3 -c 'import json, sys
error = json.load(sys.stdin)["error"]
assert error["message"] == "No such file or directory", error
assert "create missing.mpp" in error["hint"], error' <out || fail "as JSON: $(cat out)"

need_fuse
expect 1 mappedpagesfs my.mpp
complained 'no mount point was named'
expect 32 mappedpagesfs my.mpp nowhere
complained 'nowhere: .*mkdir'
expect 32 mappedpagesfs missing.mpp directory
complained "'mappedpages create missing.mpp' makes one"
expect 32 mappedpagesfs text directory
grep -q 'mappedpages check' err && fail "check is advised for a text"
mount_file my.mpp mnt
tells "my.mpp: busy: mounted on $work/mnt by process $(cat mnt.pid) (mappedpagesfs); use it there, or 'fusermount3 -u $work/mnt' unmounts it" alloc my.mpp
tells "mnt: Is a directory; a page file is mounted there: 'cat mnt/info' shows it" info mnt
tells "mnt/x.mpp: open: Operation not permitted; a page file is mounted there, which holds nothing but its pages" \
    create mnt/x.mpp
unmount mnt

# One page is not pages.
expect 0 mappedpages create one.mpp
expect 0 mappedpages alloc -p one.mpp
expect 0 mappedpages info one.mpp
grep -q '^protected pages: .*1 (1 page of the file)$' out || fail "info counts like this: $(cat out)"
expect 0 mappedpages check one.mpp
grep -q '1 protected page checked)$' out || fail "check counts like this: $(cat out)"
expect 0 mappedpages rescue one.mpp saved.mpp
grep -q ': 1 protected page saved; 0 regular pages saved$' out || fail "rescue counts like this: $(cat out)"

# A page file that somebody compressed is not lost.
expect 0 mappedpages create packed
gzip packed || fail "gzip"
expect 3 mappedpages info packed.gz
complained 'it is compressed: gunzip'
