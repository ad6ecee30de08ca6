/* A worker's command: split as sh splits it, filled in afterwards, and refused where it would not
 * do what it looks like. */
#include "common/command_line.h"

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *const VALUES[COMMAND_PLACE_COUNT] = {
    [COMMAND_PLACE_SOCKET] = "/run/w.sock",         [COMMAND_PLACE_PORT] = "4711",
    [COMMAND_PLACE_MODEL] = "/m/a {port} 'b'.gguf", [COMMAND_PLACE_DEVICE] = "gpu:1",
    [COMMAND_PLACE_TOKEN_FILE] = "/run/w.token",
};

/* The words of TEXT, filled in, each followed by a bar; the caller frees it. */
static char *words_of(const char *text)
{
    struct command_line line;
    struct err err = ERR_INIT;
    AUTO_FREE char **argv = NULL;
    char *out = xstrdup("");

    if (command_line_parse(text, &line, &err) != 0)
        fail_msg("%s: %s", text, err.message);
    argv = command_line_fill(&line, VALUES, &err);
    assert_non_null(argv);
    for (size_t i = 0; argv[i] != NULL; i++) {
        char *longer = xasprintf("%s%s|", out, argv[i]);

        free(out);
        out = longer;
    }
    command_line_release(&line);
    return out;
}

/* The right-hand sides are what `sh -c 'printf "%s|" ...'` prints, but for the places. */
static void words_are_those_of_a_shell(void **state)
{
    static const char *const CASES[][2] = {
        {"a {port}", "a|4711|"},
        {" \t a\n--port={port}  ", "a|--port=4711|"},
        {"a 'b  c'\"d  e\"f {port}", "a|b  cd  ef|4711|"},
        {"a '' \"\" {port}", "a|||4711|"},
        {"a b\\ c \\\\ \\' \\\" \\n {port}", "a|b c|\\|'|\"|n|4711|"},
        {"a \"\\\"\\\\\\n'\" {port}", "a|\"\\\\n'|4711|"},
        {"a '\\\"$`|&;<>()~#' {port}", "a|\\\"$`|&;<>()~#|4711|"},
        {"a \"|&;<>()~# \\$ \\`\" {port}", "a||&;<>()~# $ `|4711|"},
        {"a \\$ \\| x~ x# * ? [a] ! {port}", "a|$|||x~|x#|*|?|[a]|!|4711|"},
        {"a \xc3\xa4\xe2\x82\xac {port}", "a|\xc3\xa4\xe2\x82\xac|4711|"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        AUTO_FREE char *words = words_of(CASES[i][0]);

        assert_string_equal(words, CASES[i][1]);
    }
}

static void places_are_filled_in_wherever_they_stand_and_once(void **state)
{
    static const char *const CASES[][2] = {
        {"x {port} {port}", "x|4711|4711|"},
        {"x tcp://h:{port}/{device}?", "x|tcp://h:4711/gpu:1?|"},
        {"x '{socket}' \"{token_file}\"", "x|/run/w.sock|/run/w.token|"},
        /* A value is not read again: neither its places nor its quotes mean anything. */
        {"{model} {port}", "/m/a {port} 'b'.gguf|4711|"},
        {"x '{{\"a\":{{}}}}' {port}{{}}", "x|{\"a\":{}}|4711{}|"},
        {"x {{port}} {port}", "x|{port}|4711|"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        AUTO_FREE char *words = words_of(CASES[i][0]);

        assert_string_equal(words, CASES[i][1]);
    }
}

static void what_it_has_is_known(void **state)
{
    struct command_line line;
    struct err err = ERR_INIT;

    assert_int_equal(command_line_parse("x --m={model} {socket}", &line, &err), 0);
    assert_true(line.has[COMMAND_PLACE_MODEL] && line.has[COMMAND_PLACE_SOCKET]);
    assert_false(line.has[COMMAND_PLACE_PORT] || line.has[COMMAND_PLACE_DEVICE] ||
                 line.has[COMMAND_PLACE_TOKEN_FILE]);
    command_line_release(&line);
    command_line_release(&line);
}

static void what_is_wrong_is_named(void **state)
{
    static const char *const CASES[][2] = {
        {"", "it names no program"},
        {"  ", "it names no program"},
        {"'' {port}", "it names no program"},
        {"x {port} 'a b", "' at position 10 is not closed"},
        {"x {port} a\"b", "\" at position 11 is not closed"},
        {"x {port} \\", "\\ at position 10 stands at the end"},
        {"x $HOME {port}", "$ at position 3 is for a shell"},
        {"x \"$HOME\" {port}", "$ at position 4 is for a shell"},
        {"x \"`id`\" {port}", "` at position 4 is for a shell"},
        {"x {port} >log", "> at position 10 is for a shell"},
        {"x {port} && y", "& at position 10 is for a shell"},
        {"~/x {port}", "~ at position 1 is for a shell"},
        {"x {port} # y", "# at position 10 is for a shell"},
        {"x {prot}", "word 2: {prot} is no place; there is: {socket} {port} {model} {device} "
                     "{token_file}"},
        {"x {} {port}", "word 2: {} is no place"},
        {"x {port", "word 2: { without its }"},
        {"x {port {port}", "word 2: { without its }"},
        {"x port} {port}", "word 2: } without its {"},
        {"bin/x {port}", "the program bin/x has a relative path"},
        {"./x {port}", "the program ./x has a relative path"},
        {"x --port 8080", "it has neither {port} nor {socket}"},
        {"x {port} {socket}", "it has both {port} and {socket}"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct command_line line;
        struct err err = ERR_INIT;

        if (command_line_parse(CASES[i][0], &line, &err) == 0)
            fail_msg("taken: %s", CASES[i][0]);
        assert_int_equal(err.kind, ERR_CONFIG);
        if (strstr(err.message, CASES[i][1]) == NULL)
            fail_msg("%s: %s", CASES[i][0], err.message);
    }
}

static void limits_hold(void **state)
{
    struct command_line line;
    struct err err = ERR_INIT;
    char text[COMMAND_LINE_MAX_BYTES + 2];
    AUTO_FREE char *long_value = xmalloc(COMMAND_LINE_FILLED_MAX_BYTES + 1);
    const char *const values[COMMAND_PLACE_COUNT] = {
        [COMMAND_PLACE_PORT] = "1", [COMMAND_PLACE_MODEL] = long_value};

    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(command_line_parse(text, &line, &err), -1);
    assert_non_null(strstr(err.message, "the limit is 4096"));
    for (size_t i = 1; i < COMMAND_LINE_MAX_BYTES; i += 2)
        text[i] = ' ';
    text[COMMAND_LINE_MAX_BYTES] = '\0';
    assert_int_equal(command_line_parse(text, &line, &err), -1);
    assert_string_equal(err.message, "more than 256 words");

    memset(long_value, 'y', COMMAND_LINE_FILLED_MAX_BYTES);
    long_value[COMMAND_LINE_FILLED_MAX_BYTES] = '\0';
    assert_int_equal(command_line_parse("x {port} {model}", &line, &err), 0);
    assert_null(command_line_fill(&line, values, &err));
    assert_non_null(strstr(err.message, "when filled in"));
    command_line_release(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_those_of_a_shell),
        cmocka_unit_test(places_are_filled_in_wherever_they_stand_and_once),
        cmocka_unit_test(what_it_has_is_known),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(limits_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
