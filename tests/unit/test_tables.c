/* The tables, on real files: every column comes back, what an older schema left is kept, what a
 * killed supervisor left is ended. */
#include "db/table.h"

#include "common/mem.h"
#include "db/audit.h"
#include "db/audit_head.h"
#include "db/breakers.h"
#include "db/events.h"
#include "db/failures.h"
#include "db/migrations.h"
#include "db/models.h"
#include "db/requests.h"
#include "db/workers.h"
#include "tests/store_fixture.h"

#include <sched.h>
#include <sqlite3.h>
#include <string.h>

/* ---- rows ---- */

/* No two numbers of a row are alike: a column that took its neighbour's would show. */
static const struct worker_row WORKER = {.name = "w",
                                         .desired = "up",
                                         .state = "ready",
                                         .model = "m",
                                         .model_path = "/m.gguf",
                                         .device = "cpu",
                                         .context_tokens = 1,
                                         .threads = 2,
                                         .slots = 3,
                                         .allow_cpu = true,
                                         .autostart = false,
                                         .instance = "w-1",
                                         .pid = 4,
                                         .start_time_ticks = 5,
                                         .boot_id = "boot",
                                         .last_exit = "exit",
                                         .last_stderr = "one\ntwo \xc3\xa9",
                                         .updated_ms = 6,
                                         .held_reason = "held",
                                         .held_ms = 7,
                                         .restart_count = 8,
                                         .attempt = 9,
                                         .incident_ms = 10,
                                         .owes_restart = true,
                                         .next_restart_at_ms = 11,
                                         .next_restart_wall_ms = 12,
                                         .is_degraded = true,
                                         .degraded_context = 13,
                                         .degraded_slots = 14,
                                         .pin = true,
                                         .is_failed = true,
                                         .fault = "crash",
                                         .ready_ms = 15,
                                         .kv_type = "q8_0"};
static const struct model_row MODEL = {.name = "m",
                                       .path = "/m.gguf",
                                       .architecture = "llama",
                                       .parameters = 1,
                                       .quantisation = "Q4_1",
                                       .size_bytes = 2,
                                       .file_modified_ns = INT64_MAX,
                                       .context_tokens = 4,
                                       .chat_template = "chatml",
                                       .details = "{}",
                                       .added_ms = 5,
                                       .source = "hf:a/b",
                                       .files = "[]",
                                       .is_published = true};
static const struct request_row REQUEST = {.id = "r-1",
                                           .request_id = "label",
                                           .worker = "w",
                                           .model = "m",
                                           .submitted_ms = 1,
                                           .started_ms = 2,
                                           .ended_ms = 3,
                                           .outcome = "completed",
                                           .stop_reason = "stop",
                                           .prompt_tokens = 4,
                                           .completion_tokens = 5};
static const struct breaker_row BREAKER = {.key = "worker:w",
                                           .state = "open",
                                           .cause = "attempts",
                                           .opened_by = "none",
                                           .opened_ms = 1,
                                           .until_ms = 2,
                                           .until_wall_ms = 3,
                                           .open_time_ms = 4,
                                           .trip_count = 5,
                                           .window_from_ms = 7,
                                           .flap_from_ms = 8,
                                           .probe_is_running = true,
                                           .last_words = "last",
                                           .reason = "reason",
                                           .boot_id = "boot",
                                           .updated_ms = 6};
static const struct event_row EVENT = {
    .seq = 1, .at_ms = 2, .kind = "kind", .worker = "w", .request = "r-1", .details = "{}"};
static const struct failure_row FAILURE = {.seq = 1,
                                           .at_ms = 2,
                                           .at_mono_ms = 3,
                                           .boot_id = "boot",
                                           .worker = "w",
                                           .device = "cpu",
                                           .class = "hang",
                                           .exit = "signal 9",
                                           .last_words = "last",
                                           .instance = "w-1",
                                           .load_ms = 4,
                                           .wait_ms = 5,
                                           .is_drill = true};
/* Number and hash are given as it is written. */
static const struct audit_row AUDIT = {.seq = 1,
                                       .at_ms = 2,
                                       .kind = "kind",
                                       .service = "service",
                                       .actor = "actor",
                                       .peer = "peer",
                                       .method = "GET",
                                       .path = "/path",
                                       .request_id = "label",
                                       .outcome = "ok",
                                       .details = "{}",
                                       .hash = ""};
static const unsigned char KEY_OF_AUDIT[KEYED_HASH_KEY_BYTES] = {1};

