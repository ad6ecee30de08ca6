/* Owns table `requests`. Must not know what its texts mean. */
#include "db/requests.h"

#include "db/table.h"

static const struct store_column COLUMNS[] = {
#define KEY(name, type) STORE_COLUMN(struct request_row, name, type)
#define COLUMN(name, type) KEY(name, type)
#include "db/requests.def"
};

TABLE_IS(requests, request, .order = {"submitted_ms", "id"}, .time = "submitted_ms",
         .may_go = "ended_ms <> 0")
TABLE_LOADS_LAST(requests, request)
TABLE_PUTS(requests, request)

int requests_end_interrupted(sqlite3 *db, int64_t now_ms, int64_t *out_count, struct err *err)
{
    /* The wall clock may have been set back since the request came. */
    static const char END[] = "UPDATE requests SET ended_ms = max(?, submitted_ms), outcome = "
                              "'" REQUEST_OUTCOME_INTERRUPTED "' WHERE ended_ms = 0";
    AUTO_STMT sqlite3_stmt *stmt = NULL;

    if (sqlite3_prepare_v2(db, END, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_bind_int64(stmt, 1, now_ms) != SQLITE_OK || sqlite3_step(stmt) != SQLITE_DONE)
        return store_file_fail(db, err, "end interrupted requests");
    *out_count = sqlite3_changes64(db);
    return 0;
}
