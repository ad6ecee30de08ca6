/* What can be pulled, as people write it. */
#include "supervisor/pull_source.h"

#include "common/attr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_hub(const char *text, const char *repo, const char *quant, const char *file)
{
    struct pull_source source;
    struct err err = ERR_INIT;

    if (pull_source_parse(text, &source, &err) != 0)
        fail_msg("%s: %s", text, err.message);
    assert_true(source.is_hub);
    assert_string_equal(source.repo, repo);
    assert_string_equal(source.quant, quant);
    assert_string_equal(source.file, file);
    assert_string_equal(source.shown, text);
    pull_source_release(&source);
}

static void a_repository_and_what_of_it(void **state)
{
    assert_hub("hf:a/b", "a/b", "", "");
    assert_hub("hf:A.b-c_d/e.f:Q4_K_M", "A.b-c_d/e.f", "Q4_K_M", "");
    assert_hub("hf:a/b/x.gguf", "a/b", "", "x.gguf");
    assert_hub("hf:a/b/sub/x y.gguf", "a/b", "", "sub/x y.gguf");
}

static void what_cannot_be_pulled_is_refused(void **state)
{
    static const char *const BAD[] = {
        "",
        "a/b",
        "hf:",
        "hf:a",
        "hf:a/",
        "hf:/b",
        "hf:a/b/",
        "hf:a/b:",
        "hf:../b",
        "hf:a/..",
        "hf:a b/c",
        "hf:a/b:Q 4",
        "hf:a/b:Q/4",
        "hf:-a/b",
        "http://",
        "https:///x",
        "ftp://h/x",
        "https://h/a b",
        "https://h/a\nb",
        "https://u@h/x",
        "https://u:p@h/x",
        "file:///etc/passwd",
    };

    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++) {
        struct pull_source source;
        struct err err = ERR_INIT;

        if (pull_source_parse(BAD[i], &source, &err) == 0)
            fail_msg("%s is taken", BAD[i]);
        assert_int_equal(err.kind, ERR_INVALID_FIELD);
        assert_null(source.text);
        pull_source_release(&source);
    }
}

/* A query may be a secret: it is sent, and shown nowhere. Two files of one host have two places,
 * and it may be the query that says which. */
static void a_url_keeps_its_query_to_itself(void **state)
{
    struct pull_source one;
    struct pull_source two;
    struct pull_source three;
    struct pull_source again;
    struct err err = ERR_INIT;

    assert_int_equal(pull_source_parse("https://H.example:1/a/x.gguf?key=1", &one, &err), 0);
    assert_int_equal(pull_source_parse("https://H.example:1/a/x.gguf?key=2", &three, &err), 0);
    assert_int_equal(pull_source_parse("https://H.example:1/a/x.gguf?key=1", &again, &err), 0);
    assert_int_equal(pull_source_parse("https://H.example:1/b/x.gguf", &two, &err), 0);
    assert_false(one.is_hub);
    assert_string_equal(one.text, "https://H.example:1/a/x.gguf?key=1");
    assert_string_equal(one.shown, "https://H.example:1/a/x.gguf");
    assert_int_equal(strncmp(one.place, "url/h-example-1-", 16), 0);
    assert_null(strstr(one.place, "key"));
    assert_string_not_equal(one.place, two.place);
    assert_string_not_equal(one.place, three.place);
    assert_string_equal(one.place, again.place);
    assert_string_equal(one.shown, three.shown);
    pull_source_release(&one);
    pull_source_release(&two);
    pull_source_release(&three);
    pull_source_release(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_repository_and_what_of_it),
        cmocka_unit_test(what_cannot_be_pulled_is_refused),
        cmocka_unit_test(a_url_keeps_its_query_to_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
