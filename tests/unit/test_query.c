/* Reading while the writer has the connection: what a query finds, its bounds, and that its reader
 * is called once, or never when it was cancelled. */
#include "db/query.h"

#include "db/failures.h"
#include "tests/store_fixture.h"

/* What a reader was told last, and how often. */
struct seen {
    int told_count;
    size_t row_count;
    int64_t first_seq;
    int64_t last_seq;
    struct store_answer answer;
    struct seen *cancels; /* whose query it cancels when it is told */
    struct store_query *query;
    struct store *store;
};

static void see(struct seen *seen, size_t count, int64_t first, int64_t last,
                const struct store_answer *answer)
{
    seen->told_count++;
    seen->row_count = count;
    seen->first_seq = first;
    seen->last_seq = last;
    seen->answer = *answer;
    if (seen->cancels != NULL)
        store_query_cancel(seen->store, seen->cancels->query);
}

static void on_events(void *owner, const struct event_rows *rows, const struct store_answer *answer)
{
    see(owner, rows->count, rows->count == 0 ? 0 : rows->rows[0].seq,
        rows->count == 0 ? 0 : rows->rows[rows->count - 1].seq, answer);
}

static void on_failures(void *owner, const struct failure_rows *rows,
                        const struct store_answer *answer)
{
    see(owner, rows->count, rows->count == 0 ? 0 : rows->rows[0].seq,
        rows->count == 0 ? 0 : rows->rows[rows->count - 1].seq, answer);
}

static void post(struct fixture *fixture, struct seen *seen, struct store_filter filter)
{
    struct err err = ERR_INIT;

    seen->store = fixture->store;
    seen->query =
        events_query(fixture->store, &filter, (struct event_reader){on_events, seen}, &err);
    assert_non_null(seen->query);
}

static struct seen ask(struct fixture *fixture, struct store_filter filter)
{
    struct seen seen = {.told_count = 0};

    post(fixture, &seen, filter);
    assert_int_equal(seen.told_count, 0); /* never from inside */
    dispatch_until(fixture, &seen.told_count, 1);
    return seen;
}

static void assert_rows(struct seen seen, size_t count, int64_t first, int64_t last, bool has_more)
{
    assert_int_equal(seen.told_count, 1);
    assert_int_equal(seen.answer.err.kind, ERR_NONE);
    assert_false(seen.answer.is_behind);
    assert_int_equal(seen.row_count, count);
    assert_true(seen.first_seq == first && seen.last_seq == last);
    assert_int_equal(seen.answer.has_more, has_more);
}

static void append(struct fixture *fixture, const char *worker, int64_t at_ms)
{
    struct event_row row = {.at_ms = at_ms, .kind = "k", .worker = worker, .details = "{}"};
    struct err err = ERR_INIT;

    assert_int_equal(events_append(fixture->store, &row, STORE_NOBODY, NULL, &err), 0);
}

/* ---- what it finds ---- */

static void who_writes_and_asks_finds_what_it_wrote(void **state)
{
    struct fixture *fixture = *state;

    open_store(fixture);
    start_store(fixture);
    for (int i = 1; i <= 3000; i++)
        append(fixture, "w", i);
    assert_rows(ask(fixture, (struct store_filter){.after_seq = 2990}), 10, 2991, 3000, false);
    for (int i = 3001; i <= 3100; i++) {
        append(fixture, "w", i);
        assert_rows(ask(fixture, (struct store_filter){.after_seq = i - 1}), 1, i, i, false);
    }
}

static void a_filter_is_obeyed(void **state)
{
    struct fixture *fixture = *state;

    open_store(fixture);
    start_store(fixture);
    for (int i = 1; i <= 20; i++)
        append(fixture, i % 2 == 0 ? "even" : "odd", i * 100);
    assert_rows(ask(fixture, (struct store_filter){.limit = 0}), 20, 1, 20, false);
    assert_rows(ask(fixture, (struct store_filter){.newest_first = true}), 20, 20, 1, false);
    assert_rows(ask(fixture, (struct store_filter){.limit = 20}), 20, 1, 20, false);
    assert_rows(ask(fixture, (struct store_filter){.limit = 19}), 19, 1, 19, true);
    assert_rows(ask(fixture, (struct store_filter){.limit = 3, .newest_first = true}), 3, 20, 18,
                true);
    assert_rows(ask(fixture, (struct store_filter){.worker = "even"}), 10, 2, 20, false);
    assert_rows(ask(fixture, (struct store_filter){.worker = "eve"}), 0, 0, 0, false);
    assert_rows(ask(fixture, (struct store_filter){.worker = ""}), 0, 0, 0, false);
    assert_rows(ask(fixture, (struct store_filter){.since_ms = 1500}), 6, 15, 20, false);
    assert_rows(ask(fixture, (struct store_filter){.worker = "odd",
                                                   .after_seq = 5,
                                                   .since_ms = 900,
                                                   .limit = 2,
                                                   .newest_first = true}),
                2, 19, 17, true);
}

