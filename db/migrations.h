/* The schema's history, embedded from db/migrations/NNNN_name.sql by embed_migrations.sh. Forward
 * only: a file that has been released is never edited. */
#ifndef RBEE_DB_MIGRATIONS_H
#define RBEE_DB_MIGRATIONS_H

#include <stddef.h>
#include <stdint.h>

struct migration {
    uint32_t version; /* 1, 2, 3... */
    const char *name;
    const char *sql;
};

extern const struct migration MIGRATIONS[];
extern const size_t MIGRATION_COUNT;

#endif
