#!/bin/sh
# SPDX-License-Identifier: MIT
# Tools that copy: onto a mount, out of it, and within.
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
. "$top_srcdir/tests/support/mount_tools.lib.sh"
need_fuse

# done_by NAME COMMAND… - the command succeeds and says nothing.
done_by() {
    name=$1
    shift
    "$@" >said 2>&1 || fail "$name: $(cat said)"
    [ ! -s said ] || fail "$name says $(cat said)"
    echo "ok $name"
}

with_cp() {
    done_by "cp over a page" cp plain/11 m/pages/10
    shows 10 plain/11
    done_by "cp to a new page" cp plain/12 m/pages/40
    shows 40 plain/12
    done_by "cp -p" cp -p plain/13 m/pages/41
    shows 41 plain/13
    done_by "cp -r out" cp -r m/pages copied
    diff -r m/pages copied >&2 || fail "cp -r"
    mkdir in && cp plain/14 in/50 && cp plain/15 in/51
    done_by "cp -r in" cp -r in/. m/pages
    shows 50 plain/14
    done_by "cp to a protected page" cp plain/16 m/protected/0
    protected_shows 0 plain/16
    echo short >short
    done_by "cp of a short file" cp short m/pages/42
    shows 42 short
    done_by install install -m 644 plain/17 m/pages/43
    shows 43 plain/17
    done_by tee sh -c 'tee m/pages/44 <plain/18 >/dev/null'
    shows 44 plain/18
    rm -r copied in
}

quiet_dd() {
    dd status=none "$@"
}

with_dd() {
    done_by "dd whole" quiet_dd if=plain/11 of=m/pages/12 bs=4096
    shows 12 plain/11
    cp m/pages/13 copy
    done_by "dd seek notrunc" quiet_dd if=plain/p0 of=m/pages/13 bs=16 count=3 seek=100 conv=notrunc
    quiet_dd if=plain/p0 of=copy bs=16 count=3 seek=100 conv=notrunc
    shows 13 copy
    done_by "dd fsync" quiet_dd if=plain/14 of=m/protected/1 bs=512 conv=fsync
    protected_shows 1 plain/14
    cp m/protected/2 copy
    done_by "dd into a protected page" quiet_dd if=plain/15 of=m/protected/2 bs=1 count=100 seek=1000 \
        conv=notrunc
    quiet_dd if=plain/15 of=copy bs=1 count=100 seek=1000 conv=notrunc
    protected_shows 2 copy
    done_by "dd skip" quiet_dd if=m/pages/15 of=part bs=100 skip=3 count=2
    cp plain/15 whole && quiet_dd if=whole of=wanted_part bs=100 skip=3 count=2
    cmp part wanted_part || fail "dd skip"
    done_by "dd sparse" quiet_dd if=/dev/zero of=m/pages/45 bs=4096 count=1 conv=sparse
    done_by "dd oflag=sync" quiet_dd if=plain/16 of=m/pages/45 bs=1024 oflag=sync
    shows 45 plain/16
    done_by "dd ucase" quiet_dd if=plain/16 of=m/pages/46 conv=ucase
    tr '[:lower:]' '[:upper:]' <plain/16 >copy
    shows 46 copy
    quiet_dd if=/dev/zero of=m/pages/46 bs=4097 count=1 2>err && fail "dd past the end of a page succeeds"
    grep -q 'File too large' err || fail "dd past the end: $(cat err)"
    echo "ok dd past the end"
}

with_tar() {
    done_by "tar out" tar -cf pages.tar -C m pages
    mkdir unpacked && tar -xf pages.tar -C unpacked
    diff -r m/pages unpacked/pages >&2 || fail "tar out"
    for id in 10 11 12; do rm m/pages/$id; done
    done_by "tar in" tar -xf pages.tar -C m
    diff -r m/pages unpacked/pages >&2 || fail "tar in"
    rm -r unpacked
}

with_rsync() {
    mkdir mirror
    done_by "rsync -a out" rsync -a m/pages/ mirror/
    diff -r m/pages mirror >&2 || fail "rsync -a out"
    [ -z "$(rsync -ai m/pages/ mirror/)" ] || fail "a second rsync out has something to send"
    # rsync compares times by the second.
    content 500 >mirror/10 && content 501 >mirror/60 && touch -d '+10 seconds' mirror/10
    done_by "rsync -a in" rsync -a mirror/ m/pages/
    diff -r m/pages mirror >&2 || fail "rsync -a in"
    sent=$(rsync -ai mirror/ m/pages/)
    [ -z "$sent" ] || fail "a second rsync in has something to send: $sent"
    content 502 >mirror/11 && touch -d '+20 seconds' mirror/11
    done_by "rsync --inplace" rsync -a --inplace mirror/ m/pages/
    diff -r m/pages mirror >&2 || fail "rsync --inplace"
    content 503 >mirror/11 && touch -d '+30 seconds' mirror/11
    done_by "rsync to protected pages" rsync -a --include=1[0-2] --exclude='*' mirror/ m/protected/
    protected_shows 11 mirror/11
    rm -r mirror
}

with_others() {
    done_by "mv in" sh -c 'cp plain/18 moved && mv moved m/pages/61'
    shows 61 plain/18
    done_by "mv within" mv m/pages/61 m/pages/62
    shows 62 plain/18
    [ ! -e m/pages/61 ] || fail "mv leaves the old page"
    done_by "mv over" mv m/pages/62 m/pages/10
    shows 10 plain/18
    done_by "mv out" mv m/pages/10 moved
    cmp moved plain/18 || fail "mv out"
    [ ! -e m/pages/10 ] || fail "mv out leaves the page"
    cat plain/11 plain/12 >two
    mkdir parts
    done_by split split -b 4096 -d -a 2 two m/pages/7
    shows 700 plain/11
    shows 701 plain/12
    done_by rm rm m/pages/700 m/pages/701
    [ ! -e m/pages/700 ] || fail "rm leaves the page"
    rmdir parts
}

for format in 1 0.2; do
    new_mount $format
    with_cp
    with_dd
    with_tar
    with_rsync
    with_others
    end_mount
done
