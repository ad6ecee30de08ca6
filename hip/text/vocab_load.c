/* Owns the reading of tokenizer.ggml.* into a vocabulary. The arrays come from a stranger: every
 * number is checked here, once, and what passes is trusted by everything behind. Must not know how
 * the vocabulary is used. Keys: gguf.md, "Tokenizer". */
#include "common/mem.h"
#include "common/utf8.h"
#include "hip/text/byte_text.h"
#include "hip/text/vocab_fields.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char KEY_TOKENS[] = "tokenizer.ggml.tokens";
static const char KEY_TYPES[] = "tokenizer.ggml.token_type";
static const char KEY_MERGES[] = "tokenizer.ggml.merges";

enum { NAME_SHOWN_BYTES = 64 };

static int read_optional_bool(const struct gguf *gguf, const char *key, bool *value,
                              struct err *err)
{
    return gguf_has(gguf, key) ? gguf_read_bool(gguf, key, value, err) : 0;
}

static int check_kind(const struct gguf *gguf, struct err *err)
{
    struct gguf_string model;
    bool adds_space = false;

    if (gguf_read_string(gguf, "tokenizer.ggml.model", &model, err) != 0)
        return -1;
    if (model.len != strlen("gpt2") || memcmp(model.data, "gpt2", model.len) != 0)
        return err_set(err, ERR_INVALID_MODEL, "tokenizer '%.*s' is not supported",
                       (int)(model.len < NAME_SHOWN_BYTES ? model.len : NAME_SHOWN_BYTES),
                       model.data);
    if (read_optional_bool(gguf, "tokenizer.ggml.add_space_prefix", &adds_space, err) != 0)
        return -1;
    if (adds_space)
        return err_set(err, ERR_INVALID_MODEL,
                       "tokenizer 'gpt2' with add_space_prefix is not supported");
    return 0;
}

static int read_texts(struct vocab *vocab, const struct gguf *gguf, struct err *err)
{
    uint64_t count = 0;
    uint64_t total_bytes = 0;

    if (gguf_array_len(gguf, KEY_TOKENS, GGUF_STRING, &count, err) != 0)
        return -1;
    if (count == 0)
        return err_set(err, ERR_INVALID_MODEL, "%s is empty", KEY_TOKENS);
    for (uint64_t i = 0; i < count && count <= TOKEN_TEXTS_MAX_COUNT; i++)
        total_bytes += gguf_array_string(gguf, KEY_TOKENS, i).len;
    if (token_texts_init(&vocab->texts, count, total_bytes, err) != 0)
        return err_wrap(err, "%s", KEY_TOKENS);
    for (uint64_t i = 0; i < count; i++) {
        struct gguf_string text = gguf_array_string(gguf, KEY_TOKENS, i);

        if (token_texts_add(&vocab->texts, text.data, text.len, err) != 0)
            return err_wrap(err, "%s", KEY_TOKENS);
    }
    return 0;
}

