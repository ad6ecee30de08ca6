/* Owns the knowledge of chat templates: which one a file has, and how messages become tokens by it.
 * Must not know sessions or the API.
 *
 * A file's template is a program in Jinja. It is not run: it is looked at for signs that it writes
 * plain ChatML (https://github.com/openai/openai-python/blob/v0.28.1/chatml.md), and refused when
 * it shows any sign of doing more. */
#include "hip/text/chat_template.h"

#include "common/buf.h"
#include "common/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char KEY_TEMPLATE[] = "tokenizer.chat_template";
static const char TURN_START[] = "<|im_start|>";
static const char TURN_END[] = "<|im_end|>";

/* Ten times the longest in public files. */
enum { TEMPLATE_MAX_BYTES = 256 * 1024 };

struct chat_format {
    enum chat_template template;
    bool wants_bos;
    char *
        default_system; /* what the template says where no system message is given; NULL: nothing */
};

/* ---- looking at a template ---- */

static bool holds(struct gguf_string text, const char *what)
{
    return memmem(text.data, text.len, what, strlen(what)) != NULL;
}

/* A string literal of the template whose inside begins at *IO_AT, after the quote: its text to OUT,
 * *IO_AT behind its end. False when it does not end. */
static bool read_literal(struct gguf_string text, size_t *io_at, struct buf *out)
{
    char quote = text.data[*io_at - 1];

    buf_clear(out);
    for (size_t at = *io_at; at < text.len; at++) {
        char byte = text.data[at];

        if (byte == quote) {
            *io_at = at + 1;
            return true;
        }
        if (byte == '\\' && at + 1 < text.len) {
            byte = text.data[++at];
            byte = byte == 'n' ? '\n' : byte == 't' ? '\t' : byte == 'r' ? '\r' : byte;
        }
        if (buf_add_byte(out, byte) != 0)
            return false;
    }
    return false;
}

/* The text between "system\n" and the end of the turn, if LITERAL (behind TURN_START) is a whole
 * system turn. */
static char *system_of_literal(const char *literal)
{
    static const char BEGIN[] = "system\n";
    static const char END[] = "<|im_end|>\n";
    const char *end = strstr(literal, END);

    if (strncmp(literal, BEGIN, strlen(BEGIN)) != 0 || end == NULL || end[strlen(END)] != '\0')
        return NULL;
    literal += strlen(BEGIN);
    return xstrndup(literal, (size_t)(end - literal));
}

/* Is LITERAL (behind TURN_START) nothing but the head of a turn? */
static bool is_turn_head(const char *literal)
{
    static const char *const HEADS[] = {"",       "system",    "system\n",   "user",
                                        "user\n", "assistant", "assistant\n"};

    for (size_t i = 0; i < ARRAY_COUNT(HEADS); i++) {
        if (strcmp(literal, HEADS[i]) == 0)
            return true;
    }
    return false;
}

/* Looks at each literal that begins a turn. False when one begins it in another way than ChatML
 * does. The first whole system turn is the default one; the caller frees it. */
static bool read_turns(struct gguf_string text, char **out_system)
{
    AUTO_BUF struct buf literal = BUF_INIT(TEMPLATE_MAX_BYTES);
    AUTO_FREE char *system = NULL;
    size_t at = 0;

    for (;;) {
        const char *start = memmem(text.data + at, text.len - at, TURN_START, strlen(TURN_START));
        const char *turn = NULL;
        AUTO_FREE char *found = NULL;

        if (start == NULL)
            break;
        if (start == text.data || (start[-1] != '\'' && start[-1] != '"'))
            return false;
        at = (size_t)(start - text.data);
        if (!read_literal(text, &at, &literal) || memchr(literal.data, '\0', literal.len) != NULL)
            return false;
        turn = literal.data + strlen(TURN_START);
        found = system_of_literal(turn);
        if (found == NULL && !is_turn_head(turn))
            return false;
        if (system == NULL)
            system = take_ptr(found);
    }
    *out_system = take_ptr(system);
    return true;
}

/* Words of templates that do more than write turns: cut contents, hide thoughts, tell the date. */
static bool does_more(struct gguf_string text)
{
    static const char *const SIGNS[] = {"think", "trim", "strip", "strftime", "<|im_sep|>"};

    for (size_t i = 0; i < ARRAY_COUNT(SIGNS); i++) {
        if (holds(text, SIGNS[i]))
            return true;
    }
    return false;
}

static enum chat_template recognise(const struct gguf *gguf, char **out_system, bool *out_wants_bos)
{
    struct gguf_string text;
    struct err ignored = ERR_INIT;

    *out_system = NULL;
    *out_wants_bos = false;
    if (!gguf_has(gguf, KEY_TEMPLATE))
        return CHAT_TEMPLATE_NONE;
    /* One that is no text is one we do not know. */
    if (gguf_read_string(gguf, KEY_TEMPLATE, &text, &ignored) != 0 ||
        text.len > TEMPLATE_MAX_BYTES || !holds(text, TURN_START) || !holds(text, TURN_END) ||
        does_more(text) || !read_turns(text, out_system))
        return CHAT_TEMPLATE_UNKNOWN;
    *out_wants_bos = holds(text, "bos_token");
    return CHAT_TEMPLATE_CHATML;
}

