/* What a bounded run of bytes promises: its maximum, its NUL, and nothing added on failure. */
#include "common/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void an_empty_buf_is_an_empty_text_and_takes_no_memory(void **state)
{
    AUTO_BUF struct buf buf = BUF_INIT(10);

    assert_string_equal(buf.data, "");
    assert_int_equal(buf.capacity, 0);
    assert_int_equal(buf_add(&buf, "", 0), 0);
    buf_clear(&buf);
    buf_consume(&buf, 0);
    assert_int_equal(buf.capacity, 0);
}

static void it_holds_its_maximum_and_not_one_byte_more(void **state)
{
    for (size_t max = 0; max < 600; max += 37) {
        AUTO_BUF struct buf buf = BUF_INIT(max);

        for (size_t i = 0; i < max; i++)
            assert_int_equal(buf_add_byte(&buf, 'x'), 0);
        assert_int_equal(buf_add_byte(&buf, 'y'), -1);
        assert_int_equal(buf.len, max);
        assert_int_equal(strlen(buf.data), max);
        assert_null(strchr(buf.data, 'y'));
        assert_true(buf.capacity <= max + 1);
    }
}

static void what_does_not_fit_whole_is_not_added_at_all(void **state)
{
    AUTO_BUF struct buf buf = BUF_INIT(5);

    assert_int_equal(buf_add_string(&buf, "abc"), 0);
    assert_int_equal(buf_add_string(&buf, "def"), -1);
    assert_int_equal(buf_printf(&buf, "%d", 1234), -1);
    assert_int_equal(buf_add_texts(&buf, "d", "e", "f"), -1);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX), -1);
    assert_int_equal(buf_reserve(&buf, 3), -1);
    assert_string_equal(buf.data, "abc");
    assert_int_equal(buf_printf(&buf, "%d", 12), 0);
    assert_string_equal(buf.data, "abc12");
    buf_consume(&buf, 3);
    assert_int_equal(buf_add_texts(&buf, "", "3", "45"), 0);
    assert_string_equal(buf.data, "12345");
}

static void bytes_leave_at_the_front(void **state)
{
    AUTO_BUF struct buf buf = BUF_INIT(100);

    assert_int_equal(buf_add(&buf, "a\0bcd", 5), 0);
    buf_consume(&buf, 2);
    assert_string_equal(buf.data, "bcd");
    buf_consume(&buf, 3);
    assert_string_equal(buf.data, "");
    assert_int_equal(buf.len, 0);
}

static void what_is_taken_belongs_to_the_taker(void **state)
{
    AUTO_BUF struct buf buf = BUF_INIT(100);
    char *taken = NULL;

    taken = buf_take(&buf); /* nothing was ever added: still a text that can be freed */
    assert_string_equal(taken, "");
    free(taken);
    assert_int_equal(buf_add_string(&buf, "abc"), 0);
    taken = buf_take(&buf);
    assert_int_equal(buf.len, 0);
    assert_string_equal(buf.data, "");
    assert_int_equal(buf_add_string(&buf, "new"), 0);
    assert_string_equal(taken, "abc");
    free(taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buf_is_an_empty_text_and_takes_no_memory),
        cmocka_unit_test(it_holds_its_maximum_and_not_one_byte_more),
        cmocka_unit_test(what_does_not_fit_whole_is_not_added_at_all),
        cmocka_unit_test(bytes_leave_at_the_front),
        cmocka_unit_test(what_is_taken_belongs_to_the_taker),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
