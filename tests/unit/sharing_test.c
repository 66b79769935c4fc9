/* SPDX-License-Identifier: MIT */
/* What a line of /proc/self/mountinfo says of locks, and what is made of lines that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/sharing.h"

static bool take_apart(struct mount_line *line, const char *text)
{
    static char copy[512];

    snprintf(copy, sizeof(copy), "%s", text);
    return mpgi_mount_line(line, copy);
}

static void a_line_is_taken_apart(void **state)
{
    struct mount_line line;

    (void)state;
    assert_true(take_apart(&line, "36 35 98:7 /mnt1 /mnt2 rw,noatime master:1 shared:3 - ext3 "
                                  "/dev/root rw,errors=continue"));
    assert_int_equal(line.id, 36);
    assert_int_equal(line.major, 98);
    assert_int_equal(line.minor, 7);
    assert_string_equal(line.type, "ext3");
    assert_string_equal(line.source, "/dev/root");
    assert_string_equal(line.options, "rw,errors=continue");
}

/*
 * Spaces in names are escaped; no optional field; a source that is empty or looks like the hyphen.
 */
static void odd_names_do_not_shift_the_fields(void **state)
{
    struct mount_line line;

    (void)state;
    assert_true(
        take_apart(&line, "9 1 0:50 / /a\\040-\\040fuse rw - fuse.sshfs me@host:a\\040b rw"));
    assert_string_equal(line.type, "fuse.sshfs");
    assert_string_equal(line.source, "me@host:a\\040b");
    assert_true(take_apart(&line, "9 1 0:50 / - rw - fuse  rw,user_id=0"));
    assert_string_equal(line.type, "fuse");
    assert_string_equal(line.source, "");
    assert_string_equal(line.options, "rw,user_id=0");
    assert_true(take_apart(&line, "9 1 0:50 - / rw shared:1 - fuse.x - rw"));
    assert_string_equal(line.type, "fuse.x");
    assert_string_equal(line.source, "-");
}

static void what_is_no_line_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "-",
        "36",
        "36 35",
        "36 35 98:0",
        "36 35 98 / /mnt rw - ext4 /dev/a rw",
        "x 35 98:0 / /mnt rw - ext4 /dev/a rw",
        "99999999999999999999999 35 98:0 / /mnt rw - ext4 /dev/a rw",
        "36 35 98:0 / /mnt rw",
        "36 35 98:0 / /mnt rw shared:1 ext4 /dev/a rw",
        "36 35 98:0 / /mnt rw -",
        "36 35 98:0 / /mnt rw - ext4",
        "36 35 98:0 / /mnt rw - ext4 /dev/a",
    };
    struct mount_line line;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_false(take_apart(&line, texts[i]));
}

static bool is_local(const char *type, const char *source, const char *options)
{
    struct mount_line line = {.type = type, .source = source, .options = options};

    return mpgi_lock_is_local(&line);
}

