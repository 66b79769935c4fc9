#!/bin/sh
# SPDX-License-Identifier: MIT
# What must not compile does not, in C11 and in C++17, with each compiler there is. Every program of
# compile_fail/ has one fault, which the macro FAULT puts in; without it the same program compiles
# without a warning, so that it is the fault that fails. A line `flags:` in a program names what the
# compiler needs besides to refuse it in C (in C++ nothing is needed).
set -eu

src=${top_srcdir:?set by make check}/src/api
programs=$top_srcdir/tests/compile_fail
warnings="-Wall -Wextra -Werror"
count=0

# compile COMPILER FLAGS PROGRAM
compile() {
    # The words of the compiler and of the flags are to be split.
    # shellcheck disable=SC2086
    $1 $2 -I"$src" -fsyntax-only "$3"
}

# refuses COMPILER FLAGS EXTRA PROGRAM
refuses() {
    compile "$1" "$2 $3 $warnings" "$4" || {
        echo "$1 $2: $4 should compile without its fault"
        exit 1
    }
    if compile "$1" "$2 $3 -DFAULT" "$4" 2>/dev/null; then
        echo "$1 $2: $4 compiles with its fault"
        exit 1
    fi
    count=$((count + 1))
}

# present COMPILER: whether there is one of that name.
present() {
    command -v "${1%% *}" >/dev/null
}

for program in "$programs"/*.c; do
    extra=$(sed -n 's|^/\* flags: \(.*\) \*/$|\1|p' "$program")
    for compiler in "${CC:-cc}" gcc clang; do
        if present "$compiler"; then
            refuses "$compiler" "-std=c11" "$extra" "$program"
        fi
    done
    for compiler in "${CXX:-c++}" g++ clang++; do
        if present "$compiler"; then
            refuses "$compiler" "-x c++ -std=c++17" "" "$program"
        fi
    done
done
[ "$count" -ge 40 ]
echo "$count times a fault was refused"
