/* Owns table `models`. Must not know what its texts mean. */
#include "db/models.h"

#include "db/table.h"

static const struct store_column COLUMNS[] = {
#define KEY(name, type) STORE_COLUMN(struct model_row, name, type)
#define COLUMN(name, type) KEY(name, type)
#include "db/models.def"
};

TABLE_IS_KEYED(models, model, .order = {"name"})
