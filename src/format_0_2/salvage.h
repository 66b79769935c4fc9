/* SPDX-License-Identifier: MIT */
/* What the two halves of salvaging a file of format 0.2 share. */
#ifndef MPGI_SALVAGE_0_2_H
#define MPGI_SALVAGE_0_2_H

#include "format/salvage.h"

/* Whether a page holds metadata, whole, of a file with pages of that size. */
bool mpgi_is_metadata_0_2(const struct file *file, uint32_t page_size, uint64_t page);
/* As identify of struct salvage_ops. */
int mpgi_identify_0_2(struct salvage *salvage);
/* As collect there. */
int mpgi_collect_0_2(struct salvage *salvage);

#endif
