/* Table `audit_head`: one row, the end of the chain as audit_chain.h has it. Nobody outside db/
 * includes this. */
#ifndef RBEE_DB_AUDIT_HEAD_H
#define RBEE_DB_AUDIT_HEAD_H

#include "db/store.h"

struct audit_head_row {
    const char *name; /* key: "audit" */
    int64_t seq;
    const char *hash;
    int64_t first_seq;
    const char *first_hash;
    int64_t accepted_seq;
    int64_t broken_seq;
    const char *broken;
    const char *mac;
};

struct audit_head_rows {
    struct audit_head_row *rows;
    size_t count;
    struct store_texts texts;
};

void audit_head_rows_release(struct audit_head_rows *rows);

#endif
