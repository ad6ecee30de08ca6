/* What a model computes, written out once more from its formulas, in doubles and without any of the
 * engine's code but the reading of tensors: the parameters come from the options that a test has
 * built the file from. Architectures differ as their papers and model cards say. */
#ifndef RBEE_TESTS_PLAIN_FORWARD_H
#define RBEE_TESTS_PLAIN_FORWARD_H

#include "tests/tiny_model.h"

enum plain_fault {
    PLAIN_RIGHT,
    PLAIN_ROPE_KIND,
    PLAIN_NO_WINDOW,
    PLAIN_WINDOW_BY_ONE,
    PLAIN_WINDOW_LAYERS, /* the first of a period sees all, not the last */
    PLAIN_ONE_BASE,      /* layers with a window turn as the others do */
    PLAIN_NO_MAGNITUDE,
    PLAIN_NO_RAMP, /* YaRN as if it were linear */
    PLAIN_NO_SOFTCAP,
    PLAIN_SILU,
    PLAIN_HEAD_SCALE, /* of a wide model */
};

struct plain_forward {
    const struct gguf *gguf;
    const struct tiny_model *tiny;
    enum plain_fault fault;
    uint32_t positions;
};

static inline bool plain_is(const struct plain_forward *plain, const char *architecture)
{
    return strcmp(plain->tiny->architecture, architecture) == 0;
}

static inline bool plain_is_gemma(const struct plain_forward *plain)
{
    return plain_is(plain, "gemma2") || plain_is(plain, "gemma3");
}

/* NULL when there is none. The caller frees. */
static inline float *plain_tensor(const struct plain_forward *plain, const char *name)
{
    const struct gguf_tensor *tensor = gguf_find_tensor(plain->gguf, name);
    float *values = NULL;
    uint64_t count = 0;

    if (tensor == NULL)
        return NULL;
    count = tensor->dims[0] * tensor->dims[1];
    values = malloc(count * sizeof(*values));
    if (values == NULL)
        abort();
    quant_decode(tensor->type, tensor->data, values, count);
    return values;
}

static inline float *plain_layer_tensor(const struct plain_forward *plain, uint32_t layer,
                                        const char *name)
{
    char full[128];

    (void)snprintf(full, sizeof(full), "blk.%u.%s", layer, name);
    return plain_tensor(plain, full);
}

/* OUT [positions][rows] = X [positions][columns] * transposed(NAME.weight) + NAME.bias */
static inline void plain_multiply(const struct plain_forward *plain, uint32_t layer,
                                  const char *name, const double *x, uint32_t columns,
                                  uint32_t rows, double *out)
{
    char full[64];
    AUTO_FREE float *weight = NULL;
    AUTO_FREE float *bias = NULL;

    (void)snprintf(full, sizeof(full), "%s.weight", name);
    weight = plain_layer_tensor(plain, layer, full);
    (void)snprintf(full, sizeof(full), "%s.bias", name);
    bias = plain_layer_tensor(plain, layer, full);
    for (uint32_t at = 0; at < plain->positions * rows; at++) {
        uint32_t row = at % rows;
        const double *from = x + (size_t)(at / rows) * columns;

        out[at] = bias != NULL ? (double)bias[row] : 0.0;
        for (uint32_t c = 0; c < columns; c++)
            out[at] += from[c] * (double)weight[(size_t)row * columns + c];
    }
}

/* Each COUNT elements of X to a mean square of 1, times SCALE; in place. */
static inline void plain_norm(const float *scale, double *x, uint32_t width, size_t rows)
{
    for (size_t row = 0; row < rows; row++, x += width) {
        double squares = 0.0;

        for (uint32_t i = 0; i < width; i++)
            squares += x[i] * x[i];
        for (uint32_t i = 0; i < width; i++)
            x[i] *= (double)scale[i] / sqrt(squares / width + 1e-5);
    }
}

