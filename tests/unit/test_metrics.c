/* Metrics: each thing is counted in its series and no other, buckets hold what lies below their
 * ends, and no text can break out of its place. */
#include "common/json.h"
#include "common/metrics_text.h"
#include "supervisor/breaker.h"
#include "supervisor/fault.h"
#include "supervisor/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { TEXT_MAX_BYTES = 64 * 1024 };

/* FAMILY alone, as text; taken over. */
static void print(json_t *family, struct buf *out)
{
    AUTO_JSON json_t *metrics = json_pack("{s:[o]}", "metrics", family);
    struct err err = ERR_INIT;

    buf_clear(out);
    assert_int_equal(metrics_print(metrics, out, &err), 0);
}

static void assert_has(const struct buf *text, const char *line)
{
    if (strstr(text->data, line) == NULL)
        fail_msg("no %s in %s", line, text->data);
}

static unsigned line_count(const struct buf *text)
{
    unsigned count = 0;

    for (const char *at = text->data; (at = strchr(at, '\n')) != NULL; at++)
        count++;
    return count;
}

static void a_counter_has_a_series_for_each_member_from_the_beginning(void **state)
{
    struct metrics metrics = {0};
    AUTO_BUF struct buf text = BUF_INIT(TEXT_MAX_BYTES);

    metrics_count(&metrics, METRIC_WORKER_FAILURES, FAULT_HANG);
    metrics_count(&metrics, METRIC_WORKER_FAILURES, FAULT_HANG);
    print(metrics_counter_family(&metrics, METRIC_WORKER_FAILURES), &text);
    assert_has(&text, "# TYPE rbee_hive_worker_failures_total counter\n");
    assert_has(&text, "\nrbee_hive_worker_failures_total{class=\"hang\"} 2\n");
    assert_has(&text, "\nrbee_hive_worker_failures_total{class=\"crash\"} 0\n");
    assert_int_equal(line_count(&text), 2 + FAULT_CLASS_COUNT);
    print(metrics_counter_family(&metrics, METRIC_WORKER_SPAWNS), &text);
    assert_has(&text, "\nrbee_hive_worker_spawns_total 0\n");
}

static void a_negative_amount_takes_nothing_back(void **state)
{
    struct metrics metrics = {0};
    AUTO_BUF struct buf text = BUF_INIT(TEXT_MAX_BYTES);

    metrics_add(&metrics, METRIC_PROMPT_TOKENS, 7);
    metrics_add(&metrics, METRIC_PROMPT_TOKENS, -1);
    print(metrics_counter_family(&metrics, METRIC_PROMPT_TOKENS), &text);
    assert_has(&text, "\nrbee_hive_prompt_tokens_total 7\n");
}

/* The end of a bucket belongs to it, and what is above all ends is in +Inf alone. */
static void a_bucket_holds_what_is_not_above_its_end(void **state)
{
    struct metrics metrics = {0};
    AUTO_BUF struct buf text = BUF_INIT(TEXT_MAX_BYTES);

    metrics_observe(&metrics, METRIC_FIRST_TOKEN, 0);
    metrics_observe(&metrics, METRIC_FIRST_TOKEN, 10000);
    metrics_observe(&metrics, METRIC_FIRST_TOKEN, 10001);
    metrics_observe(&metrics, METRIC_FIRST_TOKEN, UINT64_C(3600) * 1000000);
    print(metrics_histogram_family(&metrics, METRIC_FIRST_TOKEN), &text);
    assert_has(&text, "# TYPE rbee_hive_time_to_first_token_seconds histogram\n");
    assert_has(&text, "_bucket{le=\"0.01\"} 2\n");
    assert_has(&text, "_bucket{le=\"0.025\"} 3\n");
    assert_has(&text, "_bucket{le=\"300\"} 3\n");
    assert_has(&text, "_bucket{le=\"+Inf\"} 4\n");
    assert_has(&text, "_sum 3600.020001\n");
    assert_has(&text, "_count 4\n");
}

static void every_histogram_ends_with_infinity_and_its_ends_rise(void **state)
{
    struct metrics metrics = {0};

    for (int i = 0; i < METRIC_HISTOGRAM_COUNT; i++) {
        AUTO_JSON json_t *family = metrics_histogram_family(&metrics, (enum metric_histogram)i);
        const json_t *samples = json_object_get(family, "samples");
        double before = 0;
        size_t ends = json_array_size(samples) - 3; /* then +Inf, _sum, _count */

        for (size_t k = 0; k < ends; k++) {
            const json_t *labels = json_object_get(json_array_get(samples, k), "labels");
            double end = strtod(json_string_value(json_object_get(labels, "le")), NULL);

            assert_true(end > before);
            before = end;
        }
        assert_string_equal(json_string_value(json_object_get(
                                json_object_get(json_array_get(samples, ends), "labels"), "le")),
                            "+Inf");
    }
}

