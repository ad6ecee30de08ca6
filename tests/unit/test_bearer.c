/* The Authorization header: what is read as a token, and what each other spelling is called. */
#include "common/bearer.h"

#include "common/mem.h"
#include "common/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* What bearer_find makes of one header of that VALUE. */
static const char *find(const char *value, struct err *err)
{
    static struct http_head head;

    head = (struct http_head){.header_count = 2};
    head.headers[0] = (struct http_header){"Host", "x"};
    head.headers[1] = (struct http_header){"aUTHORIZATION", value};
    err_clear(err);
    return bearer_find(&head, err);
}

static void the_scheme_has_any_case_and_one_space_behind_it(void **state)
{
    static const char *const GOOD[] = {"Bearer s3cret", "bearer s3cret", "BEARER s3cret",
                                       "bEaReR s3cret"};
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_COUNT(GOOD); i++)
        assert_string_equal(find(GOOD[i], &err), "s3cret");
    assert_string_equal(find("Bearer ~!\"#,;=:", &err), "~!\"#,;=:");
}

static void every_other_spelling_is_no_token(void **state)
{
    static const char *const BAD[] = {
        "",           "s3cret",         "Bearer",           "Bearer ",           "Bearer  s3cret",
        "Bearer\ts3", "Bearers3cret",   "Bearer: s3cret",   "Bearer s3 cret",    "Bearer s3\tcret",
        "Basic eDp5", "Token s3cret",   "Bearer s3\x7f",    "Bearer s3\x80\xff", "Bearer \xc3\xa9",
        " Bearer s3", "Bearer s3cret ", "Bearer\xc2\xa0s3",
    };
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++) {
        assert_null(find(BAD[i], &err));
        assert_int_equal(err.kind, ERR_INVALID_API_KEY);
        assert_null(strstr(err.message, "s3"));
    }
}

static void lengths_have_limits(void **state)
{
    static const char SCHEME[] = "Bearer ";
    static const struct {
        size_t value_len;
        enum err_kind kind;
    } CASES[] = {
        {sizeof(SCHEME) - 1 + 1, ERR_NONE},
        {sizeof(SCHEME) - 1 + TOKEN_MAX_LEN, ERR_NONE},
        {sizeof(SCHEME) - 1 + TOKEN_MAX_LEN + 1, ERR_INVALID_API_KEY},
        {BEARER_HEADER_MAX_BYTES, ERR_INVALID_API_KEY},
        {BEARER_HEADER_MAX_BYTES + 1, ERR_HEAD_TOO_LARGE},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        AUTO_FREE char *value = xcalloc(CASES[i].value_len + 1, 1);
        struct err err = ERR_INIT;

        memset(value, 'x', CASES[i].value_len);
        memcpy(value, SCHEME, strlen(SCHEME));
        assert_int_equal(find(value, &err) != NULL, CASES[i].kind == ERR_NONE);
        assert_int_equal(err.kind, CASES[i].kind);
    }
}

static void one_header_and_no_more(void **state)
{
    struct http_head head = {.header_count = 1, .headers = {{"Host", "x"}}};
    struct err err = ERR_INIT;

    assert_null(bearer_find(&head, &err));
    assert_int_equal(err.kind, ERR_MISSING_API_KEY);
    head.headers[1] = (struct http_header){"Authorization", "Bearer same"};
    head.headers[2] = (struct http_header){"authorization", "Bearer same"};
    head.header_count = 3;
    assert_null(bearer_find(&head, &err));
    assert_int_equal(err.kind, ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_scheme_has_any_case_and_one_space_behind_it),
        cmocka_unit_test(every_other_spelling_is_no_token),
        cmocka_unit_test(lengths_have_limits),
        cmocka_unit_test(one_header_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
