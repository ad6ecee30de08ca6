/* Owns the tables of the completion files. Must not know how a shell completes: that is in
 * completions/logic.*, which asks these tables.
 *
 *  - commands KEY: what may stand there; KEY is "." or a group's name
 *  - options KEY: options of a command; "all" for those of every one
 *  - values KEY: "COMMAND:--OPTION" or "COMMAND:-O", with "none" for a command that is not known
 *    yet: the hint (hint.h) of its value; fails for what takes none
 *  - operands KEY: "COMMAND:INDEX": the hint of an operand
 *
 * A command of two words has a "-" between them. */
#include "scripts/generate/completion.h"

#include "cli/command.h"
#include "cli/option.h"
#include "common/io.h"
#include "common/mem.h"
#include "scripts/generate/hint.h"
#include "scripts/generate/output.h"

#include <string.h>

enum { LOGIC_MAX_BYTES = 64 * 1024, KEY_MAX_BYTES = 64 };

/* How a shell writes a function that looks a key up. */
struct shell {
    const char *name;
    const char *file;
    const char *first_line;
    const char *begin; /* with the function's name */
    const char *pattern_separator;
    const char *row_begin; /* in front of the patterns, and behind them */
    const char *row_middle;
    const char *row_end;
    const char *quote; /* a ' inside of '...' */
    const char *end;
};

static const struct shell SHELLS[] = {
    {.name = "bash",
     .file = "rbee.bash",
     .first_line = "# shellcheck shell=bash\n",
     .begin = "_rbee_%s() {\n    REPLY=''\n    case $1 in\n",
     .pattern_separator = " | ",
     .row_begin = "    ",
     .row_middle = ") REPLY=",
     .row_end = " ;;\n",
     .quote = "'\\''",
     .end = "    *) return 1 ;;\n    esac\n}\n"},
    {.name = "zsh",
     .file = "_rbee",
     .first_line = "#compdef rbee\n",
     .begin = "_rbee_%s() {\n    REPLY=''\n    case $1 in\n",
     .pattern_separator = " | ",
     .row_begin = "    ",
     .row_middle = ") REPLY=",
     .row_end = " ;;\n",
     .quote = "'\\''",
     .end = "    *) return 1 ;;\n    esac\n}\n"},
    {.name = "fish",
     .file = "rbee.fish",
     .first_line = "",
     .begin = "function __rbee_%s\n    switch $argv[1]\n",
     .pattern_separator = " ",
     .row_begin = "        case ",
     .row_middle = "\n            echo ",
     .row_end = "\n",
     .quote = "\\'",
     .end = "        case '*'\n            return 1\n    end\nend\n"},
};

struct writer {
    const struct shell *shell;
    FILE *file;
};

/* ---- rows ---- */

static void begin_table(const struct writer *w, const char *name)
{
    (void)fputc('\n', w->file); /* what cannot be written shows at the end */
    for (const char *at = w->shell->begin; *at != '\0'; at++) {
        if (strncmp(at, "%s", 2) == 0)
            (void)fputs(name, w->file), at++;
        else
            (void)fputc(*at, w->file);
    }
}

static void end_table(const struct writer *w)
{
    (void)fputs(w->shell->end, w->file);
}

/* No pattern has a byte that a shell reads as anything but itself: the tables' names are of
 * [a-z0-9-], and ":" is one of ours. */
static void add_pattern(const struct writer *w, bool *is_first, const char *context,
                        const char *text)
{
    (void)fputs(*is_first ? w->shell->row_begin : w->shell->pattern_separator, w->file);
    *is_first = false;
    for (const char *at = context; *at != '\0'; at++)
        (void)fputc(*at == ' ' ? '-' : *at, w->file);
    (void)fputs(text, w->file);
}

static void add_quoted(const struct writer *w, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '\'')
            (void)fputs(w->shell->quote, w->file);
        else
            (void)fputc(*at, w->file);
    }
}

static void begin_value(const struct writer *w)
{
    (void)fputs(w->shell->row_middle, w->file);
    (void)fputc('\'', w->file);
}

static void end_value(const struct writer *w)
{
    (void)fputc('\'', w->file);
    (void)fputs(w->shell->row_end, w->file);
}

/* One line of a list: a word and what it is. */
static void add_item(const struct writer *w, bool *is_first, const char *word, const char *summary)
{
    (void)fputs(*is_first ? "" : "\n", w->file);
    *is_first = false;
    add_quoted(w, word);
    (void)fputc('\t', w->file);
    add_quoted(w, summary);
}

/* ---- commands ---- */

static void add_top_commands(const struct writer *w)
{
    size_t group_count = 0;
    const struct command_group *groups = command_groups(&group_count);
    bool is_first = true;

    add_pattern(w, &is_first, ".", "");
    begin_value(w);
    is_first = true;
    for (int id = 0; id < COMMAND_COUNT; id++) {
        const struct command *command = command_get((enum command_id)id);

        if (strchr(command->name, ' ') == NULL)
            add_item(w, &is_first, command->name, command->summary);
    }
    for (size_t i = 0; i < group_count; i++)
        add_item(w, &is_first, groups[i].name, groups[i].summary);
    end_value(w);
}

static void add_group_commands(const struct writer *w, const struct command_group *group)
{
    bool is_first = true;

    add_pattern(w, &is_first, group->name, "");
    begin_value(w);
    is_first = true;
    for (int id = 0; id < COMMAND_COUNT; id++) {
        const struct command *command = command_get((enum command_id)id);

        if (command_is_in_group(command, group))
            add_item(w, &is_first, command->name + strlen(group->name) + 1, command->summary);
    }
    end_value(w);
}

