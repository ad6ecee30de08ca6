/* A store in a folder of its own, for unit tests, and what was told of it. */
#ifndef RBEE_TESTS_STORE_FIXTURE_H
#define RBEE_TESTS_STORE_FIXTURE_H

#include "db/events.h"
#include "db/store.h"
#include "tests/full_disk.h"
#include "tests/temp_folder.h"

#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    char *folder;
    char *path;
    struct store *store;
    struct store_report report;
    /* What was told. */
    int done_count;
    int failed_count;
    int lost_count;
    int health_count;
    struct err health;
    struct err last_lost;
};

static inline int set_up(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));

    fixture->folder = temp_folder_make();
    fixture->path = paths_join(fixture->folder, "rbee.db");
    *state = fixture;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *fixture = *state;

    store_close(fixture->store);
    temp_folder_remove(fixture->folder);
    free(fixture->folder);
    free(fixture->path);
    free(fixture);
    return 0;
}

static inline void on_done(void *owner, const struct err *err)
{
    struct fixture *fixture = owner;

    fixture->done_count++;
    fixture->failed_count += err_is_set(err) ? 1 : 0;
}

static inline void on_lost(void *owner, const struct err *err)
{
    struct fixture *fixture = owner;

    fixture->lost_count++;
    fixture->last_lost = *err;
}

static inline void on_health(void *owner, const struct err *err)
{
    struct fixture *fixture = owner;

    fixture->health_count++;
    fixture->health = *err;
}

static inline void open_store(struct fixture *fixture)
{
    struct err err = ERR_INIT;

    fixture->store = store_open(fixture->path, &fixture->report, &err);
    if (fixture->store == NULL)
        fail_msg("%s", err.message);
}

static inline void start_store(struct fixture *fixture)
{
    struct store_listener listener = {on_health, on_lost, fixture};
    struct err err = ERR_INIT;

    assert_int_equal(store_start(fixture->store, &listener, &err), 0);
}

static inline void close_store(struct fixture *fixture)
{
    store_close(take_ptr(fixture->store));
}

static inline struct store_done told(struct fixture *fixture)
{
    return (struct store_done){on_done, fixture};
}

/* Until *COUNT has reached TARGET; what takes ten seconds does not come. */
static inline void dispatch_until(struct fixture *fixture, const int *count, int target)
{
    while (*count < target) {
        struct pollfd ready = {.fd = store_fd(fixture->store), .events = POLLIN};

        assert_int_equal(poll(&ready, 1, 10000), 1);
        store_dispatch(fixture->store);
    }
}

static inline int append_event(struct fixture *fixture, const char *kind, struct store_done done)
{
    struct event_row row = {.at_ms = 1, .kind = kind, .details = "{}"};
    struct err err = ERR_INIT;
    int rc = events_append(fixture->store, &row, done, NULL, &err);

    if (rc < 0)
        assert_int_equal(err.kind, ERR_BUSY);
    return rc;
}

/* A store with one event, whose disk is full from then on. */
static inline void open_store_on_full_disk(struct fixture *fixture)
{
    open_store(fixture);
    start_store(fixture);
    assert_int_equal(append_event(fixture, "before", told(fixture)), 0);
    dispatch_until(fixture, &fixture->done_count, 1);
    full_disk_limit(4096);
}

static inline size_t count_events(struct fixture *fixture)
{
    struct event_rows events;
    struct err err = ERR_INIT;
    size_t count = 0;

    assert_int_equal(events_load_last(fixture->store, 1 << 20, &events, &err), 0);
    count = events.count;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(events.rows[i].seq, i + 1); /* none is missing, none twice */
    event_rows_release(&events);
    return count;
}

/* One number from the file, read past the store while that is closed. */
static inline int64_t query(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    int64_t number = -1;

    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        number = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(db);
    return number;
}

#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
