#!/bin/sh
# SPDX-License-Identifier: MIT
# The program: its options, its exit status, where it tells what, how it begins and ends.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

mappedpages create --page-size 1K --format 0.2 f.mpp || fail "create"
mkdir m
file=$work/f.mpp
trap 'fusermount3 -u -z "$work/m2" 2>/dev/null; clean_up' EXIT

# gone PID - whether a process has ended.
gone() {
    ! kill -0 "$1" 2>/dev/null || [ "$(awk '{ print $3 }' "/proc/$1/stat")" = Z ]
}

# daemon_of DIR - the process that serves a mount made in the background.
daemon_of() {
    pgrep -f "^([^ ]*/)?(lt-)?mappedpagesfs .*$work/$1( |\$)"
}

expect 0 mappedpagesfs --help
grep -q '^Usage: mappedpagesfs FILE MOUNTPOINT' out || fail "the help"
expect 0 mappedpagesfs --version
expect 1 mappedpagesfs
expect 1 mappedpagesfs f.mpp
expect 1 mappedpagesfs f.mpp m third
complained 'one argument too many: third'
expect 1 mappedpagesfs '' m
complained 'name of the page file is empty'
expect 1 mappedpagesfs f.mpp ''
complained 'name of the mount point is empty'

# wrong_option OPTION… - refused as wrong usage that says which it is, before a file is looked for.
wrong_option() {
    expect 1 mappedpagesfs no-such-file m "$@"
    for last; do :; done
    complained "^mappedpagesfs: .*$last"
    grep -q no-such-file err && fail "the file was touched for the options $*: $(cat err)"
}

for option in no_such_option rox uid fsname=x,frobnicate usermap; do
    expect 1 mappedpagesfs no-such-file m -o $option
    complained "there is no option '-o ${option#fsname=x,}'"
done
expect 32 mappedpagesfs no-such-file m -o ro,,defaults,
wrong_option -z
wrong_option --frobnicate
for value in no-such-name '' -1 4294967295 1x ' 1' 0x10; do
    wrong_option -o "uid=$value"
    complained 'expected the name of a user, or a number from 0 to 4294967294'
    wrong_option -o "gid=$value"
    complained 'expected the name of a group, or a number from 0 to 4294967294'
done
for value in 8 1000 -1 u=rwx ''; do
    wrong_option -o "fmask=$value"
    wrong_option -o "dmask=$value"
    wrong_option -o "umask=$value"
done
complained 'expected an octal number from 0 to 777'
for value in -1 4294967296 99999999999999999999 5s ''; do
    wrong_option -o "wait=$value"
    wrong_option -o "commit=$value"
done
complained 'expected a number of seconds from 0 to 4294967295'
for value in 5X 5KB -1 K 8589934592G 99999999999999999999 ''; do
    wrong_option -o "scratch=$value"
done
complained 'expected a whole number of bytes'
for value in 0 -1 4097 x; do
    wrong_option -o "io_uring_q_depth=$value"
    wrong_option -o "max_threads=$value"
done
complained 'expected a number from 1 to 4096'
for value in -1 x 99; do
    wrong_option -o "ready_fd=$value"
done
expect 1 mappedpagesfs f.mpp m -o ready_fd=7 7</dev/null
complained 'ready_fd=7: expected the number of a descriptor that is open for writing'

expect 32 mappedpagesfs no-such-file m
complained 'no-such-file'
expect 32 mappedpagesfs f.mpp no-such-directory
complained 'no-such-directory'

# Only a directory is a mount point; that, too, is seen before the file is opened.
echo text >text
for place in f.mpp text /dev/null; do
    expect 32 mappedpagesfs no-such-file $place
    complained "^mappedpagesfs: $place: not a directory"
done
expect 32 mappedpagesfs f.mpp f.mpp
complained '^mappedpagesfs: f.mpp: not a directory'