static void put_samples(struct fixture *fixture)
{
    struct store *store = fixture->store;
    struct err err = ERR_INIT;

    assert_int_equal(workers_put(store, &WORKER, STORE_NOBODY, &err), 0);
    assert_int_equal(models_put(store, &MODEL, STORE_NOBODY, &err), 0);
    assert_int_equal(requests_put_end(store, &REQUEST, &(struct store_place){NULL}, &err), 0);
    assert_int_equal(breakers_put(store, &BREAKER, STORE_NOBODY, &err), 0);
    assert_int_equal(events_append(store, &EVENT, STORE_NOBODY, NULL, &err), 0);
    assert_int_equal(failures_append(store, &FAILURE, STORE_NOBODY, NULL, &err), 0);
    assert_int_equal(audit_append(store, &AUDIT, STORE_NOBODY, &err), 0);
}

/* A column that the sample has forgotten would come back as the nothing that it went as. */
static void assert_whole(const struct store_table *table, const void *sample)
{
    for (size_t i = 0; i < table->column_count; i++) {
        const struct store_column *column = &table->columns[i];
        const char *field = (const char *)sample + column->offset;

        if ((column->type == STORE_TEXT && *(const char *const *)field == NULL) ||
            (column->type == STORE_INTEGER && *(const int64_t *)field == 0))
            fail_msg("the sample of %s has no %s", table->name, column->name);
    }
}

static void assert_same_row(const struct store_table *table, const void *got, const void *wanted)
{
    for (size_t i = 0; i < table->column_count; i++) {
        const struct store_column *column = &table->columns[i];
        const char *a = (const char *)got + column->offset;
        const char *b = (const char *)wanted + column->offset;

        if (table->is_chained && i == table->column_count - 1)
            assert_int_equal(strlen(*(const char *const *)a), KEYED_HASH_TEXT_BYTES - 1);
        else if (column->type == STORE_TEXT)
            assert_string_equal(*(const char *const *)a, *(const char *const *)b);
        else if (column->type == STORE_INTEGER)
            assert_true(*(const int64_t *)a == *(const int64_t *)b);
        else
            assert_true(*(const bool *)a == *(const bool *)b);
    }
}

/* As every table reads its rows. */
static void assert_only_row(struct fixture *fixture, const struct store_table *table,
                            const void *wanted)
{
    struct store_rows rows;
    struct err err = ERR_INIT;

    assert_int_equal(store_table_load(fixture->store, table, STORE_ALL_ROWS, &rows, &err), 0);
    assert_int_equal(rows.count, 1);
    assert_same_row(table, rows.rows, wanted);
    store_rows_release(&rows);
}

static void every_column_comes_back(void **state)
{
    static const void *const SAMPLES[] = {
        [STORE_TABLE_workers] = &WORKER,   [STORE_TABLE_models] = &MODEL,
        [STORE_TABLE_events] = &EVENT,     [STORE_TABLE_requests] = &REQUEST,
        [STORE_TABLE_breakers] = &BREAKER, [STORE_TABLE_failures] = &FAILURE,
        [STORE_TABLE_audit] = &AUDIT,      [STORE_TABLE_audit_head] = NULL,
    };
    struct fixture *fixture = *state;
    struct audit_report report;
    struct err err = ERR_INIT;

    static_assert(ARRAY_COUNT(SAMPLES) == STORE_TABLE_COUNT, "a sample for each table");
    open_store(fixture);
    assert_int_equal(audit_open(fixture->store, KEY_OF_AUDIT, false, &report, &err), 0);
    start_store(fixture);
    put_samples(fixture);
    close_store(fixture);
    assert_int_equal(fixture->lost_count, 0);
    open_store(fixture);
    for (size_t i = 0; i < STORE_TABLE_COUNT; i++) {
        if (i == STORE_TABLE_audit_head)
            continue; /* nobody's to put: test_audit compares all of it */
        assert_whole(STORE_TABLES[i], SAMPLES[i]);
        assert_only_row(fixture, STORE_TABLES[i], SAMPLES[i]);
    }
}

/* A column that only the migrations know would be a promise that nobody keeps. */
static void every_column_of_the_schema_is_in_the_def(void **state)
{
    struct fixture *fixture = *state;

    open_store(fixture);
    close_store(fixture);
    for (size_t i = 0; i < STORE_TABLE_COUNT; i++) {
        AUTO_FREE char *sql =
            xasprintf("SELECT count(*) FROM pragma_table_info('%s')", STORE_TABLES[i]->name);

        assert_int_equal(query(fixture->path, sql), STORE_TABLES[i]->column_count);
    }
    assert_int_equal(
        query(fixture->path, "SELECT count(*) FROM sqlite_schema WHERE type = 'table'"),
        STORE_TABLE_COUNT);
}

