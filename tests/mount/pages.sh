#!/bin/sh
# SPDX-License-Identifier: MIT
# Regular pages as files of a fixed size.
if [ $# = 0 ]; then # in both formats
    "$0" 0.2 && exec "$0" 1
    exit
fi
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

mappedpages create f.mpp --page-size 4096 --format "$1" || fail "create"
mount_file f.mpp m
p=m/pages

# holds FILE TEXT - the page begins with the text, and the rest is zeros.
holds() {
    printf '%b' "$2" >wanted
    truncate -s 4096 wanted
    same "$1" wanted
}

touch $p/7 || fail "create"
holds $p/7 ''
[ "$(stat -c '%i %s %h' $p/7)" = "7 4096 2" ] || fail "attributes: $(stat $p/7)"

echo hi >$p/7 || fail "write"
holds $p/7 'hi\n'
echo more 2>/dev/null >>$p/7 && fail "appended to a full page"
holds $p/7 'hi\n'

printf XY | dd of=$p/7 bs=1 seek=1 conv=notrunc status=none || fail "dd"
holds $p/7 'hXY'
truncate -s 2 $p/7 || fail "truncate"
holds $p/7 'hX'
[ "$(stat -c %s $p/7)" = 4096 ] || fail "the size changed"
truncate -s 4097 $p/7 2>err && fail "grew"
complained 'File too large'

# Two truncations in a row, with the content cached in between.
echo abcdef >$p/7 && cat $p/7 >/dev/null
truncate -s 4 $p/7 && cat $p/7 >/dev/null && truncate -s 1 $p/7
holds $p/7 'a'

# A write that crosses the end is short, the next one fails; none gives 0.
python3 - $p/7 <<'END' || fail "writes at the end"
import errno, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
assert os.pwrite(fd, b"z" * 100, 4090) == 6
for offset in (4096, 5000):
    try:
        os.pwrite(fd, b"z", offset)
        sys.exit("wrote beyond the end")
    except OSError as error:
        assert error.errno == errno.EFBIG, error
assert os.pread(fd, 100, 4090) == b"z" * 6
assert os.pread(fd, 10, 4096) == b""
os.fsync(fd)
END

# Shared writable mapping.
python3 - $p/7 <<'END' || fail "mmap"
import mmap, sys
with open(sys.argv[1], "r+b") as file:
    map = mmap.mmap(file.fileno(), 0)
    map[:5] = b"mmap!"
    map.flush()
    assert open(sys.argv[1], "rb").read(5) == b"mmap!"
END

# A recycled page does not show what was there.
rm $p/7 || fail "unlink"
[ -e $p/7 ] && fail "still there"
touch $p/7 || fail "recreate"
holds $p/7 ''

# Whichever page comes next.
id=$(python3 -c 'import os, sys; print(os.fstat(os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)).st_ino)' \
    $p/new) || fail "new"
[ -f "$p/$id" ] || fail "new gave page $id, which is not there"
[ -e $p/new ] && fail "new is there"
touch $p/new || fail "new again"

# What cannot be.
for name in 0 1 2 007; do
    touch $p/$name 2>err && fail "created $name"
    complained 'not permitted'
done
if [ "$1" = 0.2 ]; then
    touch $p/99999999 2>err && fail "created a page beyond the format"
    complained 'File too large'
fi
touch $p/99999999999999999999999 2>err && fail "created a page beyond all numbers"
complained 'File too large'
mkdir $p/dir 2>err && fail "mkdir"
ln -s x $p/link 2>err && fail "symlink"
ln $p/7 $p/8 2>err && fail "link"
mknod $p/fifo p 2>err && fail "fifo"
mkdir m/dir 2>err && fail "mkdir in the root"
touch m/file 2>err && fail "a file in the root"

fallocate -l 4096 $p/7 || fail "fallocate"
fallocate -l 4097 $p/7 2>err && fail "fallocate beyond the end"
printf abcd | dd of=$p/7 conv=notrunc status=none
cat $p/7 >/dev/null
fallocate -p -o 1 -l 2 $p/7 || fail "punch"
holds $p/7 'a\0\0d'

unmount m
expect 0 mappedpages check f.mpp
