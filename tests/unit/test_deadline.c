/* What headers of deadlines mean, at each bound, and what a missed one says. */
#include "common/deadline.h"

#include "common/json.h"
#include "common/mem.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_MS = 3600000, US_PER_MS = 1000 };

/* Arrived 20 ms ago. */
static const struct deadline_clock CLOCK = {
    .arrived_us = 5000000, .now_us = 5020000, .wall_ms = 1790000000000};

static struct http_head head_of(const char *name, const char *value)
{
    return (struct http_head){.headers = {{"Host", "x"}, {name, value}}, .header_count = 2};
}

static int read_one(const char *name, const char *value, struct deadline *out, struct err *err)
{
    struct http_head head = head_of(name, value);

    return deadline_read(&head, &CLOCK, MAX_MS, out, err);
}

static void without_headers_there_is_none(void **state)
{
    struct deadline deadline = {.at_us = 7};
    struct err err = ERR_INIT;

    assert_int_equal(read_one("X-Other", "12", &deadline, &err), 0);
    assert_false(deadline_is_set(&deadline));
    assert_false(deadline_is_over(&deadline, UINT64_MAX));
    deadline = deadline_after(&CLOCK, 0);
    assert_false(deadline_is_set(&deadline));
}

static void an_absolute_one_becomes_monotonic_time(void **state)
{
    struct deadline deadline;
    struct err err = ERR_INIT;

    assert_int_equal(read_one("x-deadline", "1790000000300", &deadline, &err), 0);
    assert_int_equal(deadline.at_us, CLOCK.now_us + 300 * US_PER_MS);
    assert_int_equal(deadline.wall_ms, 1790000000300);
    assert_false(deadline_is_over(&deadline, deadline.at_us - 1));
    assert_true(deadline_is_over(&deadline, deadline.at_us));
    assert_int_equal(deadline_left_us(&deadline, deadline.at_us - 7), 7);
    assert_int_equal(deadline_left_us(&deadline, deadline.at_us + 7), 0);
}

static void a_relative_one_counts_from_the_arrival(void **state)
{
    struct deadline deadline;
    struct deadline after = deadline_after(&CLOCK, 300);
    struct err err = ERR_INIT;

    assert_int_equal(read_one("X-Timeout-Ms", "300", &deadline, &err), 0);
    assert_int_equal(deadline.at_us, CLOCK.arrived_us + 300 * US_PER_MS);
    assert_int_equal(deadline.wall_ms, CLOCK.wall_ms - 20 + 300);
    assert_int_equal(after.at_us, deadline.at_us);
    assert_int_equal(after.wall_ms, deadline.wall_ms);
}

static void of_two_the_earlier_counts(void **state)
{
    static const struct {
        const char *absolute;
        const char *relative;
        uint64_t left_us; /* from now */
    } CASES[] = {{"1790000000100", "300", 100 * US_PER_MS},
                 {"1790000000900", "300", 280 * US_PER_MS}};

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct http_head head = {
            .headers = {{"X-Timeout-Ms", CASES[i].relative}, {"X-Deadline", CASES[i].absolute}},
            .header_count = 2};
        struct deadline deadline;
        struct err err = ERR_INIT;

        assert_int_equal(deadline_read(&head, &CLOCK, MAX_MS, &deadline, &err), 0);
        assert_int_equal(deadline_left_us(&deadline, CLOCK.now_us), CASES[i].left_us);
    }
}

static void one_that_has_passed_is_over_at_once(void **state)
{
    static const char *const CASES[][2] = {{"X-Deadline", "1790000000000"},
                                           {"X-Deadline", "1789999999999"},
                                           {"X-Deadline", "0"},
                                           {"X-Timeout-Ms", "0"},
                                           {"X-Timeout-Ms", "20"}};

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct deadline deadline;
        struct err err = ERR_INIT;

        assert_int_equal(read_one(CASES[i][0], CASES[i][1], &deadline, &err), 0);
        assert_true(deadline_is_set(&deadline));
        assert_true(deadline_is_over(&deadline, CLOCK.now_us));
    }
}

static void what_is_no_number_is_refused(void **state)
{
    static const char *const VALUES[] = {
        "",
        "-1",
        "+1",
        "1.5",
        "1e3",
        "0x10",
        "1 ",
        " 1",
        "1,2",
        "1_000",
        "1'000",
        "٣",
        "²",
        "soon",
        "null",
        "NaN",
        "inf",
        "true",
        "\"1\"",
        "007",
        "00",
        "1s",
        "500ms",
        "1;2",
        "1\t",
        "--1",
        "0-1",
        "{}",
        "[1]",
        "1\xff",
        "O",
        "l00",
        "1/2",
        "%31",
        "1790000000000000",
        "99999999999999999999999999",
        "2026-11-27T00:00:00Z",
        "Fri, 27 Nov 2026 00:00:00 GMT",
        "9223372036854775808",
        "18446744073709551616",
    };
    static const char *const NAMES[] = {"X-Deadline", "X-Timeout-Ms"};

    assert_true(ARRAY_COUNT(VALUES) >= 40);
    for (size_t i = 0; i < ARRAY_COUNT(VALUES) * ARRAY_COUNT(NAMES); i++) {
        const char *name = NAMES[i % ARRAY_COUNT(NAMES)];
        struct deadline deadline;
        struct err err = ERR_INIT;

        if (read_one(name, VALUES[i / ARRAY_COUNT(NAMES)], &deadline, &err) == 0)
            fail_msg("%s: %s was taken", name, VALUES[i / ARRAY_COUNT(NAMES)]);
        assert_int_equal(err.kind, ERR_INVALID_DEADLINE);
        assert_non_null(strstr(err.message, name));
    }
}

