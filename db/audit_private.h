/* What the files of the audit trail share with the writer. Nobody outside db/ includes this. */
#ifndef RBEE_DB_AUDIT_PRIVATE_H
#define RBEE_DB_AUDIT_PRIVATE_H

#include "db/audit.h"
#include "db/table.h"

/* ---- within a transaction of whoever has the connection ---- */

/* Gives WRITE, a row of the trail, its number and its hash. */
void audit_link(struct audit_chain *chain, struct store_write *write);
/* The same with another hash BEFORE it than the head's. */
void audit_link_behind(struct audit_chain *chain, const char *before, struct store_write *write);
/* Whether rows were linked since the last commit. */
bool audit_has_moved(const struct audit_chain *chain);
/* The head's row; the caller frees it. */
struct store_write *audit_head_row(const struct audit_chain *chain);
int audit_write_head(const struct audit_chain *chain, sqlite3 *db, struct err *err);

/* A transaction of its own, in which rows are linked and the head is written at the end. With RC
 * -1, and when the commit fails, nothing of it has happened. */
int audit_transaction_begin(struct audit_chain *chain, sqlite3 *db, struct err *err);
int audit_transaction_end(struct audit_chain *chain, sqlite3 *db, int rc, struct err *err);

/* ---- reading ---- */

enum { AUDIT_FIELD_COUNT = 11 }; /* the columns but the hash */

/* The row that STMT is at, as it stands in the file; borrowed from it. Returns its hash. */
const char *audit_read_fields(sqlite3_stmt *stmt, struct audit_field out[AUDIT_FIELD_COUNT]);
/* Reads up to LIMIT rows from *FROM_SEQ on, which follows, until EACH says no. 1: there may be
 * more; 0: that was the last, or EACH said no; -1. */
int audit_scan(sqlite3 *db, int64_t *from_seq, size_t limit,
               bool (*each)(void *owner, sqlite3_stmt *stmt), void *owner, struct err *err);

#endif
