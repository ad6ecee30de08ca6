/* Writes a GGUF file again with every tensor as F32, the metadata byte for byte as it was:
 *
 *     gguf_to_f32 IN.gguf OUT.gguf
 *
 * So that engines can be compared on the same exact weights. */
#include "common/buf.h"
#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"
#include "hip/model/gguf.h"
#include "hip/model/quant.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum {
    FILE_MAX_BYTES = 1 << 30,
    ALIGNMENT_DEFAULT = 32,
    ROW_MAX_ELEMENTS = 1 << 20,
};

static uint64_t align_up(uint64_t offset, uint64_t alignment)
{
    return (offset + alignment - 1) / alignment * alignment;
}

static uint64_t element_count(const struct gguf_tensor *tensor)
{
    return tensor->dims[0] * tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
}

/* Where the metadata ends: before the length of the first tensor's name. */
static size_t metadata_end(const struct gguf *gguf, const char *data, size_t len)
{
    size_t end = len;

    for (size_t i = 0; i < gguf_tensor_count(gguf); i++) {
        size_t begin = (size_t)(gguf_tensor_at(gguf, i)->name.data - data) - sizeof(uint64_t);
        if (begin < end)
            end = begin;
    }
    return end;
}

/* A failed write is seen by the ferror() at the end. */
static void put(FILE *out, const void *data, size_t len)
{
    (void)fwrite(data, 1, len, out);
}

static void put_u32(FILE *out, uint32_t value)
{
    put(out, &value, sizeof(value));
}

static void put_u64(FILE *out, uint64_t value)
{
    put(out, &value, sizeof(value));
}

static void pad(FILE *out, uint64_t alignment)
{
    while ((uint64_t)ftell(out) % alignment != 0)
        (void)fputc(0, out);
}

static void put_descriptions(FILE *out, const struct gguf *gguf, uint64_t alignment)
{
    uint64_t offset = 0;

    for (size_t i = 0; i < gguf_tensor_count(gguf); i++) {
        const struct gguf_tensor *tensor = gguf_tensor_at(gguf, i);
        put_u64(out, tensor->name.len);
        put(out, tensor->name.data, tensor->name.len);
        put_u32(out, tensor->dim_count);
        put(out, tensor->dims, tensor->dim_count * sizeof(tensor->dims[0]));
        put_u32(out, QUANT_F32);
        put_u64(out, offset);
        offset = align_up(offset + element_count(tensor) * sizeof(float), alignment);
    }
}

static void put_tensor(FILE *out, const struct gguf_tensor *tensor, float *row)
{
    uint64_t columns = tensor->dims[0], rows = element_count(tensor) / columns;
    uint64_t row_bytes = quant_row_bytes(tensor->type, columns);

    assert(columns <= ROW_MAX_ELEMENTS);
    for (uint64_t i = 0; i < rows; i++) {
        quant_decode(tensor->type, (const char *)tensor->data + i * row_bytes, row, columns);
        put(out, row, columns * sizeof(*row));
    }
}

static int convert(const char *in_path, const char *out_path, struct err *err)
{
    AUTO_BUF struct buf in = BUF_INIT(FILE_MAX_BYTES);
    uint64_t alignment = ALIGNMENT_DEFAULT;
    AUTO_FREE float *row = xreallocarray(NULL, ROW_MAX_ELEMENTS, sizeof(*row));

    if (io_read_file(in_path, &in, err) < 0)
        return -1;
    struct gguf *gguf = gguf_open_memory(in.data, in.len, err);
    if (gguf == NULL)
        return -1;
    if (gguf_has(gguf, "general.alignment") &&
        gguf_read_u64(gguf, "general.alignment", &alignment, err) < 0)
        return -1;
    AUTO_FCLOSE FILE *out = fopen(out_path, "wb");
    if (out == NULL)
        return err_set(err, ERR_OUTPUT, "create %s: %m", out_path);

    put(out, in.data, metadata_end(gguf, in.data, in.len));
    put_descriptions(out, gguf, alignment);
    for (size_t i = 0; i < gguf_tensor_count(gguf); i++) {
        pad(out, alignment);
        put_tensor(out, gguf_tensor_at(gguf, i), row);
    }
    pad(out, alignment);
    gguf_free(gguf);
    if (fflush(out) != 0 || ferror(out))
        return err_set(err, ERR_OUTPUT, "write %s: %m", out_path);
    return 0;
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;

    if (argc != 3) {
        (void)fputs("usage: gguf_to_f32 IN.gguf OUT.gguf\n", stderr);
        return 2;
    }
    if (convert(argv[1], argv[2], &err) < 0) {
        (void)fprintf(stderr, "gguf_to_f32: %s\n", err.message);
        return 1;
    }
    return 0;
}
