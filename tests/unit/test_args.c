/* The command line: where options may stand, what their values may be, and what is said when they
 * are not that. */
#include "cli/args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { TEST_ARGC_MAX = 16 };

/* Parses the words of LINE, which are separated by single blanks; "_" stands for an empty word. */
struct parsed {
    char words[256];
    char *argv[TEST_ARGC_MAX];
    struct args args;
    struct err err;
    int rc;
};

static void parse(struct parsed *parsed, const char *line)
{
    int argc = 0;
    char *rest = NULL;

    *parsed = (struct parsed){0};
    assert_true(strlen(line) < sizeof(parsed->words));
    memcpy(parsed->words, line, strlen(line));
    for (char *word = strtok_r(parsed->words, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest)) {
        assert_true(argc < TEST_ARGC_MAX);
        if (strcmp(word, "_") == 0)
            word[0] = '\0';
        parsed->argv[argc++] = word;
    }
    parsed->rc = args_parse(&parsed->args, argc, parsed->argv, &parsed->err);
}

static void options_stand_anywhere(void **state)
{
    static const char *const LINES[] = {
        "rbee infer hello -n 8 --temp=0.5 --raw",
        "rbee -n 8 infer --temp 0.5 --raw hello",
        "rbee --raw --temp 0.5 -n8 infer hello",
        "rbee infer --raw -n8 --temp 0.5 -- hello",
        "rbee --temp=0.5 --max-tokens=8 --raw -- infer hello",
    };

    for (size_t i = 0; i < ARRAY_COUNT(LINES); i++) {
        struct parsed p;

        parse(&p, LINES[i]);
        assert_int_equal(p.rc, 0);
        assert_int_equal(p.args.command->id, COMMAND_INFER);
        assert_int_equal(args_integer(&p.args, OPTION_MAX_TOKENS), 8);
        assert_true(args_number(&p.args, OPTION_TEMPERATURE) == 0.5);
        assert_true(args_has(&p.args, OPTION_RAW));
        assert_int_equal(p.args.operand_count, 1);
        assert_string_equal(p.args.operands[0], "hello");
        args_release(&p.args);
    }
}

static void after_two_dashes_everything_is_an_operand(void **state)
{
    struct parsed p;

    parse(&p, "rbee infer -- --raw");
    assert_int_equal(p.rc, 0);
    assert_string_equal(p.args.operands[0], "--raw");
    assert_false(args_has(&p.args, OPTION_RAW));
    args_release(&p.args);
    parse(&p, "rbee infer -");
    assert_int_equal(p.rc, 0);
    assert_string_equal(p.args.operands[0], "-");
    args_release(&p.args);
}

static void a_list_keeps_all_and_another_option_the_last(void **state)
{
    struct parsed p;
    size_t cursor = 0;

    parse(&p, "rbee infer x --stop a -f one --stop=b -n 1 --stop _ -n 2 -ftwo");
    assert_int_equal(p.rc, 0);
    assert_string_equal(args_next(&p.args, OPTION_STOP, &cursor), "a");
    assert_string_equal(args_next(&p.args, OPTION_STOP, &cursor), "b");
    assert_string_equal(args_next(&p.args, OPTION_STOP, &cursor), "");
    assert_null(args_next(&p.args, OPTION_STOP, &cursor));
    cursor = 0;
    assert_string_equal(args_next(&p.args, OPTION_FILE, &cursor), "one");
    assert_string_equal(args_next(&p.args, OPTION_FILE, &cursor), "two");
    assert_int_equal(args_integer(&p.args, OPTION_MAX_TOKENS), 2);
    args_release(&p.args);
}

static void letters_without_a_value_may_be_joined(void **state)
{
    struct parsed p;

    parse(&p, "rbee infer x -qvn8");
    assert_int_equal(p.rc, 0);
    assert_true(args_has(&p.args, OPTION_QUIET) && args_has(&p.args, OPTION_VERBOSE));
    assert_int_equal(args_integer(&p.args, OPTION_MAX_TOKENS), 8);
    args_release(&p.args);
}

