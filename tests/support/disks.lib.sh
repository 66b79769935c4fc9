# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# Disks of all kinds, small, for tests of what a filesystem does. Sourced behind lib.sh; skips where nobody may mount.

[ "$(id -u)" -eq 0 ] || skip "only root can mount a disk"
mounted=
clean_up_disks() {
    for disk in $mounted; do
        umount "$disk" 2>/dev/null || umount -l "$disk" 2>/dev/null
    done
    clean_up
}
trap clean_up_disks EXIT

# new_disk KIND - mounted on the directory disk. False where that cannot be had.
new_disk() {
    mkdir -p disk
    case $1 in
    tmpfs) mount -t tmpfs -o size=64m none disk 2>err || return 1 ;;
    *)
        command -v "mkfs.$1" >/dev/null || return 1
        rm -f image && truncate -s 320M image && "mkfs.$1" -q image >err 2>&1 || return 1
        mount -o loop image disk 2>err || return 1
        ;;
    esac
    mounted=disk
}
