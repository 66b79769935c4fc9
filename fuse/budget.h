/* SPDX-License-Identifier: MIT */
/*
 * A limit for memory that clients make the driver take. Nobody can take all of it: what one process
 * takes, and what all processes of one user take, stays below 15/16 of what the others leave.
 */
#ifndef BUDGET_H
#define BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "client.h"

struct budget;
struct payer; /* a process that takes some of it */

/* `limit` is in bytes. */
struct budget *budget_new(uint64_t limit);
void budget_free(struct budget *budget);

/* Who is to pay; NULL without memory. budget_leave ends it: then everything is given back. */
struct payer *budget_enter(struct budget *budget, const struct client *client);
void budget_leave(struct budget *budget, struct payer *payer);

/* Takes bytes, or does not: false if that is over the limit. */
bool budget_take(struct budget *budget, struct payer *payer, uint64_t bytes);
void budget_give(struct budget *budget, struct payer *payer, uint64_t bytes);

#endif
