/* Retention: which rows go, in what order, and which never do. */
#include "db/prune.h"

#include "db/events.h"
#include "db/requests.h"
#include "tests/store_fixture.h"

#include <sqlite3.h>

enum { NOW_MS = 1000000 };

/* Rows made by SQL, in a file of our schema; the store is closed. */
static void fill(struct fixture *fixture, const char *sql)
{
    sqlite3 *db = NULL;

    open_store(fixture);
    close_store(fixture);
    assert_int_equal(sqlite3_open(fixture->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(db);
}

/* Numbers 1 to 600, one a millisecond from 1 on. */
#define FILL_EVENTS                                                                                \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600)"                \
    " INSERT INTO events SELECT i, i, 'k', '', '', '{}' FROM n;"
#define FILL_FAILURES                                                                              \
    "INSERT INTO failures SELECT seq, at_ms, 0, '', '', '', '', '', '', '', 0, 0 FROM events;"
/* Every third is still running. */
#define FILL_REQUESTS                                                                              \
    "INSERT INTO requests SELECT printf('r-%06d', seq), '', '', '', at_ms, 0,"                     \
    " iif(seq % 3 = 0, 0, at_ms), '', '', 0, 0 FROM events;"
#define FILL_OTHERS                                                                                \
    "INSERT INTO breakers VALUES ('worker:w', '', '', 1, 1, 1, 1, 1, 0, '', '', 1);"               \
    "INSERT INTO models VALUES ('m', '', '', 1, '', 1, 1, 1, '', '', 1);"

/* Until nothing is left to delete; returns how many steps that took. */
static int prune(struct fixture *fixture, struct store_retention retention)
{
    struct err err = ERR_INIT;
    sqlite3 *db = NULL;
    int steps = 0;
    int rc = 1;

    assert_int_equal(sqlite3_open(fixture->path, &db), SQLITE_OK);
    while ((rc = store_prune_step(db, &retention, NOW_MS, &err)) > 0) {
        assert_in_range(sqlite3_changes(db), 1, STORE_PRUNE_BATCH_ROWS);
        steps++;
    }
    assert_int_equal(rc, 0);
    (void)sqlite3_close(db);
    return steps;
}

static int64_t count(struct fixture *fixture, const char *from)
{
    AUTO_FREE char *sql = xasprintf("SELECT count(*) FROM %s", from);

    return query(fixture->path, sql);
}

static void the_oldest_go_until_as_many_are_left_as_are_kept(void **state)
{
    struct fixture *fixture = *state;

    fill(fixture, FILL_EVENTS FILL_FAILURES FILL_OTHERS);
    assert_int_equal(prune(fixture, (struct store_retention){.keep_rows = 50}), 2 * 3);
    assert_int_equal(count(fixture, "events"), 50);
    assert_int_equal(count(fixture, "events WHERE seq > 550"), 50);
    assert_int_equal(count(fixture, "failures WHERE seq > 550"), 50);
    assert_int_equal(prune(fixture, (struct store_retention){.keep_rows = 50}), 0);
    assert_int_equal(count(fixture, "breakers"), 1);
    assert_int_equal(count(fixture, "models"), 1);
}

static void what_is_older_than_is_kept_goes(void **state)
{
    struct fixture *fixture = *state;

    fill(fixture, FILL_EVENTS FILL_FAILURES FILL_OTHERS);
    (void)prune(fixture, (struct store_retention){.keep_ms = NOW_MS - 100});
    assert_int_equal(count(fixture, "events"), 501);
    assert_int_equal(count(fixture, "events WHERE at_ms >= 100"), 501);
    assert_int_equal(count(fixture, "failures WHERE at_ms >= 100"), 501);
    assert_int_equal(count(fixture, "breakers"), 1);
    assert_int_equal(count(fixture, "models"), 1);
}

/* Who asks for what comes after number 600 must never be told of another 1. */
static void the_newest_of_a_log_stays_and_numbers_go_on(void **state)
{
    struct fixture *fixture = *state;
    struct event_row event = {.kind = "k", .details = "{}"};
    struct err err = ERR_INIT;
    int64_t seq = 0;

    fill(fixture, FILL_EVENTS);
    (void)prune(fixture, (struct store_retention){.keep_ms = 1, .keep_rows = 1});
    assert_int_equal(query(fixture->path, "SELECT sum(seq) FROM events"), 600);
    open_store(fixture);
    start_store(fixture);
    assert_int_equal(events_append(fixture->store, &event, STORE_NOBODY, &seq, &err), 0);
    assert_true(seq == 601);
}

static void a_request_that_runs_stays(void **state)
{
    struct fixture *fixture = *state;

    fill(fixture, FILL_EVENTS FILL_REQUESTS);
    (void)prune(fixture, (struct store_retention){.keep_rows = 300});
    assert_int_equal(count(fixture, "requests"), 300);
    assert_int_equal(count(fixture, "requests WHERE ended_ms = 0"), 200);
    assert_int_equal(count(fixture, "requests WHERE ended_ms > 450"), 100);
    (void)prune(fixture, (struct store_retention){.keep_rows = 10});
    assert_int_equal(count(fixture, "requests"), 200);
    (void)prune(fixture, (struct store_retention){.keep_ms = 1});
    assert_int_equal(count(fixture, "requests"), 200);
}

static void without_limits_everything_stays(void **state)
{
    struct fixture *fixture = *state;

    fill(fixture, FILL_EVENTS FILL_FAILURES FILL_REQUESTS);
    assert_int_equal(prune(fixture, (struct store_retention){.keep_ms = 0}), 0);
    assert_int_equal(prune(fixture, (struct store_retention){.keep_rows = 600}), 0);
    assert_int_equal(prune(fixture, (struct store_retention){.keep_ms = NOW_MS}), 0);
    assert_int_equal(count(fixture, "events"), 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(the_oldest_go_until_as_many_are_left_as_are_kept),
        WITH_FILE(what_is_older_than_is_kept_goes),
        WITH_FILE(the_newest_of_a_log_stays_and_numbers_go_on),
        WITH_FILE(a_request_that_runs_stays),
        WITH_FILE(without_limits_everything_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
