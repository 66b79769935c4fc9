#!/bin/sh
# SPDX-License-Identifier: MIT
# Manual pages are as those who check them want them, have a date, and refer to pages that there are.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

for page in "$top_srcdir"/doc/*.[137]; do
    name=$(basename "$page")
    grep -Eq '^\.TH [A-Z_]+ [137] 20[0-9]{2}-[0-9]{2}-[0-9]{2} "mappedpages ' "$page" || fail "$name has no date"
    if command -v mandoc >/dev/null; then
        # Lines are as long as elsewhere here; where man(1) breaks them does not depend on that.
        said=$(mandoc -T lint -W style "$page" 2>&1 | grep -v 'STYLE: input text line longer than')
        [ -z "$said" ] || fail "$said"
    fi
    if command -v man >/dev/null && command -v groff >/dev/null; then
        said=$(LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null)
        [ -z "$said" ] || fail "$name: $said"
    fi
    [ "$name" = mappedpages.7 ] || sed -n '/^\.SH SEE ALSO/,$p' "$page" | grep -q '^\.BR mappedpages (7)' ||
        fail "$name does not refer to mappedpages(7)"
    grep -Eo '^\.BR mappedpages[a-z_]* \([0-9]\)' "$page" | sed -E 's/^\.BR ([a-z_]*) \((.)\)/\1.\2/' | sort -u >named
    while read -r other; do
        [ -e "$top_srcdir/doc/$other" ] || fail "$name refers to $other, which is not there"
    done <named
done
for page in mappedpages.1 mappedpagesfs.1; do
    grep -q '^\.SH EXAMPLES' "$top_srcdir/doc/$page" || fail "$page has no examples"
done
