/* Owns table `failures`. Must not know what its texts mean. */
#include "db/failures.h"

#include "db/query.h"

static const struct store_column COLUMNS[] = {
#define KEY(name, type) STORE_COLUMN(struct failure_row, name, type)
#define COLUMN(name, type) KEY(name, type)
#include "db/failures.def"
};

TABLE_IS_LOG(failures, failure)
TABLE_IS_QUERIED(failures, failure)
