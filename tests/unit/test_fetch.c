/* What rbee-fetch decides without asking anybody: whom a token may be shown to, which names are
 * harmless, which files are the model, when to try again. */
#include "common/json.h"
#include "common/mem.h"
#include "common/split_name.h"
#include "fetch/choose.h"
#include "fetch/file_name.h"
#include "fetch/hub.h"
#include "fetch/origin.h"
#include "fetch/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct origin origin(const char *url)
{
    struct origin out;
    struct err err = ERR_INIT;

    assert_int_equal(origin_of(url, &out, &err), 0);
    return out;
}

static bool takes_token(const char *endpoint, const char *url)
{
    struct origin at = origin(endpoint);
    struct origin to = origin(url);

    return origin_takes_token(&at, &to);
}

/* The token's place is scheme, host and port, and it goes in the clear over no network. */
static void a_token_is_for_its_own_place(void **state)
{
    assert_true(takes_token("https://hub.example", "https://HUB.example:443/a"));
    assert_false(takes_token("https://hub.example", "https://hub.example:8443/a"));
    assert_false(takes_token("https://hub.example", "http://hub.example/a"));
    assert_false(takes_token("https://hub.example", "https://cdn.hub.example/a"));
    assert_false(takes_token("https://hub.example", "https://hub.example.evil/a"));
    assert_false(takes_token("http://hub.example", "http://hub.example/a"));
    assert_true(takes_token("http://127.0.0.1:80", "http://127.0.0.1/a"));
    assert_true(takes_token("http://127.255.0.9", "http://127.255.0.9/a"));
    assert_false(takes_token("http://127.evil.example", "http://127.evil.example/a"));
    assert_false(takes_token("http://127.0.0.1.evil.example", "http://127.0.0.1.evil.example/a"));
    assert_false(takes_token("http://128.0.0.1", "http://128.0.0.1/a"));
    assert_true(takes_token("http://[::1]:8080", "http://[::1]:8080/a"));
}

static void a_redirect_never_leaves_https(void **state)
{
    struct origin secure = origin("https://a");
    struct origin plain = origin("http://b");

    assert_true(origin_may_follow(&secure, &secure));
    assert_true(origin_may_follow(&plain, &secure));
    assert_true(origin_may_follow(&plain, &plain));
    assert_false(origin_may_follow(&secure, &plain));
}

static void what_is_no_place_is_refused(void **state)
{
    static const char *const URLS[] = {"ftp://a/b",          "file:///etc/passwd", "https://",
                                       "https://u@h/",       "https://u:p@h/",     "a b",
                                       "gopher://127.0.0.1", "https://h:99999/"};
    struct origin out;

    for (size_t i = 0; i < ARRAY_COUNT(URLS); i++) {
        struct err err = ERR_INIT;

        if (origin_of(URLS[i], &out, &err) == 0)
            fail_msg("%s is taken", URLS[i]);
        assert_int_equal(err.kind, ERR_INVALID);
    }
}

static void names_that_could_do_harm_are_none(void **state)
{
    static const char *const BAD[] = {"",      ".",    "..",   ".hidden",       "a/b",
                                      "a\\b",  "-rf",  " a",   "a\nb",          "a\033[0m",
                                      "a\177", "it's", "\xff", "a\xe2\x80\xae", "a\xc2\x9b"};

    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++) {
        if (file_name_is_harmless(BAD[i], strlen(BAD[i])))
            fail_msg("name %zu is taken", i);
    }
    assert_true(file_name_is_harmless("Llama-3.2 (1B)_Q4_K_M.gguf", 26));
    assert_true(file_name_is_harmless("mod\xc3\xa8le.gguf", 12));
    assert_true(file_path_is_harmless("sub/dir/a.gguf"));
    assert_false(file_path_is_harmless("sub/../a.gguf"));
    assert_false(file_path_is_harmless("/a.gguf"));
    assert_false(file_path_is_harmless("sub//a.gguf"));
    assert_false(file_path_is_harmless("sub/"));
}

static void assert_url_name(const char *url, const char *name)
{
    struct err err = ERR_INIT;
    AUTO_FREE char *found = file_name_of_url(url, &err);

    if (name == NULL)
        assert_null(found);
    else
        assert_string_equal(found, name);
}

static void the_name_of_a_url_is_its_last_part(void **state)
{
    assert_url_name("https://h/a/b.gguf", "b.gguf");
    assert_url_name("https://h/a/b.gguf?token=1#x", "b.gguf");
    assert_url_name("https://h/a%20b.GGUF", "a b.GGUF");
    assert_url_name("https://h/download", "download.gguf");
    assert_url_name("https://h/..%2fb.gguf", NULL);
    assert_url_name("https://h/%2e%2e", NULL);
    assert_url_name("https://h/", NULL);
    assert_url_name("https://h", NULL);
    assert_url_name("https://h/a%0ab.gguf", NULL);
}

