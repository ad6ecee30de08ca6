/* The chain of the audit trail: what a row's hash is over, what the head says, and how both are
 * checked. Pure: no SQL, no clock, no file.
 *
 * A row's hash is an HMAC-SHA256 with the trail's key over the hash before it and every field of
 * the row, each with its length before it, so that no two rows encode alike. The head is where the
 * chain begins and ends; its code (mac) is over all of it.
 *
 *   ... | row first_seq-1, archived | first_seq ... accepted_seq ... seq | end
 *                       first_hash ^                               hash ^
 *
 * A row by which a person has accepted a broken chain (accepted_seq) has, as the hash before it, a
 * digest of all rows that were there, as they were: a later change to one of them shows there. */
#ifndef RBEE_DB_AUDIT_CHAIN_H
#define RBEE_DB_AUDIT_CHAIN_H

#include "common/keyed_hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A value of a row as it is stored. */
struct audit_field {
    const char *text; /* NULL: it is an integer */
    size_t len;       /* of text, which may hold anything */
    int64_t integer;
};

/* So many digits of a hash stand for it where a head was kept. */
enum { AUDIT_HASH_PREFIX_MIN_BYTES = 12 };

/* No number of ours gets that far: what is there is a stranger's, and nothing is counted on from
 * it, or there would be no number after it. */
static const int64_t AUDIT_SEQ_END = INT64_MAX / 2;

enum audit_fault {
    AUDIT_GOOD,
    AUDIT_CHANGED, /* a row is not what was written there */
    AUDIT_MISSING, /* a row is gone */
    AUDIT_STRANGE, /* a row is there that was never written */
    AUDIT_HEAD,    /* the head itself is not what was written: rows may be missing from there on */
    AUDIT_FAULT_COUNT,
};

const char *audit_fault_name(enum audit_fault fault);
/* AUDIT_HEAD for a text that is no name. */
enum audit_fault audit_fault_of_name(const char *name);

struct audit_head {
    int64_t seq; /* of the last row; 0: there has been none */
    char hash[KEYED_HASH_TEXT_BYTES];
    int64_t first_seq; /* of the first row that is kept, or will be */
    char first_hash[KEYED_HASH_TEXT_BYTES];
    int64_t accepted_seq;
    int64_t broken_seq;
    enum audit_fault broken;
};

/* The chain as the writer has it. */
struct audit_chain {
    bool is_on; /* off: none of the rest means anything */
    unsigned char key[KEYED_HASH_KEY_BYTES];
    struct audit_head stored; /* as it is in the file */
    struct audit_head now;    /* with the rows of the transaction that is being made */
};

/* Of a chain without a row. */
void audit_head_init(struct audit_head *head);
void audit_head_mac(const struct audit_chain *chain, const struct audit_head *head,
                    char out[KEYED_HASH_TEXT_BYTES]);

/* The hash of a row with these FIELDS, all but its hash, behind the one with the hash BEFORE. */
void audit_row_hash(const struct audit_chain *chain, const char *before,
                    const struct audit_field *fields, size_t count,
                    char out[KEYED_HASH_TEXT_BYTES]);

/* One walk over the rows in order of their numbers, until the first that is wrong. */
struct audit_walk {
    const struct audit_chain *chain;
    int64_t next_seq;
    char before[KEYED_HASH_TEXT_BYTES];
    char digest[KEYED_HASH_TEXT_BYTES]; /* of the rows before accepted_seq */
    int64_t accepted_seq;               /* links before it are not looked at */
    int64_t row_count;
    enum audit_fault fault;
    int64_t bad_seq;
    /* A head that somebody kept elsewhere, the beginning of its hash at least; 0: none. */
    int64_t wanted_seq;
    char wanted_hash[KEYED_HASH_TEXT_BYTES];
};

/* From the head's first row on. */
void audit_walk_begin(struct audit_walk *walk, const struct audit_chain *chain);
/* Over all rows, which are only summed up: for their digest. */
void audit_walk_begin_sum(struct audit_walk *walk, const struct audit_chain *chain);
/* From behind row AFTER_SEQ on, whose hash is believed. */
void audit_walk_begin_after(struct audit_walk *walk, const struct audit_chain *chain,
                            int64_t after_seq, const char *hash);
/* FIELDS as for audit_row_hash(); the first is the number. Returns whether all is well so far. */
bool audit_walk_row(struct audit_walk *walk, const struct audit_field *fields, size_t count,
                    const char *hash);
/* Whether HASH is the wanted one. */
bool audit_walk_wants(const struct audit_walk *walk, const char *hash);
/* After the last row. The fault is final. */
void audit_walk_end(struct audit_walk *walk);

#endif
