# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# complete.bash FILE WORD… - what the bash completion in FILE offers for a line that ends in the last word, a line each.
# Words are those that bash makes of a line: it breaks them at = as well.
# shellcheck disable=SC1090
. "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMP_LINE=$(printf '%s ' "$@" | sed 's/ = /=/g; s/ $//')
[ -n "${COMP_WORDS[COMP_CWORD]}" ] || COMP_LINE="$COMP_LINE "
COMP_POINT=${#COMP_LINE}
COMPREPLY=()
"_$1"
printf '%s\n' "${COMPREPLY[@]}"
