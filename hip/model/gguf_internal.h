/* What gguf.c (reading) and gguf_values.c (looking up) share. Nobody else includes it. */
#ifndef RBEE_HIP_MODEL_GGUF_INTERNAL_H
#define RBEE_HIP_MODEL_GGUF_INTERNAL_H

#include "hip/model/gguf.h"

#include <time.h>

/* One key of the metadata. */
struct gguf_entry {
    struct gguf_string key;
    enum gguf_type type;
    enum gguf_type element; /* of an array */
    uint64_t count;         /* elements of an array, else 1 */
    const uint8_t *data;    /* the value, or the first element; not aligned */
    const uint8_t **texts;  /* [count] where each string of an array begins (its length field) */
};

struct gguf {
    const uint8_t *data;
    uint64_t len;
    int fd; /* of a mapped file; -1 for bytes of the caller */
    struct timespec modified_at;
    uint32_t version;
    uint64_t alignment;
    size_t entry_count;
    size_t tensor_count;
    struct gguf_entry *entries; /* sorted by key, no two alike */
    struct gguf_tensor *tensors;
    struct gguf_tensor **tensors_by_name; /* sorted, no two alike */
};

int gguf_string_compare(struct gguf_string a, struct gguf_string b);
/* NULL when there is none. */
const struct gguf_entry *gguf_find_entry(const struct gguf *gguf, const char *key);
/* Bytes of one value; 0 for strings, arrays and what is no type. */
uint64_t gguf_scalar_bytes(uint32_t type);
/* Reads what lies at BYTES, which need not be aligned. */
uint32_t gguf_load_u32(const uint8_t *bytes);
uint64_t gguf_load_u64(const uint8_t *bytes);

#endif