# Nor is it a directory that the page file itself lies in, or below: mounted there, it could not be reached.
mkdir -p around/below
mv f.mpp around/below/f.mpp
for place in around around/below "$work/around/" /; do
    expect 32 mappedpagesfs around/below/f.mpp "$place"
    complained '^mappedpagesfs: .*/around/below/f.mpp: the page file lies in the directory'
    mountpoint -q around && fail "mounted on $place all the same"
done
mv around/below/f.mpp .
# A directory whose name begins like that is another one.
mkdir f.m
mount_file f.mpp f.m
unmount f.m

# Damaged files are refused, with the reason and what to do.
for name in bad-magic bad-both-meta bad-both-dir truncated-half; do
    cp "$golden/$name.mpp" . || fail "$name"
    chmod u+w $name.mpp
    expect 32 mappedpagesfs $name.mpp m
    complained "$name.mpp"
    if [ $name = bad-magic ]; then
        complained 'it was one'
    else
        complained 'mappedpages check'
    fi
    mountpoint -q m && fail "mounted $name.mpp"
done

# In the background: mounted when the command returns.
expect 0 mappedpagesfs "$file" "$work/m" -o fsname=named
mountpoint -q m || fail "not mounted"
daemon=$(daemon_of m) || fail "no daemon"
mounts="$mounts m"
echo "$daemon" >m.pid
touch m/pages/5 || fail "create"
mkdir m2

# A second mount that writes is refused at once, one that reads is not.
expect 32 mappedpagesfs "$file" m2
complained 'busy'
expect 0 mappedpagesfs "$file" "$work/m2" -o ro
[ -e m2/pages/5 ] || fail "a read-only mount beside it shows another file"
take_down m2
take_down m
within 20 gone "$daemon" || fail "the daemon did not end"

# The source in /proc/mounts is the file, whatever its name.
cp f.mpp 'a,b c.mpp' || fail "copy"
expect 0 mappedpagesfs 'a,b c.mpp' "$work/m" -o nofail,user,noauto,_netdev,x-systemd.automount,defaults
mounts="$mounts m"
daemon=$(daemon_of m) || fail "no daemon"
echo "$daemon" >m.pid
[ "$(findmnt -n -o SOURCE "$work/m")" = "$work/a,b c.mpp" ] || fail "the source: $(findmnt "$work/m")"
[ "$(findmnt -n -o FSTYPE "$work/m")" = fuse.mappedpagesfs ] || fail "the type: $(findmnt "$work/m")"
take_down m
within 20 gone "$daemon" || fail "the daemon did not end"

# Signals end it well, with files open, too.
for signal in TERM INT HUP; do
    # A script's shell ignores SIGINT for what it runs in the background, and it would stay ignored.
    env --default-signal=INT mappedpagesfs -f f.mpp m 2>m.log &
    echo $! >m.pid
    mounts="$mounts m"
    within 20 mountpoint -q m || fail "not mounted: $(cat m.log)"
    touch m/pages/6 || fail "create"
    exec 5<m/pages/6
    kill -$signal "$(cat m.pid)"
    exec 5<&-
    within 20 gone "$(cat m.pid)" || fail "SIG$signal did not end it"
    wait "$(cat m.pid)" || fail "SIG$signal: status $?: $(cat m.log)"
    mountpoint -q m && fail "still mounted after SIG$signal"
    expect 0 mappedpages check f.mpp
    expect 0 mappedpages free f.mpp 6
done
mount_file f.mpp m -s
touch m/pages/6 || fail "create with a single thread"
kill "$(cat m.pid)"
wait "$(cat m.pid)" || fail "SIGTERM with a single thread: status $?: $(cat m.log)"

# Telling that it serves: a descriptor, and the service manager's socket.
mkfifo ready || fail "mkfifo"
mappedpagesfs -f f.mpp m -o ready_fd=7 7>ready 2>m.log &
echo $! >m.pid
mounts="$mounts m"
read -r line <ready
[ "$line" = READY=1 ] || fail "ready_fd said '$line'"
mountpoint -q m || fail "ready before it was mounted"
unmount m

