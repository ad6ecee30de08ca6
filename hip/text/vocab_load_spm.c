/* Owns the reading of what only vocabularies of the llama kind have: scores, bytes, the unknown
 * token. Must not know how they are used. */
#include "common/mem.h"
#include "hip/text/vocab_fields.h"
#include "hip/text/vocab_load.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char KEY_SCORES[] = "tokenizer.ggml.scores";

static int read_scores(const struct vocab *vocab, const struct gguf *gguf, float *scores,
                       struct err *err)
{
    uint32_t count = vocab->texts.count;
    uint64_t score_count = 0;

    if (gguf_array_len(gguf, KEY_SCORES, GGUF_F32, &score_count, err) != 0)
        return -1;
    if (score_count != count)
        return err_set(err, ERR_INVALID_MODEL, "%s has %llu entries for %u tokens", KEY_SCORES,
                       (unsigned long long)score_count, count);
    memcpy(scores, gguf_array_data(gguf, KEY_SCORES), count * sizeof(*scores));
    for (uint32_t i = 0; i < count; i++) {
        if (isnan(scores[i]))
            return err_set(err, ERR_INVALID_MODEL, "%s: the score of token %u is no number",
                           KEY_SCORES, i);
    }
    return 0;
}

/* The token of each byte: "<0x41>", or where a vocabulary has none, the byte's own text. */
static void find_byte_tokens(const struct vocab *vocab, uint32_t *out_tokens)
{
    for (int byte = 0; byte < 256; byte++) {
        char name[sizeof("<0x41>")];
        char text = (char)byte;

        (void)snprintf(name, sizeof(name), "<0x%02X>", (unsigned)byte); /* it fits */
        out_tokens[byte] = vocab_find(vocab, name, strlen(name));
        if (out_tokens[byte] == VOCAB_NONE)
            out_tokens[byte] = vocab_find(vocab, &text, 1);
        if (out_tokens[byte] != VOCAB_NONE && vocab_is_control(vocab, out_tokens[byte]))
            out_tokens[byte] = VOCAB_NONE;
    }
}

int vocab_load_scores(struct vocab *vocab, const struct gguf *gguf, struct err *err)
{
    uint32_t count = vocab->texts.count;
    AUTO_FREE float *scores = calloc(count, sizeof(*scores));
    AUTO_FREE bool *can_join = calloc(count, sizeof(*can_join));
    struct spm_source source = {.texts = &vocab->texts, .scores = scores, .can_join = can_join};

    if (scores == NULL || can_join == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the scores of %u tokens", count);
    if (read_scores(vocab, gguf, scores, err) != 0 ||
        vocab_read_id(vocab, gguf, "tokenizer.ggml.unknown_token_id", VOCAB_SPM_UNKNOWN,
                      &source.unknown_token, err) != 0)
        return -1;
    /* A number that only our guess names has to look like one. */
    if (source.unknown_token != VOCAB_NONE && !vocab_is_control(vocab, source.unknown_token))
        source.unknown_token = VOCAB_NONE;
    /* Else a text could spell a control token. A byte's token is for bytes that are no text. */
    for (uint32_t i = 0; i < count; i++)
        can_join[i] = !vocab_is_control(vocab, i) && vocab->types[i] != TOKEN_BYTE;
    find_byte_tokens(vocab, source.byte_tokens);
    vocab->spm = spm_new(&source, err);
    return vocab->spm == NULL ? -1 : 0;
}
