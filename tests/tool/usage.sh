#!/bin/sh
# SPDX-License-Identifier: MIT
# The command line: help, version, and a clear answer with status 2 to what makes no sense, before any
# file is touched.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

manual=$top_srcdir/doc/mappedpages.1

expect 0 mappedpages --help
commands=$(sed -n 's/^  \([a-z]*\) .*/\1/p' out)
[ "$(echo "$commands" | wc -w)" -ge 8 ] || fail "--help names only these commands: $commands"
expect 0 mappedpages --version
grep -Eq '^mappedpages [0-9]+\.[0-9]+\.[0-9]+ \(library [0-9]+\.[0-9]+\.[0-9]+\)$' out ||
    fail "--version says: $(cat out)"

# Every command has its help, and every option of it is in the manual page, in the command's section.
for command in $commands; do
    expect 0 mappedpages "$command" --help
    grep -q "^Usage: mappedpages $command .*\(FILE\|DIRECTORY\)" out || fail "$command --help shows no usage"
    sed -n "/^\.SS $command\$/,/^\.S[SH] /p" "$manual" | tr -d '\134' >section
    [ -s section ] || fail "the manual page has no section on $command"
    grep -Eo -- '--[a-z-]+' out | grep -v -x -e --help | sort -u >options
    while read -r option; do
        grep -q -e "$option" section || fail "the manual page lacks $option of $command"
    done <options
done

# `help` is the same.
expect 0 mappedpages --help
mv out wanted
expect 0 mappedpages help
same out wanted
for command in $commands; do
    expect 0 mappedpages "$command" --help
    mv out wanted
    expect 0 mappedpages help "$command"
    same out wanted
done

# wrong PATTERN ARGUMENT… - the command line is refused with a message that matches.
wrong() {
    pattern=$1
    shift
    expect 2 mappedpages "$@"
    said_nothing
    complained "$pattern"
}

wrong '^Usage: '
wrong "no command 'frobnicate'" frobnicate file
wrong "no command 'frobnicate'" help frobnicate
wrong "too many arguments" help read write
for command in $commands; do
    wrong "no \(file\|directory\) was named" "$command"
    wrong "no option '--bogus'" "$command" --bogus file
    wrong "no option '-X'" "$command" -X file
    wrong "Try 'mappedpages $command --help'" "$command"
done
wrong "option '--json' takes no value" info --json=yes file
wrong "option '-c' needs a value" alloc file -c
wrong "option '--label' needs a value" create file --label
wrong "one argument too many: other" info file other
wrong "one argument too many: file" info --watch 2 file
for list in '5,,6' '5,' ',6'; do
    wrong "an id is missing beside a comma in '$list'" alloc file "$list"
    wrong "an id is missing beside a comma in '$list'" free file "$list"
done
wrong "an argument is missing" read file
wrong "an argument is missing" free file

expect 0 mappedpages create file
cp file before
for number in '' x 1x ' 1' '1 ' +1 0x10 1.0 01x 18446744073709551616 99999999999999999999; do
    wrong "id '$number' is not a whole number" read file "$number"
    wrong "id '$number' is not a whole number" write file "$number"
    wrong "id '$number' is not a whole number" free file 3 "$number"
    wrong "id '$number' is not a whole number" alloc file "$number"
    wrong "count '$number' is not a whole number" alloc file --count "$number"
done
for number in 00 01 007; do
    wrong "id '$number' has a leading zero" read file $number
    wrong "id '$number' has a leading zero" write file $number
    wrong "id '$number' has a leading zero" free file 3 $number
    wrong "id '$number' has a leading zero" alloc file $number
    wrong "count '$number' has a leading zero" alloc file --count $number
done
wrong "no option '-1', and an id has no sign" read file -1
wrong "no option '-7', and an id has no sign" free file -7
wrong "page 3 is named twice" free file 3 4 3
wrong "page 3 is named twice" alloc file 3 3
wrong "page 0 is named twice" alloc -p file 0 0
for count in 0 18446744073709551615; do
    wrong "count '$count' is not a whole number from 1 to [0-9]*$" alloc file --count $count
done
for seconds in 0 86401 x -1 1.5; do
    wrong "number of seconds '$seconds' is not a whole number from 1 to 86400$" info --watch=$seconds file
done
wrong "the range '7-' has no end" free file 7-
wrong "the range '7-' has no end" alloc file 3,7-
wrong "exclude each other" alloc file --count 2 3
for size in 512 1000 0 2G 5K 4T 4294971392; do
    wrong "page size '$size' is not a" create other --page-size $size
done
wrong "too large" create other --page-size 17179869184G
wrong "too large" create other --page-size 18446744073709555712
wrong "not a whole number of bytes, or of K, M, G or T" create other --page-size 4KB
wrong "not a whole number of bytes" create other --page-size K
wrong "not a whole number of bytes" create other --page-size 4.5K
wrong "leading zero" create other --page-size 04K
for command in create info list check; do
    wrong 'the name of the file is empty' $command ''
done
for command in read write alloc free copy rescue; do
    wrong 'the name of the file is empty' $command '' 3
done
wrong 'the name of the copy is empty' copy file ''
wrong 'the name of the new file is empty' rescue file ''
wrong 'the name of the picture is empty' map --svg '' file
wrong 'the name of the undo file is empty' check --undo= file
wrong 'the name of the undo file is empty' check --repair --undo= file
wrong "neither 1 nor 0.2" create other --format 2
wrong "number of pages '3' is not a whole number from 4 to " create other --pages 3
wrong "not a whole number" create other --pages 1K
wrong "longer than 64 bytes" create other --label "$(printf '%065d' 0)"
wrong "no room for a label" create other --label x --format 0.2
[ ! -e other ] || fail "a file was made on wrong usage"
same file before

# What cannot be written to standard output is a failure, not silence.
if [ -c /dev/full ]; then
    for arguments in --help --version 'info file' 'list --json file' 'check file' 'info --help' 'copy file -'; do
        # The words of $arguments are to be split.
        # shellcheck disable=SC2086
        mappedpages $arguments >/dev/full 2>err
        status=$?
        [ $status -eq 3 ] || fail "status $status from '$arguments' on a full device"
        complained 'standard output: No space left on device'
    done
fi
