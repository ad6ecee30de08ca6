/* Logs read while they are written: the last lines over all files of a log, then each line that
 * comes once, however the log turns over meanwhile; what is gone is said. */
#include "supervisor/log_tail.h"

#include "common/mem.h"
#include "supervisor/log_file.h"
#include "tests/temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { TEST_TEXT_MAX_BYTES = 4 << 20 };

struct fixture {
    char *folder;
    char *path;
    struct log_tail tail;
    struct buf text; /* what was read last */
    bool is_cut;
    bool has_gap;
};

static int begin(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));

    fixture->folder = temp_folder_make();
    fixture->path = paths_join(fixture->folder, "a.log");
    log_tail_init(&fixture->tail, fixture->path);
    buf_init(&fixture->text, TEST_TEXT_MAX_BYTES);
    *state = fixture;
    return 0;
}

static int end(void **state)
{
    struct fixture *fixture = *state;

    log_tail_release(&fixture->tail);
    buf_release(&fixture->text);
    temp_folder_remove(fixture->folder);
    free(fixture->folder);
    free(fixture->path);
    free(fixture);
    return 0;
}

/* Appends TEXT to the file. */
static void add(const struct fixture *fixture, const char *text)
{
    AUTO_CLOSE int fd = open(fixture->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

    assert_true(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

/* As log_file.c does it. */
static void turn_over(const struct fixture *fixture)
{
    for (int age = LOG_FILE_KEEP_COUNT - 1; age > 0; age--) {
        AUTO_FREE char *older = xasprintf("%s.%d", fixture->path, age);
        AUTO_FREE char *newer =
            age == 1 ? xstrdup(fixture->path) : xasprintf("%s.%d", fixture->path, age - 1);

        (void)rename(newer, older); /* it need not be there */
    }
}

static void assert_last(struct fixture *fixture, size_t count, const char *text)
{
    struct err err = ERR_INIT;

    log_tail_release(&fixture->tail);
    log_tail_init(&fixture->tail, fixture->path);
    buf_clear(&fixture->text);
    assert_int_equal(log_tail_last(&fixture->tail, count, &fixture->text, &fixture->is_cut, &err),
                     0);
    assert_string_equal(fixture->text.data, text);
}

static void assert_next(struct fixture *fixture, const char *text)
{
    struct err err = ERR_INIT;
    int rc = 0;

    buf_clear(&fixture->text);
    rc = log_tail_next(&fixture->tail, &fixture->text, &fixture->has_gap, &err);
    assert_int_equal(rc, text[0] != '\0');
    assert_string_equal(fixture->text.data, text);
}

static void the_last_lines_are_found_over_all_files(void **state)
{
    struct fixture *fixture = *state;

    assert_last(fixture, 3, "");
    assert_false(fixture->is_cut);
    add(fixture, "1\n2\n");
    turn_over(fixture);
    add(fixture, "3\n");
    turn_over(fixture);
    add(fixture, "4\n5\n");
    assert_last(fixture, 0, "");
    assert_last(fixture, 1, "5\n");
    assert_last(fixture, 2, "4\n5\n");
    assert_last(fixture, 3, "3\n4\n5\n");
    assert_last(fixture, 4, "2\n3\n4\n5\n");
    assert_last(fixture, 9, "1\n2\n3\n4\n5\n");
    assert_false(fixture->is_cut);
    assert_next(fixture, "");
}

static void each_line_that_comes_is_read_once(void **state)
{
    struct fixture *fixture = *state;

    add(fixture, "1\n2\nhal");
    assert_last(fixture, 1, "2\n");
    assert_next(fixture, "");
    add(fixture, "f\n");
    assert_next(fixture, "half\n");
    assert_next(fixture, "");
    add(fixture, "3\n");
    turn_over(fixture);
    assert_next(fixture, "3\n");
    assert_next(fixture, "");
    add(fixture, "4\n");
    assert_next(fixture, "4\n");
    assert_false(fixture->has_gap);
}

static void a_log_that_is_not_there_yet_is_read_from_its_beginning(void **state)
{
    struct fixture *fixture = *state;

    assert_last(fixture, 5, "");
    assert_next(fixture, "");
    add(fixture, "1\n");
    assert_next(fixture, "1\n");
}

/* A reader that was away while the log turned over, once, as often as it keeps files, and once
 * more.
 */
static void a_slow_reader_misses_nothing_that_is_kept_and_is_told_of_what_is_not(void **state)
{
    struct fixture *fixture = *state;

    add(fixture, "0\n");
    assert_last(fixture, 0, "");
    turn_over(fixture);
    add(fixture, "1\n");
    turn_over(fixture);
    add(fixture, "2\n");
    assert_next(fixture, "1\n");
    assert_next(fixture, "2\n");
    assert_false(fixture->has_gap);
    for (int i = 3; i < 3 + LOG_FILE_KEEP_COUNT + 1; i++) {
        AUTO_FREE char *line = xasprintf("%d\n", i);

        turn_over(fixture);
        add(fixture, line);
    }
    assert_next(fixture, "4\n");
    assert_true(fixture->has_gap);
    assert_next(fixture, "5\n");
    assert_false(fixture->has_gap);
    assert_next(fixture, "6\n");
    assert_next(fixture, "");
}

static void only_so_much_is_read_and_whole_lines_of_it(void **state)
{
    struct fixture *fixture = *state;
    AUTO_BUF struct buf lines = BUF_INIT(TEST_TEXT_MAX_BYTES);
    struct err err = ERR_INIT;
    bool ignored = false;

    for (int i = 0; lines.len < LOG_TAIL_MAX_BYTES * 2; i++)
        assert_int_equal(buf_printf(&lines, "%09d\n", i), 0);
    add(fixture, lines.data);
    log_tail_release(&fixture->tail);
    log_tail_init(&fixture->tail, fixture->path);
    assert_int_equal(
        log_tail_last(&fixture->tail, SIZE_MAX, &fixture->text, &fixture->is_cut, &err), 0);
    assert_true(fixture->is_cut);
    assert_true(fixture->text.len <= LOG_TAIL_MAX_BYTES);
    assert_int_equal(fixture->text.len % strlen("000000000\n"), 0);
    fixture->tail.offset = 0;
    buf_clear(&fixture->text);
    while (log_tail_next(&fixture->tail, &fixture->text, &ignored, &err) > 0)
        ;
    assert_string_equal(fixture->text.data, lines.data);
}

/* It would end the text, and hide what comes after it. */
static void a_nul_is_a_blank_and_a_line_without_end_comes_in_pieces(void **state)
{
    struct fixture *fixture = *state;
    AUTO_FREE char *wide = xcalloc(1, LOG_TAIL_CHUNK_BYTES + 11);
    AUTO_CLOSE int fd = open(fixture->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, "a\0b\nc\n", 6), 6);
    assert_last(fixture, 9, "a b\nc\n");
    memset(wide, 'x', LOG_TAIL_CHUNK_BYTES + 10);
    add(fixture, wide);
    wide[LOG_TAIL_CHUNK_BYTES] = '\0';
    assert_next(fixture, wide);
    assert_next(fixture, "");
    add(fixture, "\n");
    assert_next(fixture, "xxxxxxxxxx\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_last_lines_are_found_over_all_files, begin, end),
        cmocka_unit_test_setup_teardown(each_line_that_comes_is_read_once, begin, end),
        cmocka_unit_test_setup_teardown(a_log_that_is_not_there_yet_is_read_from_its_beginning,
                                        begin, end),
        cmocka_unit_test_setup_teardown(
            a_slow_reader_misses_nothing_that_is_kept_and_is_told_of_what_is_not, begin, end),
        cmocka_unit_test_setup_teardown(only_so_much_is_read_and_whole_lines_of_it, begin, end),
        cmocka_unit_test_setup_teardown(a_nul_is_a_blank_and_a_line_without_end_comes_in_pieces,
                                        begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