static void a_put_replaces_and_a_removal_removes(void **state)
{
    struct fixture *fixture = *state;
    struct model_row model = {.name = "b", .path = "/first"};
    struct model_rows models;
    struct err err = ERR_INIT;

    open_store(fixture);
    start_store(fixture);
    assert_int_equal(models_put(fixture->store, &model, STORE_NOBODY, &err), 0);
    model.path = "/second";
    assert_int_equal(models_put(fixture->store, &model, STORE_NOBODY, &err), 0);
    model.name = "a";
    assert_int_equal(models_put(fixture->store, &model, STORE_NOBODY, &err), 0);
    model.name = "c";
    assert_int_equal(models_put(fixture->store, &model, STORE_NOBODY, &err), 0);
    assert_int_equal(models_remove(fixture->store, "c", STORE_NOBODY, &err), 0);
    assert_int_equal(models_remove(fixture->store, "never there", STORE_NOBODY, &err), 0);
    close_store(fixture);
    open_store(fixture);
    assert_int_equal(models_load_all(fixture->store, &models, &err), 0);
    assert_int_equal(models.count, 2);
    assert_string_equal(models.rows[0].name, "a");
    assert_string_equal(models.rows[1].path, "/second");
    assert_string_equal(models.rows[1].details, ""); /* never NULL */
    model_rows_release(&models);
    assert_int_equal(fixture->lost_count, 0);
}

static void events_are_numbered_on_over_restarts_and_never_change(void **state)
{
    struct fixture *fixture = *state;
    struct event_row row = {.kind = "k", .details = "{}"};
    struct event_rows events;
    struct err err = ERR_INIT;
    int64_t seq = 0;

    for (int64_t run = 0; run < 3; run++) {
        open_store(fixture);
        start_store(fixture);
        for (int64_t i = 1; i <= 5; i++) {
            assert_int_equal(events_append(fixture->store, &row, STORE_NOBODY, &seq, &err), 0);
            assert_true(seq == run * 5 + i);
        }
        close_store(fixture);
    }
    open_store(fixture);
    assert_int_equal(events_load_last(fixture->store, 2, &events, &err), 0);
    assert_int_equal(events.count, 2);
    assert_true(events.rows[0].seq == 14 && events.rows[1].seq == 15);
    event_rows_release(&events);
    close_store(fixture);
    (void)query(fixture->path, "UPDATE events SET kind = 'other'");
    assert_int_equal(query(fixture->path, "SELECT count(*) FROM events WHERE kind = 'k'"), 15);
}

static int64_t end_interrupted(struct fixture *fixture)
{
    const struct request_teller nobody = {NULL, NULL};
    struct err err = ERR_INIT;
    int64_t count = -1;

    assert_int_equal(requests_end_interrupted(fixture->store, nobody, &count, &err), 0);
    return count;
}

static void requests_without_an_end_were_interrupted(void **state)
{
    struct fixture *fixture = *state;
    struct request_row running = {.id = "r-running", .submitted_ms = 1000};
    struct request_row ended = {
        .id = "r-ended", .submitted_ms = 2000, .ended_ms = 3000, .outcome = "completed"};
    struct request_row ahead = {.id = "r-ahead", .submitted_ms = INT64_MAX}; /* clock set back */
    struct request_rows requests;
    struct err err = ERR_INIT;

    open_store(fixture);
    assert_int_equal(end_interrupted(fixture), 0);
    start_store(fixture);
    assert_int_equal(requests_put_end(fixture->store, &running, &(struct store_place){NULL}, &err),
                     0);
    assert_int_equal(requests_put_end(fixture->store, &ended, &(struct store_place){NULL}, &err),
                     0);
    assert_int_equal(requests_put_end(fixture->store, &ahead, &(struct store_place){NULL}, &err),
                     0);
    close_store(fixture);
    open_store(fixture);
    assert_int_equal(end_interrupted(fixture), 2);
    assert_int_equal(requests_load_last(fixture->store, 10, &requests, &err), 0);
    assert_int_equal(requests.count, 3);
    assert_string_equal(requests.rows[0].id, "r-running");
    assert_string_equal(requests.rows[0].outcome, REQUEST_OUTCOME_INTERRUPTED);
    assert_true(requests.rows[0].ended_ms > 1000);
    assert_string_equal(requests.rows[1].outcome, "completed");
    assert_true(requests.rows[1].ended_ms == 3000);
    assert_true(requests.rows[2].ended_ms >= requests.rows[2].submitted_ms);
    request_rows_release(&requests);
    close_store(fixture);
    open_store(fixture);
    assert_int_equal(end_interrupted(fixture), 0);
}

