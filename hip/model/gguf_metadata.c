/* Owns the reading of a GGUF file's keys and values, and of the index of each array of strings.
 * Knows what a value may be, not what a key means, but for the alignment of the data. */
#include "hip/model/gguf_internal.h"

#include "common/mem.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    GGUF_ALIGNMENT_DEFAULT = 32,
    GGUF_ALIGNMENT_MAX = 64 * 1024, /* the largest page of common machines */
    GGUF_KEY_MAX_BYTES = 65535,     /* the format's own limit */
    GGUF_STRING_MAX_BYTES = 64 * 1024 * 1024,
    GGUF_ENTRY_MAX_COUNT = 65536, /* the largest files seen have some hundreds */
    GGUF_ARRAY_MAX_COUNT =
        16 * 1024 * 1024, /* the largest vocabularies have half a million merges */
    GGUF_ARRAY_MAX_DEPTH = 4,
    /* The least an entry can take, so that a small file cannot claim a large count. */
    GGUF_ENTRY_MIN_BYTES = 8 + 1 + 4 + 1,
};

static int check_bools(const uint8_t *data, uint64_t count, const struct gguf_string *key,
                       struct err *err)
{
    for (uint64_t i = 0; i < count; i++) {
        if (data[i] > 1)
            return err_set(err, ERR_INVALID_MODEL, "%.*s holds a bool of value %u", SHOWN(*key),
                           data[i]);
    }
    return 0;
}

static int read_scalars(struct cursor *cursor, const struct gguf_string *key, uint32_t type,
                        uint64_t count, const uint8_t **out, struct err *err)
{
    uint64_t size = 0;

    if (gguf_scalar_bytes(type) == 0)
        return err_set(err, ERR_INVALID_MODEL, "%.*s has the unknown type %u", SHOWN(*key), type);
    if (__builtin_mul_overflow(count, gguf_scalar_bytes(type), &size))
        return err_set(err, ERR_INVALID_MODEL, "%.*s has an impossible size", SHOWN(*key));
    if (cursor_take(cursor, size, "a value", out, err) != 0)
        return err_wrap(err, "%.*s", SHOWN(*key));
    return type == GGUF_BOOL ? check_bools(*out, count, key, err) : 0;
}

static int read_array_head(struct cursor *cursor, const struct gguf_string *key,
                           uint32_t *out_element, uint64_t *out_count, struct err *err)
{
    if (cursor_u32(cursor, "the type of an array", out_element, err) != 0 ||
        cursor_u64(cursor, "the length of an array", out_count, err) != 0)
        return err_wrap(err, "%.*s", SHOWN(*key));
    if (*out_count > GGUF_ARRAY_MAX_COUNT)
        return err_set(err, ERR_INVALID_MODEL,
                       "%.*s has %" PRIu64 " elements; %d is the most that is read", SHOWN(*key),
                       *out_count, GGUF_ARRAY_MAX_COUNT);
    return 0;
}

static int read_texts(struct cursor *cursor, struct gguf_entry *entry, struct err *err)
{
    /* Each string takes 8 bytes for its length alone, so the index is never larger than the file.
     */
    if (entry->count > (cursor->len - cursor->pos) / sizeof(uint64_t))
        return err_set(err, ERR_INVALID_MODEL, "%.*s has %" PRIu64 " strings; the file has no room",
                       SHOWN(entry->key), entry->count);
    entry->texts = malloc((entry->count + 1) * sizeof(*entry->texts));
    if (entry->texts == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the index of %" PRIu64 " strings",
                       entry->count);
    for (uint64_t i = 0; i < entry->count; i++) {
        struct gguf_string text;

        entry->texts[i] = cursor->data + cursor->pos;
        if (cursor_string(cursor, "a string", GGUF_STRING_MAX_BYTES, &text, err) != 0)
            return err_wrap(err, "%.*s[%" PRIu64 "]", SHOWN(entry->key), i);
    }
    return 0;
}