static void an_opening_is_counted_once_and_nothing_else_is(void **state)
{
    struct metrics metrics = {0};
    const uint64_t *counts = metrics.counters[METRIC_BREAKER_ACTIVATIONS];
    struct breaker closed = {.state = BREAKER_CLOSED, .trip_count = 3};
    struct breaker open = {.state = BREAKER_OPEN, .trip_count = 4};
    struct breaker half = {.state = BREAKER_HALF_OPEN, .trip_count = 4};
    struct breaker forced = {.state = BREAKER_FORCED_OPEN, .trip_count = 4};

    metrics_count_opening(&metrics, METRIC_BREAKER_WORKER, &closed, &open);
    metrics_count_opening(&metrics, METRIC_BREAKER_WORKER, &open, &open);
    metrics_count_opening(&metrics, METRIC_BREAKER_WORKER, &open, &half);
    metrics_count_opening(&metrics, METRIC_BREAKER_WORKER, &half, &closed);
    assert_int_equal(counts[METRIC_BREAKER_WORKER], 1);
    /* A person's opening raises no trip_count; one that is half open at once does. */
    metrics_count_opening(&metrics, METRIC_BREAKER_WORKER, &open, &forced);
    metrics_count_opening(&metrics, METRIC_BREAKER_WORKER, &forced, &forced);
    metrics_count_opening(&metrics, METRIC_BREAKER_DEVICE, &closed, &half);
    assert_int_equal(counts[METRIC_BREAKER_WORKER], 2);
    assert_int_equal(counts[METRIC_BREAKER_DEVICE], 1);
}

static void a_label_or_a_help_text_cannot_break_out(void **state)
{
    AUTO_BUF struct buf text = BUF_INIT(TEXT_MAX_BYTES);
    json_t *family = metrics_family("m", METRICS_GAUGE, "a \"b\" \\ \n# TYPE m counter");

    metrics_sample(family, "", json_pack("{s:s, s:s}", "x", "\"} 1\nm{x=\"\\", "y", "ü"),
                   json_real(0.25));
    print(family, &text);
    assert_string_equal(text.data, "# HELP m a \"b\" \\\\ \\n# TYPE m counter\n"
                                   "# TYPE m gauge\n"
                                   "m{x=\"\\\"} 1\\nm{x=\\\"\\\\\",y=\"ü\"} 0.25\n");
}

/* What the command line prints has come from a supervisor of whatever version. */
static void what_is_no_metric_is_refused(void **state)
{
    static const char *const BAD[] = {
        "{}",
        "{\"metrics\":1}",
        "{\"metrics\":[1]}",
        "{\"metrics\":[{\"name\":\"a b\",\"type\":\"gauge\",\"help\":\"\",\"samples\":[]}]}",
        "{\"metrics\":[{\"name\":\"a\",\"type\":\"ga\\nuge\",\"help\":\"\",\"samples\":[]}]}",
        "{\"metrics\":[{\"name\":\"a\",\"type\":\"gauge\",\"help\":\"\",\"samples\":[1]}]}",
        "{\"metrics\":[{\"name\":\"a\",\"type\":\"gauge\",\"help\":\"\",\"samples\":["
        "{\"name\":\"a\",\"labels\":{\"x\\n\":\"\"},\"value\":1}]}]}",
        "{\"metrics\":[{\"name\":\"a\",\"type\":\"gauge\",\"help\":\"\",\"samples\":["
        "{\"name\":\"a\",\"labels\":{\"x\":1},\"value\":1}]}]}",
        "{\"metrics\":[{\"name\":\"a\",\"type\":\"gauge\",\"help\":\"\",\"samples\":["
        "{\"name\":\"a\",\"labels\":{},\"value\":\"1\"}]}]}",
    };

    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        AUTO_BUF struct buf text = BUF_INIT(TEXT_MAX_BYTES);
        struct err err = ERR_INIT;
        AUTO_JSON json_t *metrics = json_parse(BAD[i], strlen(BAD[i]), TEXT_MAX_BYTES, &err);

        assert_non_null(metrics);
        assert_int_equal(metrics_print(metrics, &text, &err), -1);
        assert_int_equal(err.kind, ERR_PROTOCOL);
    }
}

static void a_text_that_is_too_long_is_an_error(void **state)
{
    AUTO_BUF struct buf text = BUF_INIT(16);
    struct err err = ERR_INIT;
    AUTO_JSON json_t *metrics =
        json_pack("{s:[o]}", "metrics", metrics_family("name", METRICS_GAUGE, "a long help text"));

    assert_int_equal(metrics_print(metrics, &text, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_counter_has_a_series_for_each_member_from_the_beginning),
        cmocka_unit_test(a_negative_amount_takes_nothing_back),
        cmocka_unit_test(a_bucket_holds_what_is_not_above_its_end),
        cmocka_unit_test(every_histogram_ends_with_infinity_and_its_ends_rise),
        cmocka_unit_test(an_opening_is_counted_once_and_nothing_else_is),
        cmocka_unit_test(a_label_or_a_help_text_cannot_break_out),
        cmocka_unit_test(what_is_no_metric_is_refused),
        cmocka_unit_test(a_text_that_is_too_long_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
