#!/bin/sh
# SPDX-License-Identifier: MIT
# mount(8) and its helper mount.fuse3: the examples of the manual page, options that people have in
# /etc/fstab, remounting, and a driver with less than root's privileges.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse
[ "$(id -u)" = 0 ] || skip "only root may mount"
command -v mount.fuse3 >/dev/null || skip "no mount.fuse3"
command -v findmnt >/dev/null || skip "no findmnt"
# They look for the driver where programs are installed: a place that nobody else sees.
if [ -z "${own_mounts:-}" ]; then
    unshare -m true || skip "no mount namespace"
    cd / && rm -rf "$work"
    own_mounts=yes exec unshare -m sh "$top_srcdir/tests/mount/fstab.sh"
fi
mkdir bin lib m user
chmod 755 "$work"
program=$top_builddir/fuse/.libs/mappedpagesfs
[ -x "$program" ] || program=$top_builddir/fuse/mappedpagesfs # linked statically: no wrapper
cp "$program" lib/mappedpagesfs || fail "copy of the driver"
cp "$top_builddir"/src/.libs/libmappedpages.so* lib 2>/dev/null
printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$work/lib" "$work/lib/mappedpagesfs" >bin/mappedpagesfs
chmod 755 bin bin/* lib lib/mappedpagesfs
mount --bind bin /usr/local/bin || skip "cannot bind"
file=$work/f.mpp
mappedpages create --page-size 1K f.mpp || fail "create"
mounts="m user"
trap 'umount -l m 2>/dev/null; umount -l user 2>/dev/null; cd / && rm -rf "$work"' EXIT

# has DIR OPTION... - whether it is mounted with them
has() {
    has_dir=$1
    shift
    for has_option; do
        findmnt -n -o OPTIONS "$work/$has_dir" | tr , '\n' | grep -qx -e "$has_option" ||
            fail "$has_option is not among $(findmnt -n -o OPTIONS "$work/$has_dir")"
    done
}

# off DIR - unmounts it
off() {
    within 30 umount "$1" || fail "cannot unmount $1: $(umount "$1" 2>&1)"
}

# example NAME - what the manual page shows after a comment of that name, with the paths of this test
example() {
    sed -n "/^\.\\\\\" example: $1\$/,/^\.fi/p" "$top_srcdir/doc/mappedpagesfs.1" | grep -v '^\.' |
        sed "s#/srv/data.mpp#$file#; s#/mnt/data#$work/m#; s#/mnt/user#$work/user#"
}

# The examples of the manual.
example fstab >fstab
[ "$(grep -c fuse.mappedpagesfs fstab)" -eq 2 ] || fail "the manual's lines for fstab: $(cat fstab)"
expect 0 mount -T fstab "$work/m"
has m rw allow_other
touch m/pages/10 || fail "not served"
[ "$(stat -c '%a %U %G' m/pages/10)" = "660 nobody daemon" ] || fail "owner: $(stat m/pages/10)"
[ "$(stat -c '%a %U %G' m/pages)" = "770 nobody daemon" ] || fail "owner: $(stat m/pages)"
example new >new.sh
[ "$(sh -e -c '. ./new.sh && head -n 1 "m/pages/$id"')" = hello ] || fail "the page that was new: $(cat new.sh)"
echo x 2>err >m/pages/important.txt && fail "took a name to keep"
complained 'Operation not permitted'
chmod 600 m/pages/10 && touch -d '2001-02-03 UTC' m/pages/10 || fail "chmod, touch"
chmod u+s m/pages/10 2>/dev/null && fail "set-user-ID was taken"
[ "$(stat -c '%a %Y' m/pages/10)" = "600 $(date -d '2001-02-03 UTC' +%s)" ] || fail "not kept: $(stat m/pages/10)"
off m
expect 0 mount -T fstab "$work/m"
[ "$(stat -c %a m/pages/10)" = 660 ] || fail "kept for longer than the mount: $(stat m/pages/10)"
off m
expect 0 mount -T fstab "$work/user"
has user ro nosuid nodev noexec
touch user/pages/11 2>/dev/null && fail "read-only, and written"
off user

example unit >pages.service
grep -q '^Type=notify' pages.service || fail "the manual's unit: $(cat pages.service)"
if command -v systemd-analyze >/dev/null; then
    # A directory below the root that is no other unit's business.
    systemd-analyze verify "$work/pages.service" 2>err
    grep -v 'is not executable\|Failed to\|Cannot' err | grep 'pages.service' && fail "the unit: $(cat err)"
fi
command=$(sed -n 's/^ExecStart=//p' pages.service)
# shellcheck disable=SC2086 # the words are to be split
$command 2>service.log & service=$!
within 20 test -e m/pages/10 || fail "the unit's command: $(cat service.log)"
kill $service
wait $service || fail "the unit's command ended with $?: $(cat service.log)"
mountpoint -q m && fail "still mounted"
command=$(sed -n 's/^ExecStopPost=-//p' pages.service)
$command && fail "there was nothing to unmount"

# Everything that is common in /etc/fstab is taken, each by itself, and what concerns the kernel reaches it.
for option in defaults nofail noauto,auto user nouser users owner group _netdev comment=x x-systemd.automount \
    x-gvfs-show x-a.b=c X-mount.mkdir ro,nofail rw exec noexec dev nodev suid nosuid async sync dirsync \
    atime noatime diratime nodiratime relatime norelatime strictatime nostrictatime lazytime nolazytime \
    noatime,nodiratime iversion noiversion mand nomand silent loud nosymfollow fsname=a,b subtype=x max_read=4096; do
    [ $option != fsname=a,b ] || option=fsname=a
    expect 0 mount -t fuse.mappedpagesfs -o $option "$file" "$work/m"
    ls m/pages >/dev/null || fail "not served with $option"
    off m
    # The driver itself, as other programs call it.
    expect 0 mappedpagesfs "$file" "$work/m" -o $option
    ls m/pages >/dev/null || fail "not served with $option"
    case $option in
    ro* | noexec | nodev | nosuid | sync | dirsync | noatime) has m ${option%,*} ;;
    esac
    off m
done
expect 0 mount -n -t fuse.mappedpagesfs "$file" "$work/m"
off m
expect 0 mappedpagesfs -n "$file" "$work/m"

# Remounting.
has m rw
echo before >m/pages/20 || fail "write"
expect 0 mount -o remount,ro "$work/m"
has m ro nosuid nodev
[ ! -s err ] || fail "remount,ro complains: $(cat err)"
touch m/pages/21 2>/dev/null && fail "a page was created after remount,ro"
sh -c 'echo x >m/pages/20' 2>/dev/null && fail "a page was written after remount,ro"
[ "$(head -n 1 m/pages/20)" = before ] || fail "another content"
expect 0 mount -o remount,rw "$work/m"
has m rw nosuid nodev
echo after >m/pages/20 || fail "cannot write after remount,rw"
expect 0 mount -o remount,noexec "$work/m"
has m rw noexec
expect 0 mount -o remount,exec "$work/m"
has m rw
findmnt -n -o OPTIONS "$work/m" | grep -q noexec && fail "still noexec"
# Said by the driver itself, without mount(8), too.
expect 0 mappedpagesfs "$file" "$work/m" -o remount,ro
has m ro nosuid nodev
expect 0 mappedpagesfs "$file" "$work/m" -o remount,rw
# Not while somebody writes.
exec 7<>m/pages/20
expect 32 mount -o remount,ro "$work/m"
complained 'files there are open for writing'
has m rw
exec 7<&-
expect 0 mount -o remount,ro "$work/m"
expect 0 mount -o remount,rw "$work/m"
# What cannot be changed is said, and what is no option refused.
expect 0 mount -o remount,commit=5 "$work/m"
complained "a remount leaves 'commit=5' as it was when .*/m was mounted"
expect 1 mount -o remount,frobnicate "$work/m"
complained "there is no option '-o frobnicate'"
off m
expect 32 mappedpagesfs "$file" "$work/m" -o remount,ro
complained 'nothing is mounted there that could be changed'
expect 32 mappedpagesfs "$file" /proc -o remount,ro
complained 'what is mounted there is no page file'
expect 1 mappedpagesfs "$file" -o remount,ro
# What commit= put off is durable when a remount to read-only returns.
expect 0 mappedpagesfs "$file" "$work/m" -o commit=1000
touch m/pages/30 || fail "create"
expect 0 mappedpages list f.mpp
grep -q 'page 30' out && fail "durable at once in spite of commit="
expect 0 mount -o remount,ro "$work/m"
expect 0 mappedpages list f.mpp
grep -q 'page 30' out || fail "not durable after remount,ro"
off m
# A driver that cannot write does not begin to.
expect 0 mount -t fuse.mappedpagesfs -o ro "$file" "$work/m"
expect 32 mount -o remount,rw "$work/m"
complained 'was mounted read-only, by a driver that cannot write: unmount it, and mount it again'
has m ro
expect 0 mount -o remount,ro,noexec "$work/m"
has m ro noexec
off m