static int allocate(struct vocab *vocab, struct err *err)
{
    uint32_t count = vocab->texts.count;

    vocab->types = malloc(count);
    vocab->is_end = calloc(count, sizeof(*vocab->is_end));
    vocab->pieces = malloc(vocab->texts.bytes_capacity);
    vocab->piece_offsets = calloc((size_t)count + 1, sizeof(*vocab->piece_offsets));
    if (vocab->types == NULL || vocab->is_end == NULL || vocab->pieces == NULL ||
        vocab->piece_offsets == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a vocabulary of %u tokens", count);
    return 0;
}

/* Without the array all tokens are ordinary. */
static int read_types(struct vocab *vocab, const struct gguf *gguf, struct err *err)
{
    const unsigned char *data = NULL;
    uint64_t count = 0;

    memset(vocab->types, TOKEN_NORMAL, vocab->texts.count);
    if (!gguf_has(gguf, KEY_TYPES))
        return 0;
    if (gguf_array_len(gguf, KEY_TYPES, GGUF_I32, &count, err) != 0)
        return -1;
    if (count != vocab->texts.count)
        return err_set(err, ERR_INVALID_MODEL, "%s has %llu entries for %u tokens", KEY_TYPES,
                       (unsigned long long)count, vocab->texts.count);
    data = gguf_array_data(gguf, KEY_TYPES);
    for (uint32_t i = 0; i < count; i++) {
        int32_t type = 0;

        memcpy(&type, data + i * sizeof(type), sizeof(type));
        if (type < TOKEN_NORMAL || type > TOKEN_BYTE)
            return err_set(err, ERR_INVALID_MODEL, "%s: token %u has the unknown type %d",
                           KEY_TYPES, i, type);
        vocab->types[i] = (uint8_t)type;
    }
    return 0;
}

/* "<0xE2>" */
static bool read_byte_token(const char *text, size_t len, char *out_byte)
{
    static const char DIGITS[] = "0123456789ABCDEF";
    const char *high = NULL;
    const char *low = NULL;

    if (len != strlen("<0xE2>") || memcmp(text, "<0x", 3) != 0 || text[5] != '>')
        return false;
    high = memchr(DIGITS, text[3], strlen(DIGITS));
    low = memchr(DIGITS, text[4], strlen(DIGITS));
    if (high == NULL || low == NULL)
        return false;
    *out_byte = (char)((high - DIGITS) << 4 | (low - DIGITS));
    return true;
}

/* The bytes token I stands for, to OUT, which has room for its text. */
static int make_piece(const struct vocab *vocab, uint32_t i, char *out, size_t *out_len,
                      struct err *err)
{
    size_t len = 0;
    const char *text = token_texts_at(&vocab->texts, i, &len);

    switch ((enum token_type)vocab->types[i]) {
    case TOKEN_BYTE:
        if (!read_byte_token(text, len, out))
            return err_set(err, ERR_INVALID_MODEL, "token %u is a byte but not written <0xNN>", i);
        *out_len = 1;
        return 0;
    case TOKEN_NORMAL:
    case TOKEN_UNUSED:
        if (byte_text_decode(text, len, out, out_len))
            return 0;
        break; /* not written in bytes: it stands for its text */
    case TOKEN_UNKNOWN:
    case TOKEN_CONTROL:
    case TOKEN_USER_DEFINED:
        break;
    }
    memcpy(out, text, len);
    *out_len = len;
    return 0;
}

static int make_pieces(struct vocab *vocab, struct err *err)
{
    uint32_t end = 0;

    for (uint32_t i = 0; i < vocab->texts.count; i++) {
        size_t len = 0;

        if (make_piece(vocab, i, vocab->pieces + end, &len, err) != 0)
            return -1;
        end += (uint32_t)len;
        vocab->piece_offsets[i + 1] = end;
    }
    return 0;
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

static int read_merges(struct vocab *vocab, const struct gguf *gguf, bool *is_merged,
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

/* The id under KEY, VOCAB_NONE when the file has none. */
static int read_id(const struct vocab *vocab, const struct gguf *gguf, const char *key,
                   uint32_t *out, struct err *err)
{
    uint64_t id = 0;

    *out = VOCAB_NONE;
    if (!gguf_has(gguf, key))
        return 0;
    if (gguf_read_u64(gguf, key, &id, err) != 0)
        return -1;
    if (id >= vocab->texts.count)
        return err_set(err, ERR_INVALID_MODEL, "%s is %llu, but there are %u tokens", key,
                       (unsigned long long)id, vocab->texts.count);
    *out = (uint32_t)id;
    return 0;
}

static int read_pretok_and_bos(struct vocab *vocab, const struct gguf *gguf, struct err *err)
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
    if (vocab->pretok == NULL)
        return -1;
    vocab->adds_bos = pretok_adds_bos(vocab->pretok);
    if (read_optional_bool(gguf, "tokenizer.ggml.add_bos_token", &vocab->adds_bos, err) != 0 ||
        read_id(vocab, gguf, "tokenizer.ggml.bos_token_id", &vocab->bos, err) != 0)
        return -1;
    if (vocab->adds_bos && vocab->bos == VOCAB_NONE)
        return err_set(err, ERR_INVALID_MODEL,
                       "a BOS token is to be added, but tokenizer.ggml.bos_token_id is missing");
    return 0;
}

/* Tokens that end a text: those the file names by id, and those known by their text, because files
 * often name only one of several. A text that merges can make (Qwen's "</s>") is ordinary text. */
static int find_ends(struct vocab *vocab, const struct gguf *gguf, const bool *is_merged,
                     struct err *err)
{
    static const char *const ID_KEYS[] = {
        "tokenizer.ggml.eos_token_id",     "tokenizer.ggml.eot_token_id",
        "tokenizer.ggml.eom_token_id",     "tokenizer.ggml.fim_pad_token_id",
        "tokenizer.ggml.fim_rep_token_id", "tokenizer.ggml.fim_sep_token_id",
    };
    static const char *const NAMES[] = {
        "<|im_end|>",
        "<|eot_id|>",
        "<|end|>",
        "<|return|>",
        "<|call|>",
        "<|eom_id|>",
        "<|end_of_text|>",
        "<|endoftext|>",
        "</s>",
        "<EOT>",
        "<eos>",
        "<end_of_turn>",
        "<｜end▁of▁sentence｜>",
    };

    for (size_t i = 0; i < ARRAY_COUNT(ID_KEYS); i++) {
        uint32_t token = VOCAB_NONE;

        if (read_id(vocab, gguf, ID_KEYS[i], &token, err) != 0)
            return -1;
        if (token != VOCAB_NONE)
            vocab->is_end[token] = true;
    }
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        uint32_t token = vocab_find(vocab, NAMES[i], strlen(NAMES[i]));

        if (token == VOCAB_NONE || is_merged[token])
            continue;
        vocab->is_end[token] = true;
        vocab->types[token] = TOKEN_CONTROL; /* whatever the converter made of it */
    }
    return 0;
}

/* What chat templates write around a message is control, whatever the converter made of it: as
 * USER_DEFINED it would be found in what users write, too. Ends of turns are among find_ends'
 * names. */
static void find_turn_marks(struct vocab *vocab, const bool *is_merged)
{
    static const char START[] = "<|im_start|>";
    uint32_t token = vocab_find(vocab, START, strlen(START));

    if (token != VOCAB_NONE && !is_merged[token])
        vocab->types[token] = TOKEN_CONTROL;
}

static int collect_markup(struct vocab *vocab, struct err *err)
{
    uint32_t count = vocab->texts.count;
    AUTO_FREE bool *is_member = calloc(count, sizeof(*is_member));

    if (is_member == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a vocabulary of %u tokens", count);
    for (uint32_t i = 0; i < count; i++)
        is_member[i] = vocab->types[i] == TOKEN_USER_DEFINED;
    if (markup_init(&vocab->markup[VOCAB_PLAIN], &vocab->texts, is_member, err) != 0)
        return -1;
    for (uint32_t i = 0; i < count; i++)
        is_member[i] |= vocab_is_control(vocab, i);
    return markup_init(&vocab->markup[VOCAB_MARKUP], &vocab->texts, is_member, err);
}

static int load(struct vocab *vocab, const struct gguf *gguf, struct err *err)
{
    AUTO_FREE bool *is_merged = NULL; /* [texts.count] */

    if (check_kind(gguf, err) != 0 || read_texts(vocab, gguf, err) != 0 ||
        allocate(vocab, err) != 0)
        return -1;
    is_merged = calloc(vocab->texts.count, sizeof(*is_merged));
    if (is_merged == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a vocabulary of %u tokens",
                       vocab->texts.count);
    if (read_types(vocab, gguf, err) != 0 || read_pretok_and_bos(vocab, gguf, err) != 0 ||
        read_merges(vocab, gguf, is_merged, err) != 0 ||
        find_ends(vocab, gguf, is_merged, err) != 0)
        return -1;
    find_turn_marks(vocab, is_merged);
    if (make_pieces(vocab, err) != 0)
        return -1;
    return collect_markup(vocab, err);
}

struct vocab *vocab_new(const struct gguf *gguf, struct err *err)
{
    struct vocab *vocab = xcalloc(1, sizeof(*vocab));

    if (load(vocab, gguf, err) != 0) {
        vocab_free(vocab);
        return NULL;
    }
    return vocab;
}
