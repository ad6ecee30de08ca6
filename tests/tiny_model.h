/* A small llama with random weights and a real byte-level BPE vocabulary, built in memory: what
 * tests run where a trained model would only be slow. The same options give the same bytes. */
#ifndef RBEE_TESTS_TINY_MODEL_H
#define RBEE_TESTS_TINY_MODEL_H

#include "common/utf8.h"
#include "tests/gguf_writer.h"

#include <stdio.h>

struct tiny_model {
    const char *architecture;
    uint32_t embedding;
    uint32_t layers;
    uint32_t heads;
    uint32_t kv_heads;
    uint32_t head_dim;
    uint32_t rope_dims;
    uint32_t feed_forward;
    uint32_t context;
    uint32_t type;      /* of the layers' matrices */
    uint32_t head_type; /* of token_embd and output */
    uint64_t seed;
    const char *rope_type;   /* rope.scaling.type; NULL: not there, like the two below at 0 */
    float rope_factor;       /* rope.scaling.factor */
    float rope_scale_linear; /* its old name */
    bool is_not_causal;
    bool is_untied;      /* has output.weight */
    bool has_rope_freqs; /* has rope_freqs.weight */
    bool has_no_template;
    bool never_ends; /* the control tokens' logits are 0: greedy never takes them */
    bool nan_weights;
    bool lacks_tensor;   /* blk.0.attn_k.weight is not there */
    bool lacks_head_row; /* one token has no row in token_embd.weight */
    bool wrong_shape;    /* blk.0.ffn_down.weight is turned round */
};

static inline struct tiny_model tiny_model_default(void)
{
    return (struct tiny_model){
        .architecture = "llama",
        .embedding = 64,
        .layers = 2,
        .heads = 4,
        .kv_heads = 2,
        .head_dim = 16,
        .rope_dims = 16,
        .feed_forward = 128,
        .context = 512,
        .type = QUANT_Q8_0,
        .head_type = QUANT_Q8_0,
        .seed = 1,
    };
}

enum { TINY_CONTROL_COUNT = 3, TINY_BYTE_COUNT = 256 };

static const char *const TINY_CONTROLS[TINY_CONTROL_COUNT] = {"<|endoftext|>", "<|im_start|>",
                                                              "<|im_end|>"};

/* Pairs in the order of their ranks; "_" stands for the byte-level space. Each result is a token,
 * and no two are alike.
 */
static const char *const TINY_MERGES[][2] = {
    {"_", "t"},   {"h", "e"},     {"i", "n"},  {"r", "e"},  {"_", "a"},  {"o", "n"},
    {"e", "r"},   {"_t", "he"},   {"_", "s"},  {"a", "t"},  {"o", "r"},  {"e", "n"},
    {"_", "w"},   {"o", "u"},     {"_", "c"},  {"i", "s"},  {"_a", "n"}, {"_an", "d"},
    {"in", "g"},  {"_", "o"},     {"_o", "f"}, {"a", "l"},  {"_", "i"},  {"_i", "s"},
    {"_", "p"},   {"e", "d"},     {"_t", "o"}, {"_", "m"},  {"l", "l"},  {"e", "l"},
    {"_", "b"},   {"_", "f"},     {"u", "s"},  {"s", "t"},  {"_", "h"},  {"l", "o"},
    {"_h", "el"}, {"_hel", "lo"}, {"w", "or"}, {"l", "d"},  {"0", "0"},  {"1", "0"},
    {"_", "_"},   {"__", "__"},   {"s", "y"},  {"s", "er"}, {"_h", "e"}, {"wor", "ld"},
    {"u", "ser"},
};

static inline uint64_t tiny_next(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15u); /* splitmix64, public domain */

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Uniform in [-1, 1). */
static inline float tiny_uniform(uint64_t *seed)
{
    return (float)(int64_t)(tiny_next(seed) >> 40) / (float)(1 << 23) - 1.0f;
}

/* The character that stands for BYTE in byte-level BPE: printable Latin-1 is itself, the rest
 * follows from U+0100 on (OpenAI's GPT-2 encoder). */
static inline uint32_t tiny_byte_character(uint32_t byte)
{
    uint32_t shifted = 0;

    for (uint32_t b = 0; b <= byte; b++) {
        bool is_itself = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;

        if (b == byte)
            return is_itself ? b : 256 + shifted;
        if (!is_itself)
            shifted++;
    }
    return 0;
}

static inline void tiny_merge_text(const char *piece, struct buf *out)
{
    for (; *piece != '\0'; piece++)
        writer_check(*piece == '_' ? buf_add_string(out, "\xc4\xa0") : buf_add_byte(out, *piece));
}