/* Arrays in arrays mean nothing to us: they are checked and passed over. */
static int skip_nested(struct cursor *cursor, const struct gguf_string *key, uint64_t count,
                       int depth, struct err *err)
{
    if (depth > GGUF_ARRAY_MAX_DEPTH)
        return err_set(err, ERR_INVALID_MODEL, "%.*s nests arrays deeper than %d", SHOWN(*key),
                       GGUF_ARRAY_MAX_DEPTH);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t element = 0;
        uint64_t inner_count = 0;
        const uint8_t *ignored = NULL;
        struct gguf_string text;

        if (read_array_head(cursor, key, &element, &inner_count, err) != 0)
            return -1;
        if (element == GGUF_ARRAY) {
            if (skip_nested(cursor, key, inner_count, depth + 1, err) != 0)
                return -1;
        } else if (element == GGUF_STRING) {
            for (uint64_t j = 0; j < inner_count; j++) {
                if (cursor_string(cursor, "a string", GGUF_STRING_MAX_BYTES, &text, err) != 0)
                    return err_wrap(err, "%.*s", SHOWN(*key));
            }
        } else if (read_scalars(cursor, key, element, inner_count, &ignored, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int read_array(struct cursor *cursor, struct gguf_entry *entry, struct err *err)
{
    uint32_t element = 0;

    if (read_array_head(cursor, &entry->key, &element, &entry->count, err) != 0)
        return -1;
    entry->element = (enum gguf_type)element;
    entry->data = cursor->data + cursor->pos;
    if (element == GGUF_STRING)
        return read_texts(cursor, entry, err);
    if (element == GGUF_ARRAY)
        return skip_nested(cursor, &entry->key, entry->count, 2, err);
    return read_scalars(cursor, &entry->key, element, entry->count, &entry->data, err);
}

static int read_entry(struct cursor *cursor, struct gguf_entry *entry, struct err *err)
{
    uint32_t type = 0;
    struct gguf_string text;

    if (cursor_name(cursor, "a key", GGUF_KEY_MAX_BYTES, &entry->key, err) != 0)
        return -1;
    if (cursor_u32(cursor, "the type of a value", &type, err) != 0)
        return err_wrap(err, "%.*s", SHOWN(entry->key));
    entry->type = (enum gguf_type)type;
    entry->count = 1;
    if (type == GGUF_ARRAY)
        return read_array(cursor, entry, err);
    if (type != GGUF_STRING)
        return read_scalars(cursor, &entry->key, type, 1, &entry->data, err);
    entry->data = cursor->data + cursor->pos;
    if (cursor_string(cursor, "a string", GGUF_STRING_MAX_BYTES, &text, err) != 0)
        return err_wrap(err, "%.*s", SHOWN(entry->key));
    return 0;
}

static int compare_entries(const void *a, const void *b)
{
    return gguf_string_compare(((const struct gguf_entry *)a)->key,
                               ((const struct gguf_entry *)b)->key);
}

/* Sorted rather than hashed: no choice of keys makes it slow. */
int gguf_read_entries(struct gguf *gguf, struct cursor *cursor, uint64_t count, struct err *err)
{
    if (count > GGUF_ENTRY_MAX_COUNT || count > (cursor->len - cursor->pos) / GGUF_ENTRY_MIN_BYTES)
        return err_set(err, ERR_INVALID_MODEL,
                       "the file claims %" PRIu64 " metadata keys, more than it can hold", count);
    gguf->entries = xcalloc(count + 1, sizeof(*gguf->entries));
    for (uint64_t i = 0; i < count; i++) {
        gguf->entry_count = i + 1;
        if (read_entry(cursor, &gguf->entries[i], err) != 0)
            return -1;
    }
    qsort(gguf->entries, gguf->entry_count, sizeof(*gguf->entries), compare_entries);
    for (size_t i = 1; i < gguf->entry_count; i++) {
        if (compare_entries(&gguf->entries[i - 1], &gguf->entries[i]) == 0)
            return err_set(err, ERR_INVALID_MODEL, "the key %.*s is there twice",
                           SHOWN(gguf->entries[i].key));
    }
    return 0;
}

int gguf_read_alignment(struct gguf *gguf, struct err *err)
{
    const char *key = "general.alignment";

    gguf->alignment = GGUF_ALIGNMENT_DEFAULT;
    if (!gguf_has(gguf, key))
        return 0;
    if (gguf_read_u64(gguf, key, &gguf->alignment, err) != 0)
        return -1;
    if (gguf->alignment < GGUF_ALIGNMENT_MIN || gguf->alignment > GGUF_ALIGNMENT_MAX ||
        (gguf->alignment & (gguf->alignment - 1)) != 0)
        return err_set(err, ERR_INVALID_MODEL,
                       "%s is %" PRIu64 ", not a power of two from %d to %d", key, gguf->alignment,
                       GGUF_ALIGNMENT_MIN, GGUF_ALIGNMENT_MAX);
    return 0;
}