static void write_commands(const struct writer *w)
{
    size_t group_count = 0;
    const struct command_group *groups = command_groups(&group_count);

    begin_table(w, "commands");
    add_top_commands(w);
    for (size_t i = 0; i < group_count; i++)
        add_group_commands(w, &groups[i]);
    end_table(w);
}

/* ---- options ---- */

static void add_option_items(const struct writer *w, const struct option *option, bool *is_first)
{
    char word[KEY_MAX_BYTES];

    (void)snprintf(word, sizeof(word), "--%s", option->long_name); /* names of ours fit */
    add_item(w, is_first, word, option->summary);
    if (option->letter == 0)
        return;
    (void)snprintf(word, sizeof(word), "-%c", option->letter);
    add_item(w, is_first, word, option->summary);
}

/* The options of COMMAND, or with NULL those of every command. */
static void add_options_of(const struct writer *w, const struct command *command)
{
    bool has_row = false;
    bool is_first = true;

    for (int id = 0; id < OPTION_COUNT; id++) {
        const struct option *option = option_get((enum option_id)id);
        bool is_global = option_is_global(option);

        if (is_global != (command == NULL) || (!is_global && !option_belongs_to(option, command)))
            continue;
        if (!has_row) {
            add_pattern(w, &is_first, command == NULL ? "all" : command->name, "");
            begin_value(w);
            is_first = true;
            has_row = true;
        }
        add_option_items(w, option, &is_first);
    }
    if (has_row)
        end_value(w);
}

static void write_options(const struct writer *w)
{
    begin_table(w, "options");
    add_options_of(w, NULL);
    for (int id = 0; id < COMMAND_COUNT; id++)
        add_options_of(w, command_get((enum command_id)id));
    end_table(w);
}

/* Whether no option before ID has the same long name, or with IS_LETTER the same letter: before its
 * command is known, an option is taken for the first one of its name. */
static bool is_first_of_name(enum option_id id, bool is_letter)
{
    const struct option *option = option_get(id);

    for (int i = 0; i < (int)id; i++) {
        const struct option *other = option_get((enum option_id)i);

        if (is_letter ? other->letter == option->letter
                      : strcmp(other->long_name, option->long_name) == 0)
            return false;
    }
    return true;
}

static void add_value_patterns(const struct writer *w, enum option_id id, const char *word,
                               bool is_letter, bool *is_first)
{
    const struct option *option = option_get(id);

    if (option_is_global(option)) {
        add_pattern(w, is_first, "*", word);
        return;
    }
    if (is_first_of_name(id, is_letter))
        add_pattern(w, is_first, "none", word);
    for (int i = 0; i < COMMAND_COUNT; i++) {
        const struct command *command = command_get((enum command_id)i);

        if (option_belongs_to(option, command))
            add_pattern(w, is_first, command->name, word);
    }
}

static void write_values(const struct writer *w)
{
    begin_table(w, "values");
    for (int id = 0; id < OPTION_COUNT; id++) {
        const struct option *option = option_get((enum option_id)id);
        AUTO_BUF struct buf hint = BUF_INIT(HINT_MAX_BYTES);
        char word[KEY_MAX_BYTES];
        bool is_first = true;

        if (!option_has_value(option))
            continue;
        (void)snprintf(word, sizeof(word), ":--%s", option->long_name); /* names of ours fit */
        add_value_patterns(w, (enum option_id)id, word, false, &is_first);
        if (option->letter != 0) {
            (void)snprintf(word, sizeof(word), ":-%c", option->letter);
            add_value_patterns(w, (enum option_id)id, word, true, &is_first);
        }
        hint_of_option(&hint, option);
        begin_value(w);
        add_quoted(w, hint.data);
        end_value(w);
    }
    end_table(w);
}

/* ---- operands ---- */

static void write_operands(const struct writer *w)
{
    begin_table(w, "operands");
    for (int id = 0; id < COMMAND_COUNT; id++) {
        const struct command *command = command_get((enum command_id)id);

        for (size_t i = 0; i < command->operand_max; i++) {
            AUTO_BUF struct buf hint = BUF_INIT(HINT_MAX_BYTES);
            char index[KEY_MAX_BYTES];
            bool is_first = true;

            hint_of_operand(&hint, command, i);
            if (hint.len == 0)
                continue;
            (void)snprintf(index, sizeof(index), ":%zu", i); /* it fits */
            add_pattern(w, &is_first, command->name, index);
            begin_value(w);
            add_quoted(w, hint.data);
            end_value(w);
        }
    }
    end_table(w);
}

/* ---- files ---- */

/* Functions first: the logic ends with what a shell runs when it loads the file. */
static int write_shell(const struct shell *shell, const char *source, const char *out,
                       struct err *err)
{
    AUTO_FREE char *logic_path = xasprintf("%s/completions/logic.%s", source, shell->name);
    AUTO_FREE char *path = xasprintf("%s/completions/%s", out, shell->file);
    AUTO_BUF struct buf logic = BUF_INIT(LOGIC_MAX_BYTES);
    struct writer w = {.shell = shell};

    if (io_read_file(logic_path, &logic, err) < 0 || output_create(path, &w.file, err) < 0)
        return -1;
    (void)fputs(shell->first_line, w.file);
    (void)fprintf(w.file,
                  "# Completions of rbee for %s, made by \"make generated\" of cli/commands.def,\n"
                  "# cli/options.def and completions/logic.%s.\n",
                  shell->name, shell->name);
    write_commands(&w);
    write_options(&w);
    write_values(&w);
    write_operands(&w);
    (void)fputc('\n', w.file);
    (void)fputs(logic.data, w.file);
    return output_close(path, w.file, err);
}

int completion_generate(const char *source, const char *out, struct err *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(SHELLS); i++) {
        if (write_shell(&SHELLS[i], source, out, err) < 0)
            return -1;
    }
    return 0;
}
