/* Secrets: how they are made and compared, and what is shown of them. */
#include "common/token.h"

#include "common/attr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

static void ids_of_a_process_and_its_child_are_all_different(void **state)
{
    enum { COUNT = 100 };
    char ids[2][COUNT][TOKEN_ID_BYTES];
    int pipe_fds[2];
    int status = -1;
    pid_t pid = -1;

    token_init();
    token_new_id('r', ids[0][0]); /* what is left of its randomness is the child's as well */
    assert_int_equal(pipe(pipe_fds), 0);
    pid = fork();
    for (size_t i = 0; i < COUNT; i++)
        token_new_id('r', ids[pid == 0 ? 1 : 0][i]);
    if (pid == 0)
        _exit(write(pipe_fds[1], ids[1], sizeof(ids[1])) == sizeof(ids[1]) ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(read(pipe_fds[0], ids[1], sizeof(ids[1])), sizeof(ids[1]));
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
    for (size_t i = 0; i < 2 * COUNT; i++) {
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(ids[i / COUNT][i % COUNT], ids[j / COUNT][j % COUNT]);
    }
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
        cmocka_unit_test(ids_of_a_process_and_its_child_are_all_different),
        cmocka_unit_test(equal_means_the_same_text),
        cmocka_unit_test(a_fingerprint_is_six_digits_of_the_hash),
        cmocka_unit_test(a_wiped_secret_is_gone),
    };

    token_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
