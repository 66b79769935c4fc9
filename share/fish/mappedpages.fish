# fish completion for mappedpages(1)
# SPDX-License-Identifier: MIT
# Commands and options are those that the program itself tells, so there is no list here to keep.

function __mappedpages_commands
    mappedpages help 2>/dev/null | string match -r '^  [a-z]+ +.*' | string replace -r '^  ([a-z]+) +' '$1\t'
end

# The options of a command, a line each: long name, short name, what value follows, description.
function __mappedpages_options
    mappedpages help $argv[1] 2>/dev/null |
        string replace -rf '^ +(?:(-[a-z]), )?(--[a-z-]+)(?:\[=[A-Z]+\])?(?:[ =]([A-Z]+))?(?: +(.*)|$)' '$2\t$1\t$3\t$4'
end

# What may stand where the cursor is.
function __mappedpages_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l command $words[2]
    set -l options (__mappedpages_options $command)
    set -l kind regular
    set -l value ''
    set -l given
    for word in $words[3..-1]
        if test -n "$value"
            set value ''
            continue
        end
        switch $word
            case '-*'
                for option in $options
                    set -l parts (string split \t -- $option)
                    if contains -- $word $parts[1] $parts[2]
                        set value $parts[3]
                    end
                end
                string match -qr '^(--protected|-[a-z]*p[a-z]*)$' -- $word; and set kind protected
            case '*'
                set -a given $word
        end
    end
    switch "$value"
        case FILE
            __fish_complete_path $current
            return
        case SIZE
            printf '%s\n' 1K 4K 16K 64K 1M 1G
            return
        case FORMAT
            printf '%s\n' 1 0.2
            return
        case '?*'
            return
    end
    if string match -q -- '-*' $current
        for option in $options
            set -l parts (string split \t -- $option)
            printf '%s\t%s\n' $parts[1] $parts[4]
            test -n "$parts[2]"; and printf '%s\t%s\n' $parts[2] $parts[4]
        end
        return
    end
    set -l usage (mappedpages help $command 2>/dev/null)[1]
    set -l arguments (string replace -ra '\[-[^]]*\]' '' -- $usage | string replace -r '^Usage: mappedpages [a-z]+ *' '' |
        string split -n ' ')
    set -l place (math (count $given) + 1)
    set -l wanted $arguments[$place]
    if test -z "$wanted"; and string match -q '*...*' -- "$arguments[-1]"
        set wanted $arguments[-1]
    end
    switch "$wanted"
        case '*ID*'
            # What alloc is to allocate is not there yet.
            test $command = alloc; or timeout 10 mappedpages list --ids --$kind $given[1] 2>/dev/null | head -n 1000
        case '?*'
            __fish_complete_path $current
    end
end

complete -c mappedpages -f
complete -c mappedpages -n 'test (count (commandline -opc)) -eq 1' -a '(__mappedpages_commands)'
complete -c mappedpages -n 'test (count (commandline -opc)) -eq 1' -a 'help --help --version'
complete -c mappedpages -n 'test (commandline -opc)[2] = help 2>/dev/null' -a '(__mappedpages_commands)'
complete -c mappedpages -n 'test (count (commandline -opc)) -gt 1' -a '(__mappedpages_complete)'
