/* A model with random weights, of any architecture and size, and a real byte-level BPE vocabulary,
 * built in memory: what tests run where a trained model would only be slow. The same options give
 * the same bytes. */
#ifndef RBEE_TESTS_TINY_MODEL_H
#define RBEE_TESTS_TINY_MODEL_H

#include "tests/gguf_writer.h"
#include "tests/tiny_vocab.h"

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
    uint32_t vocab; /* tokens, unused ones behind the real; 0: only these */
    uint32_t context;
    uint32_t type;      /* of the layers' matrices */
    uint32_t head_type; /* of token_embd and output */
    /* Of what files called ..._K_M keep finer: output, and attn_v and ffn_down of about half of the
     * layers. 0, which is F32: nothing is. */
    uint32_t fine_type;
    uint64_t seed;
    uint32_t repeated_rows; /* of a matrix: those behind are copies of these; 0: all are made */
    const char *rope_type;  /* rope.scaling.type; NULL: not there, like the numbers below at 0 */
    float rope_base;
    float rope_factor;       /* rope.scaling.factor */
    float rope_scale_linear; /* its old name */
    float rope_attn_factor;
    float window_rope_base;    /* rope.freq_base_swa */
    uint32_t original_context; /* rope.scaling.original_context_length */
    uint32_t window;           /* attention.sliding_window */
    uint32_t window_period;    /* attention.sliding_window_pattern, and as a list if: */
    bool lists_windows;
    float attention_softcap;
    float logit_softcap;
    bool has_qkv_bias;
    bool has_qk_norm;
    bool has_post_norm;
    bool is_not_causal;
    bool is_untied;      /* has output.weight */
    bool has_rope_freqs; /* has rope_freqs.weight */
    bool has_no_template;
    bool never_ends; /* the control tokens' logits are 0: greedy never takes them */
    bool nan_weights;
    bool lacks_tensor;   /* blk.0.attn_k.weight is not there */
    bool lacks_head_row; /* one token has no row in token_embd.weight */
    bool wrong_shape;    /* blk.0.ffn_down.weight is turned round */
    /* Instead of our own vocabulary: raw entries of another file, which name vocab tokens. */
    const struct buf *vocab_entries;
    uint64_t vocab_entry_count;
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
        .rope_base = 10000.0f,
        .type = QUANT_Q8_0,
        .head_type = QUANT_Q8_0,
        .seed = 1,
    };
}

/* What every file of an architecture has. Its own small sizes, so that a few positions reach past a
 * window, and layers enough for one that has none. False: nothing is known of it. */
static inline bool tiny_model_set_architecture(struct tiny_model *tiny, const char *name)
{
    static const struct {
        const char *name;
        bool has_qkv_bias;
        bool has_qk_norm;
        bool has_post_norm;
        uint32_t layers;
        uint32_t window;
        float rope_base;
    } known[] = {
        {.name = "llama", .layers = 2, .rope_base = 10000.0f},
        {.name = "qwen2", .has_qkv_bias = true, .layers = 2, .rope_base = 1000000.0f},
        {.name = "qwen3", .has_qk_norm = true, .layers = 2, .rope_base = 1000000.0f},
        {.name = "gemma2", .has_post_norm = true, .layers = 4, .window = 24, .rope_base = 10000.0f},
        {.name = "gemma3",
         .has_qk_norm = true,
         .has_post_norm = true,
         .layers = 7,
         .window = 24,
         .rope_base = 1000000.0f},
    };

    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        if (strcmp(known[i].name, name) != 0)
            continue;
        tiny->architecture = known[i].name;
        tiny->has_qkv_bias = known[i].has_qkv_bias;
        tiny->has_qk_norm = known[i].has_qk_norm;
        tiny->has_post_norm = known[i].has_post_norm;
        tiny->layers = known[i].layers;
        tiny->window = known[i].window;
        tiny->rope_base = known[i].rope_base;
        return true;
    }
    return false;
}

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

static inline uint32_t tiny_token_count(const struct tiny_model *tiny)
{
    return tiny->vocab > tiny_vocab_count() || tiny->vocab_entries != NULL ? tiny->vocab
                                                                           : tiny_vocab_count();
}

/* Rows of the embedding and of the head. */
static inline uint32_t tiny_row_count(const struct tiny_model *tiny)
{
    return tiny_token_count(tiny) - (tiny->lacks_head_row ? 1 : 0);
}

/* A key of the architecture: "llama" and "block_count" to "llama.block_count". */
struct tiny_key {
    char text[96];
};

static inline struct tiny_key tiny_key(const struct tiny_model *tiny, const char *name)
{
    struct tiny_key key;

    (void)snprintf(key.text, sizeof(key.text), "%s.%s", tiny->architecture, name);
    return key;
}

