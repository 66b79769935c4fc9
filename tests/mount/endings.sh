#!/bin/sh
# SPDX-License-Identifier: MIT
# However a program with threads ends, what it wrote to a protected page is committed, unless a signal
# killed it: then nothing is, and the log says so. The table in the manual says the same.
if [ $# = 0 ]; then # in both formats
    "$0" 0.2 && exec "$0" 1
    exit
fi
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
need_fuse

rounds=6
[ -z "${MPG_TEST_SECONDS:-}" ] || rounds=200
expect 0 mappedpages create --page-size 4096 --format "$1" f.mpp
mount_file f.mpp m
touch m/protected/0 || fail "no page"
page=$work/m/protected/0

# What a program left, and what the log says about it from line $lines on.
forget() {
    printf 'old\n' >"$page" || fail "cannot write"
    lines=$(wc -l <m.log)
}
is_committed() {
    [ "$(head -n 1 "$page")" = new ] || fail "$1: lost"
    [ "$(wc -l <m.log)" = "$lines" ] || fail "$1: $(cat m.log)"
}
is_dropped() {
    [ "$(head -n 1 "$page")" = old ] || fail "$1: committed"
    tail -n +$((lines + 1)) m.log | grep -q "protected page 0: what process [0-9]* (.*) wrote was dropped: it was killed by signal $2" ||
        fail "$1: no word of what was dropped: $(cat m.log)"
}

# runs COMMAND... - to its end, whatever that is. What ends a program that hangs is no signal that is tried here, and is
# not taken for one: a machine that stands still for a minute is not to look like a killed program.
runs() {
    timeout -s USR2 600 "$@" >out 2>err
    [ $? != 124 ] || fail "it does not end: $*"
}

# C, with eight more threads.
for way in close exit _exit return thread_exit first_thread exec exec_kept thread_exec handler \
    child_dies; do
    committed=$(timeout 60 "$top_builddir/tests/mount/endings" "$page" $way "$rounds") ||
        fail "$way: something else"
    [ "$committed" = "$rounds" ] || fail "$way: $committed of $rounds committed"
done
[ ! -s m.log ] || fail "the log has lines where nothing was dropped: $(cat m.log)"
for way in SIGTERM SIGKILL abort thread_signal thread_crash exec_kept_killed child_ends; do
    committed=$(timeout 60 "$top_builddir/tests/mount/endings" "$page" $way "$rounds") ||
        fail "$way: something else"
    [ "$committed" = 0 ] || fail "$way: $committed of $rounds committed"
done
[ "$(grep -c 'dropped: it was killed by signal' m.log)" = $((7 * rounds)) ] ||
    fail "not a line for each: $(sort m.log | uniq -c)"

# The format has nothing to do with the language.
if [ "$1" = 0.2 ] && [ -z "${MPG_TEST_SECONDS:-}" ]; then
    unmount m
    expect 0 mappedpages check f.mpp
    exit
fi

# Python, with a thread that goes on.
cat >ends.py <<'END'
import os, signal, sys, threading, time
way, page = sys.argv[1:]
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
fd = os.open(page, os.O_WRONLY)
os.write(fd, b"new\n")
def elsewhere():
    os._exit(0)
if way == "close":
    os.close(fd)
    os.kill(os.getpid(), signal.SIGKILL)
elif way == "exit":
    sys.exit(5)
elif way == "thread_exit":
    threading.Thread(target=elsewhere).start()
    time.sleep(60)
elif way == "exec":
    os.execlp("true", "true")
elif way == "exception":
    raise ValueError
elif way == "caught":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(3))
    # Python's handler runs in this thread, which goes on to sleep if the other one, just begun, takes the signal.
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    time.sleep(60)
elif way != "return":
    os.kill(os.getpid(), int(way))
    time.sleep(60) # the other one may be about to die of it
END
for way in close exit thread_exit exec exception caught return; do
    forget
    runs python3 ends.py $way "$page"
    is_committed "python, $way"
done
forget
# shellcheck disable=SC2016 # for python
timeout 60 python3 -c 'import threading, time
threading.Thread(target=time.sleep, args=(60,), daemon=True).start(); print("new")' >"$page"
is_committed "python, standard output"
for number in 6 9 11 15; do
    forget
    runs python3 ends.py $number "$page"
    is_dropped "python, signal $number" $number
done

# Node, whose threads are its own.
if command -v node >/dev/null; then
    cat >ends.js <<'END'
const fs = require('fs');
const [way, page] = process.argv.slice(2);
const fd = fs.openSync(page, 'r+');
fs.writeSync(fd, 'new\n');
if (way === 'close') {
    fs.closeSync(fd);
    process.kill(process.pid, 'SIGKILL');
} else if (way === 'exit')
    process.exit(5);
else if (way === 'exception')
    throw new Error(way);
else if (way === 'abort')
    process.abort();
else if (way === 'caught') {
    process.on('SIGTERM', () => process.exit(3));
    process.kill(process.pid, 'SIGTERM');
    setTimeout(() => {}, 60000);
} else if (way === 'thread_exit') {
    // It ends that thread; with the last thing to be done the program ends, too.
    new (require('worker_threads').Worker)('process.exit(3)', {eval: true});
} else if (way === 'thread_signal') {
    new (require('worker_threads').Worker)('process.kill(process.pid, "SIGKILL")', {eval: true});
    setTimeout(() => {}, 60000);
} else if (way !== 'return') {
    process.kill(process.pid, way);
    setTimeout(() => {}, 60000);
}
END
    for way in close exit thread_exit exception caught return; do
        forget
        runs node ends.js $way "$page"
        is_committed "node, $way"
    done
    forget
    timeout 60 node -e 'console.log("new")' >"$page"
    is_committed "node, standard output"
    for way in SIGTERM:15 SIGKILL:9 thread_signal:9 abort:6; do
        forget
        runs prlimit --core=0 node ends.js "${way%:*}" "$page"
        is_dropped "node, $way" ${way#*:}
    done
fi

# Java. It answers SIGTERM itself, by ending.
if command -v javac >/dev/null && command -v java >/dev/null; then
    cat >Ends.java <<'END'
import java.io.RandomAccessFile;
public class Ends {
    public static void main(String[] args) throws Exception {
        RandomAccessFile file = new RandomAccessFile(args[1], "rw");
        file.write("new\n".getBytes());
        switch (args[0]) {
        case "close": file.close(); break;
        case "exit": System.exit(5); break;
        case "halt": Runtime.getRuntime().halt(0); break;
        case "thread_exit": new Thread(() -> System.exit(0)).start(); Thread.sleep(60000); break;
        case "exception": throw new Exception();
        case "return": return;
        default:
            System.out.println("written");
            Thread.sleep(60000);
        }
    }
}
END
    javac Ends.java || fail "no class"
    for way in close exit halt thread_exit exception return; do
        forget
        runs java Ends $way "$page"
        is_committed "java, $way"
    done
    for number in 15 9 6; do
        forget
        : >out
        prlimit --core=0 java Ends wait "$page" >out 2>err &
        java=$!
        within 60 grep -q written out || fail "java does not start: $(cat err)"
        kill -$number $java
        wait $java
        if [ $number = 15 ]; then
            is_committed "java, SIGTERM"
        else
            is_dropped "java, signal $number" $number
        fi
    done
fi
unmount m
expect 0 mappedpages check f.mpp
