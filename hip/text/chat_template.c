/* Owns the knowledge of chat templates: which family the one of a file belongs to. Must not know
 * how a family is written (chat_render.c), nor sessions or the API.
 *
 * A file's template is a program in Jinja. It is not run: it is looked at for the signs of a
 * family, and refused when it shows none, or one of doing more than the family does. */
#include "hip/text/chat_template.h"

#include "common/buf.h"
#include "common/mem.h"
#include "hip/text/chat_family.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char KEY_TEMPLATE[] = "tokenizer.chat_template";
static const char TURN_START[] = "<|im_start|>";

/* Ten times the longest in public files. */
enum { TEMPLATE_MAX_BYTES = 256 * 1024 };

static const struct chat_family FAMILIES[CHAT_TEMPLATE_COUNT] = {
    [CHAT_TEMPLATE_NONE] = {.name = "none"},
    [CHAT_TEMPLATE_UNKNOWN] = {.name = "unknown"},
#define FAMILY(id, name_, ...) [CHAT_TEMPLATE_##id] = {.name = name_, __VA_ARGS__},
#include "hip/text/chat_template.def"
#undef FAMILY
};

struct chat_format {
    enum chat_template template;
    bool wants_bos;
    char *default_system; /* what stands where no system message is given; NULL: nothing */
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

static bool is_family(const struct chat_family *family, struct gguf_string text)
{
    for (size_t i = 0; i < CHAT_SIGNS_MAX; i++) {
        if ((family->has[i] != NULL && !holds(text, family->has[i])) ||
            (family->lacks[i] != NULL && holds(text, family->lacks[i])))
            return false;
    }
    return true;
}

static enum chat_template recognise(const struct gguf *gguf, char **out_system, bool *out_wants_bos)
{
    struct gguf_string text;
    struct err ignored = ERR_INIT;
    enum chat_template found = CHAT_TEMPLATE_UNKNOWN + 1;

    *out_system = NULL;
    *out_wants_bos = false;
    if (!gguf_has(gguf, KEY_TEMPLATE))
        return CHAT_TEMPLATE_NONE;
    /* One that is no text is one we do not know. */
    if (gguf_read_string(gguf, KEY_TEMPLATE, &text, &ignored) != 0 || text.len > TEMPLATE_MAX_BYTES)
        return CHAT_TEMPLATE_UNKNOWN;
    while (found < CHAT_TEMPLATE_COUNT && !is_family(&FAMILIES[found], text))
        found++;
    if (found == CHAT_TEMPLATE_COUNT ||
        (found == CHAT_TEMPLATE_CHATML && !read_turns(text, out_system)))
        return CHAT_TEMPLATE_UNKNOWN;
    *out_wants_bos = holds(text, "bos_token");
    return found;
}

enum chat_template chat_template_of(const struct gguf *gguf)
{
    AUTO_FREE char *system = NULL;
    bool wants_bos = false;

    return recognise(gguf, &system, &wants_bos);
}

const char *chat_template_name(enum chat_template kind)
{
    assert(kind < CHAT_TEMPLATE_COUNT);
    return FAMILIES[kind].name;
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

static int check_known(const struct chat_format *format, const struct vocab *vocab, struct err *err)
{
    const struct chat_family *family = &FAMILIES[format->template];

    if (format->template == CHAT_TEMPLATE_NONE)
        return err_set(err, ERR_INVALID_FIELD, "the model has no chat template; use --raw");
    if (format->template == CHAT_TEMPLATE_UNKNOWN)
        return err_set(err, ERR_INVALID_FIELD,
                       "the model's chat template is not supported; use --raw");
    for (size_t i = 0; i < CHAT_SIGNS_MAX && family->needs[i] != NULL; i++) {
        if (vocab_find(vocab, family->needs[i], strlen(family->needs[i])) == VOCAB_NONE)
            return err_set(err, ERR_INVALID_FIELD,
                           "the model's chat template needs %s, which is no token of it; use --raw",
                           family->needs[i]);
    }
    return 0;
}

/* Once: not where the first turn begins with that very token (SmolLM2's BOS is "<|im_start|>"). */
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
    if (check_known(format, vocab, err) != 0 || add_bos(format, vocab, out, err) != 0)
        return -1;
    return chat_family_render(&FAMILIES[format->template], format->default_system, vocab, messages,
                              out, err);
}

int chat_format_raw(const struct vocab *vocab, const char *text, size_t len, struct token_list *out,
                    struct err *err)
{
    if (vocab_adds_bos(vocab) && token_list_add(out, vocab_bos(vocab), err) != 0)
        return -1;
    return vocab_tokenize(vocab, text, len, VOCAB_PLAIN, out, err);
}