static void local_locks_are_known(void **state)
{
    static const char *const local[] = {
        "fuse",        "fuse.sshfs", "fuse.s3backer", "fuse.nbdfuse", "fuse.bindfs",
        "fuse.rclone", "fuse.",      "virtiofs",      "9p",           "fuse.encfs"};
    static const char *const reaching[] = {
        "ext4",      "xfs",          "fuseblk",  "fuse.glusterfs",      "fuse.ceph-fuse", "ceph",
        "fuse.ceph", "fuse.moosefs", "fuse.mfs", "fuse.fuse-overlayfs", "nfs4",           "cifs",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
        assert_true(is_local(local[i], "/dev/fuse", "rw,user_id=0"));
    for (size_t i = 0; i < sizeof(reaching) / sizeof(reaching[0]); i++)
        assert_false(is_local(reaching[i], "somewhere", "rw"));
    assert_false(is_local("fuse", "mfs#host:9421", "rw"));
    assert_false(is_local("fuse", "mfs\\043host:9421", "rw"));
    assert_true(is_local("fuse", "host:mfs#", "rw"));
    assert_true(is_local("fuse.glusterfs2", "host:/volume", "rw"));
}

static bool is_meeting(const char *type)
{
    struct mount_line line = {.type = type, .source = "somewhere", .options = "rw"};

    return mpgi_is_meeting(&line);
}

/*
 * What is not known is not taken for what others come to, unless it does not even say what it is.
 */
static void what_others_come_to_is_known(void **state)
{
    static const char *const meeting[] = {"fuse",         "fuse.sshfs",  "fuse.s3backer",
                                          "fuse.nbdfuse", "fuse.bindfs", "fuse.rclone",
                                          "fuse.",        "virtiofs",    "9p",
                                          "vboxsf",       "nfs4",        "cifs"};
    static const char *const others[] = {"fuse.encfs", "fuse.gocryptfs", "fuse.mergerfs",
                                         "fuse.sshfs2", "fuse.of_somebody"};

    (void)state;
    for (size_t i = 0; i < sizeof(meeting) / sizeof(meeting[0]); i++)
        assert_true(is_meeting(meeting[i]));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(is_meeting(others[i]));
}

static void options_that_make_locks_local_are_known(void **state)
{
    (void)state;
    assert_true(is_local("nfs", "host:/a", "rw,vers=3,local_lock=all,addr=1.2.3.4"));
    assert_true(is_local("nfs4", "host:/a", "rw,local_lock=posix"));
    assert_false(is_local("nfs4", "host:/a", "rw,local_lock=none"));
    assert_false(is_local("nfs", "host:/a", "rw,local_lock=flock"));
    assert_false(is_local("nfs4", "host:/a", "rw,xlocal_lock=all"));
    assert_true(is_local("cifs", "//host/a", "rw,nobrl"));
    assert_false(is_local("cifs", "//host/a", "rw,nobrlx"));
    assert_true(is_local("lustre", "host:/a", "rw,localflock"));
    assert_true(is_local("gfs2", "/dev/a", "localflocks"));
}

/*
 * A list of three, looked through for what statx said of a file; the type that was found, or NULL.
 */
static const char *type_of(const struct statx *st)
{
    static char list[512];
    static struct mount_line line;

    snprintf(list, sizeof(list),
             "21 1 0:50 / / rw - fuse.glusterfs host:/v rw\n"
             "what is no line\n"
             "22 21 0:51 / /a rw shared:7 - fuse.sshfs host: rw\n"
             "23 21 0:50 / /b rw - fuse.bindfs /c rw\n");
    return mpgi_find_mount(&line, list, st) ? line.type : NULL;
}

static void a_mount_is_found_by_its_number(void **state)
{
    struct statx st = {.stx_mask = STATX_BASIC_STATS | STATX_MNT_ID, .stx_mnt_id = 23};

    (void)state;
    /* Its device has other mounts, and may be another one, as with subvolumes. */
    st.stx_dev_minor = 51;
    assert_string_equal(type_of(&st), "fuse.bindfs");
    st.stx_mnt_id = 24;
    assert_null(type_of(&st));
}

static void without_a_number_it_is_found_by_the_device(void **state)
{
    struct statx st = {.stx_mask = STATX_BASIC_STATS, .stx_dev_minor = 51, .stx_mnt_id = 23};

    (void)state;
    assert_string_equal(type_of(&st), "fuse.sshfs");
    st.stx_dev_minor = 52;
    assert_null(type_of(&st));
}

static void a_file_of_this_system_alone_is_known(void **state)
{
    FILE *file = tmpfile();
    struct sharing sharing;

    (void)state;
    assert_non_null(file);
    mpgi_sharing_of(&sharing, fileno(file));
    fclose(file);
    if (sharing.others)
        skip(); /* what temporary files lie on here is not of this system alone */
    assert_false(sharing.lock_is_local);
    assert_false(sharing.unknown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_taken_apart),
        cmocka_unit_test(odd_names_do_not_shift_the_fields),
        cmocka_unit_test(what_is_no_line_is_refused),
        cmocka_unit_test(local_locks_are_known),
        cmocka_unit_test(what_others_come_to_is_known),
        cmocka_unit_test(options_that_make_locks_local_are_known),
        cmocka_unit_test(a_mount_is_found_by_its_number),
        cmocka_unit_test(without_a_number_it_is_found_by_the_device),
        cmocka_unit_test(a_file_of_this_system_alone_is_known),
    };

    return cmocka_run_group_tests_name("who else can come to a file", tests, NULL, NULL);
}
