/* Owns the list of all tables. */
#include "db/table.h"

const struct store_table *const STORE_TABLES[STORE_TABLE_COUNT] = {
#define TABLE(name) [STORE_TABLE_##name] = &TABLE_##name,
#include "db/tables.def"
};
