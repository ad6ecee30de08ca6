/* Owns the looking up in an open GGUF file: metadata and tensors by name. Everything it touches was
 * checked by gguf.c; what it checks is that a key exists and has the type asked for. */
#include "hip/model/gguf_internal.h"

#include <assert.h>
#include <string.h>

static const char *const TYPE_NAMES[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = "u8",         [GGUF_I8] = "i8",       [GGUF_U16] = "u16", [GGUF_I16] = "i16",
    [GGUF_U32] = "u32",       [GGUF_I32] = "i32",     [GGUF_F32] = "f32", [GGUF_BOOL] = "bool",
    [GGUF_STRING] = "string", [GGUF_ARRAY] = "array", [GGUF_U64] = "u64", [GGUF_I64] = "i64",
    [GGUF_F64] = "f64",
};

static const uint8_t SCALAR_BYTES[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = 1,  [GGUF_I8] = 1,   [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
    [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
};

uint64_t gguf_scalar_bytes(uint32_t type)
{
    return type < GGUF_TYPE_COUNT ? SCALAR_BYTES[type] : 0;
}

uint32_t gguf_load_u32(const uint8_t *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof(value));
    return value;
}

uint64_t gguf_load_u64(const uint8_t *bytes)
{
    uint64_t value;

    memcpy(&value, bytes, sizeof(value));
    return value;
}

int gguf_string_compare(struct gguf_string a, struct gguf_string b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = memcmp(a.data, b.data, shorter);

    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

static struct gguf_string string_at(const uint8_t *bytes)
{
    return (struct gguf_string){
        .data = (const char *)bytes + sizeof(uint64_t),
        .len = gguf_load_u64(bytes),
    };
}

const struct gguf_entry *gguf_find_entry(const struct gguf *gguf, const char *key)
{
    struct gguf_string wanted = {.data = key, .len = strlen(key)};
    size_t low = 0;
    size_t high = gguf->entry_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = gguf_string_compare(wanted, gguf->entries[middle].key);

        if (order == 0)
            return &gguf->entries[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *gguf, const char *name)
{
    struct gguf_string wanted = {.data = name, .len = strlen(name)};
    size_t low = 0;
    size_t high = gguf->tensor_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = gguf_string_compare(wanted, gguf->tensors_by_name[middle]->name);

        if (order == 0)
            return gguf->tensors_by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

uint32_t gguf_version(const struct gguf *gguf)
{
    return gguf->version;
}

uint64_t gguf_file_bytes(const struct gguf *gguf)
{
    uint64_t bytes = gguf->len;

    for (size_t i = 0; i < gguf->other_count; i++)
        bytes += gguf->others[i]->len;
    return bytes;
}

size_t gguf_tensor_count(const struct gguf *gguf)
{
    return gguf->tensor_count;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *gguf, size_t index)
{
    assert(index < gguf->tensor_count);
    return &gguf->tensors[index];
}

bool gguf_has(const struct gguf *gguf, const char *key)
{
    return gguf_find_entry(gguf, key) != NULL;
}

static const struct gguf_entry *find_or_fail(const struct gguf *gguf, const char *key,
                                             struct err *err)
{
    const struct gguf_entry *entry = gguf_find_entry(gguf, key);

    if (entry == NULL)
        return err_set_null(err, ERR_INVALID_MODEL, "the file has no %s", key);
    return entry;
}

static int wrong_type(const struct gguf_entry *entry, const char *key, const char *wanted,
                      struct err *err)
{
    return err_set(err, ERR_INVALID_MODEL, "%s is of type %s, not %s", key, TYPE_NAMES[entry->type],
                   wanted);
}

/* False when the type is no integer. A negative value comes back as is_negative. */
static bool load_integer(const struct gguf_entry *entry, uint64_t *out, bool *out_is_negative)
{
    uint64_t size = gguf_scalar_bytes(entry->type);
    uint64_t value = 0;
    bool is_signed = entry->type == GGUF_I8 || entry->type == GGUF_I16 || entry->type == GGUF_I32 ||
                     entry->type == GGUF_I64;

    if (size == 0 || entry->type == GGUF_F32 || entry->type == GGUF_F64 || entry->type == GGUF_BOOL)
        return false;
    memcpy(&value, entry->data, size); /* little endian, as the file */
    *out_is_negative = is_signed && (value >> (8 * size - 1)) != 0;
    *out = value;
    return true;
}

int gguf_read_u64(const struct gguf *gguf, const char *key, uint64_t *out, struct err *err)
{
    const struct gguf_entry *entry = find_or_fail(gguf, key, err);
    bool is_negative = false;
    uint64_t value = 0;

    if (entry == NULL)
        return -1;
    if (!load_integer(entry, &value, &is_negative))
        return wrong_type(entry, key, "an integer", err);
    if (is_negative)
        return err_set(err, ERR_INVALID_MODEL, "%s is negative", key);
    *out = value;
    return 0;
}

int gguf_read_f64(const struct gguf *gguf, const char *key, double *out, struct err *err)
{
    const struct gguf_entry *entry = find_or_fail(gguf, key, err);
    float single = 0.0f;

    if (entry == NULL)
        return -1;
    if (entry->type == GGUF_F64) {
        memcpy(out, entry->data, sizeof(*out));
        return 0;
    }
    if (entry->type != GGUF_F32)
        return wrong_type(entry, key, "a float", err);
    memcpy(&single, entry->data, sizeof(single));
    *out = single;
    return 0;
}

int gguf_read_bool(const struct gguf *gguf, const char *key, bool *out, struct err *err)
{
    const struct gguf_entry *entry = find_or_fail(gguf, key, err);

    if (entry == NULL)
        return -1;
    if (entry->type != GGUF_BOOL)
        return wrong_type(entry, key, "bool", err);
    *out = entry->data[0] != 0;
    return 0;
}

int gguf_read_string(const struct gguf *gguf, const char *key, struct gguf_string *out,
                     struct err *err)
{
    const struct gguf_entry *entry = find_or_fail(gguf, key, err);

    if (entry == NULL)
        return -1;
    if (entry->type != GGUF_STRING)
        return wrong_type(entry, key, "string", err);
    *out = string_at(entry->data);
    return 0;
}

int gguf_array_len(const struct gguf *gguf, const char *key, enum gguf_type element,
                   uint64_t *out_count, struct err *err)
{
    const struct gguf_entry *entry = find_or_fail(gguf, key, err);

    if (entry == NULL)
        return -1;
    if (entry->type != GGUF_ARRAY)
        return wrong_type(entry, key, "array", err);
    if (entry->element != element)
        return err_set(err, ERR_INVALID_MODEL, "%s is an array of %s, not of %s", key,
                       TYPE_NAMES[entry->element], TYPE_NAMES[element]);
    *out_count = entry->count;
    return 0;
}

struct gguf_string gguf_array_string(const struct gguf *gguf, const char *key, uint64_t index)
{
    const struct gguf_entry *entry = gguf_find_entry(gguf, key);

    assert(entry != NULL && entry->texts != NULL && index < entry->count);
    return string_at(entry->texts[index]);
}

const void *gguf_array_data(const struct gguf *gguf, const char *key)
{
    const struct gguf_entry *entry = gguf_find_entry(gguf, key);

    assert(entry != NULL && entry->type == GGUF_ARRAY);
    return entry->data;
}
