#!/bin/sh
# SPDX-License-Identifier: MIT
# What a program writes, ordinary users' programs on ordinary users' mounts: other tests once more, as nobody.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse
need_ordinary_user "$top_srcdir/tests/mount/as_user.sh"
as_user() {
    runuser -u $user -- env TMPDIR="$work" HOME="$work" timeout 300 "$@"
}
chmod 777 "$work"
for path in "$top_srcdir/tests/support/lib.sh" "$top_builddir/tests/mount/late"; do
    as_user test -r "$path" || skip "$user may not read $path"
done

# Languages have nothing to do with it: endings are tried in the format in which C alone is.
for test in 'late.sh 1' 'endings.sh 0.2' 'names.sh' 'attributes.sh'; do
    # shellcheck disable=SC2086 # name and format
    set -- $test
    as_user sh "$top_srcdir/tests/mount/$1" ${2:+"$2"} >out 2>err
    status=$?
    [ $status = 0 ] || [ $status = 77 ] || fail "$test, as $user: status $status: $(tail -n 30 out err)"
done
