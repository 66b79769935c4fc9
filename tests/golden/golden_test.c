/* SPDX-License-Identifier: MIT */
/*
 * Every golden file shows through the library exactly what its dump says, or fails to open with
 * exactly the error its dump names; opened read-only and, on a copy, for writing. See
 * golden/README.md for the form of a dump.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "mappedpages.h"

#define GOLDEN_FILES_AT_LEAST 31
#define NEW_PAGES 8

/* One golden file. */
struct golden {
    char *name;    /* without its ending */
    char *path;    /* of the page file */
    char *dump;    /* the text that it must show */
    char *file;    /* its bytes */
    size_t length; /* of them */
    char *copy;    /* path of a copy that may be changed */
};

/* How the dumps call the errors: by the crate's names, or by ours. */
static const struct {
    const char *name;
    int code;
} error_names[] = {
    {"InvalidPageSize", MPG_E_INVALID_PAGE_SIZE},
    {"CorruptSuperblock", MPG_E_CORRUPT_SUPERBLOCK},
    {"CorruptMetadata", MPG_E_CORRUPT_METADATA},
    {"CorruptProtectedDirectory", MPG_E_CORRUPT_PROTECTED_DIRECTORY},
    {"CorruptDirectoryIndex", MPG_E_CORRUPT_DIRECTORY_INDEX},
    {"TRUNCATED", MPG_E_TRUNCATED},
    {"CORRUPT_PAGE", MPG_E_CORRUPT_PAGE},
};

static const char *name_of(int code)
{
    for (size_t i = 0; i < sizeof error_names / sizeof error_names[0]; i++) {
        if (error_names[i].code == code)
            return error_names[i].name;
    }
    return mpg_strerror(code);
}

static void *must(void *memory)
{
    assert_non_null(memory);
    return memory;
}

static char *slurp(const char *path, size_t *length)
{
    FILE *file = must(fopen(path, "rb"));
    char *text = NULL;
    size_t used = 0, got;

    do {
        text = must(realloc(text, used + 65536 + 1));
        got = fread(text + used, 1, 65536, file);
        used += got;
    } while (got > 0);
    assert_false(ferror(file));
    fclose(file);
    text[used] = '\0';
    *length = used;
    return text;
}