static inline void tiny_add_windows(struct gguf_writer *writer, const struct tiny_model *tiny)
{
    struct tiny_key key = tiny_key(tiny, "attention.sliding_window_pattern");

    if (tiny->window != 0)
        writer_add_u32(writer, tiny_key(tiny, "attention.sliding_window").text, tiny->window);
    if (tiny->window_period != 0 && !tiny->lists_windows)
        writer_add_u32(writer, key.text, tiny->window_period);
    if (tiny->window_period != 0 && tiny->lists_windows) {
        writer_add_array(writer, key.text, GGUF_BOOL, tiny->layers);
        for (uint32_t i = 0; i < tiny->layers; i++)
            writer_check(buf_add_byte(&writer->entries, (i + 1) % tiny->window_period != 0));
    }
}

static inline void tiny_add_parameters(struct gguf_writer *writer, const struct tiny_model *tiny)
{
    const struct {
        const char *name;
        uint32_t value;
    } numbers[] = {
        {"block_count", tiny->layers},
        {"context_length", tiny->context},
        {"embedding_length", tiny->embedding},
        {"feed_forward_length", tiny->feed_forward},
        {"attention.head_count", tiny->heads},
        {"attention.head_count_kv", tiny->kv_heads},
        {"attention.key_length", tiny->head_dim},
        {"attention.value_length", tiny->head_dim},
        {"rope.dimension_count", tiny->rope_dims},
        {"vocab_size", tiny_row_count(tiny)},
    };
    const struct {
        const char *name;
        float value; /* 0: not there */
    } reals[] = {
        {"attention.layer_norm_rms_epsilon", 1e-5f},
        {"rope.freq_base", tiny->rope_base},
        {"rope.freq_base_swa", tiny->window_rope_base},
        {"rope.scaling.factor", tiny->rope_factor},
        {"rope.scale_linear", tiny->rope_scale_linear},
        {"rope.scaling.attn_factor", tiny->rope_attn_factor},
        {"attn_logit_softcapping", tiny->attention_softcap},
        {"final_logit_softcapping", tiny->logit_softcap},
    };

    writer_add_text(writer, "general.architecture", tiny->architecture);
    writer_add_text(writer, "general.name", "Tiny Test");
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++)
        writer_add_u32(writer, tiny_key(tiny, numbers[i].name).text, numbers[i].value);
    for (size_t i = 0; i < ARRAY_COUNT(reals); i++) {
        if (reals[i].value != 0.0f)
            writer_add_f32(writer, tiny_key(tiny, reals[i].name).text, reals[i].value);
    }
    if (tiny->original_context != 0)
        writer_add_u32(writer, tiny_key(tiny, "rope.scaling.original_context_length").text,
                       tiny->original_context);
    if (tiny->rope_type != NULL)
        writer_add_text(writer, tiny_key(tiny, "rope.scaling.type").text, tiny->rope_type);
    if (tiny->is_not_causal)
        writer_add_bool(writer, tiny_key(tiny, "attention.causal").text, false);
    tiny_add_windows(writer, tiny);
}