static void failures_are_found_as_events_are(void **state)
{
    struct fixture *fixture = *state;
    struct failure_row row = {.worker = "w", .class = "crash"};
    struct store_filter filter = {.worker = "w", .newest_first = true};
    struct seen seen = {.told_count = 0};
    struct err err = ERR_INIT;

    open_store(fixture);
    start_store(fixture);
    for (int i = 0; i < 5; i++)
        assert_int_equal(failures_append(fixture->store, &row, STORE_NOBODY, NULL, &err), 0);
    assert_non_null(
        failures_query(fixture->store, &filter, (struct failure_reader){on_failures, &seen}, &err));
    dispatch_until(fixture, &seen.told_count, 1);
    assert_rows(seen, 5, 5, 1, false);
}

/* ---- its bounds ---- */

static void more_rows_than_the_limit_come_with_another_query(void **state)
{
    struct fixture *fixture = *state;

    open_store(fixture);
    start_store(fixture);
    for (int i = 1; i <= STORE_QUERY_MAX_ROWS + 1; i++)
        append(fixture, "w", i);
    assert_rows(ask(fixture, (struct store_filter){.limit = STORE_QUERY_MAX_ROWS + 1}),
                STORE_QUERY_MAX_ROWS, 1, STORE_QUERY_MAX_ROWS, true);
    assert_rows(ask(fixture, (struct store_filter){.after_seq = STORE_QUERY_MAX_ROWS}), 1,
                STORE_QUERY_MAX_ROWS + 1, STORE_QUERY_MAX_ROWS + 1, false);
}

static void large_rows_come_a_few_at_a_time(void **state)
{
    enum { ROW_BYTES = STORE_ROW_MAX_BYTES / 2, ROW_COUNT = 20 };
    struct fixture *fixture = *state;
    AUTO_FREE char *details = xcalloc(ROW_BYTES + 1, 1);
    struct event_row row = {.kind = "k", .details = details};
    struct seen seen = {.answer = {.has_more = true}};
    struct err err = ERR_INIT;
    size_t row_count = 0;

    memset(details, 'x', ROW_BYTES);
    open_store(fixture);
    start_store(fixture);
    for (int i = 0; i < ROW_COUNT; i++)
        assert_int_equal(events_append(fixture->store, &row, STORE_NOBODY, NULL, &err), 0);
    while (seen.answer.has_more) {
        seen = ask(fixture, (struct store_filter){.after_seq = seen.last_seq});
        assert_in_range(seen.row_count, 1, STORE_QUERY_MAX_BYTES / ROW_BYTES);
        row_count += seen.row_count;
    }
    assert_int_equal(row_count, ROW_COUNT);
}

static void as_many_queries_wait_as_may(void **state)
{
    struct fixture *fixture = *state;
    struct store_filter filter = {.limit = 1};
    struct seen seen = {.told_count = 0};
    struct err err = ERR_INIT;

    open_store(fixture);
    start_store(fixture);
    for (int i = 0; i < STORE_QUERY_MAX_COUNT; i++)
        post(fixture, &seen, filter);
    assert_null(
        events_query(fixture->store, &filter, (struct event_reader){on_events, &seen}, &err));
    assert_int_equal(err.kind, ERR_BUSY);
    dispatch_until(fixture, &seen.told_count, STORE_QUERY_MAX_COUNT);
    post(fixture, &seen, filter);
    dispatch_until(fixture, &seen.told_count, STORE_QUERY_MAX_COUNT + 1);
}

/* ---- a disk that refuses ---- */

