/* A GGUF v2 or v3 file, mapped and checked: every count, offset and size is compared with the
 * file's length, in arithmetic that cannot wrap, before it is used. After gguf_open() succeeds,
 * every pointer reachable from here lies inside the map. Format:
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
#ifndef RBEE_HIP_MODEL_GGUF_H
#define RBEE_HIP_MODEL_GGUF_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPE_COUNT,
};

/* Bytes inside the map, without a NUL. */
struct gguf_string {
    const char *data;
    size_t len;
};

struct gguf; /* owns the map */

struct gguf_tensor {
    struct gguf_string name;
    uint32_t type;      /* id of quant_types.def; known and supported */
    uint32_t dim_count; /* 1 to 4 */
    uint64_t dims[4];   /* dims[0] innermost; unused ones are 1 */
    const void *data;   /* inside the map, aligned to general.alignment */
    uint64_t size_bytes;
};

/* ERR_NO_FILE, ERR_IO, or ERR_INVALID_MODEL with what is wrong and where (byte offset). A split
 * model (NAME-00001-of-00003.gguf) is opened by any of its parts, and is then one: the metadata of
 * the first, the tensors of all. */
struct gguf *gguf_open(const char *path, struct err *err);
/* The same on bytes of the caller, for tests and the fuzzer; they must outlive the gguf and begin
 * at a multiple of 8, as malloc's do. */
struct gguf *gguf_open_memory(const void *data, size_t len, struct err *err);
void gguf_free(struct gguf *gguf);
/* Has the file kept the size and time it had when it was opened? Asked before weights are read: a
 * file that is cut under its map would end the process (SIGBUS). ERR_INVALID_MODEL if not. */
int gguf_check_same(const struct gguf *gguf, struct err *err);

uint32_t gguf_version(const struct gguf *gguf);
uint64_t gguf_file_bytes(const struct gguf *gguf); /* of all parts */
bool gguf_has(const struct gguf *gguf, const char *key);
/* Metadata by key. A missing key or one of another type: ERR_INVALID_MODEL naming the key. Any
 * integer type is read as uint64 when it is not negative; any float type as double. */
int gguf_read_u64(const struct gguf *gguf, const char *key, uint64_t *out, struct err *err);
int gguf_read_f64(const struct gguf *gguf, const char *key, double *out, struct err *err);
int gguf_read_bool(const struct gguf *gguf, const char *key, bool *out, struct err *err);
int gguf_read_string(const struct gguf *gguf, const char *key, struct gguf_string *out,
                     struct err *err);
/* Arrays. Strings of an array are found through an index made at open, so access is O(1). */
int gguf_array_len(const struct gguf *gguf, const char *key, enum gguf_type element,
                   uint64_t *out_count, struct err *err);
struct gguf_string gguf_array_string(const struct gguf *gguf, const char *key, uint64_t index);
const void *gguf_array_data(const struct gguf *gguf, const char *key); /* unaligned scalars */

size_t gguf_tensor_count(const struct gguf *gguf);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *gguf, size_t index);
/* NULL when there is none. */
const struct gguf_tensor *gguf_find_tensor(const struct gguf *gguf, const char *name);

#endif
