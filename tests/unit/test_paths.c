/* The places of ARCHITECTURE.md, over every way the environment may be. */
#include "common/paths.h"

#include "tests/temp_folder.h"

#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char *folder; /* stands for a home or a runtime folder that is there and ours */

static int set_up(void **state)
{
    folder = temp_folder_make();
    return setenv("HOME", "/at/home", 1);
}

static int tear_down(void **state)
{
    temp_folder_remove(folder);
    free(take_ptr(folder));
    return 0;
}

static void assert_place(char *place, const char *expected)
{
    assert_string_equal(place, expected);
    free(place);
}

/* Every place with a variable of its own: set, it counts; unset, empty or relative, it does not. */
static void each_variable_moves_its_place_and_only_that(void **state)
{
    static const struct {
        const char *variable;
        char *(*place)(void);
        const char *moved;
        const char *at_home;
    } CASES[] = {
        {"XDG_CONFIG_HOME", paths_user_config, "/else/rbee/rbee.conf",
         "/at/home/.config/rbee/rbee.conf"},
        {"XDG_STATE_HOME", paths_state_dir, "/else/rbee", "/at/home/.local/state/rbee"},
    };

    for (unsigned set = 0; set < 1u << ARRAY_COUNT(CASES); set++) {
        for (size_t i = 0; i < ARRAY_COUNT(CASES); i++)
            assert_int_equal((set >> i & 1) != 0 ? setenv(CASES[i].variable, "/else", 1)
                                                 : unsetenv(CASES[i].variable),
                             0);
        for (size_t i = 0; i < ARRAY_COUNT(CASES); i++)
            assert_place(CASES[i].place(), (set >> i & 1) != 0 ? CASES[i].moved : CASES[i].at_home);
    }
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        assert_int_equal(setenv(CASES[i].variable, "", 1), 0);
        assert_place(CASES[i].place(), CASES[i].at_home);
        assert_int_equal(setenv(CASES[i].variable, "relative/path", 1), 0);
        assert_place(CASES[i].place(), CASES[i].at_home);
        assert_int_equal(setenv(CASES[i].variable, "/else/", 1), 0);
        assert_place(CASES[i].place(), CASES[i].moved);
        assert_int_equal(unsetenv(CASES[i].variable), 0);
    }
    assert_string_equal(paths_system_config(), "/etc/rbee/rbee.conf");
}

/* cron has no HOME; it must find the same state as a login does. */
static void without_home_the_user_database_says_where(void **state)
{
    const struct passwd *user = getpwuid(geteuid());
    AUTO_FREE char *home = user != NULL ? paths_join(user->pw_dir, ".local/state/rbee") : NULL;

    if (home == NULL)
        skip();
    assert_int_equal(unsetenv("XDG_STATE_HOME"), 0);
    assert_int_equal(unsetenv("HOME"), 0);
    assert_place(paths_state_dir(), home);
    assert_int_equal(setenv("HOME", "not/absolute", 1), 0);
    assert_place(paths_state_dir(), home);
}

static void the_runtime_folder_must_be_ours(void **state)
{
    AUTO_FREE char *ours = paths_join(folder, "rbee");
    AUTO_FREE char *ours_socket = paths_join(folder, "rbee/rbee.sock");
    AUTO_FREE char *state_run = paths_join(folder, "rbee/run");
    AUTO_FREE char *run_user = xasprintf("/run/user/%u", (unsigned)geteuid());
    AUTO_FREE char *run_user_rbee = paths_join(run_user, "rbee");
    AUTO_FREE char *gone = paths_join(folder, "gone");
    struct stat info;
    bool has_run_user = stat(run_user, &info) == 0 && info.st_uid == geteuid();
    const char *fallback = has_run_user ? run_user_rbee : state_run;

    assert_int_equal(setenv("XDG_STATE_HOME", folder, 1), 0);
    assert_int_equal(setenv("XDG_RUNTIME_DIR", folder, 1), 0);
    assert_place(paths_runtime_dir(), ours);
    assert_place(paths_socket(), ours_socket);
    assert_int_equal(setenv("XDG_RUNTIME_DIR", gone, 1), 0);
    assert_place(paths_runtime_dir(), fallback);
    assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);
    assert_place(paths_runtime_dir(), fallback);
    /* After su the variable still names the folder of the one before. */
    if (geteuid() == 0) {
        assert_int_equal(chown(folder, 12345, 12345), 0);
        assert_int_equal(setenv("XDG_RUNTIME_DIR", folder, 1), 0);
        assert_place(paths_runtime_dir(), fallback);
        assert_int_equal(chown(folder, 0, 0), 0);
    }
}

static void a_sibling_stands_beside_the_running_program(void **state)
{
    char own[4096];
    ssize_t len = readlink("/proc/self/exe", own, sizeof(own) - 1);
    char *slash = NULL;

    assert_true(len > 0);
    own[len] = '\0';
    slash = strrchr(own, '/');
    assert_place(paths_sibling_program(slash + 1), own);
    assert_place(paths_sibling_program("no-such-program"), "no-such-program");
}

static void paths_are_joined_with_one_slash(void **state)
{
    assert_place(paths_join("/a", "b"), "/a/b");
    assert_place(paths_join("/a///", "b"), "/a/b");
    assert_place(paths_join("/", "b"), "/b");
}

static void absolute_paths_have_no_dots(void **state)
{
    static const char *const CASES[][2] = {
        {"/", "/"},           {"//", "/"},          {"/a/b", "/a/b"},         {"/a//b/", "/a/b"},
        {"/a/./b/.", "/a/b"}, {"/a/../b", "/b"},    {"/../..", "/"},          {"/a/b/../..", "/"},
        {"/a/..b", "/a/..b"}, {"/.a/b.", "/.a/b."}, {"/a/.../b", "/a/.../b"},
    };
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++)
        assert_place(paths_absolute(CASES[i][0], &err), CASES[i][1]);
    {
        AUTO_FREE char *before = getcwd(NULL, 0);
        AUTO_FREE char *real = realpath(folder, NULL);
        AUTO_FREE char *expected = paths_join(real, "x.gguf");

        assert_int_equal(chdir(folder), 0);
        assert_place(paths_absolute("x.gguf", &err), expected);
        assert_place(paths_absolute("./a/../x.gguf", &err), expected);
        assert_int_equal(chdir(before), 0);
    }
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(each_variable_moves_its_place_and_only_that),
        IN_FOLDER(without_home_the_user_database_says_where),
        IN_FOLDER(the_runtime_folder_must_be_ours),
        IN_FOLDER(a_sibling_stands_beside_the_running_program),
        IN_FOLDER(paths_are_joined_with_one_slash),
        IN_FOLDER(absolute_paths_have_no_dots),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
