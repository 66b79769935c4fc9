/* SPDX-License-Identifier: MIT */
/* The target for libFuzzer; see scripts/fuzz. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/image.h"
#include "fuzz/use.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char image[FUZZ_IMAGE_MAX];

    if (size > sizeof(image))
        return -1;
    if (size > 0)
        memcpy(image, data, size);
    image_seal(image, size, NULL);
    use_image(image, size);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    return image_mutate(data, size, max_size, seed);
}
