/* Owns table `events`. Must not know what its texts mean. */
#include "db/events.h"

#include "db/query.h"

static const struct store_column COLUMNS[] = {
#define KEY(name, type) STORE_COLUMN(struct event_row, name, type)
#define COLUMN(name, type) KEY(name, type)
#include "db/events.def"
};

TABLE_IS_LOG(events, event)
TABLE_IS_QUERIED(events, event)
