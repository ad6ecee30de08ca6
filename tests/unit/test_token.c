/* Secrets: which are taken, from where, and what is shown of them. */
#include "common/token.h"

#include "common/mem.h"
#include "tests/temp_folder.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void tokens_and_ids_are_never_the_same_twice(void **state)
{
    char tokens[2][TOKEN_TEXT_BYTES];
    char ids[2][TOKEN_ID_BYTES];

    token_new(tokens[0]);
    token_new(tokens[1]);
    assert_int_equal(strlen(tokens[0]), 2 * TOKEN_BYTES);
    assert_int_equal(strspn(tokens[0], "0123456789abcdef"), 2 * TOKEN_BYTES);
    assert_string_not_equal(tokens[0], tokens[1]);
    token_new_id('r', ids[0]);
    token_new_id('r', ids[1]);
    assert_int_equal(strlen(ids[0]), TOKEN_ID_BYTES - 1);
    assert_memory_equal(ids[0], "r-", 2);
    /* What a label may hold, so that an id can stand in a path and a header. */
    assert_int_equal(strspn(ids[0], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                    "0123456789._-"),
                     TOKEN_ID_BYTES - 1);
    assert_string_not_equal(ids[0], ids[1]);
}

static void equal_means_the_same_text(void **state)
{
    assert_true(token_equal("", ""));
    assert_true(token_equal("secret", "secret"));
    assert_false(token_equal("secret", "secreT"));
    assert_false(token_equal("secret", "secret "));
    assert_false(token_equal("secret", ""));
}

static void a_fingerprint_is_six_digits_of_the_hash(void **state)
{
    char fingerprint[TOKEN_FINGERPRINT_BYTES];

    token_fingerprint("test", fingerprint); /* sha256sum says so */
    assert_string_equal(fingerprint, "9f86d0");
}

/* What token_read makes of LEN bytes in a pipe; the caller frees it. */
static char *read_from_pipe(const char *bytes, size_t len, struct err *err)
{
    int fds[2] = {-1, -1};
    char *token = NULL;

    err_clear(err);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(write(fds[1], bytes, len), len);
    (void)close(fds[1]);
    token = token_read(fds[0], err);
    (void)close(fds[0]);
    return token;
}

static void a_token_is_one_line_of_printable_bytes(void **state)
{
    static const struct {
        const char *text;
        bool is_good;
    } CASES[] = {
        {"0123456789abcdef", true},
        {"0123456789abcdef\n", true},
        {"!\"#$%&'()*+,-./:;<=>?@~", true},
        {"0123456789abcde", false},
        {"0123456789abcde\n", false},
        {"", false},
        {"\n", false},
        {"0123456789abcdef\n\n", false},
        {"0123456789abcdef\r\n", false},
        {"0123456789 abcdef", false},
        {"0123456789\tabcdef", false},
        {"0123456789abcdef\nsecond line\n", false},
        {"0123456789abcd\xc3\xa9", false},
        {" 0123456789abcdef", false},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct err err = ERR_INIT;
        AUTO_FREE char *token = read_from_pipe(CASES[i].text, strlen(CASES[i].text), &err);

        if ((token != NULL) != CASES[i].is_good)
            fail_msg("\"%s\" was %s", CASES[i].text, token != NULL ? "taken" : "refused");
        if (token != NULL)
            assert_int_equal(strlen(token), strcspn(CASES[i].text, "\n"));
        else
            assert_int_equal(err.kind, ERR_CONFIG);
    }
}

static void a_token_has_at_most_4096_bytes_and_no_nul(void **state)
{
    char text[TOKEN_MAX_LEN + 10];

    memset(text, 'x', sizeof(text));
    for (size_t len = TOKEN_MAX_LEN - 1; len < sizeof(text); len++) {
        struct err err = ERR_INIT;
        AUTO_FREE char *token = read_from_pipe(text, len, &err);

        assert_int_equal(token != NULL, len <= TOKEN_MAX_LEN);
        if (token == NULL) /* no byte of a secret stands in a message */
            assert_null(strstr(err.message, "xx"));
    }
    text[20] = '\0';
    {
        struct err err = ERR_INIT;

        assert_null(read_from_pipe(text, 40, &err));
    }
}

static void a_file_that_others_can_read_is_refused_with_its_mode(void **state)
{
    static const unsigned MODES[] = {0600, 0400, 0640, 0604, 0620, 0660, 0601, 0644};
    AUTO_FREE char *folder = temp_folder_make();

    for (size_t i = 0; i < ARRAY_COUNT(MODES); i++) {
        AUTO_FREE char *path = temp_folder_write(folder, "token", "0123456789abcdef\n", 0600);
        AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
        AUTO_FREE char *mode_text = xasprintf("%04o", MODES[i]);
        AUTO_FREE char *token = NULL;
        struct err err = ERR_INIT;

        assert_int_equal(fchmod(fd, MODES[i]), 0);
        token = token_read(fd, &err);
        assert_int_equal(token != NULL, (MODES[i] & 077) == 0);
        if (token == NULL) {
            assert_int_equal(err.kind, ERR_CONFIG);
            assert_non_null(strstr(err.message, mode_text));
        }
    }
    {
        AUTO_CLOSE int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct err err = ERR_INIT;

        assert_null(token_read(fd, &err));
        assert_int_equal(err.kind, ERR_CONFIG);
    }
    temp_folder_remove(folder);
}

static void a_wiped_secret_is_gone(void **state)
{
    char secret[8] = "secret!";
    static const char NOTHING[8];

    token_wipe(secret, sizeof(secret));
    assert_memory_equal(secret, NOTHING, sizeof(secret));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_and_ids_are_never_the_same_twice),
        cmocka_unit_test(equal_means_the_same_text),
        cmocka_unit_test(a_fingerprint_is_six_digits_of_the_hash),
        cmocka_unit_test(a_token_is_one_line_of_printable_bytes),
        cmocka_unit_test(a_token_has_at_most_4096_bytes_and_no_nul),
        cmocka_unit_test(a_file_that_others_can_read_is_refused_with_its_mode),
        cmocka_unit_test(a_wiped_secret_is_gone),
    };

    token_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
