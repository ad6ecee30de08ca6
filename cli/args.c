/* Owns the reading of argv against the tables of commands and options. Must not know what an option
 * does.
 *
 * One walk over argv makes a list of words and a list of options as they stood; then the command is
 * known, each option is looked up among those of the command, and its value is checked. */
#include "cli/args.h"

#include "common/mem.h"
#include "common/nearest.h"
#include "common/units.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { ARGS_NAME_MAX_BYTES = 64, ARGS_CONSTRAINT_MAX_BYTES = 96 };

struct args_occurrence {
    const char *name; /* after the dashes; not ended there: name_len */
    size_t name_len;
    bool is_letter;
    const char *value; /* NULL: none stood there */
    enum option_id id; /* once the command is known */
};

struct args_reader {
    struct args *args;
    char *const *argv;
    int argc;
    int next;
};

static bool name_matches(const struct args_occurrence *at, const struct option *option)
{
    if (at->is_letter)
        return option->letter != 0 && option->letter == at->name[0];
    return strncmp(option->long_name, at->name, at->name_len) == 0 &&
           option->long_name[at->name_len] == '\0';
}

/* The option of this name that COMMAND has (NULL: any command); OPTION_COUNT when there is none. */
static enum option_id find_option(const struct args_occurrence *at, const struct command *command)
{
    for (int id = 0; id < OPTION_COUNT; id++) {
        const struct option *option = option_get((enum option_id)id);

        if (name_matches(at, option) && (command == NULL || option_belongs_to(option, command)))
            return (enum option_id)id;
    }
    return OPTION_COUNT;
}

/* "--temp" or "-n", as it is said in messages. */
static void shown_name(const struct args_occurrence *at, char out[ARGS_NAME_MAX_BYTES])
{
    (void)snprintf(out, ARGS_NAME_MAX_BYTES, "%s%.*s", at->is_letter ? "-" : "--",
                   (int)at->name_len, at->name); /* cut: a name of ours is never so long */
}

/* The option as far as can be told while reading: that of the command where its words have been
 * read; else the first of this name, which a letter of another command's may not be. */
static enum option_id guess_option(const struct args_reader *reader,
                                   const struct args_occurrence *at)
{
    const struct args *args = reader->args;
    const struct command *command = NULL;
    const struct command_group *ignored_group = NULL;
    enum option_id id = OPTION_COUNT;
    struct err ignored = ERR_INIT; /* it is told once all is read */
    size_t word_count = 0;

    if (args->operand_count > 0)
        command = command_find(args->operands, args->operand_count, &word_count, &ignored_group,
                               &ignored);
    if (command != NULL)
        id = find_option(at, command);
    return id < OPTION_COUNT ? id : find_option(at, NULL);
}

static int add_occurrence(struct args_reader *reader, const struct args_occurrence *at,
                          struct err *err)
{
    struct args *args = reader->args;
    enum option_id id = guess_option(reader, at);
    const struct option *option = id < OPTION_COUNT ? option_get(id) : NULL;
    struct args_occurrence found = *at;
    char name[ARGS_NAME_MAX_BYTES];

    shown_name(at, name);
    if (option != NULL && option_is_global(option) && !option_has_value(option))
        args->is_given[id] = true; /* --json counts for the failures to come, too */
    if (option != NULL && option_has_value(option) && found.value == NULL) {
        if (reader->next == reader->argc)
            return err_set(err, ERR_USAGE, "%s needs a value: %s", name, option->argument);
        found.value = reader->argv[reader->next++];
    }
    if (option != NULL && !option_has_value(option) && found.value != NULL)
        return err_set(err, ERR_USAGE, "%s takes no value", name);
    args->occurrences = xreallocarray(args->occurrences, args->occurrence_count + 1, sizeof(found));
    args->occurrences[args->occurrence_count++] = found;
    return 0;
}

static int read_long(struct args_reader *reader, const char *text, struct err *err)
{
    const char *equals = strchr(text, '=');
    struct args_occurrence at = {.name = text,
                                 .name_len =
                                     equals != NULL ? (size_t)(equals - text) : strlen(text),
                                 .value = equals != NULL ? equals + 1 : NULL};

    return add_occurrence(reader, &at, err);
}

/* "-qv", "-n8", "-n" */
static int read_letters(struct args_reader *reader, const char *text, struct err *err)
{
    while (*text != '\0') {
        struct args_occurrence at = {.name = text, .name_len = 1, .is_letter = true};
        enum option_id id = guess_option(reader, &at);
        bool has_value = id < OPTION_COUNT && option_has_value(option_get(id));

        text++;
        if (has_value && *text != '\0') {
            at.value = text;
            text = "";
        }
        if (add_occurrence(reader, &at, err) < 0)
            return -1;
    }
    return 0;
}

