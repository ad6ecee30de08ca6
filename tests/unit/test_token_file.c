/* Tokens in files and pipes: which are taken, and how a new one comes to lie on the disk. */
#include "common/token_file.h"

#include "common/io.h"
#include "common/token.h"
#include "tests/folder_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* What token_file_read_fd makes of LEN bytes in a pipe; the caller frees it. */
static char *read_from_pipe(const char *bytes, size_t len, struct err *err)
{
    int fds[2] = {-1, -1};
    char *token = NULL;

    err_clear(err);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(write(fds[1], bytes, len), len);
    (void)close(fds[1]);
    token = token_file_read_fd(fds[0], err);
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
    for (size_t i = 0; i < ARRAY_COUNT(MODES); i++) {
        AUTO_FREE char *path = temp_folder_write(folder, "token", "0123456789abcdef\n", 0600);
        AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
        AUTO_FREE char *mode_text = xasprintf("%04o", MODES[i]);
        AUTO_FREE char *token = NULL;
        struct err err = ERR_INIT;

        assert_int_equal(fchmod(fd, MODES[i]), 0);
        token = token_file_read_fd(fd, &err);
        assert_int_equal(token != NULL, (MODES[i] & 077) == 0);
        if (token == NULL) {
            assert_int_equal(err.kind, ERR_CONFIG);
            assert_non_null(strstr(err.message, mode_text));
        }
    }
    {
        AUTO_CLOSE int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct err err = ERR_INIT;

        assert_null(token_file_read_fd(fd, &err));
        assert_int_equal(err.kind, ERR_CONFIG);
    }
}

/* A token's text may be good in one file and refused in another: who else could have put it there
 * or read it decides. */
static void a_named_file_is_judged_by_its_mode_and_kind(void **state)
{
    static const struct {
        unsigned mode;
        enum secret_file_kind kind;
        const char *text;
        const char *reason; /* NULL: taken */
    } CASES[] = {
        {0600, SECRET_FILE_OURS, "0123456789abcdef\n", NULL},
        {0400, SECRET_FILE_OURS, "0123456789abcdef\n", NULL},
        {0440, SECRET_FILE_OURS, "0123456789abcdef\n", "mode 0440"},
        {0440, SECRET_FILE_CREDENTIAL, "0123456789abcdef\n", NULL},
        {0444, SECRET_FILE_CREDENTIAL, "0123456789abcdef\n", "mode 0444"},
        {0460, SECRET_FILE_CREDENTIAL, "0123456789abcdef\n", "mode 0460"},
        {0600, SECRET_FILE_OURS, "short\n", "mode 0600"},
        {0600, SECRET_FILE_CREDENTIAL, "two\nlines of it\n", "mode 0600"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        AUTO_FREE char *path = temp_folder_write(folder, "token", CASES[i].text, CASES[i].mode);
        struct err err = ERR_INIT;
        AUTO_FREE char *token = token_file_read(path, CASES[i].kind, &err);

        assert_int_equal(token != NULL, CASES[i].reason == NULL);
        if (token != NULL)
            continue;
        assert_int_equal(err.kind, ERR_CONFIG);
        assert_non_null(strstr(err.message, path));
        assert_non_null(strstr(err.message, CASES[i].reason));
        assert_null(strstr(err.message, "short"));
    }
}

static void a_missing_file_is_told_from_a_bad_one(void **state)
{
    AUTO_FREE char *missing = paths_join(folder, "missing");
    AUTO_FREE char *pipe_path = paths_join(folder, "pipe");
    struct err err = ERR_INIT;

    assert_null(token_file_read(missing, SECRET_FILE_OURS, &err));
    assert_int_equal(err.kind, ERR_NO_FILE);
    assert_null(token_file_read(folder, SECRET_FILE_OURS, &err));
    assert_int_equal(err.kind, ERR_CONFIG);
    /* A pipe that nobody writes to is no reason to wait. */
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    assert_null(token_file_read(pipe_path, SECRET_FILE_OURS, &err));
    assert_int_equal(err.kind, ERR_CONFIG);
}

static unsigned mode_of(const char *path)
{
    struct stat info;

    assert_int_equal(stat(path, &info), 0);
    return info.st_mode & ALLPERMS;
}

static void a_new_token_is_private_and_replaces_nothing_unasked(void **state)
{
    AUTO_FREE char *path = paths_join(folder, "deep/er/token");
    AUTO_FREE char *inner = paths_join(folder, "deep/er");
    struct err err = ERR_INIT;
    AUTO_FREE char *first = NULL;
    AUTO_FREE char *kept = NULL;
    AUTO_FREE char *second = NULL;

    assert_int_equal(token_file_create(path, false, &err), 0);
    assert_int_equal(mode_of(path), 0600);
    assert_int_equal(mode_of(inner), 0700);
    first = token_file_read(path, SECRET_FILE_OURS, &err);
    assert_int_equal(strlen(first), 2 * TOKEN_BYTES);
    assert_int_equal(token_file_create(path, false, &err), -1);
    assert_int_equal(err.kind, ERR_CONFLICT);
    kept = token_file_read(path, SECRET_FILE_OURS, &err);
    assert_string_equal(kept, first);
    /* What was open to others is not any more. */
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(token_file_create(path, true, &err), 0);
    assert_int_equal(mode_of(path), 0600);
    second = token_file_read(path, SECRET_FILE_OURS, &err);
    assert_string_not_equal(second, first);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(inner), 0); /* nothing else was left there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_one_line_of_printable_bytes),
        cmocka_unit_test(a_token_has_at_most_4096_bytes_and_no_nul),
        IN_FOLDER(a_file_that_others_can_read_is_refused_with_its_mode),
        IN_FOLDER(a_named_file_is_judged_by_its_mode_and_kind),
        IN_FOLDER(a_missing_file_is_told_from_a_bad_one),
        IN_FOLDER(a_new_token_is_private_and_replaces_nothing_unasked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
