#!/bin/sh
# SPDX-License-Identifier: MIT
# A thousand commits in flight share syncs, and the thread that asks for them makes none: seen with strace.
set -eu

event_loop=${top_builddir:?set by make check}/examples/event_loop

if ! command -v strace >/dev/null || ! strace -o /dev/null true 2>/dev/null; then
    echo "strace is missing, or may not trace"
    exit 77
fi
case $SANITIZERS in
*address*) # its search for leaks cannot run beside a tracer
    ASAN_OPTIONS=detect_leaks=0
    export ASAN_OPTIONS
    ;;
esac

work=$(mktemp -d ./async-syncs-XXXXXX)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "FAIL: $*" >&2
    exit 1
}

: | "$event_loop" "$work/file" # makes the file
seq 1000 >"$work/lines"
strace -f -qq -e trace=execve,openat,poll,fdatasync,fsync,close -o "$work/trace" \
    "$event_loop" "$work/file" <"$work/lines" >"$work/said"
[ "$(wc -l <"$work/said")" -eq 1000 ] || fail "not every line was kept"

# The process of the first line of the trace is the thread of the loop.
loop=$(awk 'NR == 1 { print $1 }' "$work/trace")
syncs=$(grep -cE 'f(data)?sync\([0-9]' "$work/trace")
# Opening and closing the file sync in the thread that does it: before the first poll, after the last.
after=$(awk -v loop="$loop" '$1 == loop && / poll\(/ { looping = 1; n += since; since = 0 }
    $1 == loop && looping && /f(data)?sync\(/ { since++ } END { print n + 0 }' "$work/trace")

echo "1000 commits: $syncs syncs, $after of them by the thread of the loop"
[ "$syncs" -le 100 ] || fail "$syncs syncs for 1000 commits"
[ "$syncs" -ge 2 ] || fail "no sync was seen"
[ "$after" -eq 0 ] || fail "the loop's thread waited for $after syncs"