enum chat_template chat_template_of(const struct gguf *gguf)
{
    AUTO_FREE char *system = NULL;
    bool wants_bos = false;

    return recognise(gguf, &system, &wants_bos);
}

const char *chat_template_name(enum chat_template template)
{
    static const char *const NAMES[CHAT_TEMPLATE_COUNT] = {
        [CHAT_TEMPLATE_NONE] = "none",
        [CHAT_TEMPLATE_UNKNOWN] = "unknown",
        [CHAT_TEMPLATE_CHATML] = "chatml",
    };

    assert(template <CHAT_TEMPLATE_COUNT);
    return NAMES[template];
}

struct chat_format *chat_format_new(const struct gguf *gguf, struct err *err)
{
    struct chat_format *format = xcalloc(1, sizeof(*format));

    (void)err; /* a template that is not understood is no reason not to run the model */
    format->template = recognise(gguf, &format->default_system, &format->wants_bos);
    return format;
}

void chat_format_free(struct chat_format *format)
{
    if (format == NULL)
        return;
    free(format->default_system);
    free(format);
}

enum chat_template chat_format_template(const struct chat_format *format)
{
    return format->template;
}

/* ---- rendering ---- */

static int add_markup(const struct vocab *vocab, const char *text, struct token_list *out,
                      struct err *err)
{
    return vocab_tokenize(vocab, text, strlen(text), VOCAB_MARKUP, out, err);
}

/* "<|im_start|>ROLE\nCONTENT<|im_end|>\n". Role and content are tokenised as one text, as they are
 * in the text a template gives: blanks at the beginning of a content belong to the line end. */
static int add_turn(const struct vocab *vocab, const char *role, const char *content,
                    enum vocab_markup markup, struct token_list *out, struct err *err)
{
    AUTO_BUF struct buf text = BUF_INIT(strlen(role) + strlen("\n") + strlen(content));

    if (buf_add_string(&text, role) != 0 || buf_add_string(&text, "\n") != 0 ||
        buf_add_string(&text, content) != 0)
        return err_set(err, ERR_NO_MEMORY, "no memory for a message of %zu bytes", text.max);
    if (add_markup(vocab, TURN_START, out, err) != 0 ||
        vocab_tokenize(vocab, text.data, text.len, markup, out, err) != 0 ||
        add_markup(vocab, TURN_END, out, err) != 0)
        return -1;
    return add_markup(vocab, "\n", out, err);
}

static const char *message_text(const json_t *messages, size_t index, const char *field)
{
    const char *text = json_string_value(json_object_get(json_array_get(messages, index), field));

    assert(text != NULL); /* inference_parse has looked */
    return text;
}

static int check_known(const struct chat_format *format, const struct vocab *vocab, struct err *err)
{
    if (format->template == CHAT_TEMPLATE_NONE)
        return err_set(err, ERR_INVALID_FIELD, "the model has no chat template; use --raw");
    if (format->template != CHAT_TEMPLATE_CHATML)
        return err_set(err, ERR_INVALID_FIELD,
                       "the model's chat template is not supported; use --raw");
    if (vocab_find(vocab, TURN_START, strlen(TURN_START)) == VOCAB_NONE ||
        vocab_find(vocab, TURN_END, strlen(TURN_END)) == VOCAB_NONE)
        return err_set(err, ERR_INVALID_FIELD,
                       "the model's chat template needs %s and %s, which are no tokens of it; "
                       "use --raw",
                       TURN_START, TURN_END);
    return 0;
}

/* Once: not where the first turn begins with that very token (SmolLM2's BOS is TURN_START). */
static int add_bos(const struct chat_format *format, const struct vocab *vocab,
                   struct token_list *out, struct err *err)
{
    uint32_t bos = vocab_bos(vocab);

    if (bos == VOCAB_NONE || !(format->wants_bos || vocab_adds_bos(vocab)) ||
        bos == vocab_find(vocab, TURN_START, strlen(TURN_START)))
        return 0;
    return token_list_add(out, bos, err);
}

int chat_format_render(const struct chat_format *format, const struct vocab *vocab,
                       const json_t *messages, struct token_list *out, struct err *err)
{
    size_t count = json_array_size(messages);

    if (check_known(format, vocab, err) != 0 || add_bos(format, vocab, out, err) != 0)
        return -1;
    if (format->default_system != NULL &&
        (count == 0 || strcmp(message_text(messages, 0, "role"), "system") != 0) &&
        add_turn(vocab, "system", format->default_system, VOCAB_MARKUP, out, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (add_turn(vocab, message_text(messages, i, "role"), message_text(messages, i, "content"),
                     VOCAB_PLAIN, out, err) != 0)
            return -1;
    }
    return add_markup(vocab, "<|im_start|>assistant\n", out, err);
}

int chat_format_raw(const struct vocab *vocab, const char *text, size_t len, struct token_list *out,
                    struct err *err)
{
    if (vocab_adds_bos(vocab) && token_list_add(out, vocab_bos(vocab), err) != 0)
        return -1;
    return vocab_tokenize(vocab, text, len, VOCAB_PLAIN, out, err);
}
