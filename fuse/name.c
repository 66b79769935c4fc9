/* SPDX-License-Identifier: MIT */
#include "name.h"

#include <string.h>

#include "node.h"

enum name_kind name_parse(const char *name, uint64_t *number)
{
    size_t length = strspn(name, "0123456789");
    uint64_t value = 0;

    if (strcmp(name, "new") == 0) {
        return NAME_NEW;
    }
    if (strcmp(name, "last") == 0) {
        return NAME_LAST;
    }
    if (length == 0 || name[length] != '\0') {
        return NAME_SCRATCH;
    }
    if (name[0] == '0' && length > 1) {
        return NAME_DIGITS;
    }
    for (size_t i = 0; i < length; i++) {
        value = value * 10 + (uint64_t)(name[i] - '0');
        if (value >= NODE_ID_LIMIT) {
            return NAME_HUGE;
        }
    }
    *number = value;
    return NAME_NUMBER;
}

bool name_is_too_long(const char *name)
{
    return strnlen(name, NAME_MAX + 1) > NAME_MAX;
}

void name_show(char shown[NAME_SHOWN_SIZE], const char *name)
{
    size_t i;

    for (i = 0; i < NAME_SHOWN_SIZE - 1 && name[i] != '\0'; i++) {
        /* Control characters could feign a line of their own. */
        bool steers = (unsigned char)name[i] < ' ' || name[i] == 0x7f;

        shown[i] = name[i];
        if (steers) {
            shown[i] = '?';
        }
    }
    shown[i] = '\0';
}

void name_print(char name[NAME_NUMBER_SIZE], uint64_t number)
{
    char digits[NAME_NUMBER_SIZE];
    size_t count = 0;

    /* By hand: snprintf took nearly a third of the time of a listing. */
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0 && count < NAME_NUMBER_SIZE - 1);
    for (size_t i = 0; i < count; i++) {
        name[i] = digits[count - 1 - i];
    }
    name[count] = '\0';
}
