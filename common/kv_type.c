/* Owns what the ways to keep keys and values are called. */
#include "common/kv_type.h"

#include "common/json.h"

#include <assert.h>
#include <string.h>

static const char *const NAMES[KV_TYPE_COUNT] = {
#define KV_TYPE(id, name) [KV_TYPE_##id] = name,
#include "common/kv_types.def"
#undef KV_TYPE
};

#define KV_TYPE(id, name)                                                                          \
    static_assert(sizeof(name) - 1 <= KV_TYPE_NAME_MAX_BYTES, "as long as the header says");
#include "common/kv_types.def"
#undef KV_TYPE

/* Like "f16, q8_0", for messages. */
#define KV_TYPE(id, name) ", " name
static const char LIST[] =
#include "common/kv_types.def"
    ;
#undef KV_TYPE

const char *kv_type_name(enum kv_type type)
{
    assert(type < KV_TYPE_COUNT);
    return NAMES[type];
}

const char *kv_type_or_default(const char *name)
{
    return name[0] == '\0' ? NAMES[0] : name;
}

int kv_type_parse(const char *name, enum err_kind kind, enum kv_type *out, struct err *err)
{
    for (int type = 0; type < KV_TYPE_COUNT; type++) {
        if (strcmp(NAMES[type], name) == 0) {
            *out = (enum kv_type)type;
            return 0;
        }
    }
    return err_set(err, kind, "kv_type must be one of %s, not \"%.80s\"", LIST + strlen(", "),
                   name);
}

int kv_type_read(const json_t *body, const char **out, struct err *err)
{
    const char *name = NULL;
    enum kv_type ignored = KV_TYPE_F16; /* that it is one is all there is to know */

    if (json_read_text(body, "kv_type", &name, err) < 0 ||
        (name != NULL && kv_type_parse(name, ERR_INVALID_FIELD, &ignored, err) < 0))
        return -1;
    if (name != NULL)
        *out = name;
    return 0;
}
