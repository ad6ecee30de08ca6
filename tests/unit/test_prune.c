/* Retention: which rows go, in what order, and which never do. */
#include "db/prune.h"

#include "db/breakers.h"
#include "db/events.h"
#include "db/failures.h"
#include "db/models.h"
#include "db/requests.h"
#include "tests/store_fixture.h"

#include <sqlite3.h>

enum { NOW_MS = 1000000 };

/* A table gets rows with the numbers 1 to 600, one a millisecond from 1 on. */
enum { ROW_COUNT = 600 };

static void fill_events(struct store *store)
{
    struct event_row row = {.kind = "k", .details = "{}"};
    struct err err = ERR_INIT;

    for (row.at_ms = 1; row.at_ms <= ROW_COUNT; row.at_ms++)
        assert_int_equal(events_append(store, &row, STORE_NOBODY, NULL, &err), 0);
}

static void fill_failures(struct store *store)
{
    struct failure_row row = {.class = "crash"};
    struct err err = ERR_INIT;

    for (row.at_ms = 1; row.at_ms <= ROW_COUNT; row.at_ms++)
        assert_int_equal(failures_append(store, &row, STORE_NOBODY, NULL, &err), 0);
}

/* Every third is still running. */
static void fill_requests(struct store *store)
{
    struct err err = ERR_INIT;

    for (int i = 1; i <= ROW_COUNT; i++) {
        AUTO_FREE char *id = xasprintf("r-%06d", i);
        struct request_row row = {.id = id, .submitted_ms = i, .ended_ms = i % 3 == 0 ? 0 : i};

        assert_int_equal(requests_put_end(store, &row, &(struct store_place){NULL}, &err), 0);
    }
}

/* Tables whose rows stay until they are removed. */
static void fill_others(struct store *store)
{
    struct breaker_row breaker = {.key = "worker:w"};
    struct model_row model = {.name = "m"};
    struct err err = ERR_INIT;

    assert_int_equal(breakers_put(store, &breaker, STORE_NOBODY, &err), 0);
    assert_int_equal(models_put(store, &model, STORE_NOBODY, &err), 0);
}

/* All of them; the store is closed afterwards. */
static void fill(struct fixture *fixture)
{
    open_store(fixture);
    start_store(fixture);
    fill_events(fixture->store);
    fill_failures(fixture->store);
    fill_requests(fixture->store);
    fill_others(fixture->store);
    close_store(fixture);
    assert_int_equal(fixture->lost_count, 0);
}

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

    fill(fixture);
    assert_true(prune(fixture, (struct store_retention){.keep_rows = 50}) > 3);
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

    fill(fixture);
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

    fill(fixture);
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

    fill(fixture);
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

    fill(fixture);
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
