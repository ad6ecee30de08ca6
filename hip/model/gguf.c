/* Owns the reading of a GGUF file: every byte is foreign until it has been checked here. Knows what
 * a file may hold, not what a model needs. Looking things up is gguf_values.c.
 *
 * The file is mapped, not copied. A file that is cut while it is mapped ends the process that reads
 * the missing part (SIGBUS): that costs one worker, whose supervisor says so, and gguf_check_same()
 * lets a loader notice before it reads the weights. */
#include "hip/model/gguf_internal.h"

#include "common/mem.h"
#include "hip/model/quant.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum {
    GGUF_MAGIC = 0x46554747, /* "GGUF", little endian */
    GGUF_VERSION_OLDEST = 2,
    GGUF_VERSION_NEWEST = 3,
    GGUF_ALIGNMENT_DEFAULT = 32,
    GGUF_ALIGNMENT_MIN = 8,         /* the format wants a multiple of 8 */
    GGUF_ALIGNMENT_MAX = 64 * 1024, /* the largest page of common machines */
    GGUF_KEY_MAX_BYTES = 65535,     /* the format's own limit */
    GGUF_NAME_MAX_BYTES = 64,       /* of a tensor; the format's own limit */
    GGUF_STRING_MAX_BYTES = 64 * 1024 * 1024,
    GGUF_ENTRY_MAX_COUNT = 65536, /* the largest files seen have some hundreds */
    GGUF_TENSOR_MAX_COUNT = 65536,
    GGUF_ARRAY_MAX_COUNT =
        16 * 1024 * 1024, /* the largest vocabularies have half a million merges */
    GGUF_ARRAY_MAX_DEPTH = 4,
    GGUF_DIM_MAX_COUNT = 4,
    /* The least an entry or a tensor can take, so that a small file cannot claim a large count. */
    GGUF_ENTRY_MIN_BYTES = 8 + 1 + 4 + 1,
    GGUF_TENSOR_MIN_BYTES = 8 + 1 + 4 + 8 + 4 + 8,
    GGUF_SHOWN_NAME_BYTES = 96, /* of a key or tensor, in messages */
};

/* A place in the file; pos never passes len. */
struct cursor {
    const uint8_t *data;
    uint64_t len;
    uint64_t pos;
};

/* For "%.*s": what is long is cut, so that a message still ends with what is wrong. */
#define SHOWN(string)                                                                              \
    (int)((string).len < GGUF_SHOWN_NAME_BYTES ? (string).len : GGUF_SHOWN_NAME_BYTES),            \
        (string).data

