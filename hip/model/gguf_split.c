/* Owns models that come in several files: finding the parts by their names, checking that they
 * belong together, and making one list of their tensors. Each part is a GGUF file of its own, read
 * and checked by gguf.c as any other; the first one has the metadata of the model.
 *
 * The names are those that llama.cpp's gguf-split gives: PREFIX-00001-of-00003.gguf. A part says in
 * its metadata which one it is (split.no, from 0), of how many (split.count), and how many tensors
 * all have together (split.tensors.count). */
#include "hip/model/gguf_internal.h"

#include "common/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    PART_MAX_COUNT = 256, /* each keeps a descriptor open; the largest models seen have some 160 */
    SUFFIX_MAX_BYTES = sizeof("-00001-of-00003.gguf"),
};

/* What a part says of itself. */
struct split {
    uint64_t index;
    uint64_t count;
    uint64_t tensor_count; /* of all parts */
};

/* Parts by their index; those that are not open yet are NULL. */
struct parts {
    struct gguf *list[PART_MAX_COUNT];
    size_t count;
};

static void parts_release(struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++)
        gguf_free(parts->list[i]);
}

static int read_split(const struct gguf *gguf, struct split *out, struct err *err)
{
    if (gguf_read_u64(gguf, "split.no", &out->index, err) != 0 ||
        gguf_read_u64(gguf, "split.count", &out->count, err) != 0 ||
        gguf_read_u64(gguf, "split.tensors.count", &out->tensor_count, err) != 0)
        return -1;
    if (out->count > PART_MAX_COUNT)
        return err_set(err, ERR_INVALID_MODEL,
                       "split.count is %" PRIu64 "; %d parts are the most that are read",
                       out->count, PART_MAX_COUNT);
    if (out->index >= out->count)
        return err_set(err, ERR_INVALID_MODEL, "split.no is %" PRIu64 ", of %" PRIu64 " parts",
                       out->index, out->count);
    return 0;
}

static void format_suffix(char out[SUFFIX_MAX_BYTES], size_t index, size_t count)
{
    /* Below PART_MAX_COUNT: it fits. */
    (void)snprintf(out, SUFFIX_MAX_BYTES, "-%05u-of-%05u.gguf", (unsigned)index + 1,
                   (unsigned)count);
}

/* How much of PATH all parts have in common. The name has to say the same as the part itself: from
 * a file that was renamed, the others cannot be found. */
static int read_prefix(const char *path, const struct split *split, size_t *out_len,
                       struct err *err)
{
    char suffix[SUFFIX_MAX_BYTES];
    size_t len = strlen(path);

    format_suffix(suffix, split->index, split->count);
    if (len < strlen(suffix) || strcmp(path + len - strlen(suffix), suffix) != 0)
        return err_set(err, ERR_INVALID_MODEL,
                       "it is part %" PRIu64 " of %" PRIu64 ", but its name does not end in %s",
                       split->index + 1, split->count, suffix);
    *out_len = len - strlen(suffix);
    return 0;
}

/* WANTED is what the part that was opened first says. */
static int check_part(const struct gguf *part, const struct split *wanted, size_t index,
                      struct err *err)
{
    struct split split;

    if (read_split(part, &split, err) != 0)
        return -1;
    if (split.index != index || split.count != wanted->count)
        return err_set(err, ERR_INVALID_MODEL,
                       "the file is part %" PRIu64 " of %" PRIu64 " by its metadata",
                       split.index + 1, split.count);
    if (split.tensor_count != wanted->tensor_count)
        return err_set(err, ERR_INVALID_MODEL,
                       "split.tensors.count is %" PRIu64 ", in another part %" PRIu64,
                       split.tensor_count, wanted->tensor_count);
    return 0;
}

static int open_others(struct parts *parts, const char *path, const struct split *split,
                       struct err *err)
{
    size_t prefix_len = 0;

    if (read_prefix(path, split, &prefix_len, err) != 0)
        return -1;
    for (size_t i = 0; i < parts->count; i++) {
        char suffix[SUFFIX_MAX_BYTES];
        AUTO_FREE char *part_path = NULL;

        if (i == split->index)
            continue;
        format_suffix(suffix, i, parts->count);
        part_path = xasprintf("%.*s%s", (int)prefix_len, path, suffix);
        parts->list[i] = gguf_open_one(part_path, err);
        if (parts->list[i] == NULL || check_part(parts->list[i], split, i, err) != 0)
            return err_wrap(err, "part %zu of %zu", i + 1, parts->count);
    }
    return 0;
}

/* The tensors of all parts become those of the first, in order, in one array. */
static int join_tensors(const struct parts *parts, const struct split *split, struct err *err)
{
    struct gguf *first = parts->list[0];
    struct gguf_tensor *joined = NULL;
    size_t total = 0;
    size_t at = 0;

    for (size_t i = 0; i < parts->count; i++)
        total += parts->list[i]->tensor_count; /* each bounded by its file, and few parts */
    if (total != split->tensor_count)
        return err_set(err, ERR_INVALID_MODEL,
                       "split.tensors.count is %" PRIu64 ", but the parts have %zu tensors",
                       split->tensor_count, total);
    joined = xcalloc(total + 1, sizeof(*joined));
    for (size_t i = 0; i < parts->count; i++) {
        const struct gguf *part = parts->list[i];

        memcpy(joined + at, part->tensors, part->tensor_count * sizeof(*joined));
        at += part->tensor_count;
    }
    free(first->tensors);
    free(first->tensors_by_name);
    first->tensors = joined;
    first->tensors_by_name = NULL;
    first->tensor_count = total;
    return gguf_index_names(first, err);
}

struct gguf *gguf_join_parts(struct gguf *gguf, const char *path, struct err *err)
{
    __attribute__((cleanup(parts_release))) struct parts parts = {.list = {gguf}, .count = 1};
    struct gguf *first = NULL;
    struct split split;
    uint64_t count = 1;

    if (gguf_has(gguf, "split.count") && gguf_read_u64(gguf, "split.count", &count, err) != 0)
        return NULL;
    if (count <= 1)
        return take_ptr(parts.list[0]);
    if (read_split(gguf, &split, err) != 0)
        return NULL;
    if (path == NULL)
        return err_set_null(err, ERR_INVALID_MODEL,
                            "it is part %" PRIu64 " of %" PRIu64 ", and the others are files",
                            split.index + 1, split.count);
    parts.list[0] = NULL;
    parts.list[split.index] = gguf;
    parts.count = split.count;
    if (open_others(&parts, path, &split, err) != 0 || join_tensors(&parts, &split, err) != 0)
        return NULL;
    first = take_ptr(parts.list[0]);
    first->others = xcalloc(parts.count, sizeof(struct gguf *));
    for (size_t i = 1; i < parts.count; i++)
        first->others[first->other_count++] = take_ptr(parts.list[i]);
    return first;
}
