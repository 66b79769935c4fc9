/* SPDX-License-Identifier: MIT */
/*
 * The rules of durability, and a way to break one on purpose.
 *
 * Code that does something only because a rule asks for it does it under `if (RULE_HOLDS(n))`. In
 * the library that is a constant, and nothing of it is left in the program. The test that shows
 * that each rule is needed builds the sources again with MPG_BREAK_RULES and takes them out one by
 * one.
 */
#ifndef MPGI_RULES_H
#define MPGI_RULES_H

#ifdef MPG_BREAK_RULES
extern int mpgi_broken_rule; /* the rule that does not hold, or 0; defined by the test */
#define RULE_HOLDS(n) (mpgi_broken_rule != (n))
#else
#define RULE_HOLDS(n) 1
#endif

/* Parts of rules that have a switch of their own. */
#define RULE_1_RECOVERY 101 /* what was found is synced before recovery writes on top of it */
#define RULE_5_ZEROS 501    /* zeros in the page cache are not taken for zeros on the disk */
#define RULE_6_AGAIN 601    /* opening writes again what the last commit made valid */

#endif
