/* The screen that explains a worker: never more than 24 lines of 80 columns, whatever a worker has
 * said, but a command that is there to be copied is whole. */
#include "common/why_text.h"

#include "common/json.h"
#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { TEST_SCREEN_MAX_BYTES = 64 << 10 };

/* Everything that can be there, and TEXT wherever a stranger's may be. */
static json_t *make_record(const char *text)
{
    json_t *record = json_pack(
        "{s:s, s:s, s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:s}", "name", "a",
        "state", "open", "since", "2026-11-21T22:51:07.123Z", "state_ms", (json_int_t)65000,
        "waits_for", "breaker", "next_retry_at", "2026-11-21T22:51:07.123Z", "next_retry_ms",
        (json_int_t)1000, "attempt", (json_int_t)3, "max_attempts", (json_int_t)3, "failures",
        (json_int_t)4, "failures_limit", (json_int_t)5, "window_ms", (json_int_t)300000,
        "held_since", "2026-11-21T22:51:07.123Z", "breaker_meaning", text, "problem", text);
    json_t *lines = json_array();
    json_t *changes = json_array();

    for (int i = 0; i < 20; i++)
        (void)json_array_append_new(lines, json_string(text));
    for (int i = 0; i < 5; i++)
        (void)json_array_append_new(changes, json_pack("{s:s, s:s, s:s, s:s}", "at",
                                                       "2026-11-21T22:51:07.123Z", "from",
                                                       "starting", "to", "open", "cause", text));
    (void)json_object_set_new(record, "stderr", lines);
    (void)json_object_set_new(record, "transitions", changes);
    (void)json_object_set_new(record, "last_failure",
                              json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "at",
                                        "2026-11-21T22:51:07.123Z", "fault", "crash",
                                        "fault_meaning", text, "exit", text, "exit_meaning", text,
                                        "last_words", text, "is_drill", 1));
    (void)json_object_set_new(
        record, "breaker",
        json_pack("{s:s, s:s, s:I}", "state", "open", "cause", text, "trips", (json_int_t)2));
    (void)json_object_set_new(
        record, "device_breaker",
        json_pack("{s:s, s:s, s:I}", "state", "open", "cause", text, "trips", (json_int_t)2));
    (void)json_object_set_new(record, "other_device_breaker",
                              json_pack("{s:s, s:s, s:s, s:I}", "name", "gpu:0000:c3:00.0", "state",
                                        "open", "cause", text, "trips", (json_int_t)2));
    (void)json_object_set_new(
        record, "degraded",
        json_pack("{s:I, s:I}", "context_tokens", (json_int_t)2048, "slots", (json_int_t)1));
    (void)json_object_set_new(record, "worker",
                              json_pack("{s:s, s:s, s:s, s:s, s:I}", "desired", "up", "model", text,
                                        "device", "gpu:0", "held_reason", text, "restarts",
                                        (json_int_t)3));
    (void)json_object_set_new(record, "command", json_string("rbee breaker reset a"));
    (void)json_object_set_new(record, "advice", json_string(text));
    return record;
}

static size_t columns(const char *line, size_t len)
{
    size_t count = 0;

    for (size_t i = 0; i < len; i++)
        count += ((unsigned char)line[i] & 0xc0) != 0x80; /* not inside a character */
    return count;
}

static void assert_is_a_screen(const char *name, const char *said, struct buf *screen)
{
    AUTO_JSON json_t *record = make_record(said);
    size_t count = 0;

    (void)json_object_set_new(record, "name", json_string(name));
    buf_clear(screen);
    why_text(record, screen);
    for (const char *line = screen->data; *line != '\0'; count++) {
        size_t len = strcspn(line, "\n");

        assert_true(columns(line, len) <= WHY_TEXT_COLUMNS);
        line += len + 1;
    }
    assert_in_range(count, 1, WHY_TEXT_LINES);
    assert_non_null(strstr(screen->data, "rbee breaker reset a\n"));
    assert_null(strchr(screen->data, '\033'));
    assert_null(strchr(screen->data, '\t'));
}

static void a_screen_is_a_screen_whatever_was_said(void **state)
{
    AUTO_BUF struct buf screen = BUF_INIT(TEST_SCREEN_MAX_BYTES);
    AUTO_FREE char *word = xcalloc(1, 5001);
    AUTO_FREE char *words = xcalloc(1, 5001);
    AUTO_FREE char *wide = xcalloc(1, 3001);

    memset(word, 'x', 5000);
    for (size_t i = 0; i < 5000; i++)
        words[i] = i % 7 == 0 ? ' ' : 'y';
    for (size_t i = 0; i < 3000; i += 3)
        memcpy(wide + i, "\xe2\x82\xac", 3);
    assert_is_a_screen("a", "", &screen);
    assert_is_a_screen("a", "short", &screen);
    assert_is_a_screen("a", "two\nlines\tand \033[2J", &screen);
    assert_is_a_screen("a", word, &screen);
    assert_is_a_screen("a", words, &screen);
    assert_is_a_screen("a", wide, &screen);
}

/* Names of models are longer than the column of labels. */
static void a_long_name_has_a_line_for_itself(void **state)
{
    AUTO_BUF struct buf screen = BUF_INIT(TEST_SCREEN_MAX_BYTES);

    assert_is_a_screen("smollm2-135m-instruct", "words", &screen);
    assert_memory_equal(screen.data, "smollm2-135m-instruct\n             is open for 1m05s",
                        strlen("smollm2-135m-instruct\n             is open for 1m05s"));
    assert_is_a_screen("thirteen-long", "words", &screen);
    assert_non_null(strstr(screen.data, "thirteen-long\n             is open"));
    assert_is_a_screen("twelve-long-", "words", &screen);
    assert_non_null(strstr(screen.data, "twelve-long- is open"));
}

static void a_record_that_knows_nothing_is_shown_as_well(void **state)
{
    AUTO_BUF struct buf screen = BUF_INIT(TEST_SCREEN_MAX_BYTES);
    AUTO_JSON json_t *record = json_object();

    why_text(record, &screen);
    assert_true(screen.len > 0);
}

static void a_long_advice_goes_on_in_the_next_line(void **state)
{
    AUTO_BUF struct buf screen = BUF_INIT(TEST_SCREEN_MAX_BYTES);
    AUTO_JSON json_t *record = json_pack(
        "{s:s, s:s}", "command", "rbee logs a", "advice",
        "it starts again by itself; what went wrong is in its log, which is where it was");

    why_text(record, &screen);
    assert_non_null(strstr(screen.data, "next step    rbee logs a\n"
                                        "             it starts again by itself; what went wrong "
                                        "is in its log, which is\n"
                                        "             where it was\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_screen_is_a_screen_whatever_was_said),
        cmocka_unit_test(a_long_name_has_a_line_for_itself),
        cmocka_unit_test(a_record_that_knows_nothing_is_shown_as_well),
        cmocka_unit_test(a_long_advice_goes_on_in_the_next_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
