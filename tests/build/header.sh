#!/bin/sh
# SPDX-License-Identifier: MIT
# Each public header compiles alone, as the first thing a program includes, in C and in C++, without a
# warning; and C++ refers to the functions by their C names.
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
set -e

cc=${CC:-cc}
cxx=${CXX:-c++}
src=$top_srcdir/src/api
warnings="-Wall -Wextra -Wpedantic -Wundef -Werror"

for header in "$src"/mappedpages*.h; do
    name=$(basename "$header")
    printf '#include "%s"\n#include "%s"\nint unused_by_anything;\n' "$name" "$name" >alone.c
    cp alone.c alone.cc
    # The words of $cc and $warnings are to be split.
    # shellcheck disable=SC2086
    for standard in c11 gnu11 gnu17; do
        $cc -std=$standard $warnings -Wstrict-prototypes -I"$src" -fsyntax-only alone.c
        echo "$name: $standard"
    done
    # shellcheck disable=SC2086
    for standard in c++11 c++17 c++20; do
        $cxx -std=$standard $warnings -I"$src" -fsyntax-only alone.cc
        echo "$name: $standard"
    done
done

cat >names.cc <<'END'
#include "mappedpages.h"
int main()
{
    int major, minor, patch;
    mpg_version(&major, &minor, &patch);
    return major == MPG_VERSION_MAJOR ? 0 : 1;
}
END
# shellcheck disable=SC2086
$cxx -std=c++17 $warnings -I"$src" -c -o names.o names.cc
nm -u names.o | grep -qw mpg_version
echo "C++ calls the functions by their C names"
