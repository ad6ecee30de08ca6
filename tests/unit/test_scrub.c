/* What leaves the machine in a bundle: secrets, folders of people and what workers have said do
 * not, and all else does, byte for byte. */
#include "cli/scrub.h"
#include "common/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TEXT_MAX_BYTES = 4096 };

static void check_text(const struct scrub *scrub, const char *text, const char *expected)
{
    AUTO_BUF struct buf out = BUF_INIT(TEXT_MAX_BYTES);

    assert_int_equal(scrub_text(scrub, text, strlen(text), &out), 0);
    assert_string_equal(out.data, expected);
}

static void test_known_secrets_and_folders_go(void **state)
{
    struct scrub scrub;

    setenv("HOME", "/somewhere/ada", 1);
    setenv("HF_TOKEN", "secret-of-the-hub", 1);
    scrub_init(&scrub);
    scrub_hide(&scrub, "0123456789abcdef", "(secret)");
    scrub_hide(&scrub, "abc", "(short)");
    check_text(&scrub, "a=0123456789abcdef b", "a=(secret) b");
    check_text(&scrub, "secret-of-the-hub", "(secret)");
    check_text(&scrub, "/somewhere/ada/models/x.gguf", "~/models/x.gguf");
    check_text(&scrub, "abc stays, and 0123456789abcde", "abc stays, and 0123456789abcde");
    check_text(&scrub, "", "");
    scrub_hide(&scrub, "quo\"ted\\", "(secret)");
    check_text(&scrub, "as it is: quo\"ted\\.", "as it is: (secret).");
    check_text(&scrub, "{\"in json\": \"quo\\\"ted\\\\\"}", "{\"in json\": \"(secret)\"}");
    scrub_release(&scrub);
}

static void test_what_looks_like_a_secret_goes(void **state)
{
    struct scrub scrub = {0};

    check_text(&scrub, "token hf_abcdefghijklmnop.", "token hf_(secret)");
    check_text(&scrub, "hf_model stays", "hf_model stays");
    check_text(&scrub, "\"sk-0123456789abcdef\"", "\"sk-(secret)\"");
    check_text(&scrub, "Authorization: Bearer x", "Authorization: Bearer (secret)");
    check_text(&scrub, "https://ada:pass@host/x", "https://(secret)@host/x");
    check_text(&scrub, "https://host/x@y", "https://host/x@y");
    check_text(&scrub, "ada@host", "ada@host");
}

static void check_quotes(const char *json, const char *expected)
{
    struct err err = ERR_INIT;
    AUTO_JSON json_t *value = json_parse(json, strlen(json), TEXT_MAX_BYTES, &err);
    AUTO_FREE char *text = NULL;

    assert_non_null(value);
    scrub_quotes(value);
    text = json_to_text(value);
    assert_string_equal(text, expected);
}

static void test_words_of_workers_go_at_any_depth(void **state)
{
    check_quotes(
        "{\"a\":[{\"stderr\":[\"a prompt\",\"fatal class=config reason=x\",\"\"],\"n\":1}]}",
        "{\"a\":[{\"stderr\":[\"(left out)\",\"fatal class=config reason=x\",\"\"],\"n\":1}]}");
    check_quotes("{\"last_stderr\":\"a prompt\",\"last_words\":null,\"fault\":\"crash\"}",
                 "{\"last_stderr\":\"(left out)\",\"last_words\":null,\"fault\":\"crash\"}");
    check_quotes("{\"cause\":\"worker a died: exit code 3: a prompt\",\"summary\":\"well\"}",
                 "{\"cause\":\"worker a died: (left out)\",\"summary\":\"well\"}");
    check_quotes("{\"reasons\":[\"x: a prompt\",\"y\"],\"message\":{\"deep\":1}}",
                 "{\"reasons\":[\"x: (left out)\",\"y\"],\"message\":\"(left out)\"}");
    check_quotes("[1,\"text\",null]", "[1,\"text\",null]");
}

static void check_line(const char *line, const char *expected)
{
    AUTO_BUF struct buf out = BUF_INIT(TEXT_MAX_BYTES);

    scrub_log_line(line, strlen(line), &out);
    assert_string_equal(out.data, expected);
}

static void test_a_line_of_the_log_keeps_all_fields_but_quotes(void **state)
{
    check_line("2026-11-21T22:51:07.123Z info worker name=a from=ready to=waiting cause=\"worker a "
               "died: SIGSEGV: a \\\"prompt\\\" of somebody\" fault=crash",
               "2026-11-21T22:51:07.123Z info worker name=a from=ready to=waiting cause=\"worker a "
               "died(left out)\" fault=crash\n");
    check_line("t info request_failed id=r-1 code=X message=\"a prompt\" n=1",
               "t info request_failed id=r-1 code=X message=(left out) n=1\n");
    check_line("t info request_failed message=prompt",
               "t info request_failed message=(left out)\n");
    check_line("cause=short", "cause=short\n");
    check_line("message=\"not ended", "message=(left out)\n");
    check_line("", "\n");
    check_line("a  b=\"x y\" c", "a  b=\"x y\" c\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_secrets_and_folders_go),
        cmocka_unit_test(test_what_looks_like_a_secret_goes),
        cmocka_unit_test(test_words_of_workers_go_at_any_depth),
        cmocka_unit_test(test_a_line_of_the_log_keeps_all_fields_but_quotes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
