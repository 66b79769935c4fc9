#!/bin/sh
# SPDX-License-Identifier: MIT
# Tools that change a file in place, or write a temporary one and rename it over.
. "${top_srcdir:?set by make check}/tests/support/lib.sh"
. "$top_srcdir/tests/support/mount_tools.lib.sh"
need_fuse

with_stream_editors() {
    cp plain/10 copy
    sed -i s/10/XX/ m/pages/10 || fail "sed -i"
    sed -i s/10/XX/ copy
    shows 10 copy
    sed -i s/100/XXX/ m/protected/0 || fail "sed -i on a protected page"
    sed s/100/XXX/ plain/p0 >copy
    protected_shows 0 copy
    perl -pi -e 's/page 11/PAGE 11/' m/pages/11 || fail "perl -pi"
    sed 's/page 11/PAGE 11/' plain/11 >copy
    shows 11 copy
    perl -i.bak -pe 's/page/PAGE/' m/pages/12 2>err && fail "perl -i.bak keeps a page in memory alone"
    rm -f m/pages/12.bak
    sort -r -o m/pages/13 m/pages/13 || fail "sort -o"
    sort -r plain/13 >copy
    shows 13 copy
    xxd m/pages/14 | sed 's/^00000010: 6520/00000010: 5858/' | xxd -r - m/pages/14 || fail "xxd -r"
    xxd plain/14 | sed 's/^00000010: 6520/00000010: 5858/' | xxd -r >copy
    shows 14 copy
    echo "ok sed, perl, sort, xxd"
}

# Of the same length: an editor that ends the last line would otherwise write more than a page.
with_editors() {
    content 15 | sed '1s/page/VIM!/' >copy
    vim -Nu NONE -es -c 'set backup writebackup swapfile' -c 'silent 1s/page/VIM!/' -c 'w' -c 'q!' \
        m/pages/15 </dev/null >vim.out 2>&1 || fail "vim: $(cat vim.out)"
    head -c 60 m/pages/15 | cmp -n 60 - copy || fail "vim has not written the page"
    vim -es -c 'silent 1s/VIM!/vim!/' -c 'wq' m/pages/15 </dev/null >vim.out 2>&1 ||
        fail "vim with its defaults: $(cat vim.out)"
    [ "$(head -c 3 m/pages/15)" = vim ] || fail "vim :wq has not written the page"
    vim -es -c 'silent 1s/page/vim!/' -c 'wq' m/protected/1 </dev/null >vim.out 2>&1 ||
        fail "vim on a protected page: $(cat vim.out)"
    [ "$(head -c 3 m/protected/1)" = vim ] || fail "vim has not written the protected page"
    # nano wants a terminal, and time to read what is typed: delete four letters, type, save, leave.
    for keys in '\004\004\004\004NANO' '\017' '\r' '\030'; do
        sleep 0.5
        # shellcheck disable=SC2059
        printf "$keys"
    done | TERM=vt100 timeout 20 script -qec 'nano -IL m/pages/16' /dev/null >nano.out 2>&1 ||
        fail "nano: $(cat nano.out)"
    [ "$(head -c 4 m/pages/16)" = NANO ] || fail "nano has not written the page"
    left=$(find m -name '.*' -o -name '*~' -o -name 4913)
    [ -z "$left" ] || fail "an editor has left something behind: $left"
    echo "ok vim, nano"
}

# changed DIR BY TEXT - page 15 begins with the text, and the tool left nothing beside it.
changed() {
    [ "$(head -c ${#3} "$1/15")" = "$3" ] || fail "$2 on $1/15: $(head -c 60 "$1/15")"
    left=$(find "$1" ! -name '[0-9]*' ! -path "$1"; find "$1" -name '15?*')
    [ -z "$left" ] || fail "$2 has left $left"
}

