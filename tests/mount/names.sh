#!/bin/sh
# SPDX-License-Identifier: MIT
# Names of scratch files: what is taken and what is refused, what is said at the end; names that are too
# long; and how to learn which page "new" was.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

mappedpages create --page-size 4096 f.mpp || fail "create"
mount_file f.mpp m

# What somebody wants to keep is refused, and the log says why; and a page is not lost to a tool that
# puts its content into such a file.
for dir in pages protected; do
    for name in important.txt 5.bak 5.gz notes; do
        echo x 2>err >m/$dir/$name && fail "took $dir/$name"
        complained 'not permitted'
        grep -q "$dir/$name is refused: .*-o scratch=any" m.log || fail "no word of $dir/$name: $(cat m.log)"
    done
    echo content >m/$dir/5
    gzip m/$dir/5 2>/dev/null && fail "gzip put page 5 into memory"
    [ "$(head -n 1 m/$dir/5)" = content ] || fail "page 5 after gzip: $(head -c 20 m/$dir/5)"
    echo x >m/$dir/some.tmp || fail "a temporary file"
    mv m/$dir/some.tmp m/$dir/kept 2>err && fail "renamed to a name to keep"
    complained 'not permitted'
    [ "$(cat m/$dir/some.tmp)" = x ] || fail "what could not be renamed is gone"
    cp m/$dir/some.tmp m/$dir/.other.tmp && rm m/$dir/.other.tmp || fail "another temporary file"
done
grep -q 'pages/kept is refused' m.log || fail "no word of the rename: $(cat m.log)"
# Nothing in a name makes a line of the log of its own.
python3 -c 'open("m/pages/line\nmappedpagesfs: all is well", "w")' 2>/dev/null && fail "took a name of two lines"
grep -q '^mappedpagesfs: all is well' m.log && fail "a name made a line of the log"
unmount m
grep -q '2 scratch files are gone' m.log || fail "no word of what was lost: $(cat m.log)"
grep -q 'lost with the mount: scratch file pages/some.tmp, 2 bytes' m.log || fail "not said which: $(cat m.log)"
grep -q 'lost with the mount: scratch file protected/some.tmp, 2 bytes' m.log || fail "not said which: $(cat m.log)"

# Unless that was asked for; a size may be given as well, in any order.
for options in scratch=any scratch=any,scratch=20K scratch=20K,scratch=any; do
    mount_file f.mpp m -o $options
    head -c 15000 /dev/zero >m/pages/important.txt || fail "$options: refused a name"
    mv m/pages/important.txt m/protected/notes || fail "$options: refused a rename"
    if [ $options != scratch=any ]; then
        head -c 15000 /dev/zero 2>/dev/null >m/pages/more && fail "$options: no limit"
    fi
    unmount m
    grep -q 'scratch file protected/notes, 15000 bytes' m.log || fail "$options: $(cat m.log)"
done

# Names that are too long, wherever one may be given.
mount_file f.mpp m -o raw
cat >long.py <<'END'
import errno, os, stat
for directory in "m", "m/pages", "m/protected", "m/raw":
    for name in "n" * 256, "7" * 256, "." * 3 + "t" * 1000, "\u00e4" * 128:
        long = directory + "/" + name
        ways = {
            "stat": lambda: os.stat(long), "open": lambda: os.open(long, os.O_RDONLY),
            "create": lambda: os.open(long, os.O_RDWR | os.O_CREAT),
            "create new": lambda: os.open(long, os.O_RDWR | os.O_CREAT | os.O_EXCL),
            "mknod": lambda: os.mknod(long), "mkfifo": lambda: os.mkfifo(long),
            "unlink": lambda: os.unlink(long), "rmdir": lambda: os.rmdir(long),
            "mkdir": lambda: os.mkdir(long), "symlink": lambda: os.symlink("x", long),
            "readlink": lambda: os.readlink(long), "chmod": lambda: os.chmod(long, 0o600),
            "chown": lambda: os.chown(long, 0, 0), "utime": lambda: os.utime(long),
            "truncate": lambda: os.truncate(long, 0), "link from": lambda: os.link(long, "m/pages/x.tmp"),
            "link to": lambda: os.link("m/pages/5", long), "listxattr": lambda: os.listxattr(long),
            "rename from": lambda: os.rename(long, "m/pages/x.tmp"),
            "rename to": lambda: os.rename("m/pages/5", long), "access": lambda: os.stat(long + "/x"),
        }
        for what, way in ways.items():
            try:
                way()
                raise SystemExit("%s: %s of %d bytes succeeded" % (directory, what, len(name)))
            except OSError as error:
                assert error.errno == errno.ENAMETOOLONG, (directory, what, len(name), error)
