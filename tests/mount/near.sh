#!/bin/sh
# SPDX-License-Identifier: MIT
# The threads of the driver go to the processor of who asks, and may be moved again afterwards; where they may not run
# they do not go. Seen with strace.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse
need_strace
command -v python3 >/dev/null || skip "no python3"

expect 0 mappedpages create file
expect 0 mappedpages alloc file 10
mkdir dir
strace -f -qq -e trace=sched_setaffinity -o trace mappedpagesfs -f file dir 2>log &
tracer=$!
mounts=dir
within 20 mountpoint -q dir || fail "not mounted: $(cat log)"

cat >near.py <<'END'
import glob, os, sys, time

processors = sorted(os.sched_getaffinity(0))
if len(processors) < 2:
    sys.exit(77)
here, there = processors[:2]
tracer = sys.argv[1]
# Of all that strace started it is the one that still runs.
driver = open("/proc/%s/task/%s/children" % (tracer, tracer)).read().split()[0]
name = glob.glob("dir/pages/[0-9]*")[0]
os.sched_setaffinity(0, {here})

def threads():
    return [int(thread) for thread in os.listdir("/proc/%s/task" % driver)]

def ask():
    for _ in range(3000):
        os.close(os.open(name, os.O_RDONLY))

def confine(allowed):
    for thread in threads():
        os.sched_setaffinity(thread, allowed)

def calls():
    return open("trace").read().count("sched_setaffinity(")

# Confined to another processor they stay there.
confine({there})
ask()
assert calls() == 0, open("trace").read()

# Free to move they come here, sooner or later, having begun there.
end = time.time() + 60
while calls() == 0 and time.time() < end:
    confine({there})
    confine(set(processors))
    ask()
assert calls() > 0, "nobody moved"
time.sleep(0.1)
for thread in threads():
    assert os.sched_getaffinity(thread) == set(processors), (thread, open("trace").read())
END
python3 near.py $tracer
status=$?
fusermount3 -u dir || fail "cannot unmount"
mounts=
wait $tracer
[ $status -ne 77 ] || skip "one processor"
exit $status