# Those that write a temporary file beside, each under a name of its own kind.
with_other_tools() {
    for dir in m/pages m/protected; do
        printf 'first line\n' >$dir/15
        if command -v busybox >/dev/null; then
            busybox sed -i s/first/BUSYB/ $dir/15 || fail "busybox sed -i"
            changed $dir "busybox sed -i" 'BUSYB line'
        fi
        if command -v gawk >/dev/null && [ -n "$(gawk -i inplace 'BEGIN { print 1 }' </dev/null 2>/dev/null)" ]; then
            printf 'first line\n' >$dir/15
            gawk -i inplace 'FNR == 1 { sub(/first/, "gawk!"); print }' $dir/15 || fail "gawk -i inplace"
            changed $dir "gawk -i inplace" 'gawk! line'
        fi
        if command -v gio >/dev/null; then
            echo 'from gio' | gio save $dir/15 || fail "gio save"
            changed $dir "gio save" 'from gio'
        fi
        if command -v patch >/dev/null; then
            printf 'a line!\n' >$dir/15
            printf -- '--- a\n+++ b\n@@ -1 +1 @@\n-a line!\n+patched\n' >patch.in
            patch -s $dir/15 patch.in >patch.out 2>&1 || fail "patch: $(cat patch.out)"
            changed $dir patch patched
        fi
        if command -v emacs >/dev/null; then
            printf 'first line\n' >$dir/15
            emacs -Q --batch --eval "(progn (setq make-backup-files t create-lockfiles t)
                (find-file \"$dir/15\") (goto-char (point-min)) (insert \"EMACS\") (delete-char 5)
                (do-auto-save) (save-buffer))" >emacs.out 2>&1 || fail "emacs: $(cat emacs.out)"
            changed $dir emacs 'EMACS line'
        fi
        rsync plain/16 $dir/15 || fail "rsync"
        changed $dir rsync 'page 16'
        new=$(mktemp $dir/15.XXXXXX) && echo 'from mktemp' >"$new" && mv "$new" $dir/15 || fail "mktemp"
        changed $dir mktemp 'from mktemp'
        git config -f $dir/77.tmp some.key value && mv -f $dir/77.tmp $dir/15 || fail "git config"
        changed $dir git '[some]'
    done
    grep 'is refused' m.log && fail "a tool's temporary file was refused"
    echo "ok other tools"
}

with_sizes() {
    truncate -s 100 m/pages/17 || fail "truncate"
    head -c 100 plain/17 >copy
    shows 17 copy
    truncate -s 10 m/protected/2 || fail "truncate of a protected page"
    head -c 10 plain/p2 >copy
    protected_shows 2 copy
    truncate -s 5000 m/pages/17 2>err && fail "truncate beyond the page succeeds"
    grep -q 'File too large' err || fail "truncate beyond the page: $(cat err)"
    fallocate -l 4096 m/pages/18 || fail "fallocate"
    shows 18 plain/18
    fallocate -l 5000 m/pages/18 2>err && fail "fallocate beyond the page succeeds"
    touch m/pages/18 m/pages/70 || fail "touch"
    touch -d '2001-02-03 04:05:06' m/pages/18 || fail "touch -d"
    [ "$(date -r m/pages/18 +%Y)" = 2001 ] || fail "touch -d has not changed the time"
    shows 70 /dev/null
    echo hi >m/pages/18
    echo hi >copy
    shows 18 copy
    (echo more >>m/pages/18) 2>err && fail "appending to a page succeeds"
    chmod 600 m/pages/18 || fail "chmod"
    echo "ok truncate, fallocate, touch, echo, chmod"
}

with_python() {
    python3 - <<'END' || fail "python"
import mmap, os

with open("m/pages/19", "r+b") as page:
    with mmap.mmap(page.fileno(), 0) as content:
        content[100:105] = b"mmap!"
        content.flush()
with open("m/pages/19", "rb") as page:
    assert page.read()[100:105] == b"mmap!"
with open("m/protected/3", "r+b") as page:
    try:
        mmap.mmap(page.fileno(), 0)
        raise SystemExit("a protected page can be mapped shared and writable")
    except OSError:
        pass
    page.seek(50)
    page.write(b"whole")
    page.flush()
    os.fsync(page.fileno())
with open("m/protected/3", "rb") as page:
    with mmap.mmap(page.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as content:
        assert content[50:55] == b"whole"
with open("m/pages/temporary", "wb") as new:
    new.write(b"replaced")
os.replace("m/pages/temporary", "m/pages/19")
with open("m/pages/19", "rb") as page:
    content = page.read()
assert content[:8] == b"replaced" and content[8:] == bytes(4096 - 8), content[:20]
END
    echo "ok python"
}

for format in 1 0.2; do
    new_mount $format
    with_stream_editors
    with_editors
    with_other_tools
    with_sizes
    with_python
    end_mount
done