static void what_is_stored_can_be_read_while_the_disk_is_full(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen;

    open_store_on_full_disk(fixture);
    assert_int_equal(append_event(fixture, "during", told(fixture)), 0);
    while (append_event(fixture, "during", STORE_NOBODY) == 0)
        ;
    seen = ask(fixture, (struct store_filter){.limit = 0});
    assert_int_equal(seen.answer.err.kind, ERR_NONE);
    assert_int_equal(seen.row_count, 1);
    assert_true(seen.answer.is_behind);
    dispatch_until(fixture, &fixture->health_count, 1);
    full_disk_limit(RLIM_INFINITY);
    dispatch_until(fixture, &fixture->health_count, 2);
    assert_rows(ask(fixture, (struct store_filter){.after_seq = STORE_QUEUE_MAX_ROWS}), 1,
                STORE_QUEUE_MAX_ROWS + 1, STORE_QUEUE_MAX_ROWS + 1, false);
}

/* ---- its end ---- */

static void closing_tells_every_reader_once(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen[STORE_QUERY_MAX_COUNT] = {{.told_count = 0}};

    open_store(fixture);
    start_store(fixture);
    for (int i = 0; i < STORE_QUERY_MAX_COUNT; i++) {
        append(fixture, "w", i);
        post(fixture, &seen[i], (struct store_filter){.after_seq = i});
    }
    close_store(fixture);
    for (int i = 0; i < STORE_QUERY_MAX_COUNT; i++) {
        assert_int_equal(seen[i].told_count, 1);
        if (seen[i].answer.err.kind == ERR_NONE)
            assert_true(seen[i].row_count >= 1 && seen[i].first_seq == i + 1);
        else
            assert_int_equal(seen[i].answer.err.kind, ERR_BUSY);
    }
}

static void who_cancelled_is_never_told(void **state)
{
    struct fixture *fixture = *state;
    struct seen first = {.told_count = 0};
    struct seen second = {.told_count = 0};
    struct seen third = {.told_count = 0};

    open_store(fixture);
    start_store(fixture);
    post(fixture, &first, (struct store_filter){.limit = 1});
    store_query_cancel(fixture->store, first.query);
    post(fixture, &second, (struct store_filter){.limit = 1});
    second.cancels = &third; /* perhaps answered already, and about to be told */
    post(fixture, &third, (struct store_filter){.limit = 1});
    dispatch_until(fixture, &second.told_count, 1);
    (void)ask(fixture, (struct store_filter){.limit = 1});
    post(fixture, &first, (struct store_filter){.limit = 1});
    store_query_cancel(fixture->store, first.query);
    close_store(fixture);
    assert_int_equal(first.told_count, 0);
    assert_int_equal(second.told_count, 1);
    assert_int_equal(third.told_count, 0);
}

/* ---- beside it: rows get old while the store runs ---- */

static void ask_until_rows_are(struct fixture *fixture, size_t count)
{
    struct seen seen;

    do
        seen = ask(fixture, (struct store_filter){.limit = 0});
    while (seen.row_count != count);
}

static void old_rows_go_while_nobody_writes(void **state)
{
    struct fixture *fixture = *state;

    open_store(fixture);
    start_store(fixture);
    for (int i = 1; i <= 600; i++)
        append(fixture, "w", i);
    assert_rows(ask(fixture, (struct store_filter){.limit = 0}), 600, 1, 600, false);
    store_set_retention(fixture->store, (struct store_retention){.keep_rows = 100});
    ask_until_rows_are(fixture, 100);
    assert_rows(ask(fixture, (struct store_filter){.limit = 0}), 100, 501, 600, false);
    for (int i = 1; i <= STORE_PRUNE_AFTER_ROWS; i++)
        append(fixture, "w", i);
    ask_until_rows_are(fixture, 100);
    store_set_retention(fixture->store, (struct store_retention){.keep_rows = 10});
    ask_until_rows_are(fixture, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(who_writes_and_asks_finds_what_it_wrote),
        WITH_FILE(a_filter_is_obeyed),
        WITH_FILE(failures_are_found_as_events_are),
        WITH_FILE(more_rows_than_the_limit_come_with_another_query),
        WITH_FILE(large_rows_come_a_few_at_a_time),
        WITH_FILE(as_many_queries_wait_as_may),
        WITH_FILE(what_is_stored_can_be_read_while_the_disk_is_full),
        WITH_FILE(closing_tells_every_reader_once),
        WITH_FILE(who_cancelled_is_never_told),
        WITH_FILE(old_rows_go_while_nobody_writes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
