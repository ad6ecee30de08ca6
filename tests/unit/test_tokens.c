/* Where rbeed's tokens come from, which of several counts, and what becomes of the one that came in
 * the environment. */
#include "supervisor/tokens.h"

#include "common/io.h"
#include "tests/temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ADMIN "0123456789abcdef-admin"
#define INFER "0123456789abcdef-infer"
#define CREDENTIAL "0123456789abcdef-credential"
#define NAMED "0123456789abcdef-named"

static const struct token_known NO_TOKEN;
static char *folder;

static int make_places(void **state)
{
    AUTO_FREE char *rbee = NULL;

    folder = temp_folder_make();
    rbee = paths_join(folder, "rbee");
    assert_int_equal(mkdir(rbee, 0700), 0);
    assert_int_equal(setenv("XDG_CONFIG_HOME", folder, 1), 0);
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    return 0;
}

static int remove_places(void **state)
{
    temp_folder_remove(folder);
    free(take_ptr(folder));
    return 0;
}

static void write_token(const char *name, const char *token)
{
    AUTO_FREE char *path = temp_folder_write(folder, name, token, 0600);
}

/* The highest role that TOKEN has, -1 for none. */
static int role_of(const struct tokens *tokens, const char *token)
{
    char fingerprint[TOKEN_FINGERPRINT_BYTES];
    unsigned roles = tokens_match(tokens, token, fingerprint);
    int highest = -1;

    for (int role = 0; role < TOKEN_ROLE_COUNT; role++)
        highest = (roles & 1u << role) != 0 ? role : highest;
    return highest;
}

static void without_a_file_nobody_has_a_role(void **state)
{
    AUTO_CONFIG struct config *config = config_new_default();
    struct tokens tokens;
    struct err err = ERR_INIT;

    assert_int_equal(tokens_load(&tokens, config, &NO_TOKEN, &err), 0);
    assert_false(tokens_has_any(&tokens));
    assert_int_equal(role_of(&tokens, ""), -1);
    assert_int_equal(role_of(&tokens, ADMIN), -1);
}

static void each_role_has_its_file(void **state)
{
    AUTO_CONFIG struct config *config = config_new_default();
    struct tokens tokens;
    struct err err = ERR_INIT;

    write_token("rbee/infer-token", INFER);
    assert_int_equal(tokens_load(&tokens, config, &NO_TOKEN, &err), 0);
    assert_true(tokens_has_any(&tokens));
    write_token("rbee/token", ADMIN "\n");
    assert_int_equal(tokens_load(&tokens, config, &NO_TOKEN, &err), 0);
    assert_int_equal(role_of(&tokens, ADMIN), TOKEN_ROLE_ADMIN);
    assert_int_equal(role_of(&tokens, INFER), TOKEN_ROLE_INFER);
    assert_int_equal(role_of(&tokens, ADMIN "\n"), -1);
    assert_int_equal(role_of(&tokens, "0123456789abcdef"), -1);
    /* One token for both roles has the higher one. */
    write_token("rbee/infer-token", ADMIN);
    assert_int_equal(tokens_load(&tokens, config, &NO_TOKEN, &err), 0);
    assert_int_equal(role_of(&tokens, ADMIN), TOKEN_ROLE_ADMIN);
}

static void one_source_counts_and_no_other(void **state)
{
    AUTO_CONFIG struct config *config = config_new_default();
    AUTO_FREE char *named = paths_join(folder, "named");
    struct token_known environment;
    struct tokens tokens;
    struct err err = ERR_INIT;

    write_token("rbee/token", ADMIN);
    write_token("rbee-token", CREDENTIAL);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
    assert_int_equal(tokens_load(&tokens, config, &NO_TOKEN, &err), 0);
    assert_int_equal(role_of(&tokens, CREDENTIAL), TOKEN_ROLE_ADMIN);
    assert_int_equal(role_of(&tokens, ADMIN), -1);
    write_token("named", NAMED);
    assert_int_equal(config_override(config, CONFIG_supervisor_token_file, named, &err), 0);
    assert_int_equal(tokens_load(&tokens, config, &NO_TOKEN, &err), 0);
    assert_int_equal(role_of(&tokens, NAMED), TOKEN_ROLE_ADMIN);
    assert_int_equal(role_of(&tokens, CREDENTIAL), -1);
    assert_int_equal(setenv("RBEE_API_TOKEN", "s", 1), 0);
    assert_int_equal(tokens_take_environment(&environment, &err), 0);
    assert_int_equal(tokens_load(&tokens, config, &environment, &err), 0);
    assert_int_equal(role_of(&tokens, "s"), TOKEN_ROLE_ADMIN);
    assert_int_equal(role_of(&tokens, NAMED), -1);
}