static void parts_of_a_model_are_known_by_their_names(void **state)
{
    static const char *const NONE[] = {"a.gguf",
                                       "a-00001-of-00000.gguf",
                                       "a-00003-of-00002.gguf",
                                       "-00001-of-00002.gguf",
                                       "a-0001-of-00002.gguf",
                                       "a-00001-of-00002.bin",
                                       "a-00001-of-00999.gguf"};
    struct split_name split;

    assert_true(split_name_read("x/a-00002-of-00003.gguf", &split));
    assert_int_equal(split.index, 2);
    assert_int_equal(split.count, 3);
    for (size_t i = 0; i < ARRAY_COUNT(NONE); i++)
        assert_false(split_name_read(NONE[i], &split));
}

/* ---- the choice ---- */

/* A listing of the paths in TEXT, which blanks separate. */
static struct hub_files files_of(const char *text)
{
    struct hub_files files = {.files = NULL};
    AUTO_JSON json_t *listing = json_array();
    struct err err = ERR_INIT;

    while (*text != '\0') {
        size_t len = strcspn(text, " ");

        (void)json_array_append_new(
            listing, json_pack("{s:s, s:s%, s:i}", "type", "file", "path", text, len, "size", 1));
        text += len + (text[len] == ' ');
    }
    assert_int_equal(hub_read_listing(listing, &files, &err), 0);
    return files;
}

/* What is chosen of the repository with PATHS; WANTED NULL: nothing, with the error KIND. */
static void assert_choice(const char *paths, const char *quant, const char *file,
                          const char *wanted, size_t count, enum err_kind kind)
{
    struct hub_files files = files_of(paths);
    struct choice choice;
    struct err err = ERR_INIT;
    int result = choose_files(&files, quant, file, &choice, &err);

    if (wanted == NULL) {
        assert_int_equal(result, -1);
        assert_int_equal(err.kind, kind);
    } else {
        if (result != 0)
            fail_msg("%s: %s", paths, err.message);
        assert_string_equal(choice.files[0]->path, wanted);
        assert_int_equal(choice.count, count);
    }
    free(choice.files);
    hub_files_release(&files);
}

static void the_choice_is_the_one_a_person_would_make(void **state)
{
    const char *many = "m-Q2_K.gguf m-Q4_K_M.gguf m-Q8_0.gguf mmproj-Q4_K_M.gguf README.md";

    assert_choice(many, "", "", "m-Q4_K_M.gguf", 1, ERR_NONE);
    assert_choice(many, "q8_0", "", "m-Q8_0.gguf", 1, ERR_NONE);
    assert_choice(many, "Q4_K", "", NULL, 0, ERR_MODEL_NOT_FOUND); /* another one than Q4_K_M */
    assert_choice(many, "_0", "", NULL, 0, ERR_MODEL_NOT_FOUND);
    assert_choice(many, "", "m-Q2_K.gguf", "m-Q2_K.gguf", 1, ERR_NONE);
    assert_choice(many, "", "README.md", NULL, 0, ERR_MODEL_NOT_FOUND);
    assert_choice(many, "", "none.gguf", NULL, 0, ERR_MODEL_NOT_FOUND);
    assert_choice("m-Q8_0.gguf m-Q2_K.gguf", "", "", "m-Q8_0.gguf", 1, ERR_NONE);
    assert_choice("odd.gguf", "", "", "odd.gguf", 1, ERR_NONE);
    assert_choice("odd.gguf even.gguf", "", "", NULL, 0, ERR_CONFLICT);
    assert_choice("a-Q8_0.gguf b-Q8_0.gguf", "Q8_0", "", NULL, 0, ERR_CONFLICT);
    assert_choice("README.md", "", "", NULL, 0, ERR_MODEL_NOT_FOUND);
    assert_choice("", "", "", NULL, 0, ERR_MODEL_NOT_FOUND);
}

