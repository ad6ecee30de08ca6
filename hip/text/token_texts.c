/* Owns the list of texts and its hash table. Must not know what the texts are for. */
#include "hip/text/token_texts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* Longest chain of occupied slots that is walked. Tables are at most half full, where chains
     * of honest texts stay below a hundred. */
    PROBE_MAX = 4096,
    SMALLEST_SLOT_COUNT = 8,
};

/* FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/): byte by byte, so that the hashes
 * of all prefixes of a text come from one pass over it. */
static const uint64_t FNV_BASIS = 0xcbf29ce484222325ULL;
static const uint64_t FNV_PRIME = 0x100000001b3ULL;

static uint64_t hash_byte(uint64_t hash, char byte)
{
    return (hash ^ (uint8_t)byte) * FNV_PRIME;
}

/* The low bits of FNV depend on the low bits of the bytes only; fold the high ones in. */
static uint32_t first_slot(const struct token_texts *texts, uint64_t hash)
{
    return (uint32_t)(hash ^ hash >> 32) & texts->slot_mask;
}

int token_texts_init(struct token_texts *texts, uint64_t count, uint64_t total_bytes,
                     struct err *err)
{
    uint32_t slot_count = SMALLEST_SLOT_COUNT;

    memset(texts, 0, sizeof(*texts));
    if (count > TOKEN_TEXTS_MAX_COUNT)
        return err_set(err, ERR_INVALID_MODEL, "%llu tokens are more than the limit of %d",
                       (unsigned long long)count, TOKEN_TEXTS_MAX_COUNT);
    if (total_bytes > count * TOKEN_TEXT_MAX_BYTES || total_bytes >= UINT32_MAX)
        return err_set(err, ERR_INVALID_MODEL, "token texts of %llu bytes are too long",
                       (unsigned long long)total_bytes);
    while (slot_count < 2 * count)
        slot_count *= 2;
    texts->bytes = malloc(total_bytes + 1); /* never 0, for which malloc may return NULL */
    texts->offsets = calloc(count + 1, sizeof(*texts->offsets));
    texts->slots = malloc(slot_count * sizeof(*texts->slots));
    if (texts->bytes == NULL || texts->offsets == NULL || texts->slots == NULL) {
        token_texts_release(texts);
        return err_set(err, ERR_NO_MEMORY, "no memory for a vocabulary of %llu tokens",
                       (unsigned long long)count);
    }
    memset(texts->slots, 0xff, slot_count * sizeof(*texts->slots)); /* TOKEN_TEXTS_NONE */
    texts->slot_mask = slot_count - 1;
    texts->capacity = (uint32_t)count;
    texts->bytes_capacity = (uint32_t)total_bytes;
    return 0;
}

void token_texts_release(struct token_texts *texts)
{
    free(texts->bytes);
    free(texts->offsets);
    free(texts->slots);
    memset(texts, 0, sizeof(*texts));
}

const char *token_texts_at(const struct token_texts *texts, uint32_t index, size_t *out_len)
{
    assert(index < texts->count);
    *out_len = texts->offsets[index + 1] - texts->offsets[index];
    return texts->bytes + texts->offsets[index];
}

/* The slot where TEXT is, or where it would go; NULL when the chain is too long. */
static uint32_t *find_slot(const struct token_texts *texts, uint64_t hash, const char *text,
                           size_t len)
{
    uint32_t slot = first_slot(texts, hash);

    for (int probe = 0; probe < PROBE_MAX; probe++) {
        uint32_t index = texts->slots[slot];
        const char *other = NULL;
        size_t other_len = 0;

        if (index == TOKEN_TEXTS_NONE)
            return &texts->slots[slot];
        other = token_texts_at(texts, index, &other_len);
        if (other_len == len && memcmp(other, text, len) == 0)
            return &texts->slots[slot];
        slot = (slot + 1) & texts->slot_mask;
    }
    return NULL;
}

int token_texts_add(struct token_texts *texts, const char *text, size_t len, struct err *err)
{
    uint32_t index = texts->count;
    uint32_t end = texts->offsets[index];
    uint64_t hash = FNV_BASIS;
    uint32_t *slot = NULL;

    assert(index < texts->capacity);
    if (len == 0)
        return err_set(err, ERR_INVALID_MODEL, "token %u is empty", index);
    if (len > TOKEN_TEXT_MAX_BYTES)
        return err_set(err, ERR_INVALID_MODEL, "token %u has %zu bytes, the limit is %d", index,
                       len, TOKEN_TEXT_MAX_BYTES);
    assert(len <= texts->bytes_capacity - end);
    for (size_t i = 0; i < len; i++)
        hash = hash_byte(hash, text[i]);
    slot = find_slot(texts, hash, text, len);
    if (slot == NULL)
        return err_set(err, ERR_INVALID_MODEL, "token %u collides with too many others", index);
    if (*slot != TOKEN_TEXTS_NONE)
        return err_set(err, ERR_INVALID_MODEL, "tokens %u and %u have the same text", *slot, index);
    memcpy(texts->bytes + end, text, len);
    texts->offsets[index + 1] = end + (uint32_t)len;
    texts->count = index + 1;
    *slot = index;
    return 0;
}

static uint32_t find_hashed(const struct token_texts *texts, uint64_t hash, const char *text,
                            size_t len)
{
    const uint32_t *slot = find_slot(texts, hash, text, len);

    return slot == NULL ? TOKEN_TEXTS_NONE : *slot;
}

uint32_t token_texts_find(const struct token_texts *texts, const char *text, size_t len)
{
    uint64_t hash = FNV_BASIS;

    if (len == 0 || len > TOKEN_TEXT_MAX_BYTES || texts->count == 0)
        return TOKEN_TEXTS_NONE;
    for (size_t i = 0; i < len; i++)
        hash = hash_byte(hash, text[i]);
    return find_hashed(texts, hash, text, len);
}