static int read_all(struct args_reader *reader, struct err *err)
{
    struct args *args = reader->args;
    bool options_have_ended = false;

    while (reader->next < reader->argc) {
        const char *text = reader->argv[reader->next++];
        int rc = 0;

        if (options_have_ended || text[0] != '-' || text[1] == '\0')
            args->operands[args->operand_count++] = text;
        else if (strcmp(text, "--") == 0)
            options_have_ended = true;
        else if (text[1] == '-')
            rc = read_long(reader, text + 2, err);
        else
            rc = read_letters(reader, text + 1, err);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static int refuse_option(const struct args *args, const struct args_occurrence *at, struct err *err)
{
    const char *names[OPTION_COUNT];
    size_t count = 0;
    size_t nearest = 0;
    char shown[ARGS_NAME_MAX_BYTES];
    AUTO_FREE char *name = xstrndup(at->name, at->name_len);

    shown_name(at, shown);
    if (args->command != NULL && find_option(at, NULL) < OPTION_COUNT)
        return err_set(err, ERR_USAGE, "\"rbee %s\" has no option %s; see \"rbee %s --help\"",
                       args->command->name, shown, args->command->name);
    for (int id = 0; id < OPTION_COUNT && !at->is_letter; id++) {
        const struct option *option = option_get((enum option_id)id);

        if (args->command == NULL || option_belongs_to(option, args->command))
            names[count++] = option->long_name;
    }
    nearest = nearest_find(name, names, count);
    if (nearest < count)
        return err_set(err, ERR_USAGE, "there is no option %s; did you mean --%s?", shown,
                       names[nearest]);
    return err_set(err, ERR_USAGE, "there is no option %s; see \"rbee %s%s--help\"", shown,
                   args->command != NULL ? args->command->name : "",
                   args->command != NULL ? " " : "");
}

static bool is_choice(const char *choices, const char *value)
{
    size_t len = strlen(value);

    for (const char *at = choices; *at != '\0'; at += *at == '|') {
        size_t choice_len = strcspn(at, "|");

        if (choice_len == len && strncmp(at, value, len) == 0)
            return true;
        at += choice_len;
    }
    return false;
}

/* Sets *OUT when TEXT is a value that OPTION takes. */
static bool read_value(const struct option *option, const char *text, union args_value *out)
{
    struct err ignored = ERR_INIT; /* the message is made of the option's own constraint */
    uint64_t ms = 0;

    switch (option->type) {
    case OPTION_INTEGER:
        return units_parse_integer(text, (int64_t)option->min, (int64_t)option->max, &out->integer,
                                   &ignored) == 0;
    case OPTION_NUMBER:
        return units_parse_number(text, option->min, option->max, &out->number, &ignored) == 0;
    case OPTION_ABOVE:
        return units_parse_number(text, option->min, option->max, &out->number, &ignored) == 0 &&
               out->number > option->min;
    case OPTION_DURATION:
        if (units_parse_duration(text, &ms, &ignored) < 0 || ms < (uint64_t)option->min ||
            ms > (uint64_t)option->max)
            return false;
        out->duration_ms = ms;
        return true;
    case OPTION_CHOICE:
        out->text = text;
        return is_choice(option->argument, text);
    case OPTION_TEXT:
    case OPTION_LIST:
        out->text = text;
        return true;
    case OPTION_FLAG:
        break;
    }
    return text == NULL;
}

static void describe_constraint(const struct option *option, char out[ARGS_CONSTRAINT_MAX_BYTES])
{
    char shortest[UNITS_TEXT_BYTES];
    char longest[UNITS_TEXT_BYTES];

    switch (option->type) {
    case OPTION_INTEGER:
        (void)snprintf(out, ARGS_CONSTRAINT_MAX_BYTES, "a whole number from %.17g to %.17g",
                       option->min, option->max);
        return;
    case OPTION_NUMBER:
        (void)snprintf(out, ARGS_CONSTRAINT_MAX_BYTES, "a number from %g to %g", option->min,
                       option->max);
        return;
    case OPTION_ABOVE:
        (void)snprintf(out, ARGS_CONSTRAINT_MAX_BYTES, "a number above %g, at most %g", option->min,
                       option->max);
        return;
    case OPTION_DURATION:
        units_format_duration((uint64_t)option->max, longest);
        units_format_duration((uint64_t)option->min, shortest);
        if (option->min > 1)
            (void)snprintf(out, ARGS_CONSTRAINT_MAX_BYTES,
                           "a duration like 500ms, 30s, 5m or 1h, from %s to %s", shortest,
                           longest);
        else
            (void)snprintf(out, ARGS_CONSTRAINT_MAX_BYTES,
                           "a duration like 500ms, 30s, 5m or 1h, at most %s", longest);
        return;
    default: /* CHOICE: the others take any text */
        (void)snprintf(out, ARGS_CONSTRAINT_MAX_BYTES, "one of %s", option->argument);
    }
}

/* Looks the option up among those of the command, and takes its value. */
static int take_occurrence(struct args *args, struct args_occurrence *at, struct err *err)
{
    const struct option *option = NULL;
    char name[ARGS_NAME_MAX_BYTES];
    char constraint[ARGS_CONSTRAINT_MAX_BYTES];

    at->id = find_option(at, args->command);
    if (at->id == OPTION_COUNT)
        return refuse_option(args, at, err);
    option = option_get(at->id);
    if (!read_value(option, at->value, &args->values[at->id])) {
        shown_name(at, name);
        describe_constraint(option, constraint);
        return err_set(err, ERR_USAGE, "%s must be %s, not \"%.64s\"", name, constraint, at->value);
    }
    args->is_given[at->id] = true;
    return 0;
}

static int check_operands(const struct args *args, struct err *err)
{
    const struct command *command = args->command;

    if (args->operand_count < command->operand_min)
        return err_set(err, ERR_USAGE, "\"rbee %s\" needs %s; see \"rbee %s --help\"",
                       command->name, command->operands, command->name);
    for (size_t i = 0; i < args->operand_count && command->operand_min > 0; i++) {
        if (args->operands[i][0] == '\0')
            return err_set(err, ERR_USAGE, "%s of \"rbee %s\" must not be empty", command->operands,
                           command->name);
    }
    if (args->operand_count > command->operand_max)
        return err_set(err, ERR_USAGE, "\"rbee %s\" has no use for \"%.64s\"; %s", command->name,
                       args->operands[command->operand_max],
                       command->operand_max > 0 ? "quote what has blanks"
                                                : "it takes options alone");
    return 0;
}

/* Finds the command by the first words and takes them off the operands. */
static int take_command(struct args *args, struct err *err)
{
    size_t word_count = 0;

    if (args->operand_count == 0)
        return 0;
    args->command =
        command_find(args->operands, args->operand_count, &word_count, &args->group, err);
    if (args->command == NULL)
        return -1;
    args->operand_count -= word_count;
    memmove(args->operands, args->operands + word_count,
            args->operand_count * sizeof(args->operands[0]));
    return 0;
}

int args_parse(struct args *args, int argc, char *const *argv, struct err *err)
{
    struct args_reader reader = {.args = args, .argv = argv, .argc = argc, .next = 1};

    *args = (struct args){0};
    args->operands = xcalloc((size_t)argc + 1, sizeof(args->operands[0]));
    if (read_all(&reader, err) < 0)
        return -1;
    if (take_command(args, err) < 0) {
        bool is_help_for_group =
            args->is_given[OPTION_HELP] && args->group != NULL && args->operand_count == 1;

        return is_help_for_group ? 0 : -1;
    }
    if (args->is_given[OPTION_HELP] || args->is_given[OPTION_VERSION])
        return 0;
    for (size_t i = 0; i < args->occurrence_count; i++) {
        if (take_occurrence(args, &args->occurrences[i], err) < 0)
            return -1;
    }
    return args->command != NULL ? check_operands(args, err) : 0;
}

void args_release(struct args *args)
{
    free(args->operands);
    free(args->occurrences);
    *args = (struct args){0};
}

bool args_has(const struct args *args, enum option_id id)
{
    assert(id < OPTION_COUNT);
    return args->is_given[id];
}

const char *args_text(const struct args *args, enum option_id id)
{
    enum option_type type = option_get(id)->type;

    assert(type == OPTION_TEXT || type == OPTION_CHOICE);
    return args->is_given[id] ? args->values[id].text : NULL;
}

int64_t args_integer(const struct args *args, enum option_id id)
{
    assert(option_get(id)->type == OPTION_INTEGER && args->is_given[id]);
    return args->values[id].integer;
}

double args_number(const struct args *args, enum option_id id)
{
    enum option_type type = option_get(id)->type;

    assert((type == OPTION_NUMBER || type == OPTION_ABOVE) && args->is_given[id]);
    return args->values[id].number;
}

uint64_t args_duration_ms(const struct args *args, enum option_id id)
{
    assert(option_get(id)->type == OPTION_DURATION && args->is_given[id]);
    return args->values[id].duration_ms;
}

const char *args_next(const struct args *args, enum option_id id, size_t *cursor)
{
    assert(option_get(id)->type == OPTION_LIST);
    while (*cursor < args->occurrence_count) {
        const struct args_occurrence *at = &args->occurrences[(*cursor)++];

        if (at->id == id)
            return at->value;
    }
    return NULL;
}
