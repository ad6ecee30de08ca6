/* What is said to people: messages of failures and lines of the log. Both are one line of printable
 * text, whatever went into them. */
#include "common/err.h"
#include "common/log.h"

#include "common/buf.h"
#include "common/io.h"
#include "common/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void every_kind_has_a_code_of_its_own(void **state)
{
    for (int kind = ERR_NONE + 1; kind < ERR_KIND_COUNT; kind++) {
        assert_int_equal(err_kind_of_wire(err_wire_code((enum err_kind)kind)), kind);
        assert_in_range(err_http_status((enum err_kind)kind), 400, 599);
        assert_in_range(err_exit_code((enum err_kind)kind), 1, 143);
    }
    assert_int_equal(err_kind_of_wire("NO_SUCH_CODE"), ERR_NONE);
}

static void a_message_is_one_printable_line(void **state)
{
    struct err err = ERR_INIT;

    err_fill(&err, ERR_IO, "open %s", "a\nb\x1b[2J\xff");
    assert_string_equal(err.message, "open a b?[2J?");
    errno = ENOENT;
    assert_int_equal(err_set(&err, ERR_IO, "open %s: %m", "x"), -1);
    assert_string_equal(err.message, "open x: No such file or directory");
    assert_int_equal(err_wrap(&err, "start\n"), -1);
    assert_string_equal(err.message, "start : open x: No such file or directory");
    assert_int_equal(err.kind, ERR_IO);
}

static void a_long_message_ends_in_dots_and_whole_characters(void **state)
{
    for (size_t shift = 0; shift < 4; shift++) {
        char text[4 * ERR_MESSAGE_MAX_BYTES] = "";
        struct err err = ERR_INIT;
        size_t len = shift;

        memset(text, 'x', shift);
        while (len + 4 < sizeof(text)) {
            memcpy(text + len, "\xf0\x9f\x90\x9d", 4);
            len += 4;
        }
        err_fill(&err, ERR_IO, "%s", text);
        assert_true(strlen(err.message) < ERR_MESSAGE_MAX_BYTES);
        assert_string_equal(err.message + strlen(err.message) - 3, "...");
        assert_null(strchr(err.message, '?'));
        err_prefix(&err, "%s", "in front");
        assert_string_equal(err.message + strlen(err.message) - 3, "...");
        assert_null(strchr(err.message, '?'));
        err_prefix(&err, "%s", text);
        assert_true(utf8_is_valid(err.message, strlen(err.message)));
    }
}

/* Runs LOG with stderr in a pipe; what came out is added to OUT. */
static void capture(void (*log)(void), struct buf *out)
{
    int fds[2] = {-1, -1};
    int saved = dup(STDERR_FILENO);
    struct err err = ERR_INIT;

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_not_equal(fcntl(fds[1], F_SETPIPE_SZ, 1 << 20), -1);
    assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
    log();
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    (void)close(saved);
    (void)close(fds[1]);
    assert_int_equal(io_read_all(fds[0], out, &err), 0);
    (void)close(fds[0]);
}

static void log_one(void)
{
    errno = EPERM;
    log_event(LOG_WARN, "thing_happened", "name=%s why=%m", "a\nb\x1b\xff\xc2\x9b\xc3\xa9");
    assert_int_equal(errno, EPERM);
    log_event(LOG_DEBUG, "not_shown", "x=%d", 1);
}

static void a_line_is_time_level_event_and_fields(void **state)
{
    AUTO_BUF struct buf out = BUF_INIT(1 << 16);

    capture(log_one, &out);
    assert_int_equal(out.data[10], 'T');
    assert_int_equal(out.data[23], 'Z');
    assert_string_equal(out.data + 24,
                        " warn thing_happened name=\"a\\x0ab\\x1b\\xff\\xc2\\x9b\xc3\xa9\" "
                        "why=\"Operation not permitted\"\n");
}

static void log_values(void)
{
    log_event(LOG_INFO, "values", "a=%s b=%s c=%s d=%d:%s e=%s f=x g=%s", "", "two words",
              "say \"x=1\" z=2", -1, "b", "c:\\d", "k=v");
    log_event(LOG_INFO, "numbers", "u=%u l=%ld ul=%lu z=%zu ll=%lld ull=%llu", 1u, -2L, 3ul,
              (size_t)4, -5LL, 6ull);
}

/* Whoever writes a value, the line has the fields of its format and no others. */
static void a_value_is_quoted_where_it_would_not_be_one(void **state)
{
    AUTO_BUF struct buf out = BUF_INIT(1 << 16);

    capture(log_values, &out);
    assert_non_null(strstr(out.data, " values a= b=\"two words\" c=\"say \\\"x=1\\\" z=2\" d=-1:b "
                                     "e=\"c:\\\\d\" f=x g=k=v\n"));
    assert_non_null(strstr(out.data, " numbers u=1 l=-2 ul=3 z=4 ll=-5 ull=6\n"));
}

static void log_long(void)
{
    char text[3 * 4096];

    memset(text, '\x01', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    log_event(LOG_ERROR, "long_one", "text=%s", text);
    memset(text, 'x', sizeof(text) - 1);
    log_event(LOG_ERROR, "long_two", "text=%s", text);
}

static void a_long_line_is_cut_and_still_ends(void **state)
{
    AUTO_BUF struct buf out = BUF_INIT(1 << 16);
    char *line_end = NULL;

    capture(log_long, &out);
    line_end = strchr(out.data, '\n');
    assert_non_null(line_end);
    assert_true(line_end - out.data < 4096);
    assert_memory_equal(line_end - 5, "\\x01\"\n", 6);
    assert_non_null(strstr(line_end, "long_two"));
    assert_true(strlen(line_end + 1) <= 4096);
    assert_int_equal(out.data[out.len - 1], '\n');
}

enum { THREAD_COUNT = 4, LINE_COUNT = 200 };

static void *log_from_thread(void *owner)
{
    for (int i = 0; i < LINE_COUNT; i++)
        log_event(LOG_INFO, "from_thread", "owner=%s i=%d", (const char *)owner, i);
    return NULL;
}

static void log_from_threads(void)
{
    static char names[THREAD_COUNT][2] = {"a", "b", "c", "d"};
    pthread_t threads[THREAD_COUNT];

    for (size_t i = 0; i < THREAD_COUNT; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_from_thread, names[i]), 0);
    for (size_t i = 0; i < THREAD_COUNT; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void lines_of_several_threads_do_not_mix(void **state)
{
    AUTO_BUF struct buf out = BUF_INIT(1 << 20);
    size_t count = 0;
    char *rest = NULL;

    capture(log_from_threads, &out);
    rest = out.data;
    for (char *line = strsep(&rest, "\n"); line != NULL && line[0] != '\0';
         line = strsep(&rest, "\n")) {
        assert_int_equal(line[23], 'Z');
        assert_memory_equal(line + 24, " info from_thread owner=", 24);
        count++;
    }
    assert_int_equal(count, THREAD_COUNT * LINE_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_has_a_code_of_its_own),
        cmocka_unit_test(a_message_is_one_printable_line),
        cmocka_unit_test(a_long_message_ends_in_dots_and_whole_characters),
        cmocka_unit_test(a_line_is_time_level_event_and_fields),
        cmocka_unit_test(a_value_is_quoted_where_it_would_not_be_one),
        cmocka_unit_test(a_long_line_is_cut_and_still_ends),
        cmocka_unit_test(lines_of_several_threads_do_not_mix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