static inline uint32_t tiny_vocab_count(void)
{
    return TINY_CONTROL_COUNT + TINY_BYTE_COUNT + ARRAY_COUNT(TINY_MERGES);
}

/* Rows of the embedding and of the head. */
static inline uint32_t tiny_row_count(const struct tiny_model *tiny)
{
    return tiny_vocab_count() - (tiny->lacks_head_row ? 1 : 0);
}

static inline void tiny_add_tokens(struct gguf_writer *writer)
{
    struct buf text;

    buf_init(&text, 64);
    writer_add_array(writer, "tokenizer.ggml.tokens", GGUF_STRING, tiny_vocab_count());
    for (size_t i = 0; i < TINY_CONTROL_COUNT; i++)
        writer_text(&writer->entries, TINY_CONTROLS[i], strlen(TINY_CONTROLS[i]));
    for (uint32_t byte = 0; byte < TINY_BYTE_COUNT; byte++) {
        char utf8[4];
        size_t len = utf8_encode(tiny_byte_character(byte), utf8);

        writer_text(&writer->entries, utf8, len);
    }
    for (size_t i = 0; i < ARRAY_COUNT(TINY_MERGES); i++) {
        buf_clear(&text);
        tiny_merge_text(TINY_MERGES[i][0], &text);
        tiny_merge_text(TINY_MERGES[i][1], &text);
        writer_text(&writer->entries, text.data, text.len);
    }
    buf_release(&text);
}

static inline void tiny_add_merges(struct gguf_writer *writer)
{
    struct buf text;

    buf_init(&text, 64);
    writer_add_array(writer, "tokenizer.ggml.merges", GGUF_STRING, ARRAY_COUNT(TINY_MERGES));
    for (size_t i = 0; i < ARRAY_COUNT(TINY_MERGES); i++) {
        buf_clear(&text);
        tiny_merge_text(TINY_MERGES[i][0], &text);
        writer_check(buf_add_byte(&text, ' '));
        tiny_merge_text(TINY_MERGES[i][1], &text);
        writer_text(&writer->entries, text.data, text.len);
    }
    buf_release(&text);
}

static inline void tiny_add_vocab(struct gguf_writer *writer, const struct tiny_model *tiny)
{
    enum { NORMAL = 1, CONTROL = 3 }; /* token types of the format */

    writer_add_text(writer, "tokenizer.ggml.model", "gpt2");
    writer_add_text(writer, "tokenizer.ggml.pre", "smollm");
    tiny_add_tokens(writer);
    writer_add_array(writer, "tokenizer.ggml.token_type", GGUF_I32, tiny_vocab_count());
    for (uint32_t i = 0; i < tiny_vocab_count(); i++)
        writer_u32(&writer->entries, i < TINY_CONTROL_COUNT ? CONTROL : NORMAL);
    tiny_add_merges(writer);
    writer_add_u32(writer, "tokenizer.ggml.bos_token_id", 1);
    writer_add_u32(writer, "tokenizer.ggml.eos_token_id", 2);
    writer_add_u32(writer, "tokenizer.ggml.unknown_token_id", 0);
    writer_add_bool(writer, "tokenizer.ggml.add_bos_token", false);
    writer_add_bool(writer, "tokenizer.ggml.add_space_prefix", false);
    if (!tiny->has_no_template)
        writer_add_text(writer, "tokenizer.chat_template",
                        "{% for message in messages %}{% if loop.first and messages[0]['role'] != "
                        "'system' %}{{ '<|im_start|>system\nYou are small.<|im_end|>\n' }}"
                        "{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] "
                        "+ '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
                        "{{ '<|im_start|>assistant\n' }}{% endif %}");
}

