#!/bin/sh
# SPDX-License-Identifier: MIT
# file(1) and desktops know page files of both formats, of every page size, by what is installed for them; and
# take nothing else for one.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

share=$top_srcdir/share
page() {
    mappedpages create "$@" || fail "cannot create $*"
}
page one.mpp -l 'a label'
page small.mpp -s 1024
page crate.mpp -f 0.2 -s 16384
page full.mpp -l "$(printf '%064d' 7)"
head -c 4096 /dev/urandom | tr 'M' 'N' >other.mpp
printf 'MPPG\000\002\000\000\143\000\000\000' >impossible.mpp # pages of 2^99 bytes
cp "$golden/v01-4096.mpp" old.mpp

if command -v file >/dev/null; then
    # told FILE TEXT - fails unless file says just that.
    told() {
        file -b -m "$share/magic" "$1" >out 2>err
        [ ! -s err ] || fail "file complains: $(cat err)"
        said "$2"
    }
    uuid() {
        mappedpages info -j "$1" | sed -n 's/.*"uuid": "\(.*\)".*/\1/p'
    }
    told one.mpp "mappedpages page file, format 1, pages of 4 KiB, label \"a label\", UUID $(uuid one.mpp)"
    told small.mpp "mappedpages page file, format 1, pages of 1 KiB, UUID $(uuid small.mpp)"
    told full.mpp "mappedpages page file, format 1, pages of 4 KiB, label \"$(printf '%064d' 7)\", UUID $(uuid full.mpp)"
    told crate.mpp "mappedpages page file, format 0.2, pages of 16 KiB"
    told old.mpp "mappedpages page file, format 0.1, pages of 4 KiB"
    told other.mpp data
    told impossible.mpp data
    for shift in $(seq 10 30); do
        size=$((1 << shift))
        printf 'MPPG\001\000\000\000%b\000\000\000' "\\0$(printf '%o' "$shift")" | cat - /dev/zero | head -c 4096 >sized.mpp
        human=$(numfmt --to=iec-i --suffix=B "$size" | sed 's/\.0//; s/\([KMG]\)/ \1/')
        file -b -m "$share/magic" sized.mpp >out
        grep -qF "pages of $human" out || fail "pages of $size bytes: $(cat out)"
    done
    file -b -i -m "$share/magic" one.mpp >out
    said "application/x-mappedpages; charset=binary"
    file -b --extension -m "$share/magic" one.mpp >out
    said mpp
fi

if command -v update-mime-database >/dev/null && command -v gio >/dev/null; then
    mkdir -p data/mime/packages && cp "$share/mappedpages.xml" data/mime/packages/
    expect 0 env XDG_DATA_HOME="$work/data" update-mime-database data/mime
    [ ! -s err ] || fail "update-mime-database complains: $(cat err)"
    # typed FILE TYPE
    typed() {
        XDG_DATA_HOME=$work/data gio info -a standard::content-type "$1" >out || fail "gio cannot look at $1"
        grep -q "standard::content-type: $2\$" out || fail "$1 is not $2: $(cat out)"
    }
    cp one.mpp without-a-name
    for file in one.mpp small.mpp crate.mpp old.mpp without-a-name; do
        typed "$file" application/x-mappedpages
    done
fi

expect 0 make -C "$top_builddir/share" install prefix=/usr datarootdir=/usr/share datadir=/usr/share DESTDIR="$work/root"
same "$share/magic" root/usr/share/mappedpages/magic
same "$share/mappedpages.xml" root/usr/share/mime/packages/mappedpages.xml
