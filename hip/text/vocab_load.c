/* Owns the reading of tokenizer.ggml.* into a vocabulary; what is of one kind alone is read by
 * vocab_load_bpe.c and vocab_load_spm.c. The arrays come from a stranger: every number is checked
 * here, once, and what passes is trusted by everything behind. Must not know how the vocabulary is
 * used. Keys: gguf.md, "Tokenizer". remove_extra_whitespaces is not read: models of these two kinds
 * have seen all white space. */
#include "hip/text/vocab_load.h"
#include "common/mem.h"
#include "hip/text/byte_text.h"
#include "hip/text/vocab_fields.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char KEY_TOKENS[] = "tokenizer.ggml.tokens";
static const char KEY_TYPES[] = "tokenizer.ggml.token_type";

enum { NAME_SHOWN_BYTES = 64 };

int vocab_read_optional_bool(const struct gguf *gguf, const char *key, bool *value, struct err *err)
{
    return gguf_has(gguf, key) ? gguf_read_bool(gguf, key, value, err) : 0;
}

int vocab_read_id(const struct vocab *vocab, const struct gguf *gguf, const char *key,
                  uint32_t fallback, uint32_t *out, struct err *err)
{
    uint64_t id = 0;

    *out = fallback < vocab->texts.count ? fallback : VOCAB_NONE;
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

static int read_kind(struct vocab *vocab, const struct gguf *gguf, struct err *err)
{
    static const char *const NAMES[] = {[VOCAB_BPE] = "gpt2", [VOCAB_SPM] = "llama"};
    struct gguf_string model;

    if (gguf_read_string(gguf, "tokenizer.ggml.model", &model, err) != 0)
        return -1;
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        if (model.len == strlen(NAMES[i]) && memcmp(model.data, NAMES[i], model.len) == 0) {
            vocab->kind = (enum vocab_kind)i;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID_MODEL, "tokenizer '%.*s' is not supported",
                   (int)(model.len < NAME_SHOWN_BYTES ? model.len : NAME_SHOWN_BYTES), model.data);
}

/* SentencePiece models that do not say otherwise add a space, GPT-2's never do. */
static int read_space(struct vocab *vocab, const struct gguf *gguf, struct err *err)
{
    vocab->adds_space = vocab->kind == VOCAB_SPM;
    if (vocab_read_optional_bool(gguf, "tokenizer.ggml.add_space_prefix", &vocab->adds_space,
                                 err) != 0)
        return -1;
    if (vocab->kind == VOCAB_BPE && vocab->adds_space)
        return err_set(err, ERR_INVALID_MODEL,
                       "tokenizer 'gpt2' with add_space_prefix is not supported");
    return 0;
}

/* ADDS_BOS is what the kind does where the file does not say; so is the id 1 of SentencePiece. */
static int read_bos(struct vocab *vocab, const struct gguf *gguf, bool adds_bos, struct err *err)
{
    uint32_t fallback = vocab->kind == VOCAB_SPM ? VOCAB_SPM_BOS : VOCAB_NONE;

    vocab->adds_bos = adds_bos;
    if (vocab_read_optional_bool(gguf, "tokenizer.ggml.add_bos_token", &vocab->adds_bos, err) !=
            0 ||
        vocab_read_id(vocab, gguf, "tokenizer.ggml.bos_token_id", fallback, &vocab->bos, err) != 0)
        return -1;
    if (vocab->adds_bos && vocab->bos == VOCAB_NONE)
        return err_set(err, ERR_INVALID_MODEL,
                       "a BOS token is to be added, but tokenizer.ggml.bos_token_id is missing");
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

/* TEXT with spaces for U+2581, to OUT, which has room for LEN; returns their number. */
static size_t unescape_spaces(const char *text, size_t len, char *out)
{
    static const size_t SPACE_LEN = sizeof(SPM_SPACE) - 1;
    size_t count = 0;

    for (size_t at = 0; at < len;) {
        bool is_space = len - at >= SPACE_LEN && memcmp(text + at, SPM_SPACE, SPACE_LEN) == 0;

        out[count++] = is_space ? ' ' : text[at];
        at += is_space ? SPACE_LEN : 1;
    }
    return count;
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
        if (vocab->kind == VOCAB_SPM) {
            *out_len = unescape_spaces(text, len, out);
            return 0;
        }
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

static int load_bpe(struct vocab *vocab, const struct gguf *gguf, struct err *err)
{
    AUTO_FREE bool *is_merged = calloc(vocab->texts.count, sizeof(*is_merged));

    if (is_merged == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a vocabulary of %u tokens",
                       vocab->texts.count);
    if (vocab_load_pretok(vocab, gguf, err) != 0 ||
        read_bos(vocab, gguf, pretok_adds_bos(vocab->pretok), err) != 0 ||
        vocab_load_merges(vocab, gguf, is_merged, err) != 0)
        return -1;
    return vocab_load_special(vocab, gguf, is_merged, err);
}

/* Scores come last: no text is joined to what has been found to be special. */
static int load_spm(struct vocab *vocab, const struct gguf *gguf, struct err *err)
{
    if (read_bos(vocab, gguf, true, err) != 0 || vocab_load_special(vocab, gguf, NULL, err) != 0)
        return -1;
    return vocab_load_scores(vocab, gguf, err);
}

static int load(struct vocab *vocab, const struct gguf *gguf, struct err *err)
{
    if (read_kind(vocab, gguf, err) != 0 || read_space(vocab, gguf, err) != 0 ||
        read_texts(vocab, gguf, err) != 0 || allocate(vocab, err) != 0 ||
        read_types(vocab, gguf, err) != 0)
        return -1;
    if ((vocab->kind == VOCAB_BPE ? load_bpe : load_spm)(vocab, gguf, err) != 0 ||
        make_pieces(vocab, err) != 0)
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
