/* Owns table `workers`. Must not know what its texts mean. */
#include "db/workers.h"

#include "db/table.h"

static const struct store_column COLUMNS[] = {
#define KEY(name, type) STORE_COLUMN(struct worker_row, name, type)
#define COLUMN(name, type) KEY(name, type)
#include "db/workers.def"
};

TABLE_IS_KEYED(workers, worker, .order = {"name"})