static void a_name_may_have_breaks_in_it(void **state)
{
    const char *both = "m-Q4_K_XL.gguf m-UD-Q4_K_XL.gguf m-v1.5-F16.gguf xQ8_0-Q8_0.gguf";

    assert_choice(both, "UD-Q4_K_XL", "", "m-UD-Q4_K_XL.gguf", 1, ERR_NONE);
    assert_choice(both, "ud-q4_k_xl", "", "m-UD-Q4_K_XL.gguf", 1, ERR_NONE);
    assert_choice(both, "m-Q4_K_XL", "", "m-Q4_K_XL.gguf", 1, ERR_NONE);
    assert_choice(both, "v1.5-F16", "", "m-v1.5-F16.gguf", 1, ERR_NONE);
    assert_choice(both, "1.5-F16", "", NULL, 0, ERR_MODEL_NOT_FOUND);
    assert_choice(both, "UD-Q4_K", "", NULL, 0, ERR_MODEL_NOT_FOUND);
    assert_choice(both, "Q4_K_XL", "", NULL, 0, ERR_CONFLICT);
    assert_choice(both, "Q8_0", "", "xQ8_0-Q8_0.gguf", 1, ERR_NONE); /* the second one is a word */
}

static void the_parts_of_a_model_come_together_and_in_order(void **state)
{
    const char *parts = "d/m-Q8_0-00002-of-00002.gguf d/m-Q8_0-00001-of-00002.gguf x-F32.gguf";
    const char *lacking = "m-Q8_0-00001-of-00002.gguf";

    assert_choice(parts, "", "", "d/m-Q8_0-00001-of-00002.gguf", 2, ERR_NONE);
    assert_choice(parts, "Q8_0", "", "d/m-Q8_0-00001-of-00002.gguf", 2, ERR_NONE);
    assert_choice(parts, "", "d/m-Q8_0-00002-of-00002.gguf", "d/m-Q8_0-00001-of-00002.gguf", 2,
                  ERR_NONE);
    assert_choice(lacking, "", "", NULL, 0, ERR_MODEL_NOT_FOUND);
}

static void an_address_has_no_byte_that_means_something(void **state)
{
    AUTO_FREE char *url = hub_file_url("https://h", "a/b", "s d/\xc3\xa8?#%.gguf");

    assert_string_equal(url, "https://h/a/b/resolve/main/s%20d/%C3%A8%3F%23%25.gguf");
}

/* ---- tries ---- */

/* Whatever chance says, a wait is between half of the step and the step, and the tries have an end.
 */
static void tries_come_later_and_later_and_end(void **state)
{
    static const uint32_t CHANCES[] = {0, UINT32_MAX / 2, UINT32_MAX};

    for (size_t i = 0; i < ARRAY_COUNT(CHANCES); i++) {
        struct retry retry = {.base_ms = 1000, .count_max = 8};
        int64_t step_ms = 1000;

        for (int n = 0; n < 8; n++) {
            int64_t wait_ms = retry_next_ms(&retry, false, 0, CHANCES[i]);

            assert_in_range(wait_ms, step_ms / 2, step_ms);
            step_ms = step_ms * 2 < RETRY_WAIT_MAX_MS ? step_ms * 2 : RETRY_WAIT_MAX_MS;
        }
        assert_true(retry_next_ms(&retry, false, 0, CHANCES[i]) == -1);
    }
}

static void progress_begins_the_count_anew_but_not_for_ever(void **state)
{
    struct retry retry = {.base_ms = 1, .count_max = 1};

    for (int n = 0; n < RETRY_TOTAL_MAX; n++)
        assert_true(retry_next_ms(&retry, true, 0, 0) >= 0);
    assert_true(retry_next_ms(&retry, true, 0, 0) == -1);
}

static void a_server_is_waited_for_as_it_asks_within_limits(void **state)
{
    struct retry retry = {.base_ms = 1, .count_max = 5};

    assert_int_equal(retry_next_ms(&retry, false, 5000, 0), 5000);
    assert_int_equal(retry_next_ms(&retry, false, RETRY_AFTER_MAX_MS + 1, 0), -1);
    retry = (struct retry){.base_ms = 1, .count_max = 0};
    assert_int_equal(retry_next_ms(&retry, false, 0, 0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_for_its_own_place),
        cmocka_unit_test(a_redirect_never_leaves_https),
        cmocka_unit_test(what_is_no_place_is_refused),
        cmocka_unit_test(names_that_could_do_harm_are_none),
        cmocka_unit_test(the_name_of_a_url_is_its_last_part),
        cmocka_unit_test(parts_of_a_model_are_known_by_their_names),
        cmocka_unit_test(the_choice_is_the_one_a_person_would_make),
        cmocka_unit_test(a_name_may_have_breaks_in_it),
        cmocka_unit_test(the_parts_of_a_model_come_together_and_in_order),
        cmocka_unit_test(an_address_has_no_byte_that_means_something),
        cmocka_unit_test(tries_come_later_and_later_and_end),
        cmocka_unit_test(progress_begins_the_count_anew_but_not_for_ever),
        cmocka_unit_test(a_server_is_waited_for_as_it_asks_within_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
