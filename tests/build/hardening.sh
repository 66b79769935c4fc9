#!/bin/sh
# SPDX-License-Identifier: MIT
# Library, command and driver are built as distributions build theirs: position-independent, bound at start with all relocations
# read-only afterwards, no executable stack, stack protector, fortified calls, and marked for control-flow integrity.
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
set -eu

command -v readelf >/dev/null || {
    echo "no readelf here"
    exit 77
}
machine=$(uname -m)
failures=0

wanted() { # wanted FLAG: whether configure found that it can be had; where everybody's tools can, it must have
    case " $HARDENING " in *" $1"*) return 0 ;; esac
    case $machine:$1 in
    *:-D_FORTIFY_SOURCE) [ -z "$SANITIZERS" ] && case $HARDENING in *-O0* | *--coverage*) false ;; esac ;;
    x86_64:-mbranch-protection | aarch64:-fcf-protection) false ;;
    x86_64:* | aarch64:*) true ;;
    *) false ;;
    esac
}

has() { # has FILE WHAT PATTERN READELF-OPTION...
    file=$1 what=$2 pattern=$3
    shift 3
    if ! readelf -W "$@" "$file" 2>/dev/null | grep -Eq -- "$pattern"; then
        echo "FAIL: $file: $what"
        failures=$((failures + 1))
    fi
}

look() { # look FILE: what library and programs have in common
    [ -e "$1" ] || return 0
    seen=$((seen + 1))
    has "$1" "not position-independent" '^ *Type: +DYN' -h
    if wanted -Wl,-z,relro; then has "$1" "no RELRO" GNU_RELRO -l; fi
    if wanted -Wl,-z,now; then has "$1" "not bound at start" 'BIND_NOW|FLAGS_1.*NOW' -d; fi
    if wanted -Wl,-z,noexecstack; then has "$1" "executable stack" 'GNU_STACK .* RW +0x' -l; fi
    if wanted -fstack-protector; then has "$1" "no stack protector" '__stack_chk_fail' -s; fi
    if wanted -D_FORTIFY_SOURCE; then has "$1" "no fortified calls" 'UND +__[a-z]+_chk' -s; fi
    if wanted -fcf-protection; then has "$1" "no control-flow integrity" 'x86 feature:.*IBT.*SHSTK' -n; fi
}

seen=0
look "$top_builddir/src/.libs/libmappedpages.so"
for name in tools/mappedpages fuse/mappedpagesfs; do
    program=$top_builddir/$(dirname $name)/.libs/$(basename $name)
    [ -e "$program" ] || program=$top_builddir/$name
    look "$program"
    if wanted -pie; then has "$program" "not a position-independent program" 'FLAGS_1.*PIE|INTERP' -dl; fi
done
[ $seen -ge 2 ] || fail "only $seen files to look at"
case $HARDENING in *-D_FORTIFY_SOURCE*) ;; *) echo "not fortified: sanitizers, or no optimisation" ;; esac
echo "$seen files, $failures failures"
[ $failures -eq 0 ]
