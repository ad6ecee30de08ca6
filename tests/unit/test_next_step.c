/* What to do about a worker: for every state, breaker and fault there is an advice, and a command
 * unless all is well; commands are ones that rbee has, and no word is left in braces. */
#include "supervisor/next_step.h"

#include "cli/command.h"
#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct next_step_names NAMES = {
    .name = "llama", .model = "m", .device = "gpu:0", .pid = 42, .context_tokens = 2048};

static void each_case(void (*check)(enum life_state state, enum breaker_state breaker,
                                    enum fault_class fault, bool is_command))
{
    for (int state = 0; state < LIFE_STATE_COUNT; state++) {
        for (int breaker = 0; breaker < BREAKER_STATE_COUNT; breaker++) {
            for (int fault = 0; fault < FAULT_CLASS_COUNT * 2; fault++)
                check((enum life_state)state, (enum breaker_state)breaker,
                      (enum fault_class)(fault / 2), fault % 2 == 1);
        }
    }
}

static void check_advice(enum life_state state, enum breaker_state breaker, enum fault_class fault,
                         bool is_command)
{
    struct next_step step = next_step_find(state, breaker, fault, is_command);
    AUTO_FREE char *command = next_step_fill(step.command, &NAMES);
    AUTO_FREE char *advice = next_step_fill(step.advice, &NAMES);

    assert_true(advice[0] != '\0');
    assert_null(strpbrk(command, "{}"));
    assert_null(strpbrk(advice, "{}"));
    assert_int_equal(command[0] == '\0', state == LIFE_READY);
}

static void every_case_has_an_advice(void **state)
{
    each_case(check_advice);
}

/* The words before the worker's name. */
static void check_command(enum life_state state, enum breaker_state breaker, enum fault_class fault,
                          bool is_command)
{
    struct next_step step = next_step_find(state, breaker, fault, is_command);
    const struct command_group *group = NULL;
    struct err err = ERR_INIT;
    AUTO_FREE char *text = xstrdup(step.command);
    const char *words[3] = {NULL};
    size_t count = 0;
    size_t used = 0;
    char *rest = NULL;

    if (strncmp(text, "rbee ", strlen("rbee ")) != 0)
        return; /* a program of the system */
    for (char *word = strtok_r(text + strlen("rbee "), " ", &rest);
         word != NULL && count < ARRAY_COUNT(words); word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    assert_non_null(command_find(words, count, &used, &group, &err));
    assert_true(used < count); /* the worker's name follows */
}

static void every_command_is_one_of_ours(void **state)
{
    each_case(check_command);
}

static void what_helps_depends_on_what_is_wrong(void **state)
{
    static const struct {
        enum life_state state;
        enum breaker_state breaker;
        enum fault_class fault;
        const char *command;
    } CASES[] = {
        {LIFE_HELD, BREAKER_OPEN, FAULT_CRASH, "rbee worker release llama"},
        {LIFE_OPEN, BREAKER_OPEN, FAULT_CRASH, "rbee breaker reset llama"},
        {LIFE_OPEN, BREAKER_FORCED_OPEN, FAULT_NONE, "rbee breaker reset llama"},
        {LIFE_OPEN, BREAKER_HALF_OPEN, FAULT_CRASH, "rbee worker start llama"},
        {LIFE_OPEN, BREAKER_CLOSED, FAULT_HANG, "rbee breaker reset gpu:0"},
        {LIFE_FAILED, BREAKER_CLOSED, FAULT_CONFIG, "rbee worker start llama"},
        {LIFE_FAILED, BREAKER_CLOSED, FAULT_OOM_HOST, "rbee worker start llama --ctx 2048"},
        {LIFE_WAITING, BREAKER_CLOSED, FAULT_CRASH, "rbee logs llama"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct next_step step =
            next_step_find(CASES[i].state, CASES[i].breaker, CASES[i].fault, false);
        AUTO_FREE char *command = next_step_fill(step.command, &NAMES);

        assert_string_equal(command, CASES[i].command);
    }
}

static void an_end_is_explained_by_the_row_it_begins_with(void **state)
{
    assert_non_null(strstr(next_step_exit_meaning("SIGKILL, from the supervisor"), "supervisor"));
    assert_null(strstr(next_step_exit_meaning("SIGKILL"), "supervisor"));
    assert_non_null(strstr(next_step_exit_meaning("exit 127"), "not there"));
    assert_string_equal(next_step_exit_meaning("exit 3"), "");
    assert_string_equal(next_step_exit_meaning(""), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_has_an_advice),
        cmocka_unit_test(every_command_is_one_of_ours),
        cmocka_unit_test(what_helps_depends_on_what_is_wrong),
        cmocka_unit_test(an_end_is_explained_by_the_row_it_begins_with),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
