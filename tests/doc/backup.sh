#!/bin/sh
# SPDX-License-Identifier: MIT
# doc/backup.md: every command in it is run, in its order, and does what is said.
# shellcheck source=tests/support/lib.sh
. "${top_srcdir:?set by make check}/tests/support/lib.sh"

expect 0 mappedpages create live.mpp
expect 0 mappedpages alloc live.mpp 3-20
expect 0 mappedpages alloc -p live.mpp 0-9
for page in 0 5; do
    echo "protected $page" | mappedpages write -p live.mpp $page || fail "write"
done
block() { # WORD - what stands in blocks that begin with it
    awk -v "begin=\`\`\`$1" '/^```/ { inside = ($0 == begin); next } inside' "$top_srcdir/doc/backup.md"
}
block sh >commands.sh
[ "$(wc -l <commands.sh)" -ge 25 ] || fail "commands are missing: $(cat commands.sh)"
# The other machine is this one.
mkdir bin
printf '#!/bin/sh\n[ "$1" = backuphost ] && shift && exec sh -c "$*"\n' >bin/ssh
block 'sh script' >bin/backup-pages
chmod +x bin/ssh bin/backup-pages
PATH=$work/bin:$PATH
expect 0 sh -e commands.sh
for file in backup.mpp backup-before.mpp restored.mpp live.mpp another.mpp for-the-crate.mpp ours.mpp fresh.mpp \
    short.mpp offsite.mpp offsite-pages.mpp fetched.mpp; do
    expect 0 mappedpages check $file
    [ "$(mappedpages read -p $file 5 | tr -d '\0')" = "protected 5" ] || fail "protected page 5 of $file"
    [ "$(mappedpages list $file | wc -l)" -eq 28 ] || fail "$file has other pages: $(mappedpages list $file)"
done
[ "$(mappedpages info --json for-the-crate.mpp | grep -c '"format": "0.2"')" -eq 1 ] || fail "the format for the crate"

# A connection that breaks leaves what was there: the copy is found too short, the archive cut.
cp offsite.mpp offsite.before
printf '#!/bin/sh\nhead -c 20000 | { shift; sh -c "$*"; }\n' >bin/ssh
grep '| ssh backuphost .*mv incoming' commands.sh >broken.sh
expect 1 sh broken.sh
same offsite.mpp offsite.before
rm offsite-pages.mpp
grep '| ssh backuphost .*load' commands.sh >broken.sh
expect 3 sh broken.sh
complained 'nothing was changed'
[ -z "$(mappedpages list offsite-pages.mpp)" ] || fail "a part of an archive was loaded"

# Each night: as cron and systemd are told to, with other places.
{
    block crontab | sed 's/^[0-9]* [0-9]* \* \* \* *//'
    block ini | sed -n 's/^ExecStart=.*bin\///p'
} | sort -u >nightly.sh
[ "$(wc -l <nightly.sh)" -eq 1 ] || fail "cron and systemd do not the same: $(cat nightly.sh)"
sed -i "s,/srv/data/,,; s,/srv/backup,nights," nightly.sh
mkdir nights
for day in 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15; do
    echo old >nights/live-2020-01-$day.mpp
done
echo other >nights/other-2020-01-01.mpp
expect 0 sh nightly.sh
[ ! -s out ] && [ ! -s err ] || fail "mail for nothing: $(cat out err)"
expect 0 sh nightly.sh
[ "$(ls nights/live-*.mpp | wc -l)" -eq 14 ] && [ ! -e nights/live-2020-01-02.mpp ] &&
    [ -e nights/live-2020-01-03.mpp ] && [ -e nights/other-2020-01-01.mpp ] || fail "kept are $(ls nights)"
today=$(ls nights/live-*.mpp | tail -n 1)
expect 0 mappedpages check "$today"
[ "$(mappedpages list "$today" | wc -l)" -eq 28 ] || fail "it has other pages"
ls nights >before
mv live.mpp elsewhere.mpp
expect 3 sh nightly.sh
mv elsewhere.mpp live.mpp
ls nights | diff before - >&2 || fail "without a new copy an older one is gone"

# What it says of a mount.
grep -q '`cat pages.tar >mnt/batch`' "$top_srcdir/doc/backup.md" || fail "another command for a mount"
if [ -w /dev/fuse ] && command -v fusermount3 >/dev/null; then
    expect 0 mappedpages create mounted.mpp
    mount_file mounted.mpp mnt
    cat pages.tar >mnt/batch || fail "batch"
    grep -q committed mnt/batch || fail "batch says: $(cat mnt/batch)"
    unmount mnt
    [ "$(mappedpages read -p mounted.mpp 5 | tr -d '\0')" = "protected 5" ] || fail "protected page 5 by batch"
    [ "$(mappedpages list mounted.mpp | wc -l)" -eq 28 ] || fail "by batch there are other pages"
fi
