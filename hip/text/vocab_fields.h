/* What a vocabulary is made of; for vocab_load*.c, which fill it, and vocab.c and tokenize.c, which
 * use it. */
#ifndef RBEE_HIP_TEXT_VOCAB_FIELDS_H
#define RBEE_HIP_TEXT_VOCAB_FIELDS_H

#include "hip/text/bpe.h"
#include "hip/text/markup.h"
#include "hip/text/pretok.h"
#include "hip/text/spm.h"
#include "hip/text/token_texts.h"
#include "hip/text/vocab.h"

/* tokenizer.ggml.token_type (gguf.md, "Tokenizer"). */
enum token_type {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,
    TOKEN_CONTROL = 3,
    TOKEN_USER_DEFINED = 4,
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6,
};

/* tokenizer.ggml.model */
enum vocab_kind {
    VOCAB_BPE, /* "gpt2": words cut by patterns, merges; texts of tokens are written in bytes */
    VOCAB_SPM, /* "llama": scores; texts of tokens are text */
};

struct vocab {
    enum vocab_kind kind;
    struct token_texts texts; /* as the file writes them */
    uint8_t *types;           /* [texts.count] enum token_type */
    bool *is_end;             /* [texts.count] the EOG set */
    char *pieces;             /* the bytes tokens stand for, one after another */
    uint32_t *piece_offsets;  /* [texts.count + 1] */
    uint32_t bos;             /* VOCAB_NONE */
    bool adds_bos;
    bool adds_space;       /* where a text begins, and behind a special token */
    bool *strips_right;    /* [texts.count] white space behind it is no text; NULL: nowhere */
    struct pretok *pretok; /* of VOCAB_BPE */
    struct bpe *bpe;
    struct spm *spm;         /* of VOCAB_SPM */
    struct markup markup[2]; /* by enum vocab_markup: what is found in a text of that kind */
};

#endif
