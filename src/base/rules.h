/* SPDX-License-Identifier: MIT */
/*
 * The rules of durability, and a way to break one on purpose.
 *
 * Code that does something only because a rule asks for it does it under `if (RULE_HOLDS(n))`. In
 * the library that is a constant, and nothing of it is left in the program. The test that shows
 * that each rule is needed builds the sources again with MPG_BREAK_RULES and takes them out one by
 * one. What has no switch here follows from other rules: doc/durability.md says from which.
 */
#ifndef MPGI_RULES_H
#define MPGI_RULES_H

/* Rules 1 to 9 go by their numbers; those of the chain of records, by these (doc/durability.md). */
enum rule {
    RULE_LAST_IS_VERIFIED = 41, /* 4a: contents of the last record */
    RULE_ROOT_IS_VERIFIED = 42, /* 4b: what a root wrote that no sync came before */
    RULE_EARLIER_ARE_NOT = 43,  /* 4c: contents of records before the last */
    RULE_FOLLOWED_ROOT_IS_NOT = 44 /* 4d: what a root wrote that a record follows */,
    RULE_RECORD_CRC = 121,       /* L1 */
    RULE_EPOCH = 122,            /* L2: root, generation and link of a record */
    RULE_RECORDS_REST = 104,     /* L4 */
    RULE_PLACES_REST = 105,      /* L5 */
    RULE_NEW_EPOCH = 106,        /* L6 */
    RULE_CHECKPOINT_SYNC = 107,  /* L7 */
    RULE_ANNUL = 108,            /* L8a */
    RULE_ANNUL_SYNC = 128,       /* L8b */
    RULE_CLOSE_FOLDS = 109,      /* L9a */
    RULE_CLEAN_OPENING = 129,    /* L9b */
    RULE_GAP_IS_DAMAGE = 110,    /* L10 */
    RULE_SECOND_ROOT = 111,      /* L11 */
    RULE_OLD_CHAIN_RESTS = 112,  /* L12 */
    RULE_READ_ROOTS_AGAIN = 113, /* L13 */
    RULE_POOL = 201,             /* P1 */
    RULE_POOL_FREES = 202,       /* P2 */
    RULE_PINS = 203,             /* P3 */
    RULE_PART_CRC = 206,         /* P6 */
    RULE_TWO_AHEAD = 207,        /* P7 */
    RULE_IDENTITY = 209,         /* P9 */
    RULE_LOOK_AGAIN = 210,       /* P10 */
    RULE_REDO = 301,             /* R1: opening puts a content where a crash kept it from going */
    RULE_REDO_SYNC = 302,        /* R2: it is there before the mark says so */
    RULE_REDO_MARK = 303,        /* R3: the mark, without which it would be put there again */
    RULE_REDO_RESTS = 304,       /* R4: the page beside rests */
    RULE_REDO_LATE = 305,        /* R5: it is not put there before the record is durable */
    RULE_REDO_AGAIN = 306,       /* R6: … nor at opening before that record was written again */
    RULE_CLOSE_PINS = 213,       /* P3: views that were taken without the lock count, too */
    RULE_COMPACT_CONTENTS =
        401, /* compaction: contents and nodes are synced before what makes them count */
    RULE_COMPACT_ROOT = 402, /* … that before the other root is written, or anything given back */
};

#ifdef MPG_BREAK_RULES
extern int mpgi_broken_rule; /* the rule that does not hold, or 0; defined by the test */
#define RULE_HOLDS(n) (mpgi_broken_rule != (int)(n))
#else
#define RULE_HOLDS(n) ((int)(n) != 0)
#endif

/* Parts of rules that have a switch of their own. */
#define RULE_1_RECOVERY 101 /* what was found is synced before recovery writes on top of it */
#define RULE_5_ZEROS 501    /* zeros in the page cache are not taken for zeros on the disk */
#define RULE_6_AGAIN 601    /* opening writes again what the last commit made valid */

#endif