static void spill(const char *path, const char *data, size_t length)
{
    FILE *file = must(fopen(path, "wb"));

    assert_int_equal(fwrite(data, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static unsigned long crc_of(const void *page, size_t size)
{
    return crc32(0, page, (uInt)size);
}

/* Both ways to a regular page's content show the same. */
static void dump_regular(FILE *out, const mpg_pager *pager)
{
    size_t size = mpg_page_size(pager);
    char *copied = must(malloc(size));
    const void *mapped;
    mpg_page_iter iter;
    mpg_page_id id;
    int more;

    mpg_page_iter_begin(&iter, pager, (mpg_page_id){0});
    while ((more = mpg_page_iter_next(&id, &iter)) > 0) {
        assert_int_equal(mpg_page_read(copied, pager, id, 0, size), 0);
        assert_int_equal(mpg_page_get(&mapped, pager, id), 0);
        assert_memory_equal(copied, mapped, size);
        fprintf(out, "page %" PRIu64 " %08lx\n", id.value, crc_of(copied, size));
    }
    assert_int_equal(more, 0);
    free(copied);
}

static void dump_protected(FILE *out, const mpg_pager *pager)
{
    size_t size = mpg_page_size(pager);
    char *content = must(malloc(size));
    mpg_protected_iter iter;
    mpg_protected_id id;
    int more;

    mpg_protected_iter_begin(&iter, pager, (mpg_protected_id){0});
    while ((more = mpg_protected_iter_next(&id, &iter)) > 0) {
        int error = mpg_protected_read(content, pager, id);

        if (error)
            fprintf(out, "protected %" PRIu64 " error %s\n", id.value, name_of(error));
        else
            fprintf(out, "protected %" PRIu64 " %08lx\n", id.value, crc_of(content, size));
    }
    assert_int_equal(more, 0);
    free(content);
}

static char *dump_of(const mpg_pager *pager)
{
    struct mpg_stat st = {.size = sizeof st};
    char *text = NULL;
    size_t length = 0;
    FILE *out = must(open_memstream(&text, &length));

    assert_int_equal(mpg_stat(&st, pager), 0);
    assert_int_equal(st.format, MPG_FORMAT_0_2);
    fprintf(out, "page_size %zu\n", mpg_page_size(pager));
    fprintf(out, "page_count %" PRIu64 "\n", st.total_pages);
    fprintf(out, "free_pages %" PRIu64 "\n", st.free_pages);
    dump_regular(out, pager);
    dump_protected(out, pager);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* The error is the one of the dump, and its message is a sentence that names the file. */
static void assert_refused(const struct golden *golden, int error, const char *path)
{
    const char *file_name = strrchr(path, '/') + 1;
    mpg_error_info info = {0};
    char text[64];

    snprintf(text, sizeof text, "error %s\n", name_of(error));
    assert_string_equal(text, golden->dump);
    assert_int_equal(mpg_last_error(&info), error);
    assert_int_equal(info.code, error);
    if (!strstr(info.message, file_name))
        fail_msg("\"%s\" does not name the file %s", info.message, file_name);
}

static void shows_its_dump_read_only(void **state)
{
    const struct golden *golden = *state;
    const mpg_pager *pager = NULL;
    int error = mpg_open_readonly(&pager, golden->path, NULL);

    if (error) {
        assert_null(pager);
        assert_refused(golden, error, golden->path);
        return;
    }
    char *dump = dump_of(pager);
    assert_string_equal(dump, golden->dump);
    free(dump);
    assert_int_equal(mpg_close(pager), 0);
}

static void shows_its_dump_open_for_writing(void **state)
{
    const struct golden *golden = *state;
    mpg_pager *pager = NULL;
    int error;

    spill(golden->copy, golden->file, golden->length);
    error = mpg_open(&pager, golden->copy, NULL);
    if (error) {
        size_t length;
        char *file = slurp(golden->copy, &length);

        assert_null(pager);
        assert_refused(golden, error, golden->copy);
        assert_int_equal(length, golden->length);
        assert_memory_equal(file, golden->file, length);
        free(file);
    } else {
        char *dump = dump_of(pager);

        assert_string_equal(dump, golden->dump);
        free(dump);
        assert_int_equal(mpg_close(pager), 0);
    }
}

/* The lines of a dump that tell what pages hold, without those of the ids given. */
static char *contents(const char *dump, const mpg_page_id *without, size_t count)
{
    char *result = must(calloc(1, strlen(dump) + 1));
    char *end = result;

    for (const char *line = dump, *next; *line; line = next) {
        uint64_t id;
        bool skip = strncmp(line, "page_count", 10) == 0 || strncmp(line, "free_pages", 10) == 0;

        next = strchr(line, '\n') + 1;
        if (sscanf(line, "page %" SCNu64, &id) == 1) {
            for (size_t i = 0; i < count; i++)
                skip = skip || without[i].value == id;
        }
        if (!skip)
            end = mempcpy(end, line, (size_t)(next - line));
    }
    return result;
}

/*
 * What new pages are given is theirs alone, also in a file whose metadata is an older state:
 * nothing that was there changes with them, now or after opening again.
 */
static void new_pages_touch_nothing_else(void **state)
{
    const struct golden *golden = *state;
    char *expected = contents(golden->dump, NULL, 0), *found, *dump;
    mpg_page_id ids[NEW_PAGES];
    mpg_protected_id protected_id;
    mpg_pager *pager = NULL;
    const mpg_pager *again = NULL;

    spill(golden->copy, golden->file, golden->length);
    assert_int_equal(mpg_open(&pager, golden->copy, NULL), 0);
    char *page = must(malloc(mpg_page_size(pager)));
    memset(page, 0xa5, mpg_page_size(pager));
    assert_int_equal(mpg_alloc_bulk(ids, pager, NEW_PAGES, 0), 0);
    for (size_t i = 0; i < NEW_PAGES; i++)
        assert_int_equal(mpg_page_write(pager, ids[i], page, 0, mpg_page_size(pager)), 0);
    assert_int_equal(mpg_alloc_protected(&protected_id, pager), 0);
    assert_int_equal(mpg_free_protected(pager, protected_id), 0);
    assert_int_equal(mpg_sync(pager), 0);
    dump = dump_of(pager);
    found = contents(dump, ids, NEW_PAGES);
    assert_string_equal(found, expected);
    assert_int_equal(mpg_close(pager), 0);
    free(found);

    assert_int_equal(mpg_open_readonly(&again, golden->copy, NULL), 0);
    char *dump_again = dump_of(again);
    assert_string_equal(dump_again, dump);
    assert_int_equal(mpg_close(again), 0);
    free(dump_again);
    free(dump);
    free(expected);
    free(page);
}

static int remove_copy(void **state)
{
    const struct golden *golden = *state;

    return unlink(golden->copy) == 0 || errno == ENOENT ? 0 : -1;
}

static char *joined(const char *directory, const char *name, const char *ending)
{
    char *path = NULL;

    if (asprintf(&path, "%s/%s%s", directory, name, ending) < 0)
        abort();
    return path;
}

static void load(struct golden *golden, const char *golden_directory, const char *own_directory,
                 const char *name)
{
    size_t length;
    char *dump_path = joined(golden_directory, name, ".dump");

    golden->name = must(strdup(name));
    golden->path = joined(golden_directory, name, ".mpp");
    golden->copy = joined(own_directory, name, ".mpp");
    golden->dump = slurp(dump_path, &length);
    golden->file = slurp(golden->path, &golden->length);
    free(dump_path);
}

static void unload(struct golden *golden)
{
    free(golden->name);
    free(golden->path);
    free(golden->copy);
    free(golden->dump);
    free(golden->file);
}

static bool is_error(const struct golden *golden)
{
    return strncmp(golden->dump, "error", 5) == 0;
}

static int is_dump(const struct dirent *entry)
{
    const char *ending = strrchr(entry->d_name, '.');

    return ending && strcmp(ending, ".dump") == 0;
}

int main(void)
{
    static const struct {
        const char *what;
        CMUnitTestFunction run;
    } kinds[] = {
        {"read-only", shows_its_dump_read_only},
        {"for writing", shows_its_dump_open_for_writing},
        {"new pages", new_pages_touch_nothing_else},
    };
    enum { KINDS = sizeof kinds / sizeof kinds[0] };
    const char *top = getenv("top_srcdir");
    char own_directory[] = "golden-XXXXXX";
    char *golden_directory = joined(top ? top : "..", "tests/golden", "");
    struct dirent **entries;
    size_t test_count = 0;
    int count = scandir(golden_directory, &entries, is_dump, alphasort);

    if (count < GOLDEN_FILES_AT_LEAST || !mkdtemp(own_directory)) {
        fprintf(stderr, "%s: %d golden files\n", golden_directory, count);
        return 1;
    }
    struct golden *files = must(calloc((size_t)count, sizeof *files));
    struct CMUnitTest *tests = must(calloc((size_t)count * KINDS, sizeof *tests));
    for (int i = 0; i < count; i++) {
        *strrchr(entries[i]->d_name, '.') = '\0';
        load(&files[i], golden_directory, own_directory, entries[i]->d_name);
        for (int kind = 0; kind < KINDS; kind++) {
            if (kinds[kind].run == new_pages_touch_nothing_else && is_error(&files[i]))
                continue;
            tests[test_count++] = (struct CMUnitTest){
                .name = joined(files[i].name, kinds[kind].what, ""),
                .test_func = kinds[kind].run,
                .teardown_func = remove_copy,
                .initial_state = &files[i],
            };
        }
        free(entries[i]);
    }
    int failed = _cmocka_run_group_tests("golden", tests, test_count, NULL, NULL);
    for (size_t i = 0; i < test_count; i++)
        free((char *)(uintptr_t)tests[i].name);
    for (int i = 0; i < count; i++)
        unload(&files[i]);
    free(tests);
    free(files);
    free(entries);
    free(golden_directory);
    return rmdir(own_directory) != 0 || failed != 0;
}
