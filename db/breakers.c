/* Owns table `breakers`. Must not know what its texts mean. */
#include "db/breakers.h"

#include "db/table.h"

static const struct store_column COLUMNS[] = {
#define KEY(name, type) STORE_COLUMN(struct breaker_row, name, type)
#define COLUMN(name, type) KEY(name, type)
#include "db/breakers.def"
};

TABLE_IS_KEYED(breakers, breaker, .order = {"key"})
