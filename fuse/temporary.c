/* SPDX-License-Identifier: MIT */
#include "temporary.h"

#include <fnmatch.h>
#include <stddef.h>
#include <string.h>

/* One letter or digit, and six of them, as mkstemp(3) puts them. */
#define X "[0-9A-Za-z]"
#define XXXXXX X X X X X X

/* Matched whatever the case of letters. */
static const char *const patterns[] = {
    /* by what people and libraries call them: tmp.XXXXXXXXXX, 5.tmp, .5.tmp-123, d2utmpXXXXXX */
    "*tmp*",
    "temp",
    "temp[!a-z]*",
    "*[!a-z]temp",
    "*[!a-z]temp[!a-z]*",
    "temporary*",
    "*[!a-z]temporary*",
    "*tempfile*",
    "scratch*",
    "*[!a-z]scratch",
    /* locks, and what is renamed from there: git, dpkg, a person in a shell */
    "*.lock",
    "*.lck",
    "[0-9]*.new",
    /* downloads */
    "*.part",
    "*.partial",
    "*.filepart",
    "*.crdownload",
    "*.aria2",
    /* vim, nano: .5.swp, .5.swo, .5.un~; kate: .5.kate-swp */
    "*.sw[a-pw-z]",
    "*.sw[a-pw-z]x",
    "*.kate-swp",
    /* backups while writing: vim, emacs (5~, 5.~1~), nano, joe; word processors: ~$5 */
    "*~",
    "~*",
    /* emacs: #5#, .#5, .#-emacsXXXXXX; systemd: .#5XXXXXXXXXXXXXXXX; LibreOffice: .~lock.5# */
    "#*",
    ".#*",
    ".~*",
    /* GLib */
    ".goutputstream-*",
    /* sed -i, perl -i, gawk -i inplace */
    "sed" XXXXXX,
    "XX" XXXXXX,
    "*.gawk." XXXXXX,
    /* rsync: .NAME.XXXXXX; NFS: .nfsXXXXXXXX */
    ".*." XXXXXX,
    ".nfs*",
};

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

/* Whether letters can be said aloud, as words can: vowels, and few consonants in a row. */
static bool is_word(const char *text, size_t length)
{
    size_t vowels = 0, consonants = 0;

    for (size_t i = 0; i < length; i++) {
        if (!is_lower(text[i]) && !(i == 0 && is_lower((char)(text[i] | 0x20)))) {
            return false;
        }
        if (strchr("aeiouyAEIOUY", text[i]) != NULL) {
            vowels++;
            consonants = 0;
        } else if (++consonants > 2) {
            return false;
        }
    }
    return vowels >= 2;
}

/*
 * What is put behind the name of the page that will be replaced: 5.XXXXXX (GLib, Qt), 5.oXXXXXX
 * (patch), 5XXXXXX (busybox sed), 5.1234567 ("5.$$", node), .51234567 (Go). A word, as in
 * 5.backup, is none: that somebody wants to keep.
 */
static bool is_page_with_suffix(const char *name)
{
    const char *base = name + (name[0] == '.');
    size_t digits = strspn(base, "0123456789");
    size_t length = strlen(base);
    const char *suffix;

    if (digits == 0) {
        return false;
    }
    if (base[digits] == '\0') {
        return name[0] == '.';
    }
    if (strchr(".-_", base[digits]) == NULL) {
        /* Its first letters may be digits, too. */
        suffix = length > 6 && length - 6 <= digits ? base + length - 6 : "";
    } else {
        suffix = base + digits + 1;
        if (*suffix != '\0' && suffix[strspn(suffix, "0123456789")] == '\0') {
            return true;
        }
        /* patch says with a letter what it is for. */
        suffix += strlen(suffix) == 7 && strchr("oripd", *suffix) != NULL;
    }
    return fnmatch(XXXXXX, suffix, 0) == 0 && !is_word(suffix, 6);
}

bool name_is_temporary(const char *name)
{
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        if (fnmatch(patterns[i], name, FNM_CASEFOLD) == 0) {
            return true;
        }
    }
    return is_page_with_suffix(name);
}
