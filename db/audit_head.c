/* Owns table `audit_head`. Must not know what its texts mean. */
#include "db/audit_head.h"

#include "db/table.h"

static const struct store_column COLUMNS[] = {
#define KEY(name, type) STORE_COLUMN(struct audit_head_row, name, type)
#define COLUMN(name, type) KEY(name, type)
#include "db/audit_head.def"
};

TABLE_IS(audit_head, audit_head, .order = {"name"})