static void a_request_that_is_over_at_once_is_one_row_on_its_way(void **state)
{
    enum { COUNT = 100 };
    struct fixture *fixture = *state;
    struct store_place places[COUNT] = {{NULL}};
    struct err err = ERR_INIT;
    uint64_t posted_before = 0;
    char ids[COUNT][16];

    open_store(fixture);
    start_store(fixture);
    posted_before = store_posted_count(fixture->store);
    for (int i = 0; i < COUNT; i++) {
        struct request_row row = {.id = ids[i], .submitted_ms = 1000 + i};

        (void)snprintf(ids[i], sizeof(ids[i]), "r-%d", i);
        assert_int_equal(requests_put_begin(fixture->store, &row, &places[i], &err), 0);
        row.ended_ms = 2000;
        row.outcome = "completed, with more words than before";
        assert_int_equal(requests_put_end(fixture->store, &row, &places[i], &err), 0);
        assert_null(places[i].waiting);
    }
    assert_true(store_posted_count(fixture->store) - posted_before < 2 * (uint64_t)COUNT);
    close_store(fixture);
    assert_int_equal(query(fixture->path, "SELECT count(*) FROM requests WHERE ended_ms = 2000 AND "
                                          "outcome LIKE 'completed, with more%'"),
                     COUNT);
}

static void a_request_that_takes_its_time_is_written_when_it_comes(void **state)
{
    struct fixture *fixture = *state;
    struct request_row row = {.id = "r-long", .submitted_ms = 1000};
    struct store_place place = {NULL};
    struct err err = ERR_INIT;

    open_store(fixture);
    start_store(fixture);
    assert_int_equal(requests_put_begin(fixture->store, &row, &place, &err), 0);
    while (store_queued_count(fixture->store) > 0)
        (void)sched_yield();
    assert_null(place.waiting);
    row.ended_ms = 2000;
    assert_int_equal(requests_put_end(fixture->store, &row, &place, &err), 0);
    assert_int_equal(store_posted_count(fixture->store), 2);
    close_store(fixture);
    assert_int_equal(query(fixture->path, "SELECT count(*) FROM requests WHERE ended_ms = 2000"),
                     1);
}

/* ---- migrations ---- */

static void make_schema_1(const char *path)
{
    static const char ROWS[] =
        "PRAGMA application_id = 0x72626565; PRAGMA user_version = 1;"
        "INSERT INTO workers VALUES ('w', 'up', 'ready', 'm', '/m.gguf', 'cpu', 1, 2, 3, 1, 0,"
        " 'w-1', 4, 5, 'boot', 'exit', 'one\ntwo \xc3\xa9', 6);"
        "INSERT INTO events VALUES (41, 2, 'kind', 'w', 'r-1', '{}');"
        "INSERT INTO requests VALUES ('r-1', 'label', 'w', 'm', 1, 2, 3, 'completed', 'stop', 4, "
        "5);";
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, MIGRATIONS[0].sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, ROWS, NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(db);
}

/* WORKER without what schema 1 does not know. */
static struct worker_row worker_of_schema_1(void)
{
    struct worker_row row = WORKER;

    row.held_reason = "";
    row.fault = "";
    row.kv_type = "";
    row.held_ms = row.restart_count = row.attempt = row.incident_ms = row.next_restart_at_ms =
        row.next_restart_wall_ms = row.degraded_context = row.degraded_slots = row.ready_ms = 0;
    row.is_degraded = row.pin = row.owes_restart = row.is_failed = false;
    return row;
}

static void rows_of_schema_1_are_kept_and_get_the_defaults(void **state)
{
    struct fixture *fixture = *state;
    struct worker_row worker = worker_of_schema_1();
    struct event_row event = EVENT;
    struct err err = ERR_INIT;
    int64_t seq = 0;

    make_schema_1(fixture->path);
    open_store(fixture);
    assert_int_equal(fixture->report.migrated_from, 1);
    assert_int_equal(fixture->report.migrated_to, MIGRATION_COUNT);
    assert_false(fixture->report.was_corrupt);
    event.seq = 41;
    assert_only_row(fixture, &TABLE_workers, &worker);
    assert_only_row(fixture, &TABLE_events, &event);
    assert_only_row(fixture, &TABLE_requests, &REQUEST);
    start_store(fixture);
    assert_int_equal(events_append(fixture->store, &EVENT, STORE_NOBODY, &seq, &err), 0);
    assert_true(seq == 42);
    assert_int_equal(failures_append(fixture->store, &FAILURE, STORE_NOBODY, &seq, &err), 0);
    assert_true(seq == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(every_column_comes_back),
        WITH_FILE(every_column_of_the_schema_is_in_the_def),
        WITH_FILE(a_put_replaces_and_a_removal_removes),
        WITH_FILE(events_are_numbered_on_over_restarts_and_never_change),
        WITH_FILE(requests_without_an_end_were_interrupted),
        WITH_FILE(a_request_that_is_over_at_once_is_one_row_on_its_way),
        WITH_FILE(a_request_that_takes_its_time_is_written_when_it_comes),
        WITH_FILE(rows_of_schema_1_are_kept_and_get_the_defaults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
