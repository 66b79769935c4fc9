# SPDX-License-Identifier: MIT
# complete.zsh DIRECTORY LINE - what zsh, with the completions in DIRECTORY, offers when TAB is typed after the line.
emulate -R zsh
zmodload zsh/zpty
found=$PWD/zsh.found
: >$found
cat >zsh.start <<END
PS1= PS2=
unsetopt zle_bracketed_paste 2>/dev/null
fpath=($1 \$fpath)
autoload -Uz compinit && compinit -u -D
bindkey '^I' complete-word
zstyle ':completion:*' list-prompt ''
LISTMAX=0
compadd() {
    local -a hits
    if [[ " \$* " == *" -"[OAD]" "* ]]; then
        builtin compadd "\$@"
        return
    fi
    builtin compadd -O hits "\$@"
    (( \$#hits )) && print -rl -- \$hits >>$found
    builtin compadd "\$@"
}
print READY >>$found
END
# wait_for WORD - until it stands there, half a minute at most; what the terminal shows is read, and lost.
wait_for() {
    local shown i
    for ((i = 0; i < 600; i++)); do
        zpty -rt z shown 2>/dev/null
        grep -qx $1 $found && return
        sleep 0.05
    done
    print -u2 "no $1"
    exit 1
}
zpty -b z zsh -f -i
zpty -w z ". $PWD/zsh.start"
wait_for READY
zpty -wn z "$2"$'\t'
sleep 0.1
zpty -w z $'\x15'"print END >>$found"
wait_for END
zpty -d z
grep -vx 'READY\|END' $found | sort -u
exit 0
