#!/bin/sh
# SPDX-License-Identifier: MIT
# copy on filesystems that share disk space between files (btrfs, xfs): one call makes it, no content is read or written, also
# of a file that somebody commits to; an older copy that came from elsewhere is cloned, and what differs written. On those
# that cannot (ext4, tmpfs), and from one to another, it copies.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

# shellcheck source=tests/support/disks.lib.sh
. "$top_srcdir/tests/support/disks.lib.sh"
writer=
end_writer() {
    [ -z "$writer" ] || kill "$writer" 2>/dev/null
    clean_up_disks
}
trap end_writer EXIT

# copied NUMBER NAME - NAME is NUMBER in what copy --json said last.
copied() {
    grep -q "\"$2\": $1[,}]\{0,1\}\$" said || fail "[$kind] $2 is not $1: $(cat said)"
}

# value NAME - what copy --json said last.
value() {
    sed -n "s/.*\"$1\": \\([0-9]*\\).*/\\1/p" said
}

# copies ARGUMENT… - with its result in the file said; where strace is to be had, with its calls in the file calls.
copies() {
    if [ -n "$trace" ]; then
        strace -f -qq -e trace=ioctl,pread64,pwrite64,pwritev -o calls mappedpages copy --json "$@" >said 2>err ||
            fail "[$kind] copy $*: $(cat err)"
    else
        mappedpages copy --json "$@" >said 2>err || fail "[$kind] copy $*: $(cat err)"
    fi
}

same() { # FILE FILE
    mappedpages dump "$1" | tar xOf - pages protected >one || fail "[$kind] dump $1"
    mappedpages dump "$2" | tar xOf - pages protected >two || fail "[$kind] dump $2"
    cmp one two >&2 || fail "[$kind] $2 shows something else than $1"
    expect 0 mappedpages check "$2"
}

fill() { # FILE - 500 pages of 4 KiB, of which half have something in them, and 24 protected pages
    expect 0 mappedpages create --format "$format" "$1"
    expect 0 mappedpages alloc "$1" 3-502
    expect 0 mappedpages alloc -p -c 24 "$1"
    mkdir -p tree/pages
    python3 -c 'import os
for page in range(3, 253):
    open("tree/pages/%d" % page, "wb").write(os.urandom(4096))'
    tar cf tree.tar -C tree pages
    expect 0 mappedpages load "$1" <tree.tar
}

# passed_through BYTES - no more was read and written.
passed_through() {
    grep -E 'pread64|pwrite' calls | sed -n 's/.* = \([0-9]*\)$/\1/p' | awk -v most="$1" '
        { sum += $1 }
        END { if (sum > most) { print sum " bytes were read and written"; exit 1 } }' >&2 ||
        fail "[$kind] contents came through the process"
}

# One call, and hardly a read: superblock, roots and trees.
clones() {
    copies disk/file disk/clone
    copied true cloned
    copied 0 bytes_read
    copied 0 bytes_written
    if [ -n "$trace" ]; then
        [ "$(grep -c 'FICLONE.* = 0$' calls)" -eq 1 ] || fail "[$kind] $(grep FICLONE calls)"
        passed_through 300000
    fi
    same disk/file disk/clone
    # An older copy in the place is one that is replaced by a clone.
    echo changed | mappedpages write disk/file 300 || fail "write"
    copies --update disk/file disk/clone
    copied true cloned
    copied true updated
    same disk/file disk/clone
}

# From another filesystem: the older copy is what is cloned.
updates() {
    cp disk/file ./file
    rm -f disk/older
    copies file disk/older
    copied false cloned
    for page in 3 400; do
        echo "changed $page" | mappedpages write file $page || fail "write"
    done
    echo "changed" | mappedpages write -p file 7 || fail "write"
    copies --update file disk/older
    copied false cloned
    copied true updated
    # Two regular pages, a protected one, and where its content moves so does a page or two.
    [ "$(value bytes_written)" -le 24576 ] || fail "[$kind] $(value bytes_written) bytes were written"
    [ "$(value bytes_read)" -ge 1000000 ] || fail "[$kind] only $(value bytes_read) bytes were read"
    same file disk/older
}

# Beside somebody who commits as fast as he can.
live() {
    rm -f disk/live disk/live.copy
    expect 0 mappedpages create --format "$format" --page-size 1K disk/live
    expect 0 mappedpages alloc -p -c 24 disk/live
    "$top_builddir/tests/tool/stamper" disk/live >fifo &
    writer=$!
    read -r word <fifo && [ "$word" = writing ] || fail "the writer does not write"
    last=0
    for round in 1 2 3; do
        copies --update --force disk/live disk/live.copy # all its pages change: format 0.2 could not tell
        [ "$1" = any ] || copied "$1" cloned
        mappedpages dump disk/live.copy | tar xOf - protected >states || fail "[$kind] dump"
        stamp=$(od -An -v -t u4 -w4 states | sort -u)
        [ "$(echo "$stamp" | wc -l)" -eq 1 ] || fail "[$kind] round $round is a mixture: $stamp"
        [ "$stamp" -ge "$last" ] || fail "[$kind] state $stamp after $last"
        last=$((stamp))
        expect 0 mappedpages check disk/live.copy
    done
    kill $writer
    wait $writer 2>/dev/null
    writer=
}

trace=
can_trace && trace=yes
mkfifo fifo
tried=
for kind in btrfs xfs ext4 tmpfs; do
    new_disk $kind || continue
    tried="$tried $kind"
    for format in 1 0.2; do
        find disk -mindepth 1 -type f -exec rm '{}' +
        fill disk/file
        case $kind in
        btrfs | xfs)
            clones
            updates
            live any
            ;;
        *)
            copies disk/file disk/copy
            copied false cloned
            [ "$(value bytes_written)" -ge 20000 ] || fail "[$kind] what was written? $(cat said)"
            # Contents of regular pages need not come through the process, those of protected ones must.
            [ -z "$trace" ] || passed_through 600000
            same disk/file disk/copy
            live false
            ;;
        esac
    done
    umount disk || fail "cannot unmount"
    mounted=
done
[ -n "$tried" ] || skip "no disk can be made here: $(cat err)"
echo "tried:$tried"