static void one_too_far_away_is_refused_with_the_bound(void **state)
{
    struct deadline deadline;
    struct err err = ERR_INIT;
    struct http_head head = head_of("X-Timeout-Ms", "999999999999999");

    assert_int_equal(read_one("X-Timeout-Ms", "3600000", &deadline, &err), 0);
    assert_int_equal(read_one("X-Deadline", "1790003600000", &deadline, &err), 0);
    assert_int_equal(read_one("X-Timeout-Ms", "3600001", &deadline, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID_DEADLINE);
    assert_non_null(strstr(err.message, "3600001"));
    assert_non_null(strstr(err.message, "3600000"));
    err_clear(&err);
    assert_int_equal(read_one("X-Deadline", "1790003600001", &deadline, &err), -1);
    err_clear(&err);
    assert_int_equal(deadline_read(&head, &CLOCK, 0, &deadline, &err), 0); /* no limit */
    assert_false(deadline_is_over(&deadline, CLOCK.now_us));
}

static void a_header_that_stands_twice_is_refused(void **state)
{
    static const char *const NAMES[] = {"X-Deadline", "X-Timeout-Ms", "X-Deadline-Left"};

    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        struct http_head head = {.headers = {{NAMES[i], "1"}, {NAMES[i], "1"}}, .header_count = 2};
        struct deadline deadline;
        struct err err = ERR_INIT;

        assert_int_equal(i == 2 ? deadline_read_left(&head, 1, &deadline, &err)
                                : deadline_read(&head, &CLOCK, MAX_MS, &deadline, &err),
                         -1);
        assert_int_equal(err.kind, ERR_INVALID_DEADLINE);
    }
}

static void what_is_left_counts_from_the_arrival(void **state)
{
    struct http_head head = head_of("X-Deadline-Left", "250");
    struct http_head none = head_of("X-Deadline", "250"); /* a worker obeys the other alone */
    struct http_head wrong = head_of("X-Deadline-Left", "-3");
    struct deadline deadline;
    struct err err = ERR_INIT;

    assert_int_equal(deadline_read_left(&head, 1000, &deadline, &err), 0);
    assert_int_equal(deadline.at_us, 1000 + 250 * US_PER_MS);
    assert_int_equal(deadline_read_left(&none, 1000, &deadline, &err), 0);
    assert_false(deadline_is_set(&deadline));
    assert_int_equal(deadline_read_left(&wrong, 1000, &deadline, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID_DEADLINE);
}

static void a_missed_one_says_where_the_time_went(void **state)
{
    const struct deadline_spent spent = {
        .phase = DEADLINE_PREFILL,
        .us = {[DEADLINE_QUEUE] = 1500, [DEADLINE_LOAD] = 40000, [DEADLINE_PREFILL] = 250999}};
    const struct deadline_spent arrival = {.phase = DEADLINE_ARRIVAL};
    AUTO_JSON json_t *details = deadline_details(&spent);
    AUTO_FREE char *text = json_to_text(details);
    struct err err = ERR_INIT;

    assert_string_equal(text, "{\"phase\":\"prefill\",\"spent_ms\":{\"queue\":1,\"load\":40,"
                              "\"prefill\":250,\"decode\":0}}");
    assert_int_equal(deadline_fail(&spent, &err), -1);
    assert_int_equal(err.kind, ERR_DEADLINE);
    assert_non_null(strstr(err.message, "in prefill: 1 ms"));
    err_clear(&err);
    (void)deadline_fail(&arrival, &err);
    assert_non_null(strstr(err.message, "when the request came"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_headers_there_is_none),
        cmocka_unit_test(an_absolute_one_becomes_monotonic_time),
        cmocka_unit_test(a_relative_one_counts_from_the_arrival),
        cmocka_unit_test(of_two_the_earlier_counts),
        cmocka_unit_test(one_that_has_passed_is_over_at_once),
        cmocka_unit_test(what_is_no_number_is_refused),
        cmocka_unit_test(one_too_far_away_is_refused_with_the_bound),
        cmocka_unit_test(a_header_that_stands_twice_is_refused),
        cmocka_unit_test(what_is_left_counts_from_the_arrival),
        cmocka_unit_test(a_missed_one_says_where_the_time_went),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
