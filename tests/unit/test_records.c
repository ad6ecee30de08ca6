/* Records: one description for JSON, table and details, and nothing in a cell that drives a
 * terminal. */
#include "common/records.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* A value of every type, so that no type is left out of the tests below. */
static json_t *value_of(enum record_type type)
{
    switch (type) {
    case RECORD_TEXT:
        return json_string("text");
    case RECORD_INTEGER:
        return json_integer(7);
    case RECORD_REAL:
        return json_real(12.34);
    case RECORD_BOOL:
        return json_true();
    case RECORD_BYTES:
        return json_integer(3 << 20);
    case RECORD_DURATION:
        return json_integer(65000);
    case RECORD_TIME:
        return json_string("2026-11-21T22:51:07.123Z");
    case RECORD_TEXTS:
        return json_pack("[s,s]", "first", "se\tcond");
    case RECORD_JSON:
        return json_array();
    }
    return NULL;
}

static json_t *make_record(enum record_kind kind)
{
    json_t *object = json_object();
    size_t count = 0;
    const struct record_field *fields = record_fields(kind, &count);

    for (size_t i = 0; i < count; i++)
        (void)json_object_set_new(object, fields[i].name, value_of(fields[i].type));
    return object;
}

static void every_record_has_fields_of_its_own_and_a_first_column(void **state)
{
    for (int kind = 0; kind < RECORD_KIND_COUNT; kind++) {
        AUTO_JSON json_t *object = make_record((enum record_kind)kind);
        size_t count = 0;
        const struct record_field *fields = record_fields((enum record_kind)kind, &count);

        assert_true(count > 0);
        assert_true(fields[0].is_column);
        assert_int_equal(json_object_size(object), count); /* no name twice */
        for (size_t i = 0; i < count; i++)
            assert_null(strchr(fields[i].name, ' '));
        record_check((enum record_kind)kind, object);
        for (size_t i = 0; i < count; i++)
            (void)json_object_set_new(object, fields[i].name, json_null());
        record_check((enum record_kind)kind, object); /* unknown is not an error */
    }
}

static void a_table_is_aligned_and_unknown_is_a_dash(void **state)
{
    AUTO_JSON json_t *rows = json_array();
    json_t *first = make_record(RECORD_WORKER);
    json_t *second = make_record(RECORD_WORKER);
    AUTO_BUF struct buf out = BUF_INIT(4096);

    (void)json_object_set_new(first, "name", json_string("caf\xc3\xa9"));
    (void)json_object_set_new(second, "name", json_string("small-one"));
    (void)json_object_set_new(second, "pid", json_null());
    (void)json_object_set_new(second, "model", json_string(""));
    (void)json_object_del(second, "state"); /* from an older supervisor */
    (void)json_object_set_new(second, "device", json_string("a\x1b[2J\nb"));
    (void)json_array_append_new(rows, first);
    (void)json_array_append_new(rows, second);
    record_print_table(RECORD_WORKER, rows, &out);
    assert_string_equal(
        out.data,
        "NAME       STATE  MODEL  PID  DEVICE    MEMORY  TOK/S  RUNNING  QUEUED  RESTARTS  BREAKER"
        "  RETRY IN  WAITS FOR  UPTIME\n"
        "caf\xc3\xa9       text   text     7  text     3.0 MiB   12.3        7       7         7  "
        "text   "
        "     1m05s  text        1m05s\n"
        "small-one  -      -        -  a?[2J b  3.0 MiB   12.3        7       7         7  text   "
        "     1m05s  text        1m05s\n");
}

static void an_empty_table_is_its_headings(void **state)
{
    AUTO_JSON json_t *rows = json_array();
    AUTO_BUF struct buf out = BUF_INIT(4096);

    record_print_table(RECORD_MODEL, rows, &out);
    assert_memory_equal(out.data, "NAME", 4);
    assert_int_equal(out.data[out.len - 1], '\n');
    assert_ptr_equal(strchr(out.data, '\n'), out.data + out.len - 1);
}

static void a_time_is_an_age_in_a_table_and_itself_in_details(void **state)
{
    AUTO_JSON json_t *rows = json_array();
    json_t *model = make_record(RECORD_MODEL);
    char added[CLOCK_RFC3339_BYTES];
    AUTO_BUF struct buf table = BUF_INIT(4096);
    AUTO_BUF struct buf details = BUF_INIT(4096);

    clock_format_rfc3339(clock_wall_ms() - 2 * 3600 * 1000 - 60000, added);
    (void)json_object_set_new(model, "added_at", json_string(added));
    (void)json_array_append_new(rows, model);
    record_print_table(RECORD_MODEL, rows, &table);
    record_print_details(RECORD_MODEL, model, &details);
    assert_non_null(strstr(table.data, "2h01m ago"));
    assert_non_null(strstr(details.data, added));
}

static void details_show_every_field_and_every_line(void **state)
{
    AUTO_JSON json_t *worker = make_record(RECORD_WORKER);
    size_t count = 0;
    const struct record_field *fields = record_fields(RECORD_WORKER, &count);
    AUTO_BUF struct buf out = BUF_INIT(4096);

    (void)json_object_set_new(worker, "last_stderr", json_string("one\n\x1b[31mtwo\n"));
    record_print_details(RECORD_WORKER, worker, &out);
    for (size_t i = 0; i < count; i++) {
        AUTO_FREE char *line = xasprintf("%s: ", fields[i].name);

        if (fields[i].type != RECORD_JSON)
            assert_non_null(strstr(out.data, line));
    }
    assert_non_null(strstr(out.data, "last_stderr: one\n    ?[31mtwo\n"));
    assert_non_null(strstr(out.data, "warnings: first\n    se cond\n"));
}

static void a_table_over_the_maximum_is_cut(void **state)
{
    AUTO_JSON json_t *rows = json_array();
    AUTO_BUF struct buf out = BUF_INIT(500);

    for (int i = 0; i < 100; i++)
        (void)json_array_append_new(rows, make_record(RECORD_WORKER));
    record_print_table(RECORD_WORKER, rows, &out);
    assert_true(out.len <= 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_record_has_fields_of_its_own_and_a_first_column),
        cmocka_unit_test(a_table_is_aligned_and_unknown_is_a_dash),
        cmocka_unit_test(an_empty_table_is_its_headings),
        cmocka_unit_test(a_time_is_an_age_in_a_table_and_itself_in_details),
        cmocka_unit_test(details_show_every_field_and_every_line),
        cmocka_unit_test(a_table_over_the_maximum_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