# A driver without root's privileges.
driver_status() {
    mappedpages alloc --wait 0 "${2:-f.mpp}" >out 2>err && fail "nobody has the file"
    driver_pid=$(sed -n 's/.*process \([0-9]*\) (.*/\1/p' err)
    awk -v field="$1:" '$1 == field { print $2 }' "/proc/$driver_pid/status"
}
expect 0 mount.fuse3 "mappedpagesfs#$file" "$work/m" -o drop_privileges,fsname=dropped
[ "$(findmnt -n -o SOURCE "$work/m")" = dropped ] || fail "source: $(findmnt "$work/m")"
[ "$(driver_status CapEff)$(driver_status CapBnd)" = 00000000000000000000000000000000 ] ||
    fail "the driver has capabilities"
[ "$(driver_status NoNewPrivs)" = 1 ] || fail "the driver can get privileges"
echo dropped >m/pages/40 || fail "write"
[ "$(head -n 1 m/pages/40)" = dropped ] || fail "another content"
env echo dropped >m/protected/40 || fail "write to a protected page"
off m
expect 0 mappedpages alloc --wait 60 f.mpp
expect 0 mappedpages check f.mpp
# Whom the kernel lets in it must also check.
expect 32 mount.fuse3 "mappedpagesfs#$file" "$work/m" -o drop_privileges,allow_other
complained 'need default_permissions here'
off m
expect 0 mount.fuse3 "mappedpagesfs#$file" "$work/m" -o drop_privileges,allow_other,default_permissions,umask=077
has m allow_other default_permissions
if command -v runuser >/dev/null && id nobody >/dev/null 2>&1; then
    runuser -u nobody -- ls "$work/m/pages" >/dev/null 2>&1 && fail "permission bits are not checked"
    off m
    # As another user, by descriptor and through fusermount3.
    mkdir theirs theirs/m && cp f.mpp theirs/f.mpp && chown -R nobody theirs
    for more in ,drop_privileges ''; do
        [ -n "$more" ] || runuser -u nobody -- test -w /dev/fuse || continue
        expect 0 mount.fuse3 "mappedpagesfs#$work/theirs/f.mpp" "$work/theirs/m" -o setuid=nobody$more
        [ "$(driver_status Uid theirs/f.mpp)" = "$(id -u nobody)" ] || fail "the driver is not of nobody"
        runuser -u nobody -- sh -c "echo x >'$work/theirs/m/pages/41'" || fail "setuid=nobody$more: cannot write"
        off theirs/m
    done
    # Who is let in besides the owner, and who is not, also for what the kernel could remember.
    if runuser -u nobody -- test -w /dev/fuse && id daemon >/dev/null 2>&1; then
        grep -qs '^user_allow_other' /etc/fuse.conf || {
            cp /etc/fuse.conf fuse.conf 2>/dev/null
            echo user_allow_other >>fuse.conf
            [ -e /etc/fuse.conf ] && mount --bind fuse.conf /etc/fuse.conf
        }
        chmod 666 theirs/f.mpp
        expect 0 runuser -u nobody -- bin/mappedpagesfs "$work/theirs/f.mpp" "$work/theirs/m" -o allow_root,umask=0
        cat theirs/m/pages/41 >/dev/null || fail "root is not let in"
        ls -l theirs/m/pages >/dev/null || fail "root is not let in"
        runuser -u daemon -- cat "$work/theirs/m/pages/41" >out 2>err && fail "somebody else is let in"
        runuser -u daemon -- ls "$work/theirs/m/pages" >out 2>err && fail "somebody else may list"
        off theirs/m
    fi
else
    off m
fi
expect 0 mappedpages check f.mpp
