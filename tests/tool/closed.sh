#!/bin/sh
# SPDX-License-Identifier: MIT
# A command that is started without standard input, output or error works, or fails, as with them: no message
# goes into the page file, which never gets their numbers.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

# The program itself: what libtool has put in its place is a script, whose shell opens files first.
if [ -x "$top_builddir/tools/.libs/mappedpages" ]; then
    PATH=$top_builddir/tools/.libs:$PATH
    LD_LIBRARY_PATH=$top_builddir/src/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export LD_LIBRARY_PATH
fi

# run STATUS ARGUMENT… - with each of the descriptors closed, and with all three.
run() {
    wanted=$1
    shift
    for closed in 0 1 2 012; do
        make_file
        status=0
        case $closed in
        0) mappedpages "$@" <&- >out 2>err || status=$? ;;
        1) mappedpages "$@" </dev/null >&- 2>err || status=$? ;;
        2) mappedpages "$@" </dev/null >out 2>&- || status=$? ;;
        012) mappedpages "$@" <&- >&- 2>&- || status=$? ;;
        esac
        [ $status -eq "$wanted" ] || fail "[$format] $* without $closed: status $status, not $wanted"
        expect 0 mappedpages check file
        expect 0 mappedpages list file
        same out before
    done
}

make_file() {
    rm -f file
    expect 0 mappedpages create -f "$format" file
    expect 0 mappedpages alloc -c 3 file
    expect 0 mappedpages alloc -p file
    expect 0 mappedpages list file
    mv out before
}

for format in 1 0.2; do
    run 3 alloc file 3
    run 3 free file 99
    run 3 free -p file 7
    run 3 write file 99
    run 3 write -p file 9
    run 2 free file nonsense
    run 3 create file
done

# What is asked for and cannot be written is a failure, as always.
for format in 1 0.2; do
    make_file
    status=0
    mappedpages alloc file >&- 2>err || status=$?
    [ $status -eq 3 ] || fail "alloc without standard output: status $status"
    complained 'standard output'
    expect 0 mappedpages check file
    status=0
    mappedpages free file 5 <&- >&- 2>&- || status=$?
    [ $status -eq 0 ] || fail "free without descriptors: status $status"
    rm file
    mappedpages create -f "$format" file <&- >&- 2>&- || fail "create without descriptors"
    expect 0 mappedpages check file
done

# Neither the file nor the output may grow over the limit of the process: errors, and no signal.
command -v prlimit >/dev/null || exit 0
format=1
make_file
for command in 'alloc file 400' 'create -n 400 another'; do
    status=0
    # shellcheck disable=SC2086
    prlimit --fsize=400000 mappedpages $command 2>err >out || status=$?
    [ $status -eq 3 ] || fail "$command beyond the limit: status $status"
    complained 'File too large'
done
[ ! -e another ] || fail "a file that is too large is left"
status=0
prlimit --fsize=100 mappedpages read file 3 2>err >out || status=$?
[ $status -eq 3 ] || fail "output beyond the limit: status $status"
complained 'File too large'
expect 0 mappedpages check file
