#!/bin/sh
# SPDX-License-Identifier: MIT
# The benchmark of mounted files: mappedpagesfs against null_fs (the limit of FUSE here), against
# fuse2fs and bindfs over ext4 where they are installed, and against the disk itself.
#
#   bench/mount.sh [-q] [-b BUILD] DIRECTORY
#
# -q: one short round, to see that it works. -b: the driver of another build (of an older version, say) is measured
# beside this one, on a file that it made itself; BUILD is a build directory in which bench/mount_client was made.
# Needs $top_builddir; mounts under DIRECTORY and cleans up behind itself.
set -eu

quick=
before_build='' before=''
while getopts qb: option; do
    case $option in
    q) quick=yes ;;
    b)
        before_build=$(cd "$OPTARG" && pwd)
        before=before
        ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
root=$(mktemp -d "${1:-.}/mpg-bench-mount-XXXXXX")
root=$(cd "$root" && pwd)
bench=$(cd "${top_builddir:-..}/bench" && pwd)
driver=$(cd "${top_builddir:-..}/fuse" && pwd)/mappedpagesfs
client=$bench/mount_client
results=$root/results

files=100000     # pages of 4 KiB, from 3 on
first=3
protected=1000
some=4000        # of the files: those that are opened one by one in a turn
turns=5          # of a round, so that what is compared is measured close together
fuse2fs_files=10000
operations=60    # durable ones in a turn
rounds=5
peer_rounds=2    # those that fuse2fs and bindfs take part in, as they take longest
if [ -n "$quick" ]; then
    files=20000 some=1000 fuse2fs_files=5000 operations=20 rounds=1
fi

mounted=         # mount points, the last first
servers=         # pids of those in the foreground

unmount_all() {
    for point in $mounted; do
        umount "$point" 2>/dev/null || fusermount3 -u "$point" 2>/dev/null || umount -l "$point" || :
    done
    for pid in $servers; do
        wait "$pid" || :
    done
    mounted='' servers=''
}

clean_up() {
    unmount_all
    rm -rf "$root"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# mount_on POINT COMMAND…: runs a server in the foreground and waits until it serves. Its pid is in $server.
mount_on() {
    point=$root/$1
    shift
    mkdir -p "$point"
    "$@" &
    server=$!
    mounted="$point $mounted" servers="$server $servers"
    tries=0
    until mountpoint -q "$point" && [ -e "$point/pages" ]; do
        tries=$((tries + 1))
        if [ "$tries" -gt 200 ] || ! kill -0 "$server" 2>/dev/null; then
            echo "bench: $1 does not come up on $point" >&2
            exit 1
        fi
        sleep 0.05
    done
}

# time_work WHAT SUBJECT WORK ARGUMENTS…: one measurement of this turn of this round.
time_work() {
    what=$1 subject=$2
    shift 2
    echo "$((round * turns + turn)) $what $subject $("$client" "$@")" >>"$results"
}

echo "bench: making files" >&2
"$client" make "$root/file" 4096 "$files" "$protected" $((10 * operations * turns)) "$files"
if [ -n "$before" ]; then
    "$before_build/bench/mount_client" make "$root/file-before" 4096 "$files" "$protected" $((10 * operations * turns)) \
        "$files"
fi
"$client" make "$root/big" 1048576 64 0 4 64
"$client" make "$root/million" 4096 1000000 0 0 0
mkdir "$root/tree" "$root/tree/pages" "$root/disk"
"$client" tree "$root/tree/pages" "$first" "$files" 4096

peers=
if command -v bindfs >/dev/null; then
    peers=bindfs
fi
if command -v fuse2fs >/dev/null && command -v mke2fs >/dev/null; then
    # Fewer files: its directories have no index, and times are taken by the file.
    mkdir "$root/small" "$root/small/pages"
    "$client" tree "$root/small/pages" "$first" "$fuse2fs_files" 4096
    mke2fs -q -t ext4 -d "$root/small" "$root/image" 256M >/dev/null
    peers="$peers fuse2fs"
fi

start_all() {
    mount_on mount "$driver" -f "$root/file" "$root/mount"
    if [ -n "$before" ]; then
        mount_on before "$before_build/fuse/mappedpagesfs" -f "$root/file-before" "$root/before"
    fi
    mount_on limit "$bench/null_fs" "$root/limit" 4096 "$files" "$protected" rw
    for subject in $subjects; do
        case $subject in
        ext4) ln -sfn tree "$root/ext4" ;;
        bindfs) mount_on bindfs bindfs -f "$root/tree" "$root/bindfs" ;;
        fuse2fs) mount_on fuse2fs fuse2fs -f "$root/image" "$root/fuse2fs" -o fakeroot 2>/dev/null ;;
        esac
    done
}

each_subject() {
    what=$1
    shift
    for each in $subjects; do
        if [ "$each" = fuse2fs ]; then
            continue
        fi
        time_work "$what" "$each" "$1" "$root/$each/$2" "$3" "$4" "$5"
    done
}

# Space that is merely reserved costs the filesystem a change of its own at the first write: what is committed goes
# round in pages that were all written once.
wear_in() {
    for each in mount $before; do
        for pass in 1 2 3; do
            "$client" commit "$root/$each/protected" 0 "$protected" 8 >/dev/null
        done
    done
}

listings() {
    for pass in list list-again list-stat stat-again; do
        for each in $subjects; do
            case $pass in
            list*again | list) time_work $pass "$each" list "$root/$each/pages" ;;
            *) time_work $pass "$each" list-stat "$root/$each/pages" ;;
            esac
        done
    done
}

