/* What the gguf_*.c files share. Nobody else includes it. */
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
    struct gguf *
        *others; /* [other_count] the other parts of a split model, whose tensors are above */
    size_t other_count;
};

/* ---- gguf_cursor.c ---- */

/* A place in the file; pos never passes len. WHAT names what is being read, for the message when
 * the file ends inside it. */
struct cursor {
    const uint8_t *data;
    uint64_t len;
    uint64_t pos;
};

int cursor_take(struct cursor *cursor, uint64_t size, const char *what, const uint8_t **out,
                struct err *err);
int cursor_u32(struct cursor *cursor, const char *what, uint32_t *out, struct err *err);
int cursor_u64(struct cursor *cursor, const char *what, uint64_t *out, struct err *err);
int cursor_string(struct cursor *cursor, const char *what, uint64_t max_bytes,
                  struct gguf_string *out, struct err *err);
/* A string that goes into messages and is compared with ours: printable ASCII, not empty. */
int cursor_name(struct cursor *cursor, const char *what, uint64_t max_bytes,
                struct gguf_string *out, struct err *err);

enum { GGUF_SHOWN_NAME_BYTES = 96 };
/* For "%.*s": what is long is cut, so that a message still ends with what is wrong. */
#define SHOWN(string)                                                                              \
    (int)((string).len < GGUF_SHOWN_NAME_BYTES ? (string).len : GGUF_SHOWN_NAME_BYTES),            \
        (string).data

/* ---- gguf_metadata.c, gguf_tensors.c: the parts of a file, in their order ---- */

enum { GGUF_ALIGNMENT_MIN = 8 }; /* the format wants a multiple of 8 */

int gguf_read_entries(struct gguf *gguf, struct cursor *cursor, uint64_t count, struct err *err);
/* From general.alignment, if there is one. */
int gguf_read_alignment(struct gguf *gguf, struct err *err);
int gguf_read_tensors(struct gguf *gguf, struct cursor *cursor, uint64_t count, struct err *err);
/* Makes tensors_by_name of tensors. */
int gguf_index_names(struct gguf *gguf, struct err *err);

/* ---- gguf.c, gguf_split.c ---- */

/* The file at PATH alone, whatever it is a part of. */
struct gguf *gguf_open_one(const char *path, struct err *err);
/* Takes GGUF over, which was read from PATH (NULL: from memory): itself, or where it is a part of a
 * split model, the first part with the tensors of all. NULL when a part is missing or wrong. */
struct gguf *gguf_join_parts(struct gguf *gguf, const char *path, struct err *err);

/* ---- gguf_values.c ---- */

int gguf_string_compare(struct gguf_string a, struct gguf_string b);
/* NULL when there is none. */
const struct gguf_entry *gguf_find_entry(const struct gguf *gguf, const char *key);
/* Bytes of one value; 0 for strings, arrays and what is no type. */
uint64_t gguf_scalar_bytes(uint32_t type);
/* Reads what lies at BYTES, which need not be aligned. */
uint32_t gguf_load_u32(const uint8_t *bytes);
uint64_t gguf_load_u64(const uint8_t *bytes);

#endif
