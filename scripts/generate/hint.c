/* Owns what the words of the tables mean to a shell. Must not know any shell. */
#include "scripts/generate/hint.h"

#include "common/mem.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* The first row counts whose context begins the command's name, or "--" and the option's, and whose
 * word is the one in the table. A word without a row that has a capital letter stands for something
 * that only its user knows; one without is offered as it is. */
static const struct {
    const char *context;
    const char *word;
    const char *hint;
} MEANINGS[] = {
    {"--model", "MODEL", "<worker> <model> <file>"},
    {"--", "NAME", ""},
    {"model", "NAME", "<model>"},
    {"breaker", "NAME", "<breaker>"},
    {"worker start", "NAME", "<worker> <model>"},
    {"", "NAME", "<worker>"},
    {"bench", "MODEL", "<model> <file>"},
    {"", "PATH", "<file>"},
    {"", "FILE", "<file>"},
    {"", "FILE.jsonl", "<file>"},
    {"", "FOLDER", "<file>"},
    {"", "COMMAND", "<command>"},
    {"breaker", "gpu:ID", ""}, /* <breaker> has them */
    {"", "gpu:ID", "<gpu>"},
    {"", "-", ""},
};

static const char *hint_find(const char *context, const char *word)
{
    for (size_t i = 0; i < ARRAY_COUNT(MEANINGS); i++) {
        if (strncmp(context, MEANINGS[i].context, strlen(MEANINGS[i].context)) == 0 &&
            strcmp(word, MEANINGS[i].word) == 0)
            return MEANINGS[i].hint;
    }
    for (const char *at = word; *at != '\0'; at++) {
        if (isupper((unsigned char)*at))
            return "";
    }
    return word;
}

/* WORDS is "one|other", and is taken apart in place. */
static void hint_add(struct buf *out, const char *context, char *words)
{
    char *rest = words;
    const char *word = NULL;

    while ((word = strsep(&rest, "|")) != NULL) {
        const char *hint = hint_find(context, word);

        if (hint[0] != '\0' && buf_printf(out, "%s%s", out->len > 0 ? " " : "", hint) < 0)
            assert(!"a hint is longer than HINT_MAX_BYTES");
    }
}

/* "[PROMPT | -]" becomes "PROMPT|-": what may be left out is offered as well. */
static char *hint_normalise(const char *operands)
{
    char *text = xcalloc(strlen(operands) + 1, 1);
    size_t len = 0;

    for (const char *at = operands; *at != '\0'; at++) {
        bool is_beside_bar = *at == ' ' && (at[1] == '|' || (at > operands && at[-1] == '|'));

        if (*at == '[' || *at == ']' || is_beside_bar)
            continue;
        text[len++] = *at;
    }
    return text;
}

void hint_of_operand(struct buf *out, const struct command *command, size_t index)
{
    AUTO_FREE char *text = hint_normalise(command->operands);
    char *rest = text;
    char *words = NULL;
    char *last = NULL;

    for (size_t i = 0; i <= index; i++) {
        words = strsep(&rest, " ");
        if (words == NULL)
            break; /* the last may stand several times */
        last = words;
    }
    if (last != NULL && last[0] != '\0')
        hint_add(out, command->name, last);
}

void hint_of_option(struct buf *out, const struct option *option)
{
    AUTO_FREE char *context = xasprintf("--%s", option->long_name);
    AUTO_FREE char *words = xstrdup(option->argument);

    hint_add(out, context, words);
}
