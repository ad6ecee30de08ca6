/* Owns the reading of what only vocabularies of the gpt2 kind have: how text is cut, and merges.
 * Must not know how either is used. */
#include "common/mem.h"
#include "common/utf8.h"
#include "hip/text/byte_text.h"
#include "hip/text/vocab_fields.h"
#include "hip/text/vocab_load.h"

#include <stdlib.h>
#include <string.h>

static const char KEY_MERGES[] = "tokenizer.ggml.merges";

enum { NAME_SHOWN_BYTES = 64 };

int vocab_load_pretok(struct vocab *vocab, const struct gguf *gguf, struct err *err)
{
    struct gguf_string pre;

    if (!gguf_has(gguf, "tokenizer.ggml.pre"))
        return err_set(
            err, ERR_INVALID_MODEL,
            "the file does not say how its text is cut (tokenizer.ggml.pre); it needs to "
            "be converted again");
    if (gguf_read_string(gguf, "tokenizer.ggml.pre", &pre, err) != 0)
        return -1;
    vocab->pretok = pretok_new(pre.data, pre.len, err);
    return vocab->pretok == NULL ? -1 : 0;
}

/* Which of the merge's three tokens there is not: the failure, in words. */
static int unknown_token(uint64_t index, const char *text, size_t len, struct err *err)
{
    size_t shown = utf8_cut_len(text, len < NAME_SHOWN_BYTES ? len : NAME_SHOWN_BYTES);

    return err_set(err, ERR_INVALID_MODEL, "%s: merge %llu names '%.*s', which is no token",
                   KEY_MERGES, (unsigned long long)index, (int)shown, text);
}

/* "LEFT RIGHT". A merge can only make ordinary tokens: else a text could spell a control token. */
static int read_merge(const struct vocab *vocab, struct gguf_string text, uint64_t index,
                      struct bpe_merge *out, struct err *err)
{
    char joined[TOKEN_TEXT_MAX_BYTES];
    const char *space = text.len > 1 ? memchr(text.data + 1, ' ', text.len - 1) : NULL;
    size_t left_len = 0;
    size_t right_len = 0;

    if (space == NULL)
        return err_set(err, ERR_INVALID_MODEL, "%s: merge %llu is not two texts", KEY_MERGES,
                       (unsigned long long)index);
    left_len = (size_t)(space - text.data);
    right_len = text.len - left_len - 1;
    if (left_len + right_len > sizeof(joined))
        return err_set(err, ERR_INVALID_MODEL, "%s: merge %llu is longer than a token can be",
                       KEY_MERGES, (unsigned long long)index);
    memcpy(joined, text.data, left_len);
    memcpy(joined + left_len, space + 1, right_len);
    out->left = vocab_find(vocab, text.data, left_len);
    out->right = vocab_find(vocab, space + 1, right_len);
    out->result = vocab_find(vocab, joined, left_len + right_len);
    if (out->left == VOCAB_NONE)
        return unknown_token(index, text.data, left_len, err);
    if (out->right == VOCAB_NONE)
        return unknown_token(index, space + 1, right_len, err);
    if (out->result == VOCAB_NONE)
        return unknown_token(index, joined, left_len + right_len, err);
    if (vocab->types[out->result] != TOKEN_NORMAL)
        return err_set(err, ERR_INVALID_MODEL, "%s: merge %llu makes token %u, which is special",
                       KEY_MERGES, (unsigned long long)index, out->result);
    return 0;
}

/* The token of each byte. Some vocabularies lack bytes that their training text did not have. */
static void find_byte_tokens(const struct vocab *vocab, uint32_t *out_tokens)
{
    for (int byte = 0; byte < 256; byte++) {
        char text[BYTE_TEXT_MAX_BYTES];
        size_t len = byte_text_encode((uint8_t)byte, text);
        uint32_t token = vocab_find(vocab, text, len);

        if (token != VOCAB_NONE && vocab->types[token] != TOKEN_NORMAL)
            token = VOCAB_NONE;
        out_tokens[byte] = token;
    }
}

int vocab_load_merges(struct vocab *vocab, const struct gguf *gguf, bool *is_merged,
                      struct err *err)
{
    AUTO_FREE struct bpe_merge *merges = NULL;
    uint32_t byte_tokens[256];
    uint64_t count = 0;

    if (gguf_array_len(gguf, KEY_MERGES, GGUF_STRING, &count, err) != 0)
        return -1;
    if (count > BPE_MERGE_MAX_COUNT)
        return err_set(err, ERR_INVALID_MODEL, "%s: %llu merges are more than the limit of %d",
                       KEY_MERGES, (unsigned long long)count, BPE_MERGE_MAX_COUNT);
    merges = calloc(count + 1, sizeof(*merges)); /* never 0 elements */
    if (merges == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for %llu merges", (unsigned long long)count);
    for (uint64_t i = 0; i < count; i++) {
        if (read_merge(vocab, gguf_array_string(gguf, KEY_MERGES, i), i, &merges[i], err) != 0)
            return -1;
        is_merged[merges[i].result] = true;
    }
    find_byte_tokens(vocab, byte_tokens);
    vocab->bpe = bpe_new(byte_tokens, merges, count, err);
    return vocab->bpe == NULL ? -1 : 0;
}
