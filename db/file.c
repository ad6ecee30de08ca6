/* Owns the database file: how it is opened, checked, migrated, and set aside when it is corrupt.
 * Must not know what the tables mean. */
#include "db/store_private.h"

#include "common/clock.h"
#include "common/mem.h"
#include "db/migrations.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    STORE_FILE_MODE = 0600,
    STORE_APPLICATION_ID = 0x72626565, /* "rbee", in the file's header */
    STORE_VALUE_LIMIT_BYTES = 1024 * 1024,
};

/* What opening has found out about the file. */
enum store_verdict { STORE_GOOD, STORE_CORRUPT, STORE_FAILED };

static void store_db_close(sqlite3 **db)
{
    (void)sqlite3_close(*db); /* every statement is finalized: nothing is left to refuse it */
}
#define AUTO_DB __attribute__((cleanup(store_db_close)))

static bool store_is_corrupt(sqlite3 *db)
{
    int code = sqlite3_errcode(db) & 0xff;

    return code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
}

int store_file_fail(sqlite3 *db, struct err *err, const char *what)
{
    int code = sqlite3_errcode(db) & 0xff;

    if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
        return err_set(err, ERR_CONFLICT, "%s: another process holds the database", what);
    return err_set(err, ERR_IO, "%s: %s (SQLite %d)", what, sqlite3_errmsg(db),
                   sqlite3_extended_errcode(db));
}

static int store_execute(sqlite3 *db, const char *sql, struct err *err)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return store_file_fail(db, err, "database");
    return 0;
}

static int store_read_number(sqlite3 *db, const char *sql, int64_t *out, struct err *err)
{
    AUTO_STMT sqlite3_stmt *stmt = NULL;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW)
        return store_file_fail(db, err, "database");
    *out = sqlite3_column_int64(stmt, 0);
    return 0;
}

/* Makes the file with our mode before SQLite would with the umask's; its -wal takes after it. */
static int store_make_file(const char *path, struct err *err)
{
    AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, STORE_FILE_MODE);
    struct stat info;

    if (fd < 0)
        return err_set(err, ERR_IO, "open %s: %m", path);
    if (fstat(fd, &info) < 0)
        return err_set(err, ERR_IO, "stat %s: %m", path);
    if (!S_ISREG(info.st_mode))
        return err_set(err, ERR_IO, "%s is not a regular file", path);
    if ((info.st_mode & ALLPERMS) != STORE_FILE_MODE && fchmod(fd, STORE_FILE_MODE) < 0)
        return err_set(err, ERR_IO, "chmod %s: %m", path);
    return 0;
}

/* What must hold before the first page is read. Closing writes nothing until the schema is known to
 * be ours. EXCLUSIVE: one connection in one process, kept by SQLite itself. */
static int store_set_up(sqlite3 *db, struct err *err)
{
    (void)sqlite3_extended_result_codes(db, 1); /* these only set flags */
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, STORE_VALUE_LIMIT_BYTES);
    return store_execute(db,
                         "PRAGMA trusted_schema = OFF;"
                         "PRAGMA cell_size_check = ON;"
                         "PRAGMA locking_mode = EXCLUSIVE;",
                         err);
}

/* Refuses what is newer or not ours. *out_version is the schema's. */
static int store_check_schema(sqlite3 *db, const char *path, int64_t *out_version, struct err *err)
{
    int64_t application_id = 0;
    int64_t table_count = 0;

    if (store_read_number(db, "PRAGMA application_id", &application_id, err) < 0 ||
        store_read_number(db, "PRAGMA user_version", out_version, err) < 0 ||
        store_read_number(db, "SELECT count(*) FROM sqlite_schema", &table_count, err) < 0)
        return -1;
    if (application_id != STORE_APPLICATION_ID && (application_id != 0 || table_count != 0))
        return err_set(err, ERR_CONFIG, "%s is a database of another program", path);
    if (*out_version < 0 || *out_version > (int64_t)MIGRATION_COUNT)
        return err_set(err, ERR_CONFIG,
                       "%s has schema version %lld, this rbeed knows up to %zu: it was written by "
                       "a newer one",
                       path, (long long)*out_version, MIGRATION_COUNT);
    return 0;
}

/* 1: good; 0: it is not; -1. */
static int store_quick_check(sqlite3 *db, struct err *err)
{
    AUTO_STMT sqlite3_stmt *stmt = NULL;

    if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW)
        return store_file_fail(db, err, "check the database");
    return strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") == 0;
}

static int store_use_wal(sqlite3 *db, struct err *err)
{
    AUTO_STMT sqlite3_stmt *stmt = NULL;

    if (sqlite3_prepare_v2(db, "PRAGMA journal_mode = WAL", -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW)
        return store_file_fail(db, err, "set up the database");
    if (strcmp((const char *)sqlite3_column_text(stmt, 0), "wal") != 0)
        return err_set(err, ERR_IO, "the file system of the database cannot hold a WAL");
    /* What is sorted never goes to a disk that may be full. */
    return store_execute(db,
                         "PRAGMA synchronous = FULL;"
                         "PRAGMA wal_autocheckpoint = 0;"
                         "PRAGMA temp_store = MEMORY;",
                         err);
}

static int store_migrate_one(sqlite3 *db, const struct migration *migration, struct err *err)
{
    AUTO_FREE char *finish = xasprintf("PRAGMA application_id = %d; PRAGMA user_version = %u;"
                                       "COMMIT;",
                                       STORE_APPLICATION_ID, migration->version);

    if (store_execute(db, "BEGIN IMMEDIATE", err) == 0 &&
        store_execute(db, migration->sql, err) == 0 && store_execute(db, finish, err) == 0)
        return 0;
    if (sqlite3_get_autocommit(db) == 0)
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL); /* closing would do it as well */
    return err_wrap(err, "migration %u (%s)", migration->version, migration->name);
}

