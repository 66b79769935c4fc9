/* SPDX-License-Identifier: MIT */
/* Writers, for those that commit them. */
#ifndef MPGI_WRITER_H
#define MPGI_WRITER_H

#include "mappedpages.h"
#include "pager/edit.h"

/* Makes ready what takes time. Called without the lock, before the edit begins. */
void mpgi_writer_prepare(mpg_writer *writer);

/* Applies the staged content to an edit. May return EDIT_RESTART. */
int mpgi_apply_writer(struct edit *edit, mpg_writer *writer);

/* Frees the writer. Called with the pager's lock held. */
void mpgi_writer_free(mpg_writer *writer);

#endif
