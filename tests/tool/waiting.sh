#!/bin/sh
# SPDX-License-Identifier: MIT
# --wait: commands that write wait for a file that another process has open, as long as they are told.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

expect 0 mappedpages create --page-size 2K f.mpp
expect 0 mappedpages alloc --zero f.mpp 5

for value in '' -1 x 1.5 99999999999999999999; do
    expect 2 mappedpages alloc --wait "$value" f.mpp
done
expect 2 mappedpages free f.mpp 5 --wait

# Not for longer than that; and a signal ends the waiting.
mkdir pages && tar -b 1 -cf nothing.tar pages || fail "tar" # an archive without pages, and the content of one
hold f.mpp
for command in 'alloc -w 0 f.mpp' 'free --wait=0 f.mpp 5' 'write --wait 1 f.mpp 5' 'load -w 0 f.mpp' 'trim -w 0 f.mpp' \
    'label -w 0 f.mpp x' 'uuid -w 0 f.mpp new' 'rescue -w 1 f.mpp new.mpp'; do
    # shellcheck disable=SC2086 # the words are to be split
    expect 3 mappedpages $command <nothing.tar 8>&-
    said_nothing
    complained "^mappedpages: f.mpp: busy: open in process $holder "
done
for signal in TERM INT HUP; do
    mappedpages free --wait 600 f.mpp 5 8>&- & waiting=$!
    # In a script SIGINT is ignored by what runs in the background, and stays so.
    sleep 0.2
    kill -$signal $waiting
    if [ $signal = INT ]; then
        kill -0 $waiting || fail "an ignored signal ended it"
        kill $waiting
    fi
    within 20 sh -c "! kill -0 $waiting 2>/dev/null || [ \"\$(awk '{ print \$3 }' /proc/$waiting/stat)\" = Z ]" ||
        fail "SIG$signal did not end the waiting"
    wait $waiting && fail "SIG$signal: it went well"
done

# All get it in the end.
mappedpages free --wait 600 f.mpp 5 8>&- & one=$!
mappedpages alloc --wait 600 f.mpp 8>&- >id & other=$!
sleep 0.2
kill -0 $one && kill -0 $other || fail "they did not wait"
exec 8>&-
wait $one || fail "free: status $?"
wait $other || fail "alloc: status $?"
wait $holder
expect 0 mappedpages check f.mpp

# A copy waits for who has the older one that it is to replace.
expect 0 mappedpages copy f.mpp g.mpp
hold g.mpp
expect 3 mappedpages copy --update f.mpp g.mpp 8>&-
complained "^mappedpages: g.mpp: busy: open in process $holder "
expect 3 mappedpages copy --update --wait 0 --json f.mpp g.mpp 8>&-
grep -q "busy: open in process $holder " out || fail "JSON: $(cat out)"
mappedpages copy --update --wait 600 f.mpp g.mpp 8>&- & copier=$!
sleep 0.2
kill -0 $copier || fail "it did not wait"
exec 8>&-
wait $copier || fail "copy: status $?"
wait $holder
expect 0 mappedpages check g.mpp
