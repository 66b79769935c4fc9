#!/bin/sh
# SPDX-License-Identifier: MIT
# Manual pages for the names of functions and macros, so that `man mpg_alloc` finds the page of its group:
# each is one line that points there. The names are those of the synopses of the pages beside this script.
#
#     aliases.sh install DIRECTORY       into this man3 directory
#     aliases.sh uninstall DIRECTORY
set -eu

here=$(dirname "$0")

names_of() {
    sed -n '/^\.SH SYNOPSIS/,/^\.SH DESCRIPTION/p' "$1" |
        grep -oE '\b(mpg_[a-z0-9_]+|MPG_DEFINE_[A-Z_]+)\(' | tr -d '(' | sort -u
}

for page in "$here"/mappedpages_*.3; do
    for name in $(names_of "$page"); do
        case $1 in
        install)
            echo ".so man3/$(basename "$page")" >"$2/$name.3"
            chmod 644 "$2/$name.3"
            ;;
        uninstall) rm -f "$2/$name.3" ;;
        *) exit 2 ;;
        esac
    done
done
