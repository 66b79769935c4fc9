/* SPDX-License-Identifier: MIT */
/* Floor 1: the length of the file, and the disk space behind it. */
#ifndef MPGI_GROW_H
#define MPGI_GROW_H

#include <stdint.h>

#include "os/io.h"

/*
 * Rule 9: makes the file at least `bytes` long, with disk space behind it unless sparse; or fails,
 * and then it is as long as before.
 */
int mpgi_file_grow(struct file *file, uint64_t bytes);

/*
 * Rule 14: makes sure that there is disk space behind a range of the file, unless sparse. NO_SPACE
 * where there is none. `is_new`: nobody but the caller has it yet. `page` is for messages only.
 * Pager's lock held.
 */
int mpgi_file_back(struct file *file, uint64_t offset, uint64_t length, uint64_t page, bool is_new);

/*
 * Gives the disk space of a range of the file back, which nobody uses and which reads as zeros
 * then. Called without the pager's lock; mpgi_file_unback follows, with it. `page` is for messages
 * only.
 */
int mpgi_file_punch(const struct file *file, uint64_t offset, uint64_t length, uint64_t page);
/* Forgets that there is space behind a range, so that mpgi_file_back sees to it. */
void mpgi_file_unback(struct file *file, uint64_t offset, uint64_t length);

/*
 * Whether a page can be written at its address, where space is so scarce that there was some for
 * the page and not for what is around it: the page cache may hold both in one, and a write to the
 * one then needs space for the other. NO_SPACE if not.
 */
int mpgi_file_try_address(const struct file *file, void *address, size_t length, uint64_t page);

#endif
