/* What retention no longer keeps, deleted a little at a time. Nobody outside db/ includes this. */
#ifndef RBEE_DB_PRUNE_H
#define RBEE_DB_PRUNE_H

#include "db/store_private.h"

/* A transaction this small keeps nobody waiting who posts a row meanwhile. */
enum { STORE_PRUNE_BATCH_ROWS = 256 };

/* Deletes up to a batch of rows of one table, oldest first. 1: there may be more; 0: nothing was
 * left to delete; -1. */
int store_prune_step(sqlite3 *db, const struct store_retention *retention, int64_t now_ms,
                     struct err *err);

#endif
