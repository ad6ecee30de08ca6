/* Owns the stepping through a GGUF file: no step leaves it. Knows strings and numbers, no keys. */
#include "hip/model/gguf_internal.h"

#include <inttypes.h>

int cursor_take(struct cursor *cursor, uint64_t size, const char *what, const uint8_t **out,
                struct err *err)
{
    if (size > cursor->len - cursor->pos)
        return err_set(err, ERR_INVALID_MODEL,
                       "the file is cut: it ends at byte %" PRIu64 ", inside %s at byte %" PRIu64,
                       cursor->len, what, cursor->pos);
    *out = cursor->data + cursor->pos;
    cursor->pos += size;
    return 0;
}

int cursor_u32(struct cursor *cursor, const char *what, uint32_t *out, struct err *err)
{
    const uint8_t *bytes = NULL;

    if (cursor_take(cursor, sizeof(*out), what, &bytes, err) != 0)
        return -1;
    *out = gguf_load_u32(bytes);
    return 0;
}

int cursor_u64(struct cursor *cursor, const char *what, uint64_t *out, struct err *err)
{
    const uint8_t *bytes = NULL;

    if (cursor_take(cursor, sizeof(*out), what, &bytes, err) != 0)
        return -1;
    *out = gguf_load_u64(bytes);
    return 0;
}

int cursor_string(struct cursor *cursor, const char *what, uint64_t max_bytes,
                  struct gguf_string *out, struct err *err)
{
    uint64_t at = cursor->pos;
    uint64_t len = 0;
    const uint8_t *bytes = NULL;

    if (cursor_u64(cursor, what, &len, err) != 0)
        return -1;
    if (len > max_bytes)
        return err_set(err, ERR_INVALID_MODEL,
                       "%s at byte %" PRIu64 " has %" PRIu64 " bytes, more than %" PRIu64, what, at,
                       len, max_bytes);
    if (cursor_take(cursor, len, what, &bytes, err) != 0)
        return -1;
    *out = (struct gguf_string){.data = (const char *)bytes, .len = len};
    return 0;
}

int cursor_name(struct cursor *cursor, const char *what, uint64_t max_bytes,
                struct gguf_string *out, struct err *err)
{
    uint64_t at = cursor->pos;

    if (cursor_string(cursor, what, max_bytes, out, err) != 0)
        return -1;
    if (out->len == 0)
        return err_set(err, ERR_INVALID_MODEL, "%s at byte %" PRIu64 " is empty", what, at);
    for (size_t i = 0; i < out->len; i++) {
        if (out->data[i] < ' ' || out->data[i] > '~')
            return err_set(err, ERR_INVALID_MODEL, "%s at byte %" PRIu64 " is not printable ASCII",
                           what, at);
    }
    return 0;
}
