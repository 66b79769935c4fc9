# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# What shell tests share. A test begins with
#
#     . "${top_srcdir:?set by make check}/tests/support/lib.sh"
#
# and then stands in an empty directory of its own, $work, which is gone when it ends, with everything
# that it mounted. `mappedpages` and `mappedpagesfs` are the built ones. The first failure ends it.
set -u

: "${top_srcdir:?set by make check}" "${top_builddir:?set by make check}"
test_name=$(basename "$(dirname "$0")")-$(basename "$0" .sh)
PATH=$top_builddir/tools:$top_builddir/fuse:$PATH
export PATH LC_ALL=C

work=$(mktemp -d "${TMPDIR:-/tmp}/$test_name-XXXXXX") || exit 99
cd "$work" || exit 99
mounts= # the directories mounted now; the daemon of DIR has its process id in DIR.pid
golden=$top_srcdir/tests/golden
export golden

fail() {
    echo "FAIL: $*" >&2
    exit 1
}

# Ends the test as one that cannot be run here.
skip() {
    echo "SKIP: $*" >&2
    exit 77
}

clean_up() {
    for dir in $mounts; do
        fusermount3 -u -z "$dir" 2>/dev/null
        kill "$(cat "$dir.pid")" 2>/dev/null
    done
    cd / && rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# expect STATUS COMMAND… - runs it, with standard output and error in the files out and err, and fails
# unless it exits with STATUS.
expect() {
    expected=$1
    shift
    "$@" >out 2>err
    status=$?
    [ $status -eq "$expected" ] && return
    sed 's/^/    /' out err >&2
    fail "exit status $status instead of $expected: $*"
}

# said LINE… - fails unless the last command of `expect` wrote just these lines to standard output.
said() {
    printf '%s\n' "$@" | diff -u - out >&2 || fail "not the expected output (-)"
}

said_nothing() {
    [ ! -s out ] || fail "unexpected output: $(head -c 1000 out)"
}

# complained PATTERN - fails unless it wrote to standard error, and a line there matches.
complained() {
    grep -q -e "$1" err || fail "no line of standard error matches '$1': $(cat err)"
}

# same FILE FILE - fails unless both have the same content.
same() {
    cmp "$1" "$2" >&2 || fail "$1 and $2 differ"
}

# within SECONDS COMMAND… - tries until the command succeeds; fails after that time.
within() {
    tries=$(($1 * 20))
    shift
    while ! "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.05
    done
}

# From here on no leaks are looked for: some libraries have their own.
ignore_leaks() {
    [ -z "${SANITIZERS:-}" ] || export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"
}

# can_trace - whether strace can look at what runs here: not beside a search for leaks.
can_trace() {
    case ${SANITIZERS-} in
    *address*) return 1 ;;
    esac
    command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null
}

need_strace() {
    can_trace || skip "strace is missing, may not trace, or the search for leaks is in its way"
}

need_fuse() {
    [ -w /dev/fuse ] || skip "no /dev/fuse to write to"
    command -v fusermount3 >/dev/null || skip "no fusermount3"
}

# need_ordinary_user SCRIPT - sets $user, an ordinary one, who may mount. Where /dev/fuse is not open to all, as it
# is by default, it is made so for this test alone: the script begins again where others do not see that.
need_ordinary_user() {
    [ "$(id -u)" = 0 ] || skip "another user can only be tried by root"
    command -v runuser >/dev/null || skip "no runuser"
    user=nobody
    id $user >/dev/null 2>&1 || skip "no user $user"
    runuser -u $user -- test -w /dev/fuse && return
    [ -z "${own_device:-}" ] || fail "$user cannot write to /dev/fuse of their own"
    cd / && rm -rf "$work"
    own_device=yes exec unshare -m sh -e -c '
        mount -t tmpfs -o dev,mode=755 tmpfs /mnt
        mknod -m 666 /mnt/fuse c 10 229
        mount --bind /mnt/fuse /dev/fuse
        exec sh "$0"' "$1"
}

# make_pages FILE FORMAT COUNT - a page file with so many protected pages, the first three with a content that names them
# and the format, and two regular ones likewise.
make_pages() {
    expect 0 mappedpages create -s 4K -f "$2" "$1"
    expect 0 mappedpages alloc -p -c "$3" "$1"
    expect 0 mappedpages alloc -c 2 "$1"
    for page in 0 1 2; do
        echo "protected $page of $2" | mappedpages write -p "$1" $page || fail "write"
    done
    for page in $(mappedpages list -ri "$1"); do
        echo "regular $page of $2" | mappedpages write "$1" "$page" || fail "write"
    done
}

# hold FILE - another process, $holder, has the file as one that writes has, until descriptor 8 is closed.
hold() {
    [ -p hold_until ] || mkfifo hold_until held || fail "mkfifo"
    python3 -c '
import fcntl, struct, sys
file = open(sys.argv[1], "r+b")
fcntl.fcntl(file, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
print("held", flush=True)
sys.stdin.read()' "$1" <hold_until >held &
    # shellcheck disable=SC2034 # tests use it
    holder=$!
    exec 8>hold_until
    read -r _ <held
}

# hold_written FILE CONTENT - another process, $writer, writes that content, of a file, and has it open until descriptor 8
# is closed; it ends with 3 if closing fails.
hold_written() {
    [ -p hold_until ] || mkfifo hold_until held || fail "mkfifo"
    python3 -c '
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
os.write(fd, open(sys.argv[2], "rb").read())
print("written", flush=True)
sys.stdin.read()
try:
    os.close(fd)
except OSError:
    sys.exit(3)' "$1" "$2" <hold_until >held &
    # shellcheck disable=SC2034 # tests use it
    writer=$!
    exec 8>hold_until
    read -r _ <held
}

# mount_file FILE DIR [OPTION…] - mounts it on a new directory; the daemon stays a child of the test,
# and what it logs is in DIR.log.
mount_file() {
    file=$1
    dir=$2
    shift 2
    mkdir -p "$dir" || fail "cannot make $dir"
    mappedpagesfs -f "$file" "$dir" "$@" 2>"$dir.log" &
    echo $! >"$dir.pid"
    mounts="$mounts $dir"
    within 20 mountpoint -q "$dir" || fail "$file was not mounted: $(cat "$dir.log")"
}

# take_down DIR - unmounts it; something else on the machine may look into it for a moment and keep it busy.
take_down() {
    within 30 fusermount3 -u "$1" || fail "cannot unmount $1: $(fusermount3 -u "$1" 2>&1)"
}

# unmount DIR - unmounts it, waits for its daemon and fails unless that ends well.
unmount() {
    take_down "$1"
    left=
    for dir in $mounts; do
        [ "$dir" = "$1" ] || left="$left $dir"
    done
    mounts=$left
    wait "$(cat "$1.pid")" || fail "the daemon of $1 ended with status $?: $(cat "$1.log")"
}

# end_driver DIR - tells the daemon of the only mount to end, and fails unless that ends well.
end_driver() {
    kill "$(cat "$1.pid")"
    wait "$(cat "$1.pid")" || fail "the daemon of $1 ended with status $?: $(cat "$1.log")"
    mounts=
}
