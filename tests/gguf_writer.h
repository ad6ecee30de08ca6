/* Writes GGUF v3 files for tests: metadata, tensor infos and data each grow in a buffer of their
 * own and are joined at the end. Fails by abort: a test that cannot write its input has no result.
 */
#ifndef RBEE_TESTS_GGUF_WRITER_H
#define RBEE_TESTS_GGUF_WRITER_H

#include "common/buf.h"
#include "hip/model/gguf.h"
#include "tests/quant_writer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { GGUF_WRITER_ALIGNMENT = 32 };

struct gguf_writer {
    struct buf entries;
    struct buf infos;
    struct buf data;
    uint64_t entry_count;
    uint64_t tensor_count;
};

static inline void writer_u32(struct buf *buf, uint32_t value)
{
    writer_check(buf_add(buf, &value, sizeof(value)));
}

static inline void writer_u64(struct buf *buf, uint64_t value)
{
    writer_check(buf_add(buf, &value, sizeof(value)));
}

static inline void writer_text(struct buf *buf, const char *text, size_t len)
{
    writer_u64(buf, len);
    writer_check(buf_add(buf, text, len));
}

static inline void writer_init(struct gguf_writer *writer, size_t max_bytes)
{
    *writer = (struct gguf_writer){0};
    buf_init(&writer->entries, max_bytes);
    buf_init(&writer->infos, max_bytes);
    buf_init(&writer->data, max_bytes);
}

static inline void writer_release(struct gguf_writer *writer)
{
    buf_release(&writer->entries);
    buf_release(&writer->infos);
    buf_release(&writer->data);
}

static inline void writer_key(struct gguf_writer *writer, const char *key, enum gguf_type type)
{
    writer_text(&writer->entries, key, strlen(key));
    writer_u32(&writer->entries, type);
    writer->entry_count++;
}

static inline void writer_add_u32(struct gguf_writer *writer, const char *key, uint32_t value)
{
    writer_key(writer, key, GGUF_U32);
    writer_u32(&writer->entries, value);
}

static inline void writer_add_f32(struct gguf_writer *writer, const char *key, float value)
{
    writer_key(writer, key, GGUF_F32);
    writer_check(buf_add(&writer->entries, &value, sizeof(value)));
}

static inline void writer_add_bool(struct gguf_writer *writer, const char *key, bool value)
{
    writer_key(writer, key, GGUF_BOOL);
    writer_check(buf_add_byte(&writer->entries, value));
}

static inline void writer_add_text(struct gguf_writer *writer, const char *key, const char *text)
{
    writer_key(writer, key, GGUF_STRING);
    writer_text(&writer->entries, text, strlen(text));
}

/* The caller adds COUNT elements to writer->entries. */
static inline void writer_add_array(struct gguf_writer *writer, const char *key,
                                    enum gguf_type element, uint64_t count)
{
    writer_key(writer, key, GGUF_ARRAY);
    writer_u32(&writer->entries, element);
    writer_u64(&writer->entries, count);
}

/* One tensor of ROWS x COLUMNS (columns innermost; one row makes a vector); the caller then adds
 * its data to writer->data. */
static inline void writer_add_tensor(struct gguf_writer *writer, const char *name, uint32_t type,
                                     uint64_t columns, uint64_t rows)
{
    while (writer->data.len % GGUF_WRITER_ALIGNMENT != 0)
        writer_check(buf_add_byte(&writer->data, 0));
    writer_text(&writer->infos, name, strlen(name));
    writer_u32(&writer->infos, rows == 1 ? 1 : 2);
    writer_u64(&writer->infos, columns);
    if (rows != 1)
        writer_u64(&writer->infos, rows);
    writer_u32(&writer->infos, type);
    writer_u64(&writer->infos, writer->data.len);
    writer->tensor_count++;
}

/* The whole file, appended to OUT. */
static inline void writer_finish(struct gguf_writer *writer, struct buf *out)
{
    writer_check(buf_add(out, "GGUF", 4));
    writer_u32(out, 3);
    writer_u64(out, writer->tensor_count);
    writer_u64(out, writer->entry_count);
    writer_check(buf_add(out, writer->entries.data, writer->entries.len));
    writer_check(buf_add(out, writer->infos.data, writer->infos.len));
    while (out->len % GGUF_WRITER_ALIGNMENT != 0)
        writer_check(buf_add_byte(out, 0));
    writer_check(buf_add(out, writer->data.data, writer->data.len));
}

#endif
