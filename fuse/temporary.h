/* SPDX-License-Identifier: MIT */
/* Which names of scratch files look as if a program had thought them up for a while only. */
#ifndef TEMPORARY_H
#define TEMPORARY_H

#include <stdbool.h>

bool name_is_temporary(const char *name);

#endif
