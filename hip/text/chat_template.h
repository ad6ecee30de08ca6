/* Messages to tokens: the template is recognised from the file's own text and rendered as pieces,
 * so that what a user wrote is never read as markup. */
#ifndef RBEE_HIP_TEXT_CHAT_TEMPLATE_H
#define RBEE_HIP_TEXT_CHAT_TEMPLATE_H

#include "common/err.h"
#include "hip/text/vocab.h"

#include <jansson.h>

enum chat_template {
    CHAT_TEMPLATE_NONE, /* the file has none */
    CHAT_TEMPLATE_UNKNOWN,
#define FAMILY(id, name, ...) CHAT_TEMPLATE_##id,
#include "hip/text/chat_template.def"
#undef FAMILY
    CHAT_TEMPLATE_COUNT,
};

enum chat_template chat_template_of(const struct gguf *gguf);
const char *chat_template_name(enum chat_template kind);

/* The default system message of the file's template is found in it; it is copied. */
struct chat_format;
struct chat_format *chat_format_new(const struct gguf *gguf, struct err *err);
void chat_format_free(struct chat_format *format);
enum chat_template chat_format_template(const struct chat_format *format);

/* Appends the tokens of MESSAGES (array of {role, content}), ending where the assistant begins.
 * BOS comes once, where the vocabulary or the template wants it. ERR_INVALID_FIELD with "use --raw"
 * when the template is none we know. */
int chat_format_render(const struct chat_format *format, const struct vocab *vocab,
                       const json_t *messages, struct token_list *out, struct err *err);
/* RAW text: BOS if the vocabulary adds one, then the text, in which markup is plain text. */
int chat_format_raw(const struct vocab *vocab, const char *text, size_t len, struct token_list *out,
                    struct err *err);

#endif
