/* SPDX-License-Identifier: MIT */
/* Names of scratch files that tools think up are taken; what somebody wants to keep is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fuse/temporary.h"

static const char *const temporary[] = {
    /* seen in what the tool does to a file named 5, but for those marked (source): from its text */
    "sedhdmMQU",
    "seduxwkrt", /* GNU sed -i */
    "5XXa1B2",
    "5qKmzRt",
    "51kdjf3",       /* busybox sed -i (source) */
    "XXciRlrX",      /* perl -i */
    "5.gawk.Ed9ClI", /* gawk -i inplace (source) */
    ".5.ouTsfd",
    ".~tmp~", /* rsync */
    ".5.swp",
    ".5.swo",
    ".5.swx",
    ".5.swpx",
    "5~",
    ".5.un~",
    ".5.swap.swp", /* vim */
    ".5.swp",      /* nano */
    "#5#",
    ".#5",
    ".#-emacsAb3dE9",
    "5.~1~",                 /* emacs */
    ".goutputstream-MRQ9Y3", /* GIO */
    "5.MRQ9Y3",
    "5.aBcDeF",
    "5.qxvbtr",       /* GLib, Qt (source) */
    "qt_temp.aBcDeF", /* Qt (source) */
    ".~lock.5#",
    "lu12345abcd.tmp",
    "~$5",
    "~WRL0001.tmp", /* word processors (source) */
    "5.lock",
    "index.lock",
    "tmp_obj_a1B2c3", /* git */
    "5.oOxf9Cq",
    "5.rOxf9Cq",    /* patch */
    "d2utmpaBcDeF", /* dos2unix (source) */
    "tmp.aBcDeFgHiJ",
    "tmpfi7zs5cw", /* mktemp, Python */
    "5.tmp",
    ".5.tmp",
    "5.TMP",
    "5.tmp-123456",
    "5.tmp123456",
    "temporary",
    "temp",
    "temp1",
    "5.temp",
    "tempfile",
    "scratch",
    "5.new",
    "5.12345",
    "5.1234567890",
    ".5123456789",
    "5.kate-swp",
    ".5.kate-swp",
    "5.part",
    "5.crdownload",
    ".nfs000000000001",
    ".#5a1b2c3d4e5f60718",
};

static const char *const kept[] = {
    "important.txt",
    "notes",
    "README",
    "data.json",
    "report-2024.pdf",
    "backup",
    "backup.tar",
    "5.bak",
    "5.orig",
    "5.rej",
    "5.old",
    "5.gz",
    "5.xz",
    "5.txt",
    "5.json",
    "5.backup",
    "5.Backup",
    "5.config",
    "5.sqlite3",
    "5.tar.gz",
    "5-journal",
    "5-wal",
    "template.html",
    "temperature",
    "contemporary",
    "attempt",
    "page5",
    "5a",
    "five",
    "a",
    ".profile",
    ".hidden",
    ".gitignore",
    "copy of 5",
    "x.swift",
    "sedan",
    "sediment.txt",
    "XXL",
    "newer",
    "latest",
    "5 (1)",
    "pages.db",
    "swap",
    "lock",
    "clock",
    "party",

};

static void test_names_that_tools_think_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(temporary) / sizeof(temporary[0]); i++) {
        if (!name_is_temporary(temporary[i])) {
            fail_msg("%s is refused", temporary[i]);
        }
    }
}

static void test_names_that_somebody_wants_to_keep(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        if (name_is_temporary(kept[i])) {
            fail_msg("%s is taken", kept[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_that_tools_think_up),
        cmocka_unit_test(test_names_that_somebody_wants_to_keep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
