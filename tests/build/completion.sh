#!/bin/sh
# SPDX-License-Identifier: MIT
# Shells complete commands, options, their values, and the ids of the pages that are in the file; in bash, zsh and
# fish, as far as they are there.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

share=$top_srcdir/share
[ -x "$top_builddir/tools/mappedpages" ] || skip "the command is not built"
expect 0 mappedpages create my.mpp
expect 0 mappedpages alloc my.mpp 3 7 31
expect 0 mappedpages alloc -p -c 2 my.mpp
cp my.mpp 'a b.mpp'
mkdir 'mount point'
shell=

# offers LINE WORD… - fails unless the shell offers these words, and no others, after the line.
offers() {
    line=$1
    shift
    offered "$line"
    printf '%s\n' "$@" | sort >wanted
    sort -u shown | grep . | diff -u wanted - >&2 || fail "$shell: not what '$line' is completed to (-)"
}
# offers_among LINE WORD… - these, and others.
offers_among() {
    line=$1
    shift
    offered "$line"
    for word in "$@"; do
        grep -qxF -e "$word" shown || fail "$shell: '$line' is not completed to $word: $(cat shown)"
    done
}
offers_none() {
    offered "$1"
    ! grep -q . shown || fail "$shell: '$1' is completed to $(cat shown)"
}
# offered LINE - writes what it offers to `shown`, a word a line. Words of the line are parted by blanks, '\ ' is none.
offered() {
    case $shell in
    bash)
        printf '%s' "$1" | sed 's/=/\n=\n/g; s/\\ /\x01/g; s/ /\n/g; s/\x01/\\ /g' >words
        case $1 in
        *" " | *=) echo >>words ;;
        esac
        set --
        while IFS= read -r word || [ -n "$word" ]; do
            set -- "$@" "$word"
        done <words
        bash "$top_srcdir/tests/support/complete.bash" "$share/bash/$1" "$@" >shown || fail "bash: $*"
        ;;
    zsh) timeout 120 zsh -f "$top_srcdir/tests/support/complete.zsh" "$share/zsh" "$1" >shown || fail "zsh: $1" ;;
    fish)
        timeout 120 fish --no-config -c "source $share/fish/${1%% *}.fish; complete -C $(printf '%s' "$1" |
            sed "s/[\\\\']/\\\\&/g; s/^/'/; s/\$/'/")" | cut -f 1 >shown || fail "fish: $1"
        ;;
    esac
}

# Every command, and every option that it tells of in its help (in the slower shells of some that tell of all kinds of
# options); those of the driver, too.
everything() {
    # The words are to be split.
    # shellcheck disable=SC2046
    offers_among 'mappedpages ' $(mappedpages help | sed -n 's/^  \([a-z]*\) .*/\1/p')
    case $shell in
    bash) some=$(mappedpages help | sed -n 's/^  \([a-z]*\) .*/\1/p') ;;
    *) some="check copy info" ;;
    esac
    for command in $some; do
        # shellcheck disable=SC2046
        offers_among "mappedpages $command --" $(mappedpages help "$command" | grep -o -- '^ *\(-., *\)\?--[a-z-]*' |
            grep -o -- '--.*')
    done
    # shellcheck disable=SC2046
    offers_among 'mappedpagesfs -o ' $(mappedpagesfs --help | sed -n 's/^ *-o \([a-z_]*=\?\).*/\1/p')
}

common() {
    everything
    offers 'mappedpages re' read rescue
    offers_among 'mappedpages ' create info list read write alloc free check map dump load help
    offers_among 'mappedpages list --' --regular --protected --ids --long --json --help
    offers 'mappedpages read --hex' --hexdump
    offers 'mappedpages read my.mpp ' 3 31 7
    offers 'mappedpages free my.mpp 3 7' 7
    offers 'mappedpages read -p my.mpp ' 0 1
    offers 'mappedpages read --protected my.mpp ' 0 1
    offers 'mappedpages free a\ b.mpp 3 ' 3 31 7
    offers 'mappedpages create -f ' 1 0.2
    offers_none 'mappedpages alloc my.mpp '
    offers_none 'mappedpages read nothing.mpp '
    offers_among 'mappedpagesfs -o ' ro allow_other uid= commit= scratch= auto_unmount
    offers_among 'mappedpagesfs my.mpp mnt -o ' raw wait=
}

for shell in bash zsh fish; do
    command -v "$shell" >/dev/null || {
        echo "no $shell"
        continue
    }
    common
done

shell=bash
offers 'mappedpages info my' my.mpp
offers 'mappedpages create --format=' 1 0.2
offers 'mappedpages help cr' create
offers 'mappedpagesfs my' my.mpp
offers 'mappedpagesfs my.mpp mo' 'mount point'
offers 'mappedpagesfs my.mpp mnt -o ro,allow_o' ro,allow_other
offers 'mappedpagesfs -o uid=roo' root
# A name is never run as a command.
# shellcheck disable=SC2016
offers_none 'mappedpages read $(touch\ run) '
[ ! -e run ] || fail "bash: the line was run"

# All of it is installed where shells look.
expect 0 make -C "$top_builddir/share" install prefix=/usr datarootdir=/usr/share datadir=/usr/share DESTDIR="$work/root"
for place in bash-completion/completions/mappedpages bash-completion/completions/mappedpagesfs \
    zsh/site-functions/_mappedpages zsh/site-functions/_mappedpagesfs \
    fish/vendor_completions.d/mappedpages.fish fish/vendor_completions.d/mappedpagesfs.fish; do
    [ -s "root/usr/share/$place" ] || fail "$place is not installed"
done