static inline void tiny_add_parameters(struct gguf_writer *writer, const struct tiny_model *tiny)
{
    writer_add_text(writer, "general.architecture", tiny->architecture);
    writer_add_text(writer, "general.name", "Tiny Test");
    writer_add_u32(writer, "llama.block_count", tiny->layers);
    writer_add_u32(writer, "llama.context_length", tiny->context);
    writer_add_u32(writer, "llama.embedding_length", tiny->embedding);
    writer_add_u32(writer, "llama.feed_forward_length", tiny->feed_forward);
    writer_add_u32(writer, "llama.attention.head_count", tiny->heads);
    writer_add_u32(writer, "llama.attention.head_count_kv", tiny->kv_heads);
    writer_add_u32(writer, "llama.attention.key_length", tiny->head_dim);
    writer_add_u32(writer, "llama.attention.value_length", tiny->head_dim);
    writer_add_u32(writer, "llama.rope.dimension_count", tiny->rope_dims);
    writer_add_f32(writer, "llama.rope.freq_base", 10000.0f);
    writer_add_f32(writer, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    writer_add_u32(writer, "llama.vocab_size", tiny_row_count(tiny));
    if (tiny->rope_type != NULL)
        writer_add_text(writer, "llama.rope.scaling.type", tiny->rope_type);
    if (tiny->rope_factor != 0.0f)
        writer_add_f32(writer, "llama.rope.scaling.factor", tiny->rope_factor);
    if (tiny->rope_scale_linear != 0.0f)
        writer_add_f32(writer, "llama.rope.scale_linear", tiny->rope_scale_linear);
    if (tiny->is_not_causal)
        writer_add_bool(writer, "llama.attention.causal", false);
}

/* Random values around CENTRE. */
static inline void tiny_add_random(struct gguf_writer *writer, struct tiny_model *tiny,
                                   const char *name, uint32_t type, uint32_t columns, uint32_t rows,
                                   float centre, float spread)
{
    float *row = malloc(columns * sizeof(*row));
    bool is_vocab = rows == tiny_vocab_count() && tiny->never_ends;

    if (row == NULL)
        abort();
    writer_add_tensor(writer, name, type, columns, rows);
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t c = 0; c < columns; c++) {
            row[c] = centre + spread * tiny_uniform(&tiny->seed);
            if (is_vocab && r < TINY_CONTROL_COUNT)
                row[c] = 0.0f;
        }
        if (tiny->nan_weights && strcmp(name, "output_norm.weight") == 0)
            row[0] = NAN;
        writer_encode(&writer->data, type, row, columns);
    }
    free(row);
}

static inline void tiny_add_layer(struct gguf_writer *writer, struct tiny_model *tiny,
                                  uint32_t layer)
{
    uint32_t q = tiny->heads * tiny->head_dim;
    uint32_t kv = tiny->kv_heads * tiny->head_dim;
    uint32_t n = tiny->embedding;
    uint32_t ff = tiny->feed_forward;
    bool turn = tiny->wrong_shape && layer == 0;
    const struct {
        const char *role;
        uint32_t columns;
        uint32_t rows;
    } roles[] = {
        {"attn_norm", n, 1}, {"attn_q", n, q},      {"attn_k", n, kv},
        {"attn_v", n, kv},   {"attn_output", q, n}, {"ffn_norm", n, 1},
        {"ffn_gate", n, ff}, {"ffn_up", n, ff},     {"ffn_down", turn ? n : ff, turn ? ff : n},
    };

    for (size_t i = 0; i < ARRAY_COUNT(roles); i++) {
        char name[64];
        float spread =
            sqrtf(3.0f / (float)roles[i].columns); /* keeps the size of what goes through */
        bool is_norm = roles[i].rows == 1;

        if (tiny->lacks_tensor && layer == 0 && strcmp(roles[i].role, "attn_k") == 0)
            continue;
        (void)snprintf(name, sizeof(name), "blk.%u.%s.weight", layer, roles[i].role);
        tiny_add_random(writer, tiny, name, is_norm ? QUANT_F32 : tiny->type, roles[i].columns,
                        roles[i].rows, is_norm ? 1.0f : 0.0f, is_norm ? 0.1f : spread);
    }
}

/* Appends the file to OUT. */
static inline void tiny_model_build(const struct tiny_model *options, struct buf *out)
{
    struct tiny_model tiny = *options;
    struct gguf_writer writer;

    writer_init(&writer, out->max);
    tiny_add_parameters(&writer, &tiny);
    tiny_add_vocab(&writer, &tiny);
    tiny_add_random(&writer, &tiny, "token_embd.weight", tiny.head_type, tiny.embedding,
                    tiny_row_count(&tiny), 0.0f, 0.5f);
    for (uint32_t layer = 0; layer < tiny.layers; layer++)
        tiny_add_layer(&writer, &tiny, layer);
    tiny_add_random(&writer, &tiny, "output_norm.weight", QUANT_F32, tiny.embedding, 1, 1.0f, 0.1f);
    if (tiny.is_untied)
        tiny_add_random(&writer, &tiny, "output.weight", tiny.head_type, tiny.embedding,
                        tiny_row_count(&tiny), 0.0f, 0.5f);
    if (tiny.has_rope_freqs)
        tiny_add_random(&writer, &tiny, "rope_freqs.weight", QUANT_F32, tiny.rope_dims / 2, 1, 4.0f,
                        3.0f);
    writer_finish(&writer, out);
    writer_release(&writer);
}

#endif