static void a_bad_file_is_refused_and_changes_nothing(void **state)
{
    AUTO_CONFIG struct config *config = config_new_default();
    AUTO_FREE char *missing = paths_join(folder, "missing");
    AUTO_FREE char *path = NULL;
    struct tokens tokens;
    struct err err = ERR_INIT;

    write_token("rbee/token", ADMIN);
    assert_int_equal(tokens_load(&tokens, config, &NO_TOKEN, &err), 0);
    path = temp_folder_write(folder, "rbee/token", NAMED, 0644);
    assert_int_equal(tokens_load(&tokens, config, &NO_TOKEN, &err), -1);
    assert_int_equal(err.kind, ERR_CONFIG);
    assert_non_null(strstr(err.message, "the admin token"));
    assert_non_null(strstr(err.message, "0644"));
    assert_int_equal(role_of(&tokens, ADMIN), TOKEN_ROLE_ADMIN);
    /* One that is named must be there; the usual ones need not. */
    assert_int_equal(config_override(config, CONFIG_supervisor_token_file, missing, &err), 0);
    assert_int_equal(tokens_load(&tokens, config, &NO_TOKEN, &err), -1);
    assert_int_equal(err.kind, ERR_CONFIG);
}

static void the_environments_token_is_overwritten_where_it_stood(void **state)
{
    static char first[] = "RBEE_API_TOKEN=" ADMIN;
    static char second[] = "LLORCH_API_TOKEN=" INFER;
    static const char NOTHING[sizeof(ADMIN)];
    struct token_known known;
    struct err err = ERR_INIT;

    assert_int_equal(putenv(first), 0);
    assert_int_equal(putenv(second), 0);
    assert_int_equal(tokens_take_environment(&known, &err), 0);
    assert_string_equal(known.source, "environment");
    assert_int_equal(known.len, strlen(ADMIN));
    assert_memory_equal(strchr(first, '=') + 1, NOTHING, sizeof(ADMIN));
    assert_memory_equal(strchr(second, '=') + 1, NOTHING, sizeof(INFER));
    assert_null(getenv("RBEE_API_TOKEN"));
    assert_null(getenv("LLORCH_API_TOKEN"));
    assert_int_equal(tokens_take_environment(&known, &err), 0);
    assert_int_equal(known.len, 0);
    /* An empty one is none; one that no header could carry is a mistake to hear of. */
    assert_int_equal(setenv("RBEE_API_TOKEN", "", 1), 0);
    assert_int_equal(tokens_take_environment(&known, &err), 0);
    assert_int_equal(known.len, 0);
    assert_int_equal(setenv("LLORCH_API_TOKEN", "two words", 1), 0);
    assert_int_equal(tokens_take_environment(&known, &err), -1);
    assert_int_equal(err.kind, ERR_CONFIG);
    assert_null(getenv("LLORCH_API_TOKEN"));
}

#define IN_PLACES(test) cmocka_unit_test_setup_teardown(test, make_places, remove_places)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACES(without_a_file_nobody_has_a_role),
        IN_PLACES(each_role_has_its_file),
        IN_PLACES(one_source_counts_and_no_other),
        IN_PLACES(a_bad_file_is_refused_and_changes_nothing),
        cmocka_unit_test(the_environments_token_is_overwritten_where_it_stood),
    };

    token_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
