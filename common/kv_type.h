/* How keys and values are kept: kv_types.def. */
#ifndef RBEE_COMMON_KV_TYPE_H
#define RBEE_COMMON_KV_TYPE_H

#include "common/err.h"

#include <jansson.h>

enum { KV_TYPE_NAME_MAX_BYTES = 7 };

enum kv_type {
#define KV_TYPE(id, name) KV_TYPE_##id,
#include "common/kv_types.def"
#undef KV_TYPE
    KV_TYPE_COUNT,
};

const char *kv_type_name(enum kv_type type);
/* NAME; where none was given (""), that of the first. */
const char *kv_type_or_default(const char *name);
/* The type called NAME; else err, which gets KIND, says which there are. */
int kv_type_parse(const char *name, enum err_kind kind, enum kv_type *out, struct err *err);
/* Field "kv_type" of BODY to *OUT, which borrows it and is left alone where there is none.
 * ERR_INVALID_FIELD. */
int kv_type_read(const json_t *body, const char **out, struct err *err);

#endif
