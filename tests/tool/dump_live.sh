#!/bin/sh
# SPDX-License-Identifier: MIT
# dump of a file that another process has open, and commits to as fast as it can, shows one committed state, as a copy does;
# nothing is left of what it needed for that, also when it is interrupted.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

cat >judge.py <<'END'
import os, sys, tarfile
stamps = set()
with tarfile.open(sys.argv[1]) as archive:
    for member in archive:
        if member.name.startswith("protected/"):
            content = archive.extractfile(member).read()
            assert content == content[:4] * 256, member.name + " is a mixture"
            stamps.add(content[:4])
assert len(stamps) == 1, "%d states at once" % len(stamps)
print(int.from_bytes(stamps.pop(), sys.byteorder))
END
mkdir temporary
TMPDIR=$PWD/temporary
export TMPDIR
mkfifo said
for format in 1 0.2; do
    rm -f live
    expect 0 mappedpages create --format $format --page-size 1K live
    expect 0 mappedpages alloc -p -c 24 live
    "$top_builddir/tests/tool/stamper" live >said &
    writer=$!
    # shellcheck disable=SC2064
    trap "kill $writer 2>/dev/null; clean_up" EXIT
    read -r word <said && [ "$word" = writing ] || fail "the writer does not write"
    last=0
    for round in 1 2 3 4 5; do
        mappedpages dump live >live.tar 2>err || fail "$format, round $round: $(cat err)"
        stamp=$(python3 judge.py live.tar) || fail "$format, round $round"
        [ "$stamp" -ge $last ] || fail "$format: state $stamp after $last"
        last=$stamp
    done
    kill -0 $writer || fail "the writer has ended"
    [ -z "$(ls temporary)" ] || fail "left in the temporary directory: $(ls temporary)"
    kill $writer
    wait $writer 2>/dev/null
    trap clean_up EXIT
    expect 0 mappedpages create --format $format --page-size 1K back
    expect 0 mappedpages load back <live.tar
    expect 0 mappedpages check back
    rm back
done

rm live
# Ended by a signal while it writes: an archive without its end, and nothing else.
expect 0 mappedpages create --page-size 64K live
expect 0 mappedpages alloc -c 40 live
python3 - live <<'END' &
import fcntl, struct, sys, time
file = open(sys.argv[1], "r+b")
fcntl.fcntl(file, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0x4000000000000000, 0))
open("held", "w").close()
time.sleep(600)
END
holder=$!
# shellcheck disable=SC2064
trap "kill $holder 2>/dev/null; clean_up" EXIT
within 60 test -e held || fail "nobody holds it"
mkfifo archive
mappedpages dump live >archive 2>err &
dumping=$!
exec 9<archive
head -c 70000 <&9 >part
kill -TERM $dumping
exec 9<&-
wait $dumping && fail "what was interrupted ended well"
kill $holder
trap clean_up EXIT
[ -z "$(ls temporary)" ] || fail "left in the temporary directory: $(ls temporary)"
