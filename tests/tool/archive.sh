#!/bin/sh
# SPDX-License-Identifier: MIT
# dump and load: every page goes out into an archive that tar reads, and comes back, in a file of either format, with
# its number; what tar makes goes in as well; an archive that is broken changes nothing.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

contents() { # of a file: each page with its checksum
    expect 0 mappedpages list --long "$1"
    sed 's/ generation.*//' out
}

fresh() { # FILE LIKE FORMAT
    size=$(mappedpages info --json "$2" | python3 -c 'import json, sys; print(json.load(sys.stdin)["page_size"])')
    expect 0 mappedpages create --format "$3" --page-size "$size" "$1"
}

# Files of the crate, and one of ours with pages far apart.
expect 0 mappedpages create --page-size 1K ours.mpp
expect 0 mappedpages alloc ours.mpp 3-40 500 7000-7010
expect 0 mappedpages alloc -p ours.mpp 0-20 64
for page in 3 500 7010; do
    echo "page $page" | mappedpages write ours.mpp $page || fail "write"
done
echo protected | mappedpages write -p ours.mpp 64 || fail "write -p"
cp "$golden/v02-1024-mixed.mpp" "$golden/v02-4096-protected.mpp" "$golden/v02-16384-regular.mpp" . || fail "golden files"
for file in ./*.mpp; do
    contents "$file" >before
    mappedpages dump "$file" >one.tar || fail "dump $file"
    tar tf one.tar >names || fail "tar does not read it"
    head -n 1 names | grep -qx info.json || fail "the first name: $(head -n 1 names)"
    [ "$(($(wc -l <before) + 1))" -eq "$(wc -l <names)" ] || fail "not a member a page"
    for format in 0.2 1; do
        rm -f copy
        fresh copy "$file" $format
        expect 0 mappedpages load copy <one.tar
        contents copy >after
        diff before after >&2 || fail "$file, by way of an archive into format $format"
        expect 0 mappedpages check copy
    done
    rm -rf tree && mkdir tree && tar xf one.tar -C tree || fail "tar xf"
    for page in $(sed -n 's/^page \([0-9]*\) .*/\1/p' before | head -n 5); do
        mappedpages read "$file" "$page" | cmp - "tree/pages/$page" >&2 || fail "page $page as tar has it"
    done
done

# What tar makes of a tree, shorter contents and all, in one transaction with what is there.
mkdir -p work/pages work/protected
printf 'nine' >work/pages/90
printf 'zero' >work/protected/0
printf 'seventy' >work/protected/70
(cd work && tar cf ../some.tar ./pages protected/0 protected/70) || fail "tar"
expect 0 mappedpages create --page-size 1K some.mpp
expect 0 mappedpages alloc -p some.mpp 0-3
expect 0 mappedpages load some.mpp <some.tar
expect 0 mappedpages list some.mpp
said 'page 90' 'protected 0' 'protected 1' 'protected 2' 'protected 3' 'protected 70'
mappedpages read some.mpp 90 >page
{ printf nine && head -c 1020 /dev/zero; } | cmp - page >&2 || fail "page 90"
[ "$(mappedpages read -p some.mpp 70 | tr -d '\0')" = seventy ] || fail "protected page 70"
for compress in gzip bzip2 xz; do
    command -v $compress >/dev/null || continue
    $compress -c some.tar >compressed
    expect 0 mappedpages load some.mpp <compressed