static int cursor_take(struct cursor *cursor, uint64_t size, const char *what, const uint8_t **out,
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

static int cursor_u32(struct cursor *cursor, const char *what, uint32_t *out, struct err *err)
{
    const uint8_t *bytes = NULL;

    if (cursor_take(cursor, sizeof(*out), what, &bytes, err) != 0)
        return -1;
    *out = gguf_load_u32(bytes);
    return 0;
}

static int cursor_u64(struct cursor *cursor, const char *what, uint64_t *out, struct err *err)
{
    const uint8_t *bytes = NULL;

    if (cursor_take(cursor, sizeof(*out), what, &bytes, err) != 0)
        return -1;
    *out = gguf_load_u64(bytes);
    return 0;
}

static int cursor_string(struct cursor *cursor, const char *what, uint64_t max_bytes,
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

/* Keys and tensor names are printable ASCII: they go into messages and are compared with ours. */
static int cursor_name(struct cursor *cursor, const char *what, uint64_t max_bytes,
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

/* ---- metadata ---- */

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
static int read_entries(struct gguf *gguf, struct cursor *cursor, uint64_t count, struct err *err)
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

static int read_alignment(struct gguf *gguf, struct err *err)
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

/* ---- tensors ---- */

static int check_tensor_size(struct gguf_tensor *tensor, struct err *err)
{
    const struct quant_info *info = quant_info(tensor->type);
    uint64_t count = 1;

    if (info == NULL)
        return err_set(err, ERR_INVALID_MODEL, "tensor type %u of %.*s is unknown", tensor->type,
                       SHOWN(tensor->name));
    if (info->decode == NULL)
        return err_set(err, ERR_INVALID_MODEL,
                       "tensor type %s of %.*s is not supported by this version", info->name,
                       SHOWN(tensor->name));
    for (size_t i = 0; i < GGUF_DIM_MAX_COUNT; i++) {
        if (tensor->dims[i] == 0 || __builtin_mul_overflow(count, tensor->dims[i], &count))
            return err_set(err, ERR_INVALID_MODEL, "%.*s has impossible dimensions",
                           SHOWN(tensor->name));
    }
    if (tensor->dims[0] % info->block_elements != 0)
        return err_set(err, ERR_INVALID_MODEL,
                       "%.*s has rows of %" PRIu64 ", not a multiple of the %u of %s",
                       SHOWN(tensor->name), tensor->dims[0], info->block_elements, info->name);
    if (__builtin_mul_overflow(count / info->block_elements, (uint64_t)info->block_bytes,
                               &tensor->size_bytes))
        return err_set(err, ERR_INVALID_MODEL, "%.*s has an impossible size", SHOWN(tensor->name));
    return 0;
}

/* Until place_tensors() the data pointer is not known; *out_offset is relative to the data. */
static int read_tensor(struct cursor *cursor, struct gguf_tensor *tensor, uint64_t *out_offset,
                       struct err *err)
{
    if (cursor_name(cursor, "a tensor's name", GGUF_NAME_MAX_BYTES, &tensor->name, err) != 0 ||
        cursor_u32(cursor, "a tensor's dimensions", &tensor->dim_count, err) != 0)
        return -1;
    if (tensor->dim_count < 1 || tensor->dim_count > GGUF_DIM_MAX_COUNT)
        return err_set(err, ERR_INVALID_MODEL, "%.*s has %u dimensions, not 1 to %d",
                       SHOWN(tensor->name), tensor->dim_count, GGUF_DIM_MAX_COUNT);
    for (size_t i = 0; i < GGUF_DIM_MAX_COUNT; i++) {
        tensor->dims[i] = 1;
        if (i < tensor->dim_count &&
            cursor_u64(cursor, "a tensor's dimensions", &tensor->dims[i], err) != 0)
            return -1;
    }
    if (cursor_u32(cursor, "a tensor's type", &tensor->type, err) != 0 ||
        cursor_u64(cursor, "a tensor's offset", out_offset, err) != 0)
        return -1;
    return check_tensor_size(tensor, err);
}

static int compare_names(const void *a, const void *b)
{
    return gguf_string_compare((*(struct gguf_tensor *const *)a)->name,
                               (*(struct gguf_tensor *const *)b)->name);
}

static int index_names(struct gguf *gguf, struct err *err)
{
    gguf->tensors_by_name = xcalloc(gguf->tensor_count + 1, sizeof(*gguf->tensors_by_name));
    for (size_t i = 0; i < gguf->tensor_count; i++)
        gguf->tensors_by_name[i] = &gguf->tensors[i];
    qsort(gguf->tensors_by_name, gguf->tensor_count, sizeof(*gguf->tensors_by_name), compare_names);
    for (size_t i = 1; i < gguf->tensor_count; i++) {
        if (compare_names(&gguf->tensors_by_name[i - 1], &gguf->tensors_by_name[i]) == 0)
            return err_set(err, ERR_INVALID_MODEL, "the tensor %.*s is there twice",
                           SHOWN(gguf->tensors_by_name[i]->name));
    }
    return 0;
}

static int compare_places(const void *a, const void *b)
{
    const uint8_t *place_a = (*(struct gguf_tensor *const *)a)->data;
    const uint8_t *place_b = (*(struct gguf_tensor *const *)b)->data;

    return (place_a > place_b) - (place_a < place_b);
}

static int check_overlap(const struct gguf *gguf, struct err *err)
{
    AUTO_FREE struct gguf_tensor **sorted = xcalloc(gguf->tensor_count + 1, sizeof(*sorted));

    memcpy(sorted, gguf->tensors_by_name, gguf->tensor_count * sizeof(*sorted));
    qsort(sorted, gguf->tensor_count, sizeof(*sorted), compare_places);
    for (size_t i = 1; i < gguf->tensor_count; i++) {
        const uint8_t *end = (const uint8_t *)sorted[i - 1]->data + sorted[i - 1]->size_bytes;

        if (end > (const uint8_t *)sorted[i]->data)
            return err_set(err, ERR_INVALID_MODEL, "the data of %.*s and %.*s overlap",
                           SHOWN(sorted[i - 1]->name), SHOWN(sorted[i]->name));
    }
    return 0;
}

/* Offsets to pointers, now that it is known where the data begins. */
static int place_tensors(struct gguf *gguf, uint64_t header_end, const uint64_t *offsets,
                         struct err *err)
{
    uint64_t start = (header_end + gguf->alignment - 1) & ~(gguf->alignment - 1);

    for (size_t i = 0; i < gguf->tensor_count; i++) {
        struct gguf_tensor *tensor = &gguf->tensors[i];
        uint64_t begin = 0;
        uint64_t end = 0;

        if (offsets[i] % gguf->alignment != 0)
            return err_set(err, ERR_INVALID_MODEL,
                           "%.*s begins at %" PRIu64 ", not a multiple of %" PRIu64,
                           SHOWN(tensor->name), offsets[i], gguf->alignment);
        if (__builtin_add_overflow(start, offsets[i], &begin) ||
            __builtin_add_overflow(begin, tensor->size_bytes, &end) || end > gguf->len)
            return err_set(err, ERR_INVALID_MODEL,
                           "%.*s lies beyond the end of the file (%" PRIu64 " bytes from %" PRIu64
                           "; the file has %" PRIu64 ")",
                           SHOWN(tensor->name), tensor->size_bytes, offsets[i], gguf->len);
        tensor->data = gguf->data + begin;
    }
    return check_overlap(gguf, err);
}

static int read_tensors(struct gguf *gguf, struct cursor *cursor, uint64_t count, struct err *err)
{
    AUTO_FREE uint64_t *offsets = NULL;

    if (count > GGUF_TENSOR_MAX_COUNT ||
        count > (cursor->len - cursor->pos) / GGUF_TENSOR_MIN_BYTES)
        return err_set(err, ERR_INVALID_MODEL,
                       "the file claims %" PRIu64 " tensors, more than it can hold", count);
    offsets = xcalloc(count + 1, sizeof(*offsets));
    gguf->tensors = xcalloc(count + 1, sizeof(*gguf->tensors));
    gguf->tensor_count = count;
    for (uint64_t i = 0; i < count; i++) {
        if (read_tensor(cursor, &gguf->tensors[i], &offsets[i], err) != 0)
            return err_wrap(err, "tensor %" PRIu64 " of %" PRIu64, i + 1, count);
    }
    if (index_names(gguf, err) != 0)
        return -1;
    return place_tensors(gguf, cursor->pos, offsets, err);
}

/* ---- the file ---- */

static int read_header(struct gguf *gguf, struct cursor *cursor, uint64_t *out_tensor_count,
                       uint64_t *out_entry_count, struct err *err)
{
    uint32_t magic = 0;

    if (cursor_u32(cursor, "the magic", &magic, err) != 0)
        return -1;
    if (magic != GGUF_MAGIC)
        return err_set(err, ERR_INVALID_MODEL,
                       "not a GGUF file: it begins with the bytes %02x %02x %02x %02x",
                       gguf->data[0], gguf->data[1], gguf->data[2], gguf->data[3]);
    if (cursor_u32(cursor, "the version", &gguf->version, err) != 0)
        return -1;
    if (gguf->version != 0 && (gguf->version & 0xffff) == 0)
        return err_set(err, ERR_INVALID_MODEL, "a big-endian GGUF file is not supported");
    if (gguf->version < GGUF_VERSION_OLDEST || gguf->version > GGUF_VERSION_NEWEST)
        return err_set(err, ERR_INVALID_MODEL, "GGUF version %u is not supported, only %d and %d",
                       gguf->version, GGUF_VERSION_OLDEST, GGUF_VERSION_NEWEST);
    if (cursor_u64(cursor, "the tensor count", out_tensor_count, err) != 0)
        return -1;
    return cursor_u64(cursor, "the metadata count", out_entry_count, err);
}

static int read_file(struct gguf *gguf, struct err *err)
{
    struct cursor cursor = {.data = gguf->data, .len = gguf->len};
    uint64_t tensor_count = 0;
    uint64_t entry_count = 0;

    if (read_header(gguf, &cursor, &tensor_count, &entry_count, err) != 0)
        return -1;
    if (read_entries(gguf, &cursor, entry_count, err) != 0)
        return -1;
    if (read_alignment(gguf, err) != 0)
        return -1;
    return read_tensors(gguf, &cursor, tensor_count, err);
}

static int map_file(struct gguf *gguf, const char *path, struct err *err)
{
    struct stat status;
    void *map = NULL;

    /* Non-blocking, so that a FIFO does not hold us before it is refused. */
    gguf->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (gguf->fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return err_set(err, ERR_NO_FILE, "there is no file %s", path);
    if (gguf->fd < 0)
        return err_set(err, ERR_IO, "open %s: %m", path);
    if (fstat(gguf->fd, &status) != 0)
        return err_set(err, ERR_IO, "stat %s: %m", path);
    if (!S_ISREG(status.st_mode))
        return err_set(err, ERR_INVALID_MODEL, "not a regular file");
    if (status.st_size == 0)
        return err_set(err, ERR_INVALID_MODEL, "the file is empty");
    map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, gguf->fd, 0);
    if (map == MAP_FAILED)
        return err_set(err, ERR_IO, "map %s: %m", path);
    gguf->data = map;
    gguf->len = (uint64_t)status.st_size;
    gguf->modified_at = status.st_mtim;
    return 0;
}

static void gguf_release(struct gguf **gguf)
{
    gguf_free(*gguf);
}

struct gguf *gguf_open(const char *path, struct err *err)
{
    __attribute__((cleanup(gguf_release))) struct gguf *gguf = xcalloc(1, sizeof(*gguf));

    gguf->fd = -1;
    if (map_file(gguf, path, err) != 0)
        return NULL;
    if (read_file(gguf, err) != 0)
        return NULL;
    return take_ptr(gguf);
}

struct gguf *gguf_open_memory(const void *data, size_t len, struct err *err)
{
    __attribute__((cleanup(gguf_release))) struct gguf *gguf = xcalloc(1, sizeof(*gguf));

    assert((uintptr_t)data % GGUF_ALIGNMENT_MIN == 0);
    gguf->fd = -1;
    gguf->data = data;
    gguf->len = len;
    if (read_file(gguf, err) != 0)
        return NULL;
    return take_ptr(gguf);
}

int gguf_check_same(const struct gguf *gguf, struct err *err)
{
    struct stat status;

    if (gguf->fd < 0)
        return 0;
    if (fstat(gguf->fd, &status) != 0)
        return err_set(err, ERR_IO, "stat the model's file: %m");
    if ((uint64_t)status.st_size != gguf->len ||
        status.st_mtim.tv_sec != gguf->modified_at.tv_sec ||
        status.st_mtim.tv_nsec != gguf->modified_at.tv_nsec)
        return err_set(err, ERR_INVALID_MODEL, "the file was changed while it was being loaded");
    return 0;
}

void gguf_free(struct gguf *gguf)
{
    if (gguf == NULL)
        return;
    for (size_t i = 0; i < gguf->entry_count; i++)
        free(gguf->entries[i].texts);
    free(gguf->entries);
    free(gguf->tensors_by_name);
    free(gguf->tensors);
    if (gguf->fd >= 0) {
        if (gguf->data != NULL)
            (void)munmap((void *)(uintptr_t)gguf->data, gguf->len); /* cannot fail on our own map */
        (void)close(gguf->fd);                                      /* only read from */
    }
    free(gguf);
}