cat >notify.py <<'END'
import os, socket, subprocess, sys
for name in "notify.socket", "@" + os.path.basename(os.getcwd()):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.settimeout(20)
    path = os.path.abspath(name) if name[0] != "@" else name
    listener.bind(path if name[0] != "@" else "\0" + name[1:])
    daemon = subprocess.Popen(["mappedpagesfs", "-f", "f.mpp", "m"],
                              env=dict(os.environ, NOTIFY_SOCKET=path))
    message = listener.recv(1000).decode().split("\n")
    assert "READY=1" in message, message
    assert os.path.ismount("m")
    daemon.terminate()
    assert "STOPPING=1" in listener.recv(1000).decode().split("\n")
    assert daemon.wait(20) == 0
END
timeout 100 python3 notify.py || fail "NOTIFY_SOCKET"

# Options that the kernel and libfuse know reach them.
mount_file f.mpp m -r -o noatime,sync,noexec,allow_other,scratch=1m,commit=0
for option in ro noatime sync noexec allow_other; do
    findmnt -n -o OPTIONS "$work/m" | tr , '\n' | grep -qx $option || fail "not mounted with $option"
done
unmount m

# Owner and mode: those of the file, or as asked for.
chmod 640 f.mpp
mount_file f.mpp m
[ "$(stat -c '%a %u' m/pages/6)" = "640 $(id -u)" ] || fail "mode: $(stat m/pages/6)"
[ "$(stat -c %a m/pages)" = 750 ] || fail "mode of a directory: $(stat m/pages)"
unmount m
mount_file f.mpp m -o uid=1234,gid=2345,umask=027
[ "$(stat -c '%a %u %g' m/pages/6)" = "640 1234 2345" ] || fail "owner: $(stat m/pages/6)"
unmount m
mount_file f.mpp m -o uid=nobody,gid=daemon,fmask=0177,dmask=0027
[ "$(stat -c '%a %U %G' m/pages/6)" = "600 nobody daemon" ] || fail "owner: $(stat m/pages/6)"
[ "$(stat -c '%a %U %G' m/pages)" = "750 nobody daemon" ] || fail "owner: $(stat m/pages)"
unmount m
mount_file f.mpp m -o umask=077,dmask=0
[ "$(stat -c %a m/pages/6)" = 600 ] || fail "umask beside dmask: $(stat m/pages/6)"
[ "$(stat -c %a m/pages)" = 777 ] || fail "dmask beside umask: $(stat m/pages)"
unmount m

# mount(8), as from fstab. It looks for the program where programs are installed; so this is done where
# nobody else sees what is mounted.
if [ "$(id -u)" = 0 ] && command -v mount.fuse3 >/dev/null && unshare -m true; then
    mkdir bin && printf '#!/bin/sh\nexec "%s" "$@"\n' "$(command -v mappedpagesfs)" >bin/mappedpagesfs
    chmod +x bin/mappedpagesfs
    expect 0 unshare -m sh -e -c '
        mount --bind bin /usr/local/bin
        mount -t fuse.mappedpagesfs "$1/f.mpp" "$1/m" -o nofail,x-test=1
        test -e m/pages/6
        umount m' sh "$work"
    # No driver, or none that may be used.
    expect 0 unshare -m sh -e -c '
        mount --bind /dev/null /dev/fuse
        status=0; mappedpagesfs f.mpp m || status=$?
        [ $status -eq 32 ]
        mount -t tmpfs tmpfs /dev
        mappedpagesfs f.mpp m || status=$?
        [ $status -eq 32 ]'
    complained 'f.mpp: cannot be mounted on .*/m$'
    complained 'f.mpp: cannot be mounted: /dev/fuse: No such file or directory'
    within 20 sh -c "! pgrep -f 'mappedpagesfs .*$work/m( |\$)'" || fail "umount did not end it"
fi