name = "m/pages/" + "t" * 251 + ".tmp" # the longest there may be
os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
assert os.path.basename(name) in os.listdir("m/pages")
os.unlink(name)
END
python3 long.py || fail "long names"

# Which page "new" was.
for dir in m/pages m/protected; do
    touch $dir/new || fail "new"
    id=$(cat $dir/last)
    [ -n "$id" ] && [ -f "$dir/$id" ] || fail "last is '$id', and the pages are $(ls $dir)"
    rm "$dir/$id"
    echo one >$dir/new && one=$(cat $dir/last)
    echo two >$dir/new && two=$(cat $dir/last)
    [ "$(head -n 1 "$dir/$one") $(head -n 1 "$dir/$two")" = "one two" ] || fail "last was $one, then $two"
    read -r again <$dir/last && [ "$again" = "$two" ] || fail "last is not $two but $again"
    touch $dir/700 && [ "$(cat $dir/last)" = "$two" ] || fail "creating a number counts as new"
    # Two that go on at the same time, in the same directory: each is told its own.
    cat >each.sh <<'END'
for turn in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
    echo "$2 $turn" >"$1/new" || exit 1
    [ "$(head -n 1 "$1/$(cat "$1/last")")" = "$2 $turn" ] || exit 1
    env echo "$2 $turn" | dd of="$1/new" status=none || exit 1
    [ "$(head -n 1 "$1/$(cat "$1/last")")" = "$2 $turn" ] || exit 1
done
END
    children=
    for who in a b c; do
        sh each.sh $dir $who &
        children="$children $!"
    done
    for child in $children; do
        wait "$child" || fail "a script was told another's page"
    done
    # It is never listed, and cannot be written, deleted, replaced or moved away.
    [ -z "$(find $dir -name last -o -name new)" ] || fail "listed: $(ls -a $dir)"
    cp -r $dir copy || fail "cp -r"
    [ -e copy/last ] && fail "cp -r copied last"
    rm -r copy
    (echo x >$dir/last) 2>/dev/null && fail "wrote to last"
    rm -f $dir/last 2>/dev/null && fail "deleted last"
    mv $dir/$two $dir/last 2>/dev/null && fail "moved a page to last"
    mv $dir/last $dir/x.tmp 2>/dev/null && fail "moved last away"
    [ "$(stat -c '%a %F' $dir/last)" = "444 regular empty file" ] || fail "last: $(stat $dir/last)"
done
unmount m
mount_file f.mpp m
[ -z "$(cat m/pages/last)" ] || fail "last before anything was new: $(cat m/pages/last)"
unmount m
mount_file f.mpp m -o ro
[ -e m/pages/last ] && fail "last is there where nothing can be new"
unmount m

# What a program asks for again and again does not fill the disk with the log; how much was left out is told.
mount_file f.mpp m
python3 - m/pages <<'END'
import os, sys
for i in range(500):
    try:
        os.open("%s/keep-%d" % (sys.argv[1], i), os.O_WRONLY | os.O_CREAT)
        sys.exit("took a name")
    except PermissionError:
        pass
END
[ $? = 0 ] || fail "names of files to be kept"
unmount m
lines=$(grep -c 'pages/keep-[0-9]* is refused' m.log)
told=$(awk '/lines like these were left out/ { sum += $2 } END { print sum + 0 }' m.log)
[ "$lines" -ge 100 ] && [ "$lines" -lt 500 ] || fail "$lines lines in the log"
[ $((lines + told)) = 500 ] || fail "$lines lines, and $told left out"