static int store_migrate(sqlite3 *db, int64_t version, struct store_report *report, struct err *err)
{
    report->migrated_from = (uint32_t)version;
    for (size_t i = (size_t)version; i < MIGRATION_COUNT; i++) {
        assert(MIGRATIONS[i].version == i + 1);
        if (store_migrate_one(db, &MIGRATIONS[i], err) < 0)
            return -1;
    }
    report->migrated_to = (uint32_t)MIGRATION_COUNT;
    return 0;
}

static int store_check_and_migrate(sqlite3 *db, const char *path, struct store_report *report,
                                   bool *out_is_bad, struct err *err)
{
    int64_t version = 0;
    int is_good = 0;

    if (store_set_up(db, err) < 0 || store_check_schema(db, path, &version, err) < 0)
        return -1;
    is_good = store_quick_check(db, err);
    if (is_good < 0)
        return -1;
    *out_is_bad = is_good == 0;
    if (*out_is_bad)
        return err_set(err, ERR_IO, "the database failed its check");
    if (store_use_wal(db, err) < 0 || store_migrate(db, version, report, err) < 0)
        return -1;
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL); /* sets a flag */
    return 0;
}

/* Reading makes a log beside the file. One of a file that is not ours to touch goes again while the
 * connection still keeps others out; what a newer program has left in its own stays. */
static void store_remove_empty_log(const char *path)
{
    AUTO_FREE char *log = xasprintf("%s-wal", path);
    struct stat info;

    if (stat(log, &info) == 0 && info.st_size == 0)
        (void)unlink(log); /* an empty one says nothing */
}

static enum store_verdict store_try_open(const char *path, struct store_report *report,
                                         sqlite3 **out_db, struct err *err)
{
    AUTO_DB sqlite3 *db = NULL;
    bool is_bad = false;
    int rc = 0;

    if (store_make_file(path, err) < 0)
        return STORE_FAILED;
    rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) {
        err_fill(err, ERR_IO, "open %s: %s", path, sqlite3_errstr(rc));
        return STORE_FAILED;
    }
    if (store_check_and_migrate(db, path, report, &is_bad, err) < 0) {
        if (err->kind == ERR_CONFIG)
            store_remove_empty_log(path);
        return is_bad || store_is_corrupt(db) ? STORE_CORRUPT : STORE_FAILED;
    }
    *out_db = take_ptr(db);
    return STORE_GOOD;
}

/* "20261121T225107.123Z": a time that needs no quotes in a shell. */
static void store_format_stamp(char out[CLOCK_RFC3339_BYTES])
{
    char full[CLOCK_RFC3339_BYTES];
    size_t len = 0;

    clock_format_rfc3339(clock_wall_ms(), full);
    for (const char *c = full; *c != '\0'; c++) {
        if (*c != '-' && *c != ':')
            out[len++] = *c;
    }
    out[len] = '\0';
}

/* Renames the file and what SQLite keeps beside it, under names that still belong together. */
static int store_set_aside(const char *path, struct store_report *report, struct err *err)
{
    static const char *const SUFFIXES[] = {"-wal", "-shm", "-journal", ""};
    char stamp[CLOCK_RFC3339_BYTES];
    AUTO_FREE char *aside = NULL;

    store_format_stamp(stamp);
    aside = xasprintf("%s.corrupt-%s", path, stamp);
    for (size_t i = 0; i < ARRAY_COUNT(SUFFIXES); i++) {
        AUTO_FREE char *from = xasprintf("%s%s", path, SUFFIXES[i]);
        AUTO_FREE char *to = xasprintf("%s%s", aside, SUFFIXES[i]);

        if (rename(from, to) < 0 && errno != ENOENT)
            return err_set(err, ERR_IO, "set the corrupt %s aside: %m", from);
    }
    report->was_corrupt = true;
    (void)snprintf(report->corrupt_path, sizeof(report->corrupt_path), "%s", aside);
    return 0;
}

sqlite3 *store_file_open(const char *path, struct store_report *out_report, struct err *err)
{
    struct store_report report = {.was_corrupt = false};
    sqlite3 *db = NULL;
    enum store_verdict verdict = store_try_open(path, &report, &db, err);

    if (verdict == STORE_CORRUPT) {
        report.corrupt_cause = *err;
        err_clear(err);
        if (store_set_aside(path, &report, err) < 0)
            return NULL;
        verdict = store_try_open(path, &report, &db, err);
    }
    if (verdict != STORE_GOOD)
        return NULL;
    *out_report = report;
    return db;
}
