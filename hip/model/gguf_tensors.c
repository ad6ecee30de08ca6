/* Owns the reading of a GGUF file's tensors: names, shapes, types, and where their data lie: inside
 * the file, aligned, none over another. */
#include "hip/model/gguf_internal.h"

#include "common/mem.h"
#include "hip/model/quant.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    GGUF_NAME_MAX_BYTES = 64, /* of a tensor; the format's own limit */
    GGUF_TENSOR_MAX_COUNT = 65536,
    GGUF_DIM_MAX_COUNT = 4,
    /* The least a tensor can take, so that a small file cannot claim a large count. */
    GGUF_TENSOR_MIN_BYTES = 8 + 1 + 4 + 8 + 4 + 8,
};

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

int gguf_index_names(struct gguf *gguf, struct err *err)
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

int gguf_read_tensors(struct gguf *gguf, struct cursor *cursor, uint64_t count, struct err *err)
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
    if (gguf_index_names(gguf, err) != 0)
        return -1;
    return place_tensors(gguf, cursor->pos, offsets, err);
}
