/* SPDX-License-Identifier: MIT */
#ifndef MPGI_CHECK_H
#define MPGI_CHECK_H

/* The name of the fault that keeps a file from being opened, by the error. */
const char *mpgi_fault_name(int code);

#endif
