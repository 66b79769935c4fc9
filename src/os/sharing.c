/* SPDX-License-Identifier: MIT */
#include "os/sharing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

/* So much of a list of mounts is read, at most. */
#define MOST_MOUNTINFO ((size_t)64 << 20)

/*
 * ---- By the number of the filesystem's kind, as statfs gives it -------------------------------
 */

#define MAGIC_FUSE 0x65735546u /* also fuseblk and virtiofs */
#define MAGIC_9P 0x01021997u
#define MAGIC_VBOXSF 0x786f4256u
#define MAGIC_PROC 0x9fa0u

/*
 * Filesystems that only this system has at work: what it has cached is what there is, and a lock
 * reaches everybody.
 */
static bool is_private(uint32_t magic)
{
    static const uint32_t magics[] = {
        0xef53,     /* ext2, ext3, ext4 */
        0x58465342, /* xfs */
        0x9123683e, /* btrfs */
        0x01021994, /* tmpfs */
        0x858458f6, /* ramfs */
        0xf2f52010, /* f2fs */
        0x2fc12fc1, /* zfs */
        0xca451a4e, /* bcachefs */
        0x794c7630, /* overlayfs */
        0xf15f,     /* ecryptfs */
        0x4d44,     /* vfat */
        0x2011bab0, /* exfat */
        0x7366746e, /* ntfs3 */
        0x3434,     /* nilfs2 */
        0x3153464a, /* jfs */
        0x52654973, /* reiserfs */
        0x958458f6, /* hugetlbfs */
    };

    for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
        if (magics[i] == magic)
            return true;
    return false;
}

/* What is assumed where the list of mounts does not tell. */
static bool is_local_by_magic(uint32_t magic)
{
    return magic == MAGIC_FUSE || magic == MAGIC_9P || magic == MAGIC_VBOXSF;
}

/*
 * ---- By the line of its mount -----------------------------------------------------------------
 */

static bool is_one_of(const char *text, const char *const *names)
{
    while (*names != NULL)
        if (strcmp(text, *names++) == 0)
            return true;
    return false;
}

