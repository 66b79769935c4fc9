/* SPDX-License-Identifier: MIT */
/*
 * Hostile page files without libFuzzer:
 *
 *     fuzz_test                 the kept corpus and small golden files, and mutations of them
 *     fuzz_test FILE...         just these; also what AFL++ may call
 *     fuzz_test -w FILE SEED DIRECTORY COUNT
 *                               writes COUNT mutations of FILE into a directory
 *
 * MPG_FUZZ_MUTATIONS is how many mutations of each file are used; with MPG_FUZZ_TELL set, all
 * errors that the library returns are told. Nothing depends on chance.
 */
#include <dirent.h>
#include <inttypes.h>
#include <unistd.h>

#include "fuzz/image.h"
#include "fuzz/use.h"
#include "support/harness.h"

#define MUTATIONS 250
/* Mutations of mutations, before the file as it is comes again. */
#define GENERATIONS 6
/* An image that takes longer hangs. */
#define SECONDS_MAX 60

static unsigned char original[FUZZ_IMAGE_MAX], image[FUZZ_IMAGE_MAX];

/* The size of a file that fits, or -1. */
static long read_file(unsigned char *bytes, const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t size;
    int more;

    must(file != NULL);
    size = fread(bytes, 1, FUZZ_IMAGE_MAX, file);
    more = getc(file);
    must(fclose(file) == 0);
    return more == EOF ? (long)size : -1;
}

static void use(const unsigned char *bytes, size_t size)
{
    (void)alarm(SECONDS_MAX);
    use_image(bytes, size);
}

static void use_file(const char *path, uint64_t mutations)
{
    long length = read_file(original, path);
    size_t size = 0;

    if (length < 0)
        return;
    (void)fprintf(stderr, "%s\n", path);
    use(original, (size_t)length);
    for (uint64_t seed = 0; seed < mutations; seed++) {
        if (seed % GENERATIONS == 0) {
            size = (size_t)length;
            memset(image, 0, sizeof(image));
            memcpy(image, original, size);
        }
        size = image_mutate(image, size, sizeof(image), seed);
        use(image, size);
    }
}

static int is_page_file(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    return length > 4 && strcmp(entry->d_name + length - 4, ".mpp") == 0;
}

static void use_directory(const char *directory, uint64_t mutations)
{
    struct dirent **entries;
    int count = scandir(directory, &entries, is_page_file, alphasort);

    must(count > 0);
    for (int i = 0; i < count; i++) {
        char path[4096];

        must(snprintf(path, sizeof(path), "%s/%s", directory, entries[i]->d_name) <
             (int)sizeof(path));
        use_file(path, mutations);
        free(entries[i]);
    }
    free(entries);
}

static void write_mutations(const char *path, uint64_t seed, const char *directory, uint64_t count)
{
    long length = read_file(original, path);

    must(length >= 0);
    for (uint64_t i = 0; i < count; i++) {
        char name[4096];
        FILE *file;
        size_t size = (size_t)length;

        memset(image, 0, sizeof(image));
        memcpy(image, original, size);
        size = image_mutate(image, size, sizeof(image), seed + i);
        must(snprintf(name, sizeof(name), "%s/%" PRIu64 ".mpp", directory, seed + i) <
             (int)sizeof(name));
        file = fopen(name, "wb");
        must(file != NULL && fwrite(image, 1, size, file) == size && fclose(file) == 0);
    }
}

int main(int argc, char **argv)
{
    uint64_t mutations = setting("MPG_FUZZ_MUTATIONS", MUTATIONS);
    const char *top = getenv("top_srcdir");
    char directory[4096];

    fuzz_tell = getenv("MPG_FUZZ_TELL") != NULL;
    if (argc == 6 && strcmp(argv[1], "-w") == 0) {
        write_mutations(argv[2], strtoull(argv[3], NULL, 0), argv[4], strtoull(argv[5], NULL, 0));
        return 0;
    }
    for (int i = 1; i < argc; i++)
        use_file(argv[i], 0);
    if (argc == 1) {
        must(top != NULL);
        must(snprintf(directory, sizeof(directory), "%s/tests/fuzz/corpus", top) <
             (int)sizeof(directory));
        use_directory(directory, mutations);
        must(snprintf(directory, sizeof(directory), "%s/tests/golden", top) <
             (int)sizeof(directory));
        use_directory(directory, mutations / 10);
    }
    printf("%lu images: %lu opened, %lu of them for writing, %lu sound\n", fuzz_counts.used,
           fuzz_counts.opened, fuzz_counts.opened_for_writing, fuzz_counts.sound);
    return 0;
}
