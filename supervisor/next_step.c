/* Owns the words about what to do next. Knows no worker. */
#include "supervisor/next_step.h"

#include "common/buf.h"
#include "common/mem.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    ANY = -1,
    MODEL = 0,
    COMMAND = 1,
    NEXT_STEP_TEXT_MAX_BYTES = 1024, /* a row of the table with its names */
    NEXT_STEP_NUMBER_BYTES = 24,
};

static const struct {
    int state;
    int breaker;
    int fault;
    int kind;
    struct next_step step;
} STEPS[] = {
#define STEP(on_state, on_breaker, on_fault, on_kind, do_command, do_advice)                       \
    {.state = on_state,                                                                            \
     .breaker = on_breaker,                                                                        \
     .fault = on_fault,                                                                            \
     .kind = on_kind,                                                                              \
     .step = {.command = do_command, .advice = do_advice}},
#include "supervisor/next_step.def"
#undef STEP
};

static const struct {
    const char *end;
    const char *meaning;
} MEANINGS[] = {
#define MEANING(text, what) {.end = text, .meaning = what},
#include "supervisor/exit_meaning.def"
#undef MEANING
};

static bool next_step_fits(int wanted, int is)
{
    return wanted == ANY || wanted == is;
}

struct next_step next_step_find(enum life_state state, enum breaker_state breaker,
                                enum fault_class fault, bool is_command)
{
    for (size_t i = 0; i < ARRAY_COUNT(STEPS); i++) {
        if (next_step_fits(STEPS[i].state, (int)state) &&
            next_step_fits(STEPS[i].breaker, (int)breaker) &&
            next_step_fits(STEPS[i].fault, (int)fault) &&
            next_step_fits(STEPS[i].kind, is_command ? COMMAND : MODEL))
            return STEPS[i].step;
    }
    assert(!"a state without a row in next_step.def");
    return STEPS[0].step;
}

/* The value of the word at TEXT ("{name}…"); *out_len is how long the word is with its braces. */
static const char *next_step_value(const char *text, const struct next_step_names *names,
                                   char number[NEXT_STEP_NUMBER_BYTES], size_t *out_len)
{
    const struct {
        const char *word;
        const char *value;
        int64_t number;
    } WORDS[] = {
        {"{name}", names->name, 0},
        {"{model}", names->model, 0},
        {"{device}", names->device, 0},
        {"{pid}", NULL, names->pid},
        {"{context}", NULL, names->context_tokens},
    };

    for (size_t i = 0; i < ARRAY_COUNT(WORDS); i++) {
        *out_len = strlen(WORDS[i].word);
        if (strncmp(text, WORDS[i].word, *out_len) != 0)
            continue;
        (void)snprintf(number, NEXT_STEP_NUMBER_BYTES, "%" PRId64, WORDS[i].number);
        return WORDS[i].value != NULL ? WORDS[i].value : number;
    }
    assert(!"a word in braces that next_step.c does not know");
    return "";
}

char *next_step_fill(const char *text, const struct next_step_names *names)
{
    AUTO_BUF struct buf out = BUF_INIT(NEXT_STEP_TEXT_MAX_BYTES);
    char number[NEXT_STEP_NUMBER_BYTES];

    while (*text != '\0') {
        size_t plain = strcspn(text, "{");
        size_t len = 0;

        (void)buf_add(&out, text, plain); /* names are short: see config.h */
        text += plain;
        if (*text == '\0')
            break;
        (void)buf_add_string(&out, next_step_value(text, names, number, &len));
        text += len;
    }
    return xstrdup(out.data);
}

const char *next_step_exit_meaning(const char *text)
{
    for (size_t i = 0; i < ARRAY_COUNT(MEANINGS); i++) {
        if (strncmp(text, MEANINGS[i].end, strlen(MEANINGS[i].end)) == 0)
            return MEANINGS[i].meaning;
    }
    return "";
}