static void what_is_wrong_is_refused_by_name(void **state)
{
    static const struct {
        const char *line;
        const char *message;
    } CASES[] = {
        {"rbee infer x --temp nan", "--temp must be a number from 0 to 100, not \"nan\""},
        {"rbee infer x --temp inf", "--temp must be a number from 0 to 100, not \"inf\""},
        {"rbee infer x --temp -0.1", "--temp must be a number from 0 to 100, not \"-0.1\""},
        {"rbee infer x --temp=_1", "--temp must be a number from 0 to 100, not \"_1\""},
        {"rbee infer x --temp 0x1p3", "--temp must be a number from 0 to 100, not \"0x1p3\""},
        {"rbee infer x --top-p 0", "--top-p must be a number above 0, at most 1, not \"0\""},
        {"rbee infer x --top-p 1e-400",
         "--top-p must be a number above 0, at most 1, not \"1e-400\""},
        {"rbee infer x -n 1.5", "-n must be a whole number from 1 to 1048576, not \"1.5\""},
        {"rbee infer x -n _", "-n must be a whole number from 1 to 1048576, not \"\""},
        {"rbee infer x --seed 9007199254740993",
         "--seed must be a whole number from 0 to 9007199254740992, not \"9007199254740993\""},
        {"rbee infer x --stream=json", "--stream must be one of ndjson, not \"json\""},
        {"rbee wait x --for=rea", "--for must be one of ready|idle|stopped|closed, not \"rea\""},
        {"rbee down --drain 5", "--drain must be a duration like 500ms, 30s, 5m or 1h, at most "
                                "1h00m, not \"5\""},
        {"rbee ps -d 50ms", "-d must be a duration like 500ms, 30s, 5m or 1h, from 100ms to "
                            "1h00m, not \"50ms\""},
        {"rbee infer x --deadline 0", "--deadline must be a duration like 500ms, 30s, 5m or 1h, at "
                                      "most 7d0h, not \"0\""},
        {"rbee infer x --temp", "--temp needs a value: T"},
        {"rbee infer x --raw=1", "--raw takes no value"},
        {"rbee infer x --tmep 1", "there is no option --tmep; did you mean --temp?"},
        {"rbee infer x --max 1", "there is no option --max; did you mean --max-tokens?"},
        {"rbee infer x -y", "there is no option -y; see \"rbee infer --help\""},
        {"rbee ps --raw", "\"rbee ps\" has no option --raw; see \"rbee ps --help\""},
        {"rbee infer x y", "\"rbee infer\" has no use for \"y\"; quote what has blanks"},
        {"rbee ps y", "\"rbee ps\" has no use for \"y\"; it takes options alone"},
        {"rbee wait", "\"rbee wait\" needs NAME; see \"rbee wait --help\""},
        {"rbee wait _", "NAME of \"rbee wait\" must not be empty"},
        {"rbee infre x", "there is no command \"infre\"; did you mean \"infer\"?"},
        {"rbee inf x", "there is no command \"inf\"; did you mean \"infer\"?"},
        {"rbee model", "\"rbee model\" needs one of: add, pull, verify, ls, show, rm"},
        {"rbee model list",
         "there is no command \"model list\"; there are: add, pull, verify, ls, show, rm"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct parsed p;

        parse(&p, CASES[i].line);
        assert_int_equal(p.rc, -1);
        assert_int_equal(p.err.kind, ERR_USAGE);
        assert_string_equal(p.err.message, CASES[i].message);
        args_release(&p.args);
    }
}

static void json_holds_for_the_failure_of_the_command_line_itself(void **state)
{
    static const char *const LINES[] = {"rbee infer x --json --temp nan", "rbee --json infre",
                                        "rbee infer x --tmep --json"};

    for (size_t i = 0; i < ARRAY_COUNT(LINES); i++) {
        struct parsed p;

        parse(&p, LINES[i]);
        assert_int_equal(p.rc, -1);
        assert_true(args_has(&p.args, OPTION_JSON));
        args_release(&p.args);
    }
}

static void help_is_not_kept_back_by_what_else_is_wrong(void **state)
{
    struct parsed p;

    parse(&p, "rbee infer --help --temp nan");
    assert_int_equal(p.rc, 0);
    assert_int_equal(p.args.command->id, COMMAND_INFER);
    args_release(&p.args);
    parse(&p, "rbee model --help");
    assert_int_equal(p.rc, 0);
    assert_null(p.args.command);
    assert_string_equal(p.args.group->name, "model");
    args_release(&p.args);
    parse(&p, "rbee infre --help");
    assert_int_equal(p.rc, -1);
    args_release(&p.args);
}

/* Before the command is read, a long name alone must say whether a value follows. No command has
 * two options of one name or letter. */
static void options_of_one_name_agree_on_having_a_value(void **state)
{
    for (int a = 0; a < OPTION_COUNT; a++) {
        for (int b = 0; b < a; b++) {
            const struct option *one = option_get((enum option_id)a);
            const struct option *other = option_get((enum option_id)b);
            bool same_letter = one->letter != 0 && one->letter == other->letter;
            bool same_name = strcmp(one->long_name, other->long_name) == 0;

            if (same_name)
                assert_int_equal(option_has_value(one), option_has_value(other));
            if (same_name || same_letter)
                assert_int_equal(one->commands & other->commands, 0);
        }
    }
}

/* -f is a file of infer, and a flag of logs. */
static void a_letter_behind_its_command_is_that_commands(void **state)
{
    struct parsed p;

    parse(&p, "rbee logs -f a");
    assert_int_equal(p.rc, 0);
    assert_true(args_has(&p.args, OPTION_FOLLOW));
    assert_int_equal(p.args.operand_count, 1);
    args_release(&p.args);
    parse(&p, "rbee logs a -fn3");
    assert_int_equal(p.rc, 0);
    assert_true(args_has(&p.args, OPTION_FOLLOW));
    assert_int_equal(args_integer(&p.args, OPTION_LINE_COUNT), 3);
    args_release(&p.args);
    parse(&p, "rbee infer -f a");
    assert_int_equal(p.rc, 0);
    assert_true(args_has(&p.args, OPTION_FILE));
    assert_int_equal(p.args.operand_count, 0);
    args_release(&p.args);
    parse(&p, "rbee -f a infer");
    assert_int_equal(p.rc, 0);
    assert_true(args_has(&p.args, OPTION_FILE));
    args_release(&p.args);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_anywhere),
        cmocka_unit_test(after_two_dashes_everything_is_an_operand),
        cmocka_unit_test(a_list_keeps_all_and_another_option_the_last),
        cmocka_unit_test(letters_without_a_value_may_be_joined),
        cmocka_unit_test(what_is_wrong_is_refused_by_name),
        cmocka_unit_test(json_holds_for_the_failure_of_the_command_line_itself),
        cmocka_unit_test(help_is_not_kept_back_by_what_else_is_wrong),
        cmocka_unit_test(options_of_one_name_agree_on_having_a_value),
        cmocka_unit_test(a_letter_behind_its_command_is_that_commands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
