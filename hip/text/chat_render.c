/* Owns how messages become tokens by a family of templates. Must not know which file has which.
 *
 * The text is that of the template, but what users wrote is never read as markup: it is a span of
 * its own. It is still one text, so that blanks at the beginning of a message are cut together with
 * the line end before it, as in the text a template gives. */
#include "common/buf.h"
#include "common/mem.h"
#include "hip/text/chat_family.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Messages come in a body of 4 MiB, and each has at most some hundred bytes around it. */
enum { PROMPT_MAX_BYTES = 16 << 20 };

struct prompt {
    struct buf text;
    struct vocab_span *spans;
    size_t span_count;
    size_t capacity;
};

static int prompt_add(struct prompt *prompt, const char *text, size_t len, enum vocab_markup markup,
                      struct err *err)
{
    struct vocab_span *last =
        prompt->span_count == 0 ? NULL : &prompt->spans[prompt->span_count - 1];

    if (len == 0)
        return 0;
    if (buf_add(&prompt->text, text, len) != 0)
        return err_set(err, ERR_NO_MEMORY, "no memory for messages of %zu bytes", prompt->text.len);
    if (last != NULL && last->markup == markup) {
        last->len += len;
        return 0;
    }
    if (prompt->span_count == prompt->capacity) {
        prompt->capacity = 2 * prompt->capacity + 1;
        /* Bounded: three spans a message, of INFERENCE_MESSAGE_MAX_COUNT. */
        prompt->spans = xreallocarray(prompt->spans, prompt->capacity, sizeof(*prompt->spans));
    }
    prompt->spans[prompt->span_count++] = (struct vocab_span){len, markup};
    return 0;
}

static int add_markup(struct prompt *prompt, const char *text, struct err *err)
{
    return prompt_add(prompt, text, strlen(text), VOCAB_MARKUP, err);
}

static bool is_space(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static int add_content(struct prompt *prompt, const char *text, bool is_trimmed, struct err *err)
{
    size_t len = strlen(text);

    while (is_trimmed && len > 0 && is_space(text[len - 1]))
        len--;
    while (is_trimmed && len > 0 && is_space(*text)) {
        text++;
        len--;
    }
    return prompt_add(prompt, text, len, VOCAB_PLAIN, err);
}

static const char *message_text(const json_t *message, const char *field)
{
    const char *text = json_string_value(json_object_get(message, field));

    assert(text != NULL); /* inference_parse has looked */
    return text;
}

/* One call of chat_family_render. */
struct rendering {
    const struct chat_family *family;
    struct prompt prompt;
    const json_t *system; /* a message that waits for the user's turn; NULL */
};

static int add_message(struct rendering *state, const struct chat_marks *marks,
                       const json_t *message, struct err *err)
{
    bool is_assistant = marks == &state->family->assistant;
    bool is_trimmed = state->family->trims == TRIM_ALL ||
                      (is_assistant && state->family->trims == TRIM_ASSISTANT);

    if (add_markup(&state->prompt, marks->before, err) != 0 ||
        add_content(&state->prompt, message_text(message, "content"), is_trimmed, err) != 0)
        return -1;
    return add_markup(&state->prompt, marks->behind, err);
}

/* MESSAGE of a user, NULL for none, and before it the system message that waits. */
static int add_user(struct rendering *state, const json_t *message, struct err *err)
{
    const struct chat_family *family = state->family;
    struct chat_marks around = family->user;

    if (state->system != NULL) {
        if (add_markup(&state->prompt, around.before, err) != 0 ||
            add_message(state, &family->system, state->system, err) != 0)
            return -1;
        state->system = NULL;
        around.before = "";
    }
    if (message == NULL)
        return add_markup(&state->prompt, around.behind, err);
    return add_message(state, &around, message, err);
}

static int add_turn(struct rendering *state, const json_t *message, struct err *err)
{
    const char *role = message_text(message, "role");

    if (strcmp(role, "assistant") == 0)
        return add_message(state, &state->family->assistant, message, err);
    if (strcmp(role, "system") != 0)
        return add_user(state, message, err);
    if (state->family->place == OWN_TURN)
        return add_message(state, &state->family->system, message, err);
    if (state->system != NULL && add_user(state, NULL, err) != 0)
        return -1;
    state->system = message;
    return 0;
}

static int add_default_system(struct rendering *state, const char *text, const json_t *messages,
                              struct err *err)
{
    const json_t *first = json_array_get(messages, 0);

    if (text == NULL || (first != NULL && strcmp(message_text(first, "role"), "system") == 0))
        return 0;
    if (add_markup(&state->prompt, state->family->system.before, err) != 0 ||
        add_markup(&state->prompt, text, err) != 0)
        return -1;
    return add_markup(&state->prompt, state->family->system.behind, err);
}

static int add_turns(struct rendering *state, const char *default_system, const json_t *messages,
                     struct err *err)
{
    if (add_default_system(state, default_system, messages, err) != 0)
        return -1;
    for (size_t i = 0; i < json_array_size(messages); i++) {
        if (add_turn(state, json_array_get(messages, i), err) != 0)
            return -1;
    }
    if (state->system != NULL && add_user(state, NULL, err) != 0)
        return -1;
    return add_markup(&state->prompt, state->family->answer, err);
}

int chat_family_render(const struct chat_family *family, const char *default_system,
                       const struct vocab *vocab, const json_t *messages, struct token_list *out,
                       struct err *err)
{
    struct rendering state = {.family = family};
    int result = 0;

    buf_init(&state.prompt.text, PROMPT_MAX_BYTES);
    result = add_turns(&state, default_system, messages, err);
    if (result == 0)
        result = vocab_tokenize_spans(vocab, state.prompt.text.data, state.prompt.spans,
                                      state.prompt.span_count, out, err);
    buf_release(&state.prompt.text);
    free(state.prompt.spans);
    return result;
}