done
(cd work && tar cf ../dotted.tar ././pages .//protected) || fail "tar of .//"
expect 0 mappedpages load some.mpp <dotted.tar
# A page that comes twice ends as it came last.
printf 'later' >work/protected/0
(cd work && tar rf ../some.tar protected/0) || fail "tar r"
expect 0 mappedpages load some.mpp <some.tar
[ "$(mappedpages read -p some.mpp 0 | tr -d '\0')" = later ] || fail "the last one does not count"

# With little memory it takes several transactions, and says so.
rm -f copy
fresh copy ours.mpp 1
mappedpages dump ours.mpp >one.tar || fail "dump"
expect 0 mappedpages load --memory 4K copy <one.tar
complained 'steps'
contents ours.mpp >before
contents copy >after
diff before after >&2 || fail "in steps"

# What is broken changes nothing.
unchanged() { # what was tried
    contents some.mpp >after
    diff some.before after >&2 || fail "$1 changed the file"
}
contents some.mpp >some.before
refuses() { # WHAT WHY: the archive broken.tar is refused
    expect 3 mappedpages load some.mpp <broken.tar
    complained "$2"
    unchanged "$1"
}
mkdir -p bad/pages bad/protected
echo x >bad/pages/120
echo y >bad/other
(cd bad && tar cf ../broken.tar pages/120 other) && refuses "a name that is no page" 'names no page'
echo z >bad/pages/new
(cd bad && tar cf ../broken.tar pages/120 pages/new) && refuses "new" 'names no page'
head -c 1025 /dev/zero >bad/pages/121
(cd bad && tar cf ../broken.tar pages/120 pages/121) && refuses "a page too long" 'longer than a page'
ln -sf 120 bad/pages/122
(cd bad && tar cf ../broken.tar pages/120 pages/122) && refuses "a link" 'no ordinary file'
echo w >bad/pages/1
(cd bad && tar cf ../broken.tar pages/120 pages/1) && refuses "page 1" 'page 1'
(cd bad && tar cf ../whole.tar pages/120)
for length in 100 700 1000 1400; do
    head -c $length whole.tar >broken.tar
    refuses "an archive of $length bytes" .
done
# Cut at each block (at every tenth, but in the long form), between members too; and a bit turned in each of their headers.
mappedpages dump ours.mpp >whole.tar || fail "dump"
python3 - whole.tar "${MPG_ROUNDS:+1}" <<'END' >cuts || fail "whole.tar"
import sys, tarfile
archive = tarfile.open(sys.argv[1])
starts = [member.offset for member in archive]
end = archive.offset
ends = set(starts[1 :: 1 if sys.argv[2] else 6] + starts[-1:])
print(*[at for at in range(512, end, 512) if at in ends and at <= max(starts) + 4096 or at // 512 % 10 == 0 or sys.argv[2]])
whole = bytearray(open(sys.argv[1], "rb").read())
for at in (starts[0], starts[1], starts[-1]):
    whole[at + 130] ^= 1
    open("turned.%d" % at, "wb").write(whole)
    whole[at + 130] ^= 1
END
# A cut at a member's end, where all looks well but the end that is missing.
[ "$(wc -w <cuts)" -ge 20 ] || fail "too few cuts: $(cat cuts)"
for length in $(cat cuts); do
    head -c "$length" whole.tar >broken.tar
    expect 3 mappedpages load some.mpp <broken.tar
    complained 'nothing was changed'
done
unchanged "an archive that was cut"
for broken in turned.*; do
    expect 3 mappedpages load some.mpp <"$broken"
done
unchanged "an archive with a bit turned"
# A byte turned anywhere, in a content, too. (Behind the end of an archive there is nothing that could be damaged.)
expect 0 mappedpages create --page-size 1K tiny.mpp
expect 0 mappedpages alloc tiny.mpp 3
expect 0 mappedpages alloc -p tiny.mpp 0
head -c 1024 /dev/urandom | mappedpages write tiny.mpp 3 || fail "write"
head -c 1024 /dev/urandom | mappedpages write -p tiny.mpp 0 || fail "write -p"
mappedpages dump tiny.mpp >tiny.tar || fail "dump"
expect 0 mappedpages create --page-size 1K turned.mpp
cp turned.mpp turned.before
cat >turn.py <<'END'
import subprocess, sys
whole = bytearray(open("tiny.tar", "rb").read())
step = int(sys.argv[1])
end = max(at for at in range(len(whole)) if whole[at]) + 1
tried = 0
for at in range(0, end, step):
    whole[at] ^= 1 << at % 8
    done = subprocess.run(["mappedpages", "load", "turned.mpp"], input=whole, stderr=subprocess.DEVNULL)
    whole[at] ^= 1 << at % 8
    passed = done.returncode == 0
    same = open("turned.mpp", "rb").read() == open("turned.before", "rb").read()
    if passed or not same:
        # What is passed over, or is read as it was, may be turned: the padding of info.json, a time, a mode.
        subprocess.run(["mappedpages", "dump", "turned.mpp"], stdout=open("turned.tar", "wb"), check=True)
        assert passed, "byte %d: refused, and changed" % at
        for mode in ([], ["-p"]):
            page = "0" if mode else "3"
            read = [subprocess.run(["mappedpages", "read"] + mode + [name, page], capture_output=True, check=True).stdout
                    for name in ("turned.mpp", "tiny.mpp")]
            assert read[0] == read[1], "byte %d: another content" % at
        open("turned.mpp", "wb").write(open("turned.before", "rb").read())
    tried += not passed
print(tried, "refused of", len(range(0, end, step)))
END
[ -n "${MPG_ROUNDS:-}" ] && every=5 || every=97
python3 turn.py $every >refused || fail "an archive with a byte turned"
cat refused
# Members gone where no header tells: zeros up to the end, as of a disk that lost them, and members cut out.
cat >lose.py <<'END'
import subprocess, tarfile
whole = open("tiny.tar", "rb").read()
starts = [member.offset for member in tarfile.open("tiny.tar")]
end = -(-len(whole.rstrip(b"\0")) // 512) * 512
lost = {"all but zeros": bytes(len(whole))}
for at in range(512, end, 512):
    lost["zeros from %d" % at] = whole[:at] + bytes(len(whole) - at)
for first, behind in zip(starts[1:], starts[2:] + [end]):
    lost["without %d to %d" % (first, behind)] = whole[:first] + whole[behind:]
lost["without the beginning"] = whole[starts[2]:]
lost["another order"] = whole[:starts[1]] + whole[starts[2]:end] + whole[starts[1]:starts[2]] + whole[end:]
lost["behind a whole one"] = whole + lost["zeros from %d" % starts[2]]
for what, data in lost.items():
    done = subprocess.run(["mappedpages", "load", "turned.mpp"], input=data, capture_output=True)
    assert done.returncode == 3 and b"nothing was changed" in done.stderr, (what, done)
    assert open("turned.mpp", "rb").read() == open("turned.before", "rb").read(), what
whole_ones = {"twice": whole + whole, "no info": whole[starts[1]:]}
for what, data in whole_ones.items():
    subprocess.run(["mappedpages", "load", "turned.mpp"], input=data, check=True)
END
python3 lose.py || fail "an archive that is not all there"
head -c 3000 /dev/urandom >broken.tar
refuses "noise" .
: >broken.tar
refuses "nothing" "there is nothing in it"
unchanged "an empty archive"

# A mounted file is dumped as well.
if [ -w /dev/fuse ] && command -v fusermount3 >/dev/null; then
    mount_file some.mpp mnt
    mappedpages dump some.mpp | tar xOf - pages protected >live || fail "dump of a mounted file"
    cat mnt/pages/* mnt/protected/? mnt/protected/?? | cmp - live >&2 || fail "what a dump of a mounted file shows"
    unmount mnt
fi
if [ -w /dev/full ]; then
    ignore_leaks # of libarchive, of an archive that could not be written
    mappedpages dump some.mpp >/dev/full 2>err
    [ $? -eq 3 ] || fail "a full disk is no success"
    complained 'standard output'
fi
