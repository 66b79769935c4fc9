#!/bin/sh
# SPDX-License-Identifier: MIT
# Scratch files, and what renames do to pages.
if [ $# = 0 ]; then # in both formats
    "$0" 0.2 && exec "$0" 1
    exit
fi
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

mappedpages create --page-size 4096 --format "$1" f.mpp || fail "create"
mount_file f.mpp m -o scratch=64K

# holds FILE TEXT - the page begins with the text, and the rest is zeros.
holds() {
    printf '%b' "$2" >wanted
    truncate -s 4096 wanted
    same "$1" wanted
}

# pages_in_use - how many pages the file gave, of either kind.
pages_in_use() {
    sed -n -E 's/^(regular|protected) pages: *([0-9]*).*/\2/p' m/info | paste -s -d ' '
}

for dir in m/pages m/protected; do
    # A file like any other, of any size.
    printf 'some text' >$dir/text.tmp || fail "scratch file"
    [ "$(cat $dir/text.tmp)" = 'some text' ] || fail "content of a scratch file"
    [ "$(stat -c %s $dir/text.tmp)" = 9 ] || fail "size of a scratch file"
    printf ' more' >>$dir/text.tmp
    [ "$(cat $dir/text.tmp)" = 'some text more' ] || fail "appending to a scratch file"
    truncate -s 4 $dir/text.tmp
    [ "$(cat $dir/text.tmp)" = some ] || fail "truncating a scratch file"
    mv $dir/text.tmp $dir/other.tmp || fail "renaming a scratch file"
    [ "$(ls $dir)" = other.tmp ] || fail "the listing: $(ls $dir)"

    # Over a number that is not there, and over one that is.
    mv $dir/other.tmp $dir/40 || fail "renaming to a page"
    holds $dir/40 some
    [ "$(stat -c '%s %h' $dir/40)" = "4096 2" ] || fail "a page after a rename: $(stat $dir/40)"
    printf replaced >$dir/.40.tmp && mv $dir/.40.tmp $dir/40 || fail "replacing"
    holds $dir/40 replaced

    # From then on it is the page.
    printf XY | dd of=$dir/40 bs=1 seek=4000 conv=notrunc status=none || fail "writing behind the old end"
    [ "$(tail -c 96 $dir/40 | head -c 2)" = XY ] || fail "what was written is not there"
    echo again >$dir/40 || fail "rewriting"
    holds $dir/40 'again\n'
    echo x 2>/dev/null >>$dir/40 && fail "appended to a page"

    # Larger than a page: nothing changes.
    head -c 5000 /dev/zero >$dir/big.tmp
    mv $dir/big.tmp $dir/40 2>err && fail "renamed 5000 bytes to a page"
    complained 'File too large'
    holds $dir/40 'again\n'
    rm $dir/big.tmp || fail "deleting a scratch file"

    # Tools.
    sed -i s/again/sed/ $dir/40 || fail "sed -i"
    holds $dir/40 'sed\n'
    perl -pi -e s/sed/erl/ $dir/40 || fail "perl -pi"
    holds $dir/40 'erl\n'

    # Number to number: the old one is gone, and free.
    before=$(pages_in_use)
    touch $dir/50 && mv -f $dir/40 $dir/50 || fail "renaming a page to one that is there"
    [ -e $dir/40 ] && fail "the old name is still there"
    holds $dir/50 'erl\n'
    mv $dir/50 $dir/51 || fail "renaming a page to one that is not there"
    holds $dir/51 'erl\n'
    [ "$(pages_in_use)" = "$before" ] || fail "pages in use: $(pages_in_use) instead of $before"
    touch $dir/40 $dir/50 || fail "recreating the old names"
    holds $dir/40 ''
    holds $dir/50 ''
    echo other >$dir/40
    holds $dir/51 'erl\n'
    mv $dir/51 $dir/40 && mv $dir/40 $dir/51 || fail "to and fro"
    holds $dir/51 'erl\n'
    [ -e $dir/40 ] && fail "the name between is still there"

    mv $dir/51 $dir/name.tmp 2>err && fail "renamed a page to a scratch file"
    complained 'not permitted'
    holds $dir/51 'erl\n'

    # Not to "new", for that name would stay; a copy does.
    for source in 51 50 name.tmp; do
        echo "from $source" >$dir/$source
        mv $dir/$source $dir/new 2>err && fail "renamed $source to new"
        complained 'not permitted'
        holds_text=$(head -n 1 $dir/$source)
        [ "$holds_text" = "from $source" ] || fail "$source after a failed rename: $holds_text"
    done
    cp $dir/name.tmp $dir/new || fail "copying to new"
    number=$(ls $dir | sort -n | grep -v -x -e 50 -e 51 -e name.tmp)
    holds "$dir/$number" 'from name.tmp\n'
    rm "$dir/$number" $dir/name.tmp $dir/50 $dir/51
done
grep -q 'nothing can be renamed to new: copy it there' m.log || fail "no word of a rename to new"

# Numbers that no page can have: refused, and the log says which and why.
echo x >m/pages/name.tmp
mv m/pages/name.tmp m/pages/2 2>err && fail "renamed to a page of the file itself"
complained 'not permitted'
grep -q 'page 2 cannot be the target of a rename: it belongs to the file itself' m.log ||
    fail "no word of page 2: $(cat m.log)"
mv m/pages/name.tmp m/protected/100000000000000 2>err && fail "renamed to a page that cannot be"
complained 'too large'
grep -q 'renamed to 100000000000000: the number is too big' m.log || fail "no word of that: $(cat m.log)"
if [ "$1" = 0.2 ]; then
    mv m/pages/name.tmp m/protected/40000 2>err && fail "renamed to a page beyond the format"
    complained 'too large'
    grep -q 'protected page 40000 cannot be the target of a rename: the format ends before it' m.log ||
        fail "no word of a page beyond the format: $(cat m.log)"
fi
rm m/pages/name.tmp
[ "$(stat -c %i m/pages)" != "$(stat -c %i m/protected)" ] || fail "one inode number for two directories"
ls m/pages/* 2>/dev/null && fail "there are files left"

# Between the two kinds.
echo page >m/pages/60 && mv m/pages/60 m/protected/7 || fail "regular to protected"
holds m/protected/7 'page\n'
[ -e m/pages/60 ] && fail "the regular page is still there"
mv m/protected/7 m/pages/61 || fail "protected to regular"
holds m/pages/61 'page\n'
[ -e m/protected/7 ] && fail "the protected page is still there"
[ "$(stat -c %i m/pages/61)" = 61 ] || fail "inode number after a rename"

# Handles on what was replaced, and on what replaced it.
python3 - m/protected <<'END' || fail "handles over renames"
import errno, os, sys
os.chdir(sys.argv[1])
def put(name, content):
    with open(name, "wb") as file:
        file.write(content)
put("0", b"old") if os.path.exists("0") else os.close(os.open("0", os.O_CREAT | os.O_WRONLY))
old = os.open("0", os.O_RDWR)
new = os.open("0.tmp", os.O_RDWR | os.O_CREAT)
os.write(new, b"new")
os.replace("0.tmp", "0")
with open("0", "rb") as file:
    assert file.read(4) == b"new\0"
try:
    os.pwrite(old, b"intruder", 0)
    sys.exit("wrote through a handle on a replaced page")
except OSError as error:
    assert error.errno == errno.ESTALE, error
os.close(old)
os.pwrite(new, b"staged", 0)
with open("0", "rb") as file:
    assert file.read(4) == b"new\0"
os.close(new)
with open("0", "rb") as file:
    assert file.read(7) == b"staged\0"
os.unlink("0")
END

# The limit on memory.
head -c 100000 /dev/zero 2>err >m/pages/huge.tmp && fail "100000 bytes within 64K"
rm m/pages/huge.tmp
head -c 40000 /dev/zero >m/pages/half.tmp || fail "40000 bytes within 64K"
head -c 40000 /dev/zero 2>err >m/protected/half.tmp && fail "twice 40000 bytes within 64K"
rm m/protected/half.tmp

unmount m
grep -q '1 scratch file is gone' m.log || fail "no word of the scratch file that was left: $(cat m.log)"
expect 0 mappedpages check f.mpp

# What was renamed was durable.
mount_file f.mpp m
holds m/pages/61 'page\n'
[ "$(cd m && echo pages/* protected/*)" = 'pages/61 protected/*' ] || fail "other pages: $(ls m/*)"
unmount m