/* A norm of the file over rows of X, if it is there. */
static inline void plain_layer_norm(const struct plain_forward *plain, uint32_t layer,
                                    const char *name, double *x, uint32_t width, size_t rows)
{
    AUTO_FREE float *scale = plain_layer_tensor(plain, layer, name);

    if (scale != NULL)
        plain_norm(scale, x, width, rows);
}

static inline uint32_t plain_window(const struct plain_forward *plain, uint32_t layer)
{
    uint32_t period = plain->tiny->window_period;

    if (!plain_is_gemma(plain) || plain->tiny->window == 0 || plain->fault == PLAIN_NO_WINDOW)
        return 0;
    if (period == 0)
        period = plain_is(plain, "gemma2") ? 2 : 6;
    if (layer % period == (plain->fault == PLAIN_WINDOW_LAYERS ? 0 : period - 1))
        return 0;
    return plain->tiny->window + (plain->fault == PLAIN_WINDOW_BY_ONE ? 1 : 0);
}

/* The dimension that turns TURNS times within the original context. */
static inline double plain_yarn_dimension(const struct tiny_model *tiny, double turns)
{
    return tiny->rope_dims * log(tiny->original_context / (turns * 2.0 * 3.14159265358979)) /
           (2.0 * log((double)tiny->rope_base));
}

/* Radians of pair I at position 1; *MAGNITUDE is what cosine and sine are multiplied by. */
static inline double plain_turn(const struct plain_forward *plain, bool has_window, uint32_t i,
                                const float *factors, double *magnitude)
{
    const struct tiny_model *tiny = plain->tiny;
    bool has_own = has_window && plain->fault != PLAIN_ONE_BASE && plain_is(plain, "gemma3");
    double base = has_own ? 10000.0 : (double)tiny->rope_base;
    double factor = tiny->rope_factor != 0.0f ? (double)tiny->rope_factor : 1.0;
    double turn = 0.0;
    double low = 0.0;
    double high = 0.0;
    double ramp = 1.0;

    if (has_window && tiny->window_rope_base != 0.0f && plain->fault != PLAIN_ONE_BASE)
        base = (double)tiny->window_rope_base;
    turn = 1.0 / pow(base, (double)(2 * i) / tiny->rope_dims);
    *magnitude = 1.0;
    if (has_own)
        return turn;
    if (factors != NULL)
        turn /= (double)factors[i];
    if (tiny->rope_attn_factor != 0.0f)
        *magnitude = (double)tiny->rope_attn_factor;
    if (tiny->rope_type == NULL || strcmp(tiny->rope_type, "yarn") != 0)
        return turn / factor;
    *magnitude *= 0.1 * log(factor) + 1.0;
    if (plain->fault == PLAIN_NO_RAMP)
        return turn / factor;
    low = fmax(floor(plain_yarn_dimension(tiny, 32.0)), 0.0);
    high = fmin(ceil(plain_yarn_dimension(tiny, 1.0)), tiny->rope_dims - 1);
    ramp = fmin(fmax((i - low) / (high - low), 0.0), 1.0);
    return turn * (1.0 - ramp) + turn / factor * ramp;
}

static inline void plain_rope(const struct plain_forward *plain, bool has_window, double *x,
                              uint32_t heads)
{
    const struct tiny_model *tiny = plain->tiny;
    AUTO_FREE float *factors = plain_tensor(plain, "rope_freqs.weight");
    uint32_t pairs = tiny->rope_dims / 2;
    bool is_neox = !plain_is(plain, "llama");

    if (plain->fault == PLAIN_ROPE_KIND)
        is_neox = !is_neox;
    for (uint32_t at = 0; at < plain->positions * heads * pairs; at++) {
        uint32_t i = at % pairs;
        uint32_t position = at / pairs / heads;
        double *head = x + (size_t)(at / pairs) * tiny->head_dim;
        double magnitude = 1.0;
        double angle = position * plain_turn(plain, has_window, i, factors, &magnitude);
        double *a = head + (is_neox ? i : 2 * i);
        double *b = head + (is_neox ? i + pairs : 2 * i + 1);
        double first = *a;

        if (plain->fault == PLAIN_NO_MAGNITUDE)
            magnitude = 1.0;
        *a = magnitude * (first * cos(angle) - *b * sin(angle));
        *b = magnitude * (first * sin(angle) + *b * cos(angle));
    }
}

