/* Owns the table of commands and finding one by its words. Must not know what a command does. */
#include "cli/command.h"

#include "common/nearest.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { COMMAND_LIST_MAX_BYTES = 256 };

static const struct command COMMANDS[COMMAND_COUNT] = {
#define GROUP(name, summary)
#define COMMAND(id_, name_, function_, needs_, operands_, min_, max_, summary_)                    \
    [COMMAND_##id_] = {.id = COMMAND_##id_,                                                        \
                       .name = name_,                                                              \
                       .run = function_,                                                           \
                       .needs = COMMAND_NEEDS_##needs_,                                            \
                       .operands = operands_,                                                      \
                       .operand_min = min_,                                                        \
                       .operand_max = max_,                                                        \
                       .summary = summary_},
#include "cli/commands.def"
#undef COMMAND
#undef GROUP
};

static const struct command_group GROUPS[] = {
#define GROUP(name_, summary_) {.name = name_, .summary = summary_},
#define COMMAND(id, name, function, needs, operands, min, max, summary)
#include "cli/commands.def"
#undef COMMAND
#undef GROUP
};

const struct command *command_get(enum command_id id)
{
    assert(id < COMMAND_COUNT);
    return &COMMANDS[id];
}

const struct command_group *command_groups(size_t *out_count)
{
    *out_count = ARRAY_COUNT(GROUPS);
    return GROUPS;
}

const struct command_group *command_find_group(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(GROUPS); i++) {
        if (strcmp(GROUPS[i].name, name) == 0)
            return &GROUPS[i];
    }
    return NULL;
}

bool command_is_in_group(const struct command *command, const struct command_group *group)
{
    size_t len = strlen(group->name);

    return strncmp(command->name, group->name, len) == 0 && command->name[len] == ' ';
}

static const struct command *find_by_name(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(COMMANDS[i].name, name) == 0)
            return &COMMANDS[i];
    }
    return NULL;
}

/* A first word that is no command and no group. */
static const struct command *refuse_word(const char *word, struct err *err)
{
    const char *names[COMMAND_COUNT + ARRAY_COUNT(GROUPS)];
    size_t count = 0;
    size_t nearest = 0;

    for (size_t i = 0; i < COMMAND_COUNT; i++)
        names[count++] = COMMANDS[i].name;
    for (size_t i = 0; i < ARRAY_COUNT(GROUPS); i++)
        names[count++] = GROUPS[i].name;
    nearest = nearest_find(word, names, count);
    if (nearest == count)
        return err_set_null(err, ERR_USAGE, "there is no command \"%.64s\"; see \"rbee help\"",
                            word);
    return err_set_null(err, ERR_USAGE, "there is no command \"%.64s\"; did you mean \"%s\"?", word,
                        names[nearest]);
}

/* A group whose second word is missing (NULL) or none of its commands. */
static const struct command *refuse_second_word(const struct command_group *group, const char *word,
                                                struct err *err)
{
    char list[COMMAND_LIST_MAX_BYTES] = "";
    size_t len = 0;

    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (!command_is_in_group(&COMMANDS[i], group))
            continue;
        len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", len > 0 ? ", " : "",
                                COMMANDS[i].name + strlen(group->name) + 1);
        assert(len < sizeof(list)); /* the table is ours */
    }
    if (word == NULL)
        return err_set_null(err, ERR_USAGE, "\"rbee %s\" needs one of: %s", group->name, list);
    return err_set_null(err, ERR_USAGE, "there is no command \"%s %.64s\"; there are: %s",
                        group->name, word, list);
}

const struct command *command_find(const char *const *words, size_t word_count,
                                   size_t *out_word_count, const struct command_group **out_group,
                                   struct err *err)
{
    const struct command *command = NULL;
    const struct command_group *group = NULL;

    assert(word_count > 0);
    group = command_find_group(words[0]);
    if (group == NULL) {
        command = find_by_name(words[0]);
        if (command == NULL || strchr(words[0], ' ') != NULL)
            return refuse_word(words[0], err);
        *out_word_count = 1;
        return command;
    }
    *out_group = group;
    for (size_t i = 0; i < COMMAND_COUNT && word_count > 1; i++) {
        if (command_is_in_group(&COMMANDS[i], group) &&
            strcmp(COMMANDS[i].name + strlen(group->name) + 1, words[1]) == 0) {
            *out_word_count = 2;
            return &COMMANDS[i];
        }
    }
    return refuse_second_word(group, word_count > 1 ? words[1] : NULL, err);
}
