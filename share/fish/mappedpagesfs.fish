# fish completion for mappedpagesfs(1)
# SPDX-License-Identifier: MIT
# Options are those that the program itself tells.

# What may stand behind -o; what takes a value ends in =.
function __mappedpagesfs_mount_options
    set -l begun (string match -r '^.*,' -- (commandline -ct))
    for line in (mappedpagesfs --help 2>/dev/null | string match -r '^ +(?:-[a-zA-Z], )?-o \S.*')
        set -l parts (string replace -r '^ +(?:-[a-zA-Z], )?-o ' '' -- $line | string split -m 1 '  ')
        for name in (string replace -r '^ +(?:-[a-zA-Z], )?-o ' '' -- $parts[1] | string split -n ,)
            printf '%s%s\t%s\n' "$begun" (string trim -- $name | string replace -r '=.*' '=') (string trim -- "$parts[2]")
        end
    end
end

complete -c mappedpagesfs -s o -x -a '(__mappedpagesfs_mount_options)' -d 'mount options'
complete -c mappedpagesfs -s f -d 'stay in the foreground'
complete -c mappedpagesfs -s d -d 'the same, and show every request'
complete -c mappedpagesfs -s r -d 'read-only'
complete -c mappedpagesfs -s s -d 'serve with a single thread'
complete -c mappedpagesfs -s h -l help -d 'help'
complete -c mappedpagesfs -s V -l version -d 'the version'
