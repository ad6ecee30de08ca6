/* Small vocabularies for tests: the 256 bytes, then whatever tokens and merges a test names,
 * written as a model file and read back by the code under test. */
#ifndef RBEE_TESTS_VOCAB_FIXTURE_H
#define RBEE_TESTS_VOCAB_FIXTURE_H

#include "hip/text/byte_text.h"
#include "hip/text/vocab.h"
#include "hip/text/vocab_fields.h"
#include "tests/tiny_model.h"

enum { FIXTURE_MAX_BYTES = 64 << 20, FIXTURE_LIST_MAX = 32, FIXTURE_BYTES = 256 };

/* Tables of tokens leave out what is 0, a score above all. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

struct fixture_token {
    const char *text; /* "^" stands for the space of token texts */
    enum token_type type;
    float score; /* of the kind "llama" */
};

/* What is left 0 is left out of the file, or has the usual value. */
struct fixture {
    const char *model; /* "gpt2", which writes bytes as characters; "llama" writes <0x41> */
    const char *pre;   /* "gpt-2"; "" for none */
    const char *architecture;
    const char *chat_template;
    struct fixture_token tokens[FIXTURE_LIST_MAX];
    const char *merges[FIXTURE_LIST_MAX];
    bool (*lacks_byte)(int byte); /* bytes without a token have "\1", which is no text of a byte */
    const char *bos;              /* by text */
    const char *eos;
    bool adds_bos;
    bool adds_space;
    bool adds_no_space;
    bool has_no_scores;
    bool has_no_types;
    bool has_no_merges;
    uint32_t extra_types;  /* entries too many */
    uint32_t eos_too_high; /* how far behind the last token */
};

static inline bool fixture_is_spm(const struct fixture *fixture)
{
    return fixture->model != NULL && strcmp(fixture->model, "llama") == 0;
}

static inline void fixture_text(struct buf *out, const char *text, const char *space)
{
    struct buf spelled;

    buf_init(&spelled, FIXTURE_MAX_BYTES);
    for (; *text != '\0'; text++)
        writer_check(*text == '^' ? buf_add_string(&spelled, space)
                                  : buf_add_byte(&spelled, *text));
    writer_text(out, spelled.data, spelled.len);
    buf_release(&spelled);
}

static inline uint32_t fixture_token_count(const struct fixture *fixture)
{
    uint32_t count = 0;

    while (count < FIXTURE_LIST_MAX && fixture->tokens[count].text != NULL)
        count++;
    return count;
}

/* Id of the token with this text, one of fixture->tokens. */
static inline uint32_t fixture_id(const struct fixture *fixture, const char *text)
{
    for (uint32_t i = 0; i < fixture_token_count(fixture); i++) {
        if (strcmp(fixture->tokens[i].text, text) == 0)
            return FIXTURE_BYTES + i;
    }
    abort();
}

/* The text of BYTE's token, 32 bytes of room; returns its length. */
static inline size_t fixture_byte_text(const struct fixture *fixture, int byte, char *out)
{
    if (fixture->lacks_byte != NULL && fixture->lacks_byte(byte))
        return (size_t)snprintf(out, 32, "<no byte %d>", byte);
    if (fixture_is_spm(fixture))
        return (size_t)snprintf(out, 32, "<0x%02X>", (unsigned)byte);
    return byte_text_encode((uint8_t)byte, out);
}

static inline enum token_type fixture_byte_type(const struct fixture *fixture, int byte)
{
    bool is_byte =
        fixture_is_spm(fixture) && (fixture->lacks_byte == NULL || !fixture->lacks_byte(byte));

    return is_byte ? TOKEN_BYTE : TOKEN_NORMAL;
}

static inline void fixture_add_types(const struct fixture *fixture, struct gguf_writer *writer)
{
    uint32_t count = fixture_token_count(fixture);

    writer_add_array(writer, "tokenizer.ggml.token_type", GGUF_I32,
                     FIXTURE_BYTES + count + fixture->extra_types);
    for (int byte = 0; byte < FIXTURE_BYTES; byte++)
        writer_u32(&writer->entries, fixture_byte_type(fixture, byte));
    for (uint32_t i = 0; i < count; i++)
        writer_u32(&writer->entries, fixture->tokens[i].type);
    for (uint32_t i = 0; i < fixture->extra_types; i++)
        writer_u32(&writer->entries, TOKEN_NORMAL);
}

