#!/bin/sh
# SPDX-License-Identifier: MIT
# From one mount to another, with nothing left out: cp -r, cp -a, tar and rsync -a carry all pages and their contents, say
# nothing, and a second rsync finds nothing to do. In both formats, from each to each, and by way of a plain directory.
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

for format in 1 0.2; do
    expect 0 mappedpages create --format $format from-$format.mpp
    expect 0 mappedpages alloc from-$format.mpp 3-12 50 300
    expect 0 mappedpages alloc -p from-$format.mpp 0-6 20
    for id in 3 300; do
        head -c 4096 /dev/urandom | mappedpages write from-$format.mpp $id || fail "write"
    done
    for id in 0 20; do
        head -c 4096 /dev/urandom | mappedpages write -p from-$format.mpp $id || fail "write"
    done
    mount_file from-$format.mpp from-$format
done

# between FORMAT FORMAT COMMAND… - runs it in a directory with `from` and `to`, and looks.
between() {
    from=$1
    to=$2
    shift 2
    rm -f to.mpp
    expect 0 mappedpages create --format "$to" to.mpp
    mount_file to.mpp to
    ln -sfn "from-$from" from
    "$@" >said 2>&1 || fail "$*, from format $from to $to: $(cat said)"
    [ ! -s said ] || fail "$*, from format $from to $to says $(cat said)"
    diff -r from/. to/. >&2 || fail "$*, from format $from to $to: not the same"
    [ "$(cd from && find . | sort)" = "$(cd to && find . | sort)" ] || fail "$*: other names"
    unmount to
    expect 0 mappedpages check to.mpp
    mappedpages list "from-$from.mpp" >wanted && mappedpages list to.mpp | diff wanted - >&2 ||
        fail "$*, from format $from to $to: other pages"
}

by_rsync() {
    rsync -a from/ to/ && rsync -a --delete --itemize-changes from/ to/
}

by_rsync_in_place() {
    rsync -a --inplace from/ to/ && rsync -a --inplace --delete --itemize-changes from/ to/
}

by_tar() {
    tar cf - -C from . | tar xf - -C to
}

by_a_directory() {
    rm -rf between && mkdir between && cp -r from/. between && cp -r between/. to
}

for from in 1 0.2; do
    for to in 1 0.2; do
        between $from $to cp -r from/. to
        between $from $to cp -a from/. to
        between $from $to by_a_directory
        between $from $to by_tar
        if command -v rsync >/dev/null; then
            between $from $to by_rsync
            between $from $to by_rsync_in_place
        fi
    done
done

# mv takes a page from the one mount to the other, whatever their formats.
for from in 1 0.2; do
    to=0.2
    [ $from = 1 ] || to=1
    cp from-$from/pages/3 wanted
    cp from-$from/protected/20 wanted-protected
    rm -f from-$to/pages/3 from-$to/protected/20 || fail "rm"
    expect 0 mv from-$from/pages/3 from-$to/pages/3
    expect 0 mv from-$from/protected/20 from-$to/protected/20
    same wanted from-$to/pages/3
    same wanted-protected from-$to/protected/20
    [ ! -e from-$from/pages/3 ] && [ ! -e from-$from/protected/20 ] || fail "mv left what it moved"
done

# What is not listed is there.
for format in 1 0.2; do
    [ "$(ls from-$format)" = "$(printf 'pages\nprotected')" ] || fail "listed: $(ls from-$format)"
    [ -s from-$format/info ] && [ -s from-$format/info.json ] || fail "info is not there"
    unmount from-$format
done
