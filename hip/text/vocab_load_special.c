/* Owns the knowledge of special tokens that files leave out: which ones end a text, which are
 * control whatever the file calls them, and behind which white space is no text. Must not know how
 * they are used. */
#include "common/mem.h"
#include "hip/text/vocab_fields.h"
#include "hip/text/vocab_load.h"

#include <stdlib.h>
#include <string.h>

/* A text that merges can make (Qwen's "</s>") is ordinary text. */
static uint32_t find_special(const struct vocab *vocab, const char *text, const bool *is_merged)
{
    uint32_t token = vocab_find(vocab, text, strlen(text));

    return token != VOCAB_NONE && is_merged != NULL && is_merged[token] ? VOCAB_NONE : token;
}

/* Tokens that end a text by their names, because files often give the id of only one of several. */
static const struct end_name {
    const char *text;
    /* Where the vocabulary has this token, too, the other one is something else: the end of one
     * part of a turn for gpt-oss, a tag of HTML for every Gemma. */
    const char *unless;
} END_NAMES[] = {
    {"<|im_end|>", NULL},
    {"<|eot_id|>", NULL},
    {"<|end|>", "<|call|>"},
    {"<|return|>", NULL},
    {"<|call|>", NULL},
    {"<|eom_id|>", NULL},
    {"<|end_of_text|>", NULL},
    {"<|endoftext|>", NULL},
    {"</s>", "<eos>"},
    {"<EOT>", NULL},
    {"_<EOT>", NULL},
    {"[EOT]", NULL},
    {"[EOS]", NULL},
    {"<eos>", NULL},
    {"<end_of_turn>", NULL},
    {"<turn|>", NULL},
    {"<|tool_response>", NULL},
    {"<end_of_utterance>", NULL},
    {"<｜end▁of▁sentence｜>", NULL},
};

static void find_named_ends(struct vocab *vocab, const bool *is_merged)
{
    for (size_t i = 0; i < ARRAY_COUNT(END_NAMES); i++) {
        const struct end_name *name = &END_NAMES[i];
        uint32_t token = find_special(vocab, name->text, is_merged);

        if (token == VOCAB_NONE ||
            (name->unless != NULL && find_special(vocab, name->unless, is_merged) != VOCAB_NONE))
            continue;
        vocab->is_end[token] = true;
        vocab->types[token] = TOKEN_CONTROL; /* whatever the converter made of it */
    }
}

/* A token that the file itself calls an end or a beginning is not one that users may write. */
static void keep_from_users(struct vocab *vocab, uint32_t token)
{
    if (token != VOCAB_NONE && vocab->types[token] == TOKEN_USER_DEFINED)
        vocab->types[token] = TOKEN_CONTROL;
}

static int find_ends(struct vocab *vocab, const struct gguf *gguf, const bool *is_merged,
                     struct err *err)
{
    static const char *const ID_KEYS[] = {
        "tokenizer.ggml.eos_token_id",     "tokenizer.ggml.eot_token_id",
        "tokenizer.ggml.eom_token_id",     "tokenizer.ggml.fim_pad_token_id",
        "tokenizer.ggml.fim_rep_token_id", "tokenizer.ggml.fim_sep_token_id",
    };

    for (size_t i = 0; i < ARRAY_COUNT(ID_KEYS); i++) {
        bool is_eos_of_spm = i == 0 && vocab->kind == VOCAB_SPM;
        uint32_t token = VOCAB_NONE;

        if (vocab_read_id(vocab, gguf, ID_KEYS[i], is_eos_of_spm ? VOCAB_SPM_EOS : VOCAB_NONE,
                          &token, err) != 0)
            return -1;
        if (token != VOCAB_NONE)
            vocab->is_end[token] = true;
        keep_from_users(vocab, token);
    }
    keep_from_users(vocab, vocab->bos);
    find_named_ends(vocab, is_merged);
    return 0;
}

/* What chat templates write around a message is control, whatever the converter made of it: as
 * USER_DEFINED it would be found in what users write, too. Ends of turns are among END_NAMES. */
static void find_turn_marks(struct vocab *vocab, const bool *is_merged)
{
    static const char *const MARKS[] = {
        "<|im_start|>",      "<|im_sep|>",      "<|start_header_id|>",
        "<|end_header_id|>", "<start_of_turn>", "[INST]",
        "[/INST]",           "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]",
        "<|system|>",        "<|user|>",        "<|assistant|>",
        "<|end|>",
    };

    for (size_t i = 0; i < ARRAY_COUNT(MARKS); i++) {
        uint32_t token = find_special(vocab, MARKS[i], is_merged);

        if (token != VOCAB_NONE)
            vocab->types[token] = TOKEN_CONTROL;
    }
}

/* Phi-3 was trained with its special tokens taking the white space behind them; files have no key
 * for that (added_tokens in the tokenizer.json of microsoft/Phi-3-mini-4k-instruct). Phi-4, of the
 * same architecture, is BPE and does not. */
static int find_stripping(struct vocab *vocab, const struct gguf *gguf, struct err *err)
{
    static const char *const KEEPING[] = {"<unk>", "<s>", "<|endoftext|>"};
    static const char PHI3[] = "phi3";
    uint32_t count = vocab->texts.count;
    struct gguf_string architecture;

    if (vocab->kind != VOCAB_SPM || !gguf_has(gguf, "general.architecture"))
        return 0;
    if (gguf_read_string(gguf, "general.architecture", &architecture, err) != 0)
        return -1;
    if (architecture.len != strlen(PHI3) || memcmp(architecture.data, PHI3, strlen(PHI3)) != 0)
        return 0;
    vocab->strips_right = calloc(count, sizeof(*vocab->strips_right));
    if (vocab->strips_right == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a vocabulary of %u tokens", count);
    for (uint32_t i = 0; i < count; i++)
        vocab->strips_right[i] =
            vocab_is_control(vocab, i) || vocab->types[i] == TOKEN_USER_DEFINED;
    for (size_t i = 0; i < ARRAY_COUNT(KEEPING); i++) {
        uint32_t token = vocab_find(vocab, KEEPING[i], strlen(KEEPING[i]));

        if (token != VOCAB_NONE)
            vocab->strips_right[token] = false;
    }
    return 0;
}

int vocab_load_special(struct vocab *vocab, const struct gguf *gguf, const bool *is_merged,
                       struct err *err)
{
    if (find_ends(vocab, gguf, is_merged, err) != 0)
        return -1;
    find_turn_marks(vocab, is_merged);
    return find_stripping(vocab, gguf, err);
}