static inline void fixture_add_scores(const struct fixture *fixture, struct gguf_writer *writer)
{
    uint32_t count = fixture_token_count(fixture);

    writer_add_array(writer, "tokenizer.ggml.scores", GGUF_F32, FIXTURE_BYTES + count);
    for (uint32_t i = 0; i < FIXTURE_BYTES + count; i++) {
        float score = i < FIXTURE_BYTES ? 0 : fixture->tokens[i - FIXTURE_BYTES].score;
        uint32_t bits = 0;

        memcpy(&bits, &score, sizeof(bits));
        writer_u32(&writer->entries, bits);
    }
}

static inline void fixture_add_tokens(const struct fixture *fixture, struct gguf_writer *writer)
{
    const char *space = fixture_is_spm(fixture) ? SPM_SPACE : "\xc4\xa0";
    uint32_t count = fixture_token_count(fixture);

    writer_add_array(writer, "tokenizer.ggml.tokens", GGUF_STRING, FIXTURE_BYTES + count);
    for (int byte = 0; byte < FIXTURE_BYTES; byte++) {
        char text[32];

        writer_text(&writer->entries, text, fixture_byte_text(fixture, byte, text));
    }
    for (uint32_t i = 0; i < count; i++)
        fixture_text(&writer->entries, fixture->tokens[i].text, space);
    if (!fixture->has_no_types)
        fixture_add_types(fixture, writer);
    if (fixture_is_spm(fixture) && !fixture->has_no_scores)
        fixture_add_scores(fixture, writer);
}

static inline void fixture_add_merges(const struct fixture *fixture, struct gguf_writer *writer)
{
    uint64_t count = 0;

    while (count < FIXTURE_LIST_MAX && fixture->merges[count] != NULL)
        count++;
    writer_add_array(writer, "tokenizer.ggml.merges", GGUF_STRING, count);
    for (uint64_t i = 0; i < count; i++)
        fixture_text(&writer->entries, fixture->merges[i], "\xc4\xa0");
}

/* Appends the file to OUT. */
static inline void fixture_write(const struct fixture *fixture, struct buf *out)
{
    struct gguf_writer writer;

    writer_init(&writer, FIXTURE_MAX_BYTES);
    writer_add_text(&writer, "tokenizer.ggml.model",
                    fixture->model != NULL ? fixture->model : "gpt2");
    if (fixture->architecture != NULL)
        writer_add_text(&writer, "general.architecture", fixture->architecture);
    if (fixture->pre == NULL || fixture->pre[0] != '\0')
        writer_add_text(&writer, "tokenizer.ggml.pre",
                        fixture->pre != NULL ? fixture->pre : "gpt-2");
    fixture_add_tokens(fixture, &writer);
    if (!fixture->has_no_merges && !fixture_is_spm(fixture))
        fixture_add_merges(fixture, &writer);
    if (fixture->bos != NULL)
        writer_add_u32(&writer, "tokenizer.ggml.bos_token_id", fixture_id(fixture, fixture->bos));
    if (fixture->eos != NULL)
        writer_add_u32(&writer, "tokenizer.ggml.eos_token_id", fixture_id(fixture, fixture->eos));
    if (fixture->eos_too_high > 0)
        writer_add_u32(&writer, "tokenizer.ggml.eos_token_id",
                       FIXTURE_BYTES + fixture_token_count(fixture) + fixture->eos_too_high - 1);
    if (fixture->adds_bos)
        writer_add_bool(&writer, "tokenizer.ggml.add_bos_token", true);
    if (fixture->adds_space || fixture->adds_no_space)
        writer_add_bool(&writer, "tokenizer.ggml.add_space_prefix", fixture->adds_space);
    if (fixture->chat_template != NULL)
        writer_add_text(&writer, "tokenizer.chat_template", fixture->chat_template);
    writer_finish(&writer, out);
    writer_release(&writer);
}

/* As vocab_new. */
static inline struct vocab *fixture_vocab(const struct fixture *fixture, struct err *err)
{
    AUTO_BUF struct buf file = BUF_INIT(FIXTURE_MAX_BYTES);
    struct gguf *gguf = NULL;
    struct vocab *vocab = NULL;

    fixture_write(fixture, &file);
    gguf = gguf_open_memory(file.data, file.len, err);
    if (gguf == NULL)
        abort();
    vocab = vocab_new(gguf, err);
    gguf_free(gguf);
    return vocab;
}

#endif
