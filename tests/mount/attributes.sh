#!/bin/sh
# SPDX-License-Identifier: MIT
# Attributes: what tools set is kept as long as the mount; times change with content only.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

mappedpages create --page-size 4096 f.mpp || fail "create"
mappedpages alloc --zero --count 3 f.mpp >/dev/null && mappedpages alloc -p --count 2 f.mpp >/dev/null || fail "alloc"
touch -d '2001-02-03 04:05:06 UTC' f.mpp
mount_file f.mpp m

for file in m/pages/3 m/protected/0; do
    [ "$(stat -c %Y $file)" = "$(date -d '2001-02-03 04:05:06 UTC' +%s)" ] || fail "time: $(stat $file)"
    cat $file >/dev/null
    [ "$(stat -c %Y $file)" = "$(date -d '2001-02-03 04:05:06 UTC' +%s)" ] || fail "reading changed the time"
    echo x >$file
    [ "$(stat -c %Y $file)" -gt $(($(date +%s) - 60)) ] || fail "writing did not change the time: $(stat $file)"
    touch -d '1999-01-01 UTC' $file || fail "touch"
    [ "$(stat -c %Y $file)" = "$(date -d '1999-01-01 UTC' +%s)" ] || fail "touch did nothing: $(stat $file)"
    touch -d '1955-11-05 01:02:03.5 UTC' $file || fail "touch"
    [ "$(stat -c %Y $file)" = "$(date -d '1955-11-05 01:02:03 UTC' +%s)" ] || fail "before 1970: $(stat $file)"
    chmod 600 $file || fail "chmod"
    [ "$(stat -c %a $file)" = 600 ] || fail "chmod did nothing: $(stat $file)"
    if [ "$(id -u)" = 0 ]; then
        chown 12:34 $file || fail "chown"
        [ "$(stat -c %u:%g $file)" = 12:34 ] || fail "chown did nothing: $(stat $file)"
    fi
    chmod 4777 $file 2>/dev/null && fail "a page is not a setuid program"
    [ "$(stat -c %a $file)" = 600 ] || fail "a mode that was refused is there: $(stat $file)"
done
touch m/pages m/protected m && chmod 755 m/pages || fail "attributes of directories"
chmod 600 m/info 2>/dev/null && fail "changed /info"

# What is not kept is refused: nothing changes. By any name that can be given, and of directories, too.
for file in m/pages/3 m/protected/0 m/pages m/protected m m/pages/x.tmp; do
    [ -e $file ] || touch $file
    mode=$(stat -c %a $file)
    for bits in 4000 2000 1000 7000; do
        chmod $((mode + bits)) $file 2>/dev/null && fail "chmod $((mode + bits)) $file"
        [ "$(stat -c %a $file)" = "$mode" ] || fail "chmod $bits was refused and done: $(stat $file)"
    done
    for new in 700 755 711; do
        chmod $new $file && [ "$(stat -c %a $file)" = $new ] || fail "chmod $new: $(stat $file)"
    done
done
rm m/pages/x.tmp
python3 - <<'END' || fail "times and modes"
import errno, os, stat, sys, time

def refused(function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        assert error.errno == errno.EPERM, error
    else:
        sys.exit("not refused: %s %s" % (function.__name__, arguments))

# Times exactly as they are set, in all of the range, both or one of them; what is not set stays.
YEARS_300 = 300 * 31556952
for name in "m/pages/3", "m/protected/0", "m/pages/x.tmp", "m/pages", "m":
    os.close(os.open(name, os.O_RDWR | os.O_CREAT)) if name.endswith("tmp") else None
    for access, modification in ((1500000000123456789, 1000000000987654321), (1, 2), (0, 0),
                                 (-1, -1000000001), (-2000000000999999999, 5),
                                 (YEARS_300 * 10**9 + 7, 3 * YEARS_300 * 10**9 + 999999999)):
        os.utime(name, ns=(access, modification))
        status = os.stat(name)
        assert (status.st_atime_ns, status.st_mtime_ns) == (access, modification), (name, access, status)
        assert abs(status.st_ctime - time.time()) < 600, (name, status)
    for option, other in ("-a", "st_mtime_ns"), ("-m", "st_atime_ns"):
        kept = getattr(os.stat(name), other)
        assert os.system("touch %s -d @1234567890.5 %s" % (option, name)) == 0
        times = {getattr(os.stat(name), field) for field in ("st_atime_ns", "st_mtime_ns")}
        assert times == {1234567890500000000, kept}, (name, option, times)
    os.system("touch -a " + name)
    assert abs(os.stat(name).st_atime - time.time()) < 600
os.unlink("m/pages/x.tmp")

# What is set after the writing holds when the file is closed; writing after it does not leave it.
for name in "m/pages/3", "m/protected/0":
    with open(name, "r+b", buffering=0) as page:
        page.write(b"content")
        os.utime(page.fileno(), ns=(10**18, 11**17))
    assert os.stat(name).st_mtime_ns == 11**17, (name, os.stat(name))
    assert os.stat(name).st_atime_ns == 10**18, (name, os.stat(name))
    with open(name, "r+b", buffering=0) as page:
        os.utime(page.fileno(), ns=(10**18, 11**17))
        page.write(b"content")
    assert abs(os.stat(name).st_mtime - time.time()) < 600, (name, os.stat(name))
    assert os.stat(name).st_atime_ns == 10**18, (name, os.stat(name))

# Creating: mode and umask, and who does it is the owner. Bits that are not kept are refused here, too.
number = 100
for directory in "m/pages/", "m/protected/":
    for mask in 0o022, 0o077, 0o000, 0o027:
        os.umask(mask)
        for mode in 0o666, 0o600, 0o755, 0o640, 0o400:
            number += 1
            for name in directory + str(number), directory + "x.tmp":
                os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
                status = os.stat(name)
                assert stat.S_IMODE(status.st_mode) == mode & ~mask, (name, oct(mask), oct(mode), status)
                assert (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid()), status
                os.unlink(name)
            os.mknod(name, mode)
            assert stat.S_IMODE(os.stat(name).st_mode) == mode & ~mask
            os.unlink(name)
    for bits in 0o4000, 0o2000, 0o1000:
        refused(os.mknod, directory + "7", 0o644 | bits)
        refused(os.mknod, directory + "x.tmp", 0o644 | bits)
        assert not os.path.exists(directory + "7")
END

# cp -p, and a freed page's successor does not inherit.
echo source >source && touch -d '2010-10-10 UTC' source && chmod 640 source
cp -p source m/pages/4 || fail "cp -p"
[ "$(stat -c '%a %Y' m/pages/4)" = "640 $(stat -c %Y source)" ] || fail "cp -p: $(stat m/pages/4)"
cp -p source m/protected/4 || fail "cp -p"
[ "$(stat -c '%a %Y' m/protected/4)" = "640 $(stat -c %Y source)" ] || fail "cp -p: $(stat m/protected/4)"
rm m/pages/4 && touch m/pages/4 || fail "recreate"
[ "$(stat -c %Y m/pages/4)" -gt $(($(date +%s) - 60)) ] || fail "an inherited time: $(stat m/pages/4)"
[ "$(stat -c %a m/pages/4)" != 640 ] || fail "an inherited mode: $(stat m/pages/4)"

# A directory's time changes with its names.
touch -d '2011-11-11 UTC' m/pages
touch m/pages/new
[ "$(stat -c %Y m/pages)" -gt $(($(date +%s) - 60)) ] || fail "creating did not change the time of the directory"
setfattr -n user.test -v 1 m/pages/3 2>/dev/null && fail "set an extended attribute"
unmount m
