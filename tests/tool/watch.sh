#!/bin/sh
# SPDX-License-Identifier: MIT
# info --watch: a line now and then says what another process does to the file; a signal ends it, and so does a reader that goes away.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

for format in 1 0.2; do
    rm -f f.mpp
    expect 0 mappedpages create --format $format f.mpp
    rm -f lines # those of the watch before, until this one begins
    mappedpages info --json --watch f.mpp >lines &
    watching=$!
    # shellcheck disable=SC2064
    trap "kill $watching 2>/dev/null; clean_up" EXIT
    within 60 sh -c '[ "$(wc -l <lines)" -ge 1 ]' || fail "$format: nothing is shown"
    expect 0 mappedpages alloc -c 5 f.mpp
    expect 0 mappedpages alloc -p -c 2 f.mpp
    within 60 sh -c 'tail -n 1 lines | grep -q "\"regular_pages\": 5, .*\"protected_pages\": 2,"' ||
        fail "$format: what was allocated is not seen: $(tail -n 1 lines)"
    kill -TERM $watching
    wait $watching || fail "$format: a signal makes it end with status $?"
    trap clean_up EXIT
    python3 - <<'END' || fail "$format: the lines are not right: $(cat lines)"
import json
lines = [json.loads(line) for line in open("lines")]
assert all(line["milliseconds"] >= 1000 for line in lines)
assert lines[0]["regular_pages"] == 0
assert sum(line["commits"] for line in lines) >= 2
assert lines[-1]["total_pages"] >= 3 + 5 and lines[-1]["file_bytes"] % 4096 == 0
END
done

# For people: a heading, and figures below it. Who reads no further ends it.
timeout 60 mappedpages info --watch=1 f.mpp 2>err | head -n 2 >out
head -n 1 out | grep -q 'commits/s .* regular' || fail "no heading: $(cat out)"
tail -n 1 out | grep -Eq '^ +0\.0 +\+0\.0 +5 +2 ' || fail "no figures: $(cat out)"

# Removed, or another file in its place: that is told, instead of that nothing happens to it.
for trouble in "cp f.mpp other; mv other" "mv f.mpp other; :"; do
    rm -f lines
    timeout 60 mappedpages info --json --watch f.mpp >lines 2>err &
    watching=$!
    within 60 sh -c '[ "$(wc -l <lines)" -ge 1 ]' || fail "nothing is shown"
    eval "$trouble f.mpp"
    wait $watching
    status=$?
    [ $status -eq 3 ] || fail "status $status after $trouble: $(cat err)"
    grep -q '"name": "CHANGED"' lines || fail "no error as JSON: $(cat lines)"
done
complained 'f.mpp: it was removed, or renamed'
expect 3 mappedpages info --watch missing.mpp
complained "missing.mpp"