static inline double plain_cap(const struct plain_forward *plain, float given, double usual,
                               double x)
{
    double cap = given != 0.0f ? (double)given : usual;

    return cap == 0.0 || plain->fault == PLAIN_NO_SOFTCAP ? x : cap * tanh(x / cap);
}

/* One head of one position, over the positions it sees. */
static inline void plain_attend(const struct plain_forward *plain, uint32_t window, const double *q,
                                uint32_t position, uint32_t head, const double *k, const double *v,
                                double *out)
{
    const struct tiny_model *tiny = plain->tiny;
    bool is_wide = (plain_is(plain, "gemma2") && tiny->layers == 46) ||
                   (plain_is(plain, "gemma3") && tiny->layers == 62);
    uint32_t width = is_wide && plain->fault != PLAIN_HEAD_SCALE ? tiny->embedding / tiny->heads
                                                                 : tiny->head_dim;
    uint32_t shared = head / (tiny->heads / tiny->kv_heads);
    double total = 0.0;

    memset(out, 0, tiny->head_dim * sizeof(*out));
    for (uint32_t past = 0; past <= position; past++) {
        size_t at = ((size_t)past * tiny->kv_heads + shared) * tiny->head_dim;
        double score = 0.0;

        if (window != 0 && position - past >= window)
            continue;
        for (uint32_t d = 0; d < tiny->head_dim; d++)
            score += q[d] * k[at + d] / sqrt(width);
        score = exp(plain_cap(plain, tiny->attention_softcap,
                              plain_is(plain, "gemma2") ? 50.0 : 0.0, score));
        total += score;
        for (uint32_t d = 0; d < tiny->head_dim; d++)
            out[d] += score * v[at + d];
    }
    for (uint32_t d = 0; d < tiny->head_dim; d++)
        out[d] /= total;
}

static inline double *plain_doubles(const struct plain_forward *plain, uint32_t width)
{
    double *values = calloc((size_t)plain->positions * width, sizeof(*values));

    if (values == NULL)
        abort();
    return values;
}

/* x += attention(norm(x)) */
static inline void plain_attention(const struct plain_forward *plain, uint32_t layer, double *x)
{
    const struct tiny_model *tiny = plain->tiny;
    uint32_t width = tiny->heads * tiny->head_dim;
    uint32_t kv_width = tiny->kv_heads * tiny->head_dim;
    uint32_t window = plain_window(plain, layer);
    size_t floats = (size_t)plain->positions * tiny->embedding;
    AUTO_FREE double *normed = plain_doubles(plain, tiny->embedding);
    AUTO_FREE double *q = plain_doubles(plain, width);
    AUTO_FREE double *k = plain_doubles(plain, kv_width);
    AUTO_FREE double *v = plain_doubles(plain, kv_width);
    AUTO_FREE double *attended = plain_doubles(plain, width);

    memcpy(normed, x, floats * sizeof(*x));
    plain_layer_norm(plain, layer, "attn_norm.weight", normed, tiny->embedding, plain->positions);
    plain_multiply(plain, layer, "attn_q", normed, tiny->embedding, width, q);
    plain_multiply(plain, layer, "attn_k", normed, tiny->embedding, kv_width, k);
    plain_multiply(plain, layer, "attn_v", normed, tiny->embedding, kv_width, v);
    plain_layer_norm(plain, layer, "attn_q_norm.weight", q, tiny->head_dim,
                     (size_t)plain->positions * tiny->heads);
    plain_layer_norm(plain, layer, "attn_k_norm.weight", k, tiny->head_dim,
                     (size_t)plain->positions * tiny->kv_heads);
    plain_rope(plain, window != 0, q, tiny->heads);
    plain_rope(plain, window != 0, k, tiny->kv_heads);
    for (uint32_t i = 0; i < plain->positions * tiny->heads; i++)
        plain_attend(plain, window, q + (size_t)i * tiny->head_dim, i / tiny->heads,
                     i % tiny->heads, k, v, attended + (size_t)i * tiny->head_dim);
    plain_multiply(plain, layer, "attn_output", attended, width, tiny->embedding, normed);
    plain_layer_norm(plain, layer, "post_attention_norm.weight", normed, tiny->embedding,
                     plain->positions);
    for (size_t i = 0; i < floats; i++)
        x[i] += normed[i];
}

