/* The ways to keep keys and values: the words of the options and of the configuration are those
 * that the table has, in its order. */
#include "cli/option.h"
#include "common/attr.h"
#include "common/buf.h"
#include "common/config.h"
#include "common/kv_type.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_choices_repeat_the_table(void **state)
{
    enum { WORDS_BYTES = 256 };
    struct buf words;
    AUTO_FREE char *text = NULL;

    (void)state;
    buf_init(&words, WORDS_BYTES);
    for (int type = 0; type < KV_TYPE_COUNT; type++) {
        if (type > 0)
            assert_int_equal(buf_add_byte(&words, '|'), 0);
        assert_int_equal(buf_add_string(&words, kv_type_name((enum kv_type)type)), 0);
    }
    text = buf_take(&words);
    assert_string_equal(option_get(OPTION_KV_TYPE)->argument, text);
    assert_string_equal(config_worker_key_info(CONFIG_WORKER_kv_type)->default_text, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_choices_repeat_the_table)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
