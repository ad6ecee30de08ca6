/* SentencePiece's BPE kind, as llama.cpp and model files call it "llama": a text's characters are
 * joined two by two, the pair first whose token has the highest score. A space is U+2581 in the
 * texts of tokens. A character that is no token is its bytes, one token each.
 * Source: Kudo and Richardson 2018, https://arxiv.org/abs/1808.06226, and its bpe_model.cc. */
#ifndef RBEE_HIP_TEXT_SPM_H
#define RBEE_HIP_TEXT_SPM_H

#include "common/buf.h"
#include "common/err.h"
#include "hip/text/joining.h"
#include "hip/text/token_texts.h"
#include "hip/text/vocab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPM_SPACE "\xe2\x96\x81" /* U+2581 */

struct spm; /* read-only, may be shared by threads */

struct spm_source {
    const struct token_texts *texts; /* borrowed, outlives the spm */
    const float *scores;             /* [texts->count], no NaN */
    const bool *can_join;            /* [texts->count] may be made of what users write */
    uint32_t byte_tokens[256];       /* VOCAB_NONE: unknown_token stands for it */
    uint32_t unknown_token;          /* VOCAB_NONE: it is left out */
};

struct spm *spm_new(const struct spm_source *source, struct err *err); /* ERR_NO_MEMORY */
void spm_free(struct spm *spm);

/* Room for the text being encoded, kept from one to the next; storage of the caller. */
struct spm_work {
    struct joining joining;
    struct buf text; /* with U+2581 for spaces */
};
void spm_work_init(struct spm_work *work);
void spm_work_release(struct spm_work *work);

/* Appends the tokens of TEXT, any bytes, before which ADDS_SPACE puts a space. A long text is
 * encoded in parts, cut where a word begins: only there is no token that reaches over a cut. */
int spm_encode(const struct spm *spm, struct spm_work *work, const char *text, size_t len,
               bool adds_space, struct token_list *out, struct err *err);

#endif
