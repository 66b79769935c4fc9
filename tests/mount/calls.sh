#!/bin/sh
# SPDX-License-Identifier: MIT
# What the driver asks of the system for an operation that is durable: one sync, and nothing that makes it write more
# than what was changed. And for the writing of an open page: the write, and how long the file is. Seen with strace.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse
need_strace

expect 0 mappedpages create --page-size 4096 file
mkdir dir
strace -f -qq -y -e trace=%desc,prlimit64,getrlimit,ugetrlimit -o trace mappedpagesfs -f file dir 2>log &
tracer=$!
mounts=dir
within 20 mountpoint -q dir || fail "not mounted: $(cat log)"

turn() {
    for i in 1 2 3 4 5 6 7 8; do
        case $1 in
        commit) echo "$i" 1<>dir/protected/0 ;;
        create) : >"dir/pages/$((i + 100))" ;;
        unlink) rm "dir/pages/$((i + 100))" ;;
        esac
    done
}

# The calls that match, in what the trace got since the line that was last.
calls() {
    sed "1,${last}d" trace | grep "$work/file>" | grep -c "$1"
}

# Room for all of them.
: >dir/pages/200
: >dir/protected/0
echo 0 >dir/protected/0
for what in commit create unlink; do
    last=$(wc -l <trace)
    turn $what
    # Who asks for the time of change gets a new one with the next write, and the sync has that to write, too.
    asked=$(calls '^[^(]*stat(\|^[^(]*statat[0-9]*(\|statx(.*[CM]TIME\|statx(.*BASIC')
    [ "$asked" -eq 0 ] || fail "$what asks for times: $(sed "1,${last}d" trace)"
    [ "$(calls 'sync(')" -le 9 ] || fail "$what, 8 times: $(calls 'sync(') syncs"
    [ "$(calls 'sync(')" -ge 8 ] || fail "$what, 8 times: only $(calls 'sync(') syncs"
done

# Eight writes by one descriptor. What the file shows of its roots is read now and then; under strace, each time.
last=$(wc -l <trace)
dd if=/dev/zero of=dir/pages/200 bs=512 count=8 conv=notrunc 2>dd.out || fail "cannot write: $(cat dd.out)"
[ "$(calls ' pwrite')" -eq 8 ] || fail "8 writes: $(calls ' pwrite') calls"
[ "$(calls ' [_l]*lseek(')" -le 8 ] || fail "8 writes: asked for the length $(calls ' [_l]*lseek(') times"
others=$(sed "1,${last}d" trace | grep "$work/file>" | grep -v ' pwrite\| pread\| [_l]*lseek(' || :)
[ -z "$others" ] || fail "8 writes: $others"
limits=$(sed "1,${last}d" trace | grep 'limit' || :)
[ -z "$limits" ] || fail "the limit for files is asked for: $limits"
# … and answers go to the kernel in one piece.
pieces=$(sed "1,${last}d" trace | grep ' writev(.*/dev/fuse' || :)
[ -z "$pieces" ] || fail "answers in pieces: $pieces"

fusermount3 -u dir || fail "cannot unmount"
mounts=
wait $tracer
exit 0
