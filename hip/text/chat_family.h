/* A family of chat templates as data; for chat_template.c, which recognises them, and
 * chat_render.c, which writes them. The rows are chat_template.def. */
#ifndef RBEE_HIP_TEXT_CHAT_FAMILY_H
#define RBEE_HIP_TEXT_CHAT_FAMILY_H

#include "common/err.h"
#include "hip/text/vocab.h"

#include <jansson.h>

enum { CHAT_SIGNS_MAX = 5 };

struct chat_marks {
    const char *before;
    const char *behind;
};

struct chat_family {
    const char *name;
    const char *has[CHAT_SIGNS_MAX]; /* unused ones are NULL */
    const char *lacks[CHAT_SIGNS_MAX];
    const char *needs[CHAT_SIGNS_MAX];
    struct chat_marks system;
    struct chat_marks user;
    struct chat_marks assistant;
    const char *answer;
    enum chat_place { OWN_TURN, IN_USER } place;
    enum chat_trims { TRIM_NONE, TRIM_ASSISTANT, TRIM_ALL } trims;
};

/* Appends the tokens of MESSAGES, ending where the assistant begins. DEFAULT_SYSTEM: what the
 * template says where no system message is given; NULL: nothing. No BOS is added. */
int chat_family_render(const struct chat_family *family, const char *default_system,
                       const struct vocab *vocab, const json_t *messages, struct token_list *out,
                       struct err *err);

#endif