static inline double plain_gate(const struct plain_forward *plain, double x)
{
    if (plain_is_gemma(plain) && plain->fault != PLAIN_SILU)
        return 0.5 * x * (1.0 + tanh(sqrt(2.0 / 3.14159265358979) * (x + 0.044715 * x * x * x)));
    return x / (1.0 + exp(-x));
}

/* x += feed-forward(norm(x)) */
static inline void plain_feed_forward(const struct plain_forward *plain, uint32_t layer, double *x)
{
    const struct tiny_model *tiny = plain->tiny;
    size_t floats = (size_t)plain->positions * tiny->embedding;
    AUTO_FREE double *normed = plain_doubles(plain, tiny->embedding);
    AUTO_FREE double *gate = plain_doubles(plain, tiny->feed_forward);
    AUTO_FREE double *up = plain_doubles(plain, tiny->feed_forward);

    memcpy(normed, x, floats * sizeof(*x));
    plain_layer_norm(plain, layer, "ffn_norm.weight", normed, tiny->embedding, plain->positions);
    plain_multiply(plain, layer, "ffn_gate", normed, tiny->embedding, tiny->feed_forward, gate);
    plain_multiply(plain, layer, "ffn_up", normed, tiny->embedding, tiny->feed_forward, up);
    for (size_t i = 0; i < (size_t)plain->positions * tiny->feed_forward; i++)
        gate[i] = plain_gate(plain, gate[i]) * up[i];
    plain_multiply(plain, layer, "ffn_down", gate, tiny->feed_forward, tiny->embedding, normed);
    plain_layer_norm(plain, layer, "post_ffw_norm.weight", normed, tiny->embedding,
                     plain->positions);
    for (size_t i = 0; i < floats; i++)
        x[i] += normed[i];
}

/* Logits of the last of the positions to OUT [vocab]. */
static inline void plain_forward_run(const struct plain_forward *plain, const uint32_t *tokens,
                                     double *out)
{
    const struct tiny_model *tiny = plain->tiny;
    uint32_t n = tiny->embedding;
    AUTO_FREE float *embeddings = plain_tensor(plain, "token_embd.weight");
    AUTO_FREE float *own_head = plain_tensor(plain, "output.weight");
    AUTO_FREE float *last_norm = plain_tensor(plain, "output_norm.weight");
    AUTO_FREE double *x = plain_doubles(plain, n);
    const float *head = own_head != NULL ? own_head : embeddings;
    const double *last = x + (size_t)(plain->positions - 1) * n;

    for (size_t i = 0; i < (size_t)plain->positions * n; i++)
        x[i] = (double)embeddings[(size_t)tokens[i / n] * n + i % n] *
               (plain_is_gemma(plain) ? sqrt(n) : 1.0);
    for (uint32_t layer = 0; layer < tiny->layers; layer++) {
        plain_attention(plain, layer, x);
        plain_feed_forward(plain, layer, x);
    }
    plain_norm(last_norm, x, n, plain->positions);
    for (uint32_t token = 0; token < tiny_row_count(tiny); token++) {
        double logit = 0.0;

        for (uint32_t i = 0; i < n; i++)
            logit += last[i] * (double)head[(size_t)token * n + i];
        out[token] =
            plain_cap(plain, tiny->logit_softcap, plain_is(plain, "gemma2") ? 30.0 : 0.0, logit);
    }
}

#endif