/* Random values around CENTRE. */
static inline void tiny_add_random(struct gguf_writer *writer, struct tiny_model *tiny,
                                   const char *name, uint32_t type, uint32_t columns, uint32_t rows,
                                   float centre, float spread)
{
    float *row = malloc(columns * sizeof(*row));
    bool is_vocab = rows == tiny_token_count(tiny) && tiny->never_ends;

    if (row == NULL)
        abort();
    writer_add_tensor(writer, name, type, columns, rows);
    for (uint32_t r = 0; r < rows; r++) {
        if (tiny->repeated_rows != 0 && r >= tiny->repeated_rows) {
            writer_repeat(&writer->data, type, columns, tiny->repeated_rows);
            continue;
        }
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

/* Whether files called ..._K_M keep LAYER's attn_v and ffn_down finer: the first and the last
 * eighth of the layers, and each third one between. */
static inline bool tiny_is_fine_layer(const struct tiny_model *tiny, uint32_t layer)
{
    uint32_t eighth = tiny->layers / 8;

    return layer < eighth || layer >= 7 * tiny->layers / 8 || (layer - eighth) % 3 == 2;
}

static inline uint32_t tiny_matrix_type(const struct tiny_model *tiny, uint32_t layer,
                                        const char *name)
{
    bool may_be_fine = strcmp(name, "attn_v.weight") == 0 || strcmp(name, "ffn_down.weight") == 0;

    return tiny->fine_type != 0 && may_be_fine && tiny_is_fine_layer(tiny, layer) ? tiny->fine_type
                                                                                  : tiny->type;
}

/* A tensor of a layer: COLUMNS x ROWS of the matrices' type around 0, or a vector of floats. */
struct tiny_role {
    const char *name;
    uint32_t columns;
    uint32_t rows;
    float centre; /* of a vector */
    float spread;
    bool is_missing;
};

static inline void tiny_add_layer(struct gguf_writer *writer, struct tiny_model *tiny,
                                  uint32_t layer)
{
    uint32_t q = tiny->heads * tiny->head_dim;
    uint32_t kv = tiny->kv_heads * tiny->head_dim;
    uint32_t n = tiny->embedding;
    uint32_t ff = tiny->feed_forward;
    bool turn = tiny->wrong_shape && layer == 0;
    bool lacks_k = tiny->lacks_tensor && layer == 0;
    /* Norms of heads above 1 make attention choose, and not only average; those behind each half,
     * so that the stream is what layers add and not the token it began as. */
    const struct tiny_role roles[] = {
        {"attn_norm.weight", n, 1, 1.0f, 0.1f, false},
        {"attn_q.weight", n, q, 0, 0, false},
        {"attn_k.weight", n, kv, 0, 0, lacks_k},
        {"attn_v.weight", n, kv, 0, 0, false},
        {"attn_q.bias", q, 1, 0.0f, 1.0f, !tiny->has_qkv_bias},
        {"attn_k.bias", kv, 1, 0.0f, 1.0f, !tiny->has_qkv_bias},
        {"attn_v.bias", kv, 1, 0.0f, 1.0f, !tiny->has_qkv_bias},
        {"attn_q_norm.weight", tiny->head_dim, 1, 1.5f, 0.5f, !tiny->has_qk_norm},
        {"attn_k_norm.weight", tiny->head_dim, 1, 1.5f, 0.5f, !tiny->has_qk_norm},
        {"attn_output.weight", q, n, 0, 0, false},
        {"post_attention_norm.weight", n, 1, 4.0f, 2.0f, !tiny->has_post_norm},
        {"ffn_norm.weight", n, 1, 1.0f, 0.1f, false},
        {"ffn_gate.weight", n, ff, 0, 0, false},
        {"ffn_up.weight", n, ff, 0, 0, false},
        {"ffn_down.weight", turn ? n : ff, turn ? ff : n, 0, 0, false},
        {"post_ffw_norm.weight", n, 1, 4.0f, 2.0f, !tiny->has_post_norm},
    };

    for (size_t i = 0; i < ARRAY_COUNT(roles); i++) {
        const struct tiny_role *role = &roles[i];
        bool is_vector = role->rows == 1;
        /* A matrix keeps the size of what goes through. */
        float spread = is_vector ? role->spread : sqrtf(3.0f / (float)role->columns);
        char name[64];

        if (role->is_missing)
            continue;
        (void)snprintf(name, sizeof(name), "blk.%u.%s", layer, role->name);
        tiny_add_random(writer, tiny, name,
                        is_vector ? QUANT_F32 : tiny_matrix_type(tiny, layer, role->name),
                        role->columns, role->rows, role->centre, spread);
    }
}

/* Appends the file to OUT. */
static inline void tiny_model_build(const struct tiny_model *options, struct buf *out)
{
    struct tiny_model tiny = *options;
    /* Logits are as far apart at any width: tokens that stand out, and none that is certain. */
    float vocab_spread = 4.0f / sqrtf((float)tiny.embedding);
    struct gguf_writer writer;

    writer_init(&writer, out->max);
    tiny_add_parameters(&writer, &tiny);
    if (tiny.vocab_entries == NULL) {
        tiny_add_vocab(&writer, tiny_token_count(&tiny), !tiny.has_no_template);
    } else {
        writer_check(buf_add(&writer.entries, tiny.vocab_entries->data, tiny.vocab_entries->len));
        writer.entry_count += tiny.vocab_entry_count;
    }
    tiny_add_random(&writer, &tiny, "token_embd.weight", tiny.head_type, tiny.embedding,
                    tiny_row_count(&tiny), 0.0f, vocab_spread);
    for (uint32_t layer = 0; layer < tiny.layers; layer++)
        tiny_add_layer(&writer, &tiny, layer);
    tiny_add_random(&writer, &tiny, "output_norm.weight", QUANT_F32, tiny.embedding, 1, 1.0f, 0.1f);
    if (tiny.is_untied)
        tiny_add_random(&writer, &tiny, "output.weight",
                        tiny.fine_type != 0 ? tiny.fine_type : tiny.head_type, tiny.embedding,
                        tiny_row_count(&tiny), 0.0f, vocab_spread);
    if (tiny.has_rope_freqs)
        tiny_add_random(&writer, &tiny, "rope_freqs.weight", QUANT_F32, tiny.rope_dims / 2, 1, 4.0f,
                        3.0f);
    writer_finish(&writer, out);
    writer_release(&writer);
}

#endif