contents() {
    from=$((first + turn * some))
    each_subject cold read pages "$from" "$some" 4096
    each_subject warm read pages "$from" "$some" 4096
    for each in mount $before limit ext4; do
        time_work page-read "$each" page-read "$root/$each/pages/7" 20000
        time_work page-write "$each" page-write "$root/$each/pages/7" 4000
    done
}

# Files that an older version made have something else where the ids that were never written begin here.
find_shift() {
    shift=0
    if [ -n "$before" ] && ! (: >"$root/before/pages/$((first + files + 99))") 2>/dev/null; then
        shift=$((2 * protected))
    fi
}

shift_of() {
    if [ "$1" = before ]; then
        echo "$shift"
    else
        echo 0
    fi
}

# The ids from $fresh on have never been written; the file was made with room for them.
durable() {
    fresh=$((first + files + 100 + turn * 9 * operations))
    used=$((first + 10 + turn * operations))
    time_work floor disk floor "$root/disk" "$operations" 0
    time_work create limit create "$root/limit/pages" $((first + files)) "$operations" 1
    time_work unlink limit unlink "$root/limit/pages" "$first" "$operations" 1
    time_work commit limit commit "$root/limit/protected" 0 "$operations" 1
    time_work commit-8 limit commit "$root/limit/protected" 0 400 8
    # What this disk takes for a sync depends on how long ago the last one was.
    for work in create unlink commit; do
        pause=$(awk -v work="$work" '$2 == work && $3 == "limit" { last = $4 } END { printf "%d", last }' "$results")
        time_work "floor-$work" disk floor "$root/disk" "$operations" "$pause"
        for each in mount $before; do
            case $work in
            commit) time_work commit "$each" commit "$root/$each/protected" 0 "$operations" 1 ;;
            *) time_work "$work" "$each" "$work" "$root/$each/pages" $((fresh + $(shift_of "$each"))) "$operations" 1 ;;
            esac
        done
    done
    for each in mount $before; do
        pages=$root/$each/pages
        next=$((fresh + operations + $(shift_of "$each")))
        time_work create-8 "$each" create "$pages" "$next" $((8 * operations)) 8
        time_work commit-8 "$each" commit "$root/$each/protected" 0 400 8
        "$client" unlink "$pages" "$next" $((8 * operations)) 8 >/dev/null
        # Pages that have had an owner: what it wrote must not be seen again.
        "$client" unlink "$pages" "$used" "$operations" 1 >/dev/null
        "$client" commit "$root/$each/protected" 0 2 1 >/dev/null
        time_work recreate "$each" create "$pages" "$used" "$operations" 1
        "$client" write "$pages" "$used" "$operations" 4096 >/dev/null
    done
}

read_only() {
    mount_on limit-ro "$bench/null_fs" "$root/limit-ro" 4096 "$files" "$protected" ro
    mount_on mount-ro "$driver" -f "$root/file" "$root/mount-ro" -o ro
    if [ -n "$before" ]; then
        mount_on before-ro "$before_build/fuse/mappedpagesfs" -f "$root/file-before" "$root/before-ro" -o ro
    fi
    # The kernel can be given content ahead of a reader only for files that it knows.
    for each in limit-ro mount-ro ${before:+before-ro}; do
        time_work list-stat "$each" list-stat "$root/$each/pages"
    done
    for turn in $(seq 0 $((turns - 1))); do
        from=$((first + turn * some))
        for pass in cold warm; do
            for each in limit-ro mount-ro ${before:+before-ro} ext4; do
                what=$pass
                if [ "$each" = ext4 ]; then
                    what=$pass-ro # as a writable mount has its own
                fi
                time_work "$what" "$each" read "$root/$each/pages" "$from" "$some" 4096
            done
        done
    done
    turn=0
}

big_pages() {
    mount_on mount-big "$driver" -f "$root/big" "$root/mount-big"
    mount_on limit-big "$bench/null_fs" "$root/limit-big" 1048576 64 0 rw
    for turn in $(seq 0 $((turns - 1))); do
        for each in mount-big limit-big; do
            time_work big-write $each write "$root/$each/pages" "$first" 64 1048576
            time_work big-read $each drop-read "$root/$each/pages" "$first" 64 1048576
        done
    done
    turn=0
}

# Resident memory of the driver, in bytes, after a million entries were listed and looked at.
memory() {
    mount_on million-mount "$driver" -f "$root/million" "$root/million-mount"
    "$client" list-stat "$root/million-mount/pages" >/dev/null
    kilobytes=$(awk '/^VmRSS:/ { print $2 }' "/proc/$server/status")
    echo "0 memory mount $((kilobytes * 1024))" >>"$results"
}

round=0
while [ "$round" -lt "$rounds" ]; do
    echo "bench: round $((round + 1)) of $rounds" >&2
    subjects="mount $before limit ext4"
    if [ "$round" -lt "$peer_rounds" ]; then
        subjects="$subjects $peers"
    fi
    start_all
    find_shift
    if [ "$round" -eq 0 ]; then
        wear_in
    fi
    turn=0
    listings
    for turn in $(seq 0 $((turns - 1))); do
        contents
        durable
    done
    turn=0
    unmount_all
    read_only
    big_pages
    if [ "$round" -eq 0 ]; then
        memory
    fi
    unmount_all
    round=$((round + 1))
done
"$bench/mount_table" <"$results"