/* Whether a list separated by commas has this element. */
static bool has_option(const char *options, const char *wanted)
{
    size_t length = strlen(wanted);

    for (const char *at = options; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, wanted, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

/*
 * A filesystem in user space has locks that others see only if it has taken them on itself, which
 * nothing tells; the kernel keeps them otherwise, for this mount alone. These are known to.
 */
static const char *const fuse_reaching[] = {
    "fuse.glusterfs", "fuse.ceph",    "fuse.ceph-fuse", "fuse.mfs", "fuse.moosefs",
    "fuse.lizardfs",  "fuse.saunafs", "fuse.juicefs",   NULL,
};
/* … and of these, nobody has another path to the same files. */
static const char *const fuse_private[] = {"fuse.fuse-overlayfs", "fuse.fuse2fs", NULL};
/*
 * These are there so that others come to the same files: on other machines, on the host of this
 * one, in a browser, or by another path. All that are not known encrypt, join or watch directories
 * of this machine, mostly; there, too, a lock reaches nobody by another path, but nobody need be
 * there.
 */
static const char *const fuse_meeting[] = {
    "fuse",
    "fuse.",
    "fuse.afuse",
    "fuse.alluxio-fuse",
    "fuse.beegfs",
    "fuse.bindfs",
    "fuse.blobfuse",
    "fuse.blobfuse2",
    "fuse.cloudfuse",
    "fuse.curlftpfs",
    "fuse.davfs",
    "fuse.davfs2",
    "fuse.eosxd",
    "fuse.fuse_dfs",
    "fuse.gcsfuse",
    "fuse.geesefs",
    "fuse.google-drive-ocamlfuse",
    "fuse.goofys",
    "fuse.grpcfuse",
    "fuse.gvfsd-fuse",
    "fuse.hdfs_fuse",
    "fuse.httpdirfs",
    "fuse.ifuse",
    "fuse.jmtpfs",
    "fuse.kio-fuse",
    "fuse.mountpoint-s3",
    "fuse.nbdfuse",
    "fuse.onedriver",
    "fuse.orangefs",
    "fuse.osxfs",
    "fuse.portal",
    "fuse.prl_fsd",
    "fuse.pvfs2fuse",
    "fuse.rclone",
    "fuse.s3backer",
    "fuse.s3fs",
    "fuse.seaweedfs",
    "fuse.simple-mtpfs",
    "fuse.smbnetfs",
    "fuse.sshfs",
    "fuse.vmhgfs-fuse",
    "fuse.weed",
    "fuse.xrootdfs",
    NULL,
};
/* What a host shows to a guest: the host, and other guests, know nothing of its locks. */
static const char *const guests[] = {"virtiofs", "9p", "vboxsf", "vmhgfs", "prl_fs", NULL};
static const char *const nfs[] = {"nfs", "nfs4", NULL};
static const char *const smb[] = {"cifs", "smb3", NULL};

static bool is_fuse_local(const struct mount_line *line)
{
    if (is_one_of(line->type, fuse_reaching) || is_one_of(line->type, fuse_private))
        return false;
    /* MooseFS, as it was mounted without a subtype; the kernel may escape the sign. */
    return strncmp(line->source, "mfs#", 4) != 0 && strncmp(line->source, "mfs\\043", 7) != 0;
}

bool mpgi_lock_is_local(const struct mount_line *line)
{
    if (strcmp(line->type, "fuse") == 0 || strncmp(line->type, "fuse.", 5) == 0)
        return is_fuse_local(line);
    if (is_one_of(line->type, guests))
        return true;
    if (is_one_of(line->type, nfs))
        return has_option(line->options, "local_lock=all") ||
               has_option(line->options, "local_lock=posix") || has_option(line->options, "nolock");
    if (is_one_of(line->type, smb))
        return has_option(line->options, "nobrl");
    return has_option(line->options, "localflock") || has_option(line->options, "localflocks");
}

bool mpgi_is_meeting(const struct mount_line *line)
{
    return strncmp(line->type, "fuse.", 5) != 0 || is_one_of(line->type, fuse_meeting);
}

/* Cuts the text at its next space and moves on behind it; NULL: there is none. */
static char *next_field(char **text)
{
    char *field = *text;
    char *end = field != NULL ? strchr(field, ' ') : NULL;

    if (end == NULL) {
        *text = NULL;
        return field;
    }
    *end = '\0';
    *text = end + 1;
    return field;
}

bool mpgi_mount_line(struct mount_line *line, char *text)
{
    char *id = next_field(&text);
    char *field;
    char *end;

    /* Number, parent, device, root, mount point, options; then any fields until a hyphen. */
    (void)next_field(&text);
    field = next_field(&text);
    if (field == NULL || sscanf(field, "%u:%u", &line->major, &line->minor) != 2)
        return false;
    errno = 0;
    line->id = strtoull(id, &end, 10);
    if (end == id || *end != '\0' || errno != 0)
        return false;
    for (int i = 0; i < 3; i++)
        (void)next_field(&text);
    do {
        field = next_field(&text);
        if (field == NULL)
            return false;
    } while (strcmp(field, "-") != 0);
    line->type = next_field(&text);
    line->source = next_field(&text);
    line->options = text;
    return line->type != NULL && line->source != NULL && line->options != NULL;
}

/*
 * ---- The list of mounts ------------------------------------------------------------------------
 */

/* The whole list, ended by zero, or NULL. Owned by the caller. */
static char *read_all(int fd)
{
    size_t length = 0, room = 1 << 16;
    char *text = malloc(room);

    while (text != NULL) {
        ssize_t got = read(fd, text + length, room - length - 1);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            text[length] = '\0';
            return text;
        }
        length += (size_t)got;
        if (length + 1 == room) {
            char *more = room < MOST_MOUNTINFO ? realloc(text, room * 2) : NULL;

            if (more == NULL)
                free(text);
            text = more;
            room *= 2;
        }
    }
    return NULL;
}

/* Only of a real /proc: what else is mounted there may say anything, or nothing for ever. */
static char *read_mountinfo(void)
{
    int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct statfs st;
    char *text = NULL;

    if (fd < 0)
        return NULL;
    if (fstatfs(fd, &st) == 0 && (uint32_t)st.f_type == MAGIC_PROC)
        text = read_all(fd);
    (void)close(fd);
    return text;
}

/* Whether the line is that of the mount on which the file lies. */
static bool is_mount_of(const struct mount_line *line, const struct statx *st)
{
    if ((st->stx_mask & STATX_MNT_ID) != 0)
        return line->id == st->stx_mnt_id;
    return line->major == st->stx_dev_major && line->minor == st->stx_dev_minor;
}

bool mpgi_find_mount(struct mount_line *line, char *text, const struct statx *st)
{
    char *rest = text;

    while (rest != NULL && *rest != '\0') {
        char *end = strchr(rest, '\n');
        char *next = end != NULL ? end + 1 : NULL;

        if (end != NULL)
            *end = '\0';
        if (mpgi_mount_line(line, rest) && is_mount_of(line, st))
            return true;
        rest = next;
    }
    return false;
}

void mpgi_sharing_of(struct sharing *sharing, int fd)
{
    struct mount_line line;
    struct statx stx;
    struct statfs st;
    uint32_t magic;
    char *text;

    memset(sharing, 0, sizeof(*sharing));
    if (fstatfs(fd, &st) != 0)
        return;
    magic = (uint32_t)st.f_type;
    if (is_private(magic))
        return;
    sharing->others = true;
    text = read_mountinfo();
    if (text != NULL && statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, &stx) == 0 &&
        mpgi_find_mount(&line, text, &stx)) {
        (void)snprintf(sharing->type, sizeof(sharing->type), "%s", line.type);
        sharing->lock_is_local = mpgi_lock_is_local(&line);
        sharing->is_meeting = sharing->lock_is_local && mpgi_is_meeting(&line);
        sharing->others = strcmp(line.type, "fuseblk") != 0 && !is_one_of(line.type, fuse_private);
    } else {
        sharing->lock_is_local = is_local_by_magic(magic);
        sharing->is_meeting = sharing->lock_is_local;
        sharing->unknown = true;
    }
    free(text);
}
