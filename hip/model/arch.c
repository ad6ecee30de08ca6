/* Owns the reading of a model's parameters. Knows keys; tensors are load.c's. */
#include "hip/model/arch.h"

#include "common/attr.h"
#include "hip/model/arch_keys.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { OPTIONAL, REQUIRED };
enum { HEAD_DIM_MAX = 1024 }; /* as of attention.key_length */

/* Words of the columns of architectures.def. */
enum { EMBED_ONE, EMBED_ROOT };
#define NONE (-1.0)

static const struct architecture ARCHITECTURES[] = {
#define ARCHITECTURE(text, rope, activation, bias, qk, post, factors, embed, period, tokens, base, \
                     scores, logits, wide)                                                         \
    {.name = text,                                                                                 \
     .rope_kind = BACKEND_ROPE_##rope,                                                             \
     .gate = BACKEND_##activation##_MUL,                                                           \
     .qkv_bias = ARCH_##bias,                                                                      \
     .qk_norm = ARCH_##qk,                                                                         \
     .post_norm = ARCH_##post,                                                                     \
     .rope_factors = ARCH_##factors,                                                               \
     .scales_embedding = EMBED_##embed == EMBED_ROOT,                                              \
     .window_period = period,                                                                      \
     .window_tokens = tokens,                                                                      \
     .window_rope_base = base,                                                                     \
     .attention_softcap = scores,                                                                  \
     .logit_softcap = logits,                                                                      \
     .wide_layer_count = wide},
#include "hip/model/architectures.def"
#undef ARCHITECTURE
};

static const struct {
    const char *key;
    size_t offset;
    int presence;
    uint32_t max;
} PARAMETERS[] = {
#define PARAMETER(field, name, needed, most)                                                       \
    {.key = name, .offset = offsetof(struct model_params, field), .presence = needed, .max = most},
#include "hip/model/parameters.def"
#undef PARAMETER
};

/* What a file may ask for and this version does not do: refused when it is there and not zero, for
 * leaving it out would give wrong answers. What some architectures have is refused of the others.
 */
static const struct {
    const char *key;
    const char *feature;
} UNSUPPORTED[] = {
    {"expert_count", "a mixture of experts"},
    {"attention.key_length_swa", "heads of another width in layers with a window"},
    {"attention.value_length_swa", "heads of another width in layers with a window"},
    {"rope.dimension_count_swa", "rope over another width in layers with a window"},
    {"rope.dimension_sections", "rope in sections"},
    {"rope.scaling.yarn_attn_factor", "a magnitude of YaRN"},
    {"rope.scaling.yarn_log_multiplier", "a multiplier of YaRN"},
    {"logit_scale", "a logit scale"},
    {"residual_scale", "a residual scale"},
    {"embedding_scale", "an embedding scale"},
};

static int read_architecture(const struct gguf *gguf, struct model_params *params, struct err *err)
{
    struct gguf_string name;

    if (gguf_read_string(gguf, "general.architecture", &name, err) != 0)
        return -1;
    for (size_t i = 0; i < ARRAY_COUNT(ARCHITECTURES); i++) {
        if (name.len == strlen(ARCHITECTURES[i].name) &&
            memcmp(name.data, ARCHITECTURES[i].name, name.len) == 0) {
            params->architecture = &ARCHITECTURES[i];
            return 0;
        }
    }
    return err_set(err, ERR_INVALID_MODEL, "architecture %.*s is not supported",
                   name.len < ARCH_KEY_MAX_BYTES ? (int)name.len : ARCH_KEY_MAX_BYTES, name.data);
}

static int read_parameters(const struct gguf *gguf, struct model_params *params, struct err *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(PARAMETERS); i++) {
        char key[ARCH_KEY_MAX_BYTES];
        uint64_t value = 0;
        uint32_t *field = (uint32_t *)((char *)params + PARAMETERS[i].offset);

        (void)arch_key(params->architecture->name, PARAMETERS[i].key, key);
        *field = 0;
        if (PARAMETERS[i].presence == OPTIONAL && !gguf_has(gguf, key))
            continue;
        if (gguf_read_u64(gguf, key, &value, err) != 0)
            return -1;
        if (value < 1 || value > PARAMETERS[i].max)
            return err_set(err, ERR_INVALID_MODEL, "%s is %" PRIu64 ", not from 1 to %u", key,
                           value, PARAMETERS[i].max);
        *field = (uint32_t)value;
    }
    return 0;
}

static void fill_defaults(struct model_params *params)
{
    if (params->kv_head_count == 0)
        params->kv_head_count = params->head_count;
    if (params->head_dim == 0)
        params->head_dim = params->embedding / params->head_count;
    if (params->value_dim == 0)
        params->value_dim = params->head_dim;
    if (params->rope_dims == 0)
        params->rope_dims = params->head_dim;
}

static int check_heads(const struct model_params *params, struct err *err)
{
    if (params->head_dim == 0)
        return err_set(err, ERR_INVALID_MODEL, "%u heads do not fit a width of %u",
                       params->head_count, params->embedding);
    if (params->head_dim > HEAD_DIM_MAX)
        return err_set(err, ERR_INVALID_MODEL, "heads of %u are not supported, only up to %u",
                       params->head_dim, HEAD_DIM_MAX);
    if (params->head_count % params->kv_head_count != 0)
        return err_set(err, ERR_INVALID_MODEL, "%u heads cannot share %u key and value heads",
                       params->head_count, params->kv_head_count);
    if (params->value_dim != params->head_dim)
        return err_set(err, ERR_INVALID_MODEL, "values of %u beside keys of %u are not supported",
                       params->value_dim, params->head_dim);
    if (params->rope_dims > params->head_dim || params->rope_dims % 2 != 0)
        return err_set(err, ERR_INVALID_MODEL, "rope over %u of %u dimensions is impossible",
                       params->rope_dims, params->head_dim);
    return 0;
}

/* attention.causal false: every token would see those after it. */
static int check_causal(const struct gguf *gguf, const struct model_params *params, struct err *err)
{
    char key[ARCH_KEY_MAX_BYTES];
    bool is_causal = true;

    if (gguf_has(gguf, arch_key(params->architecture->name, "attention.causal", key)) &&
        gguf_read_bool(gguf, key, &is_causal, err) != 0)
        return -1;
    if (!is_causal)
        return err_set(err, ERR_INVALID_MODEL,
                       "attention that is not causal (%s) is not supported by this version", key);
    return 0;
}

/* A key that is not there, or 0, asks for nothing. */
static int refuse_key(const struct gguf *gguf, const struct model_params *params, const char *name,
                      const char *feature, struct err *err)
{
    char key[ARCH_KEY_MAX_BYTES];
    struct err ignored = ERR_INIT;
    uint64_t whole = 0;
    double real = 0.0;

    if (!gguf_has(gguf, arch_key(params->architecture->name, name, key)))
        return 0;
    if (gguf_read_u64(gguf, key, &whole, &ignored) == 0 && whole == 0)
        return 0;
    if (gguf_read_f64(gguf, key, &real, &ignored) == 0 && real == 0.0)
        return 0;
    return err_set(err, ERR_INVALID_MODEL, "%s (%s) is not supported by this version", feature,
                   key);
}

static int refuse_unsupported(const struct gguf *gguf, const struct model_params *params,
                              struct err *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(UNSUPPORTED); i++) {
        if (refuse_key(gguf, params, UNSUPPORTED[i].key, UNSUPPORTED[i].feature, err) != 0)
            return -1;
    }
    return 0;
}

/* A file may list for each layer whether it has a window: right if that is the period we know. */
static int check_window_list(const struct gguf *gguf, const struct model_params *params,
                             const char *key, uint64_t count, struct err *err)
{
    const uint8_t *has_window = gguf_array_data(gguf, key);

    if (count < params->layer_count)
        return err_set(err, ERR_INVALID_MODEL, "%s knows only %" PRIu64 " of %u layers", key, count,
                       params->layer_count);
    for (uint32_t layer = 0; layer < params->layer_count; layer++) {
        if ((has_window[layer] != 0) != (arch_window(params, layer) != 0))
            return err_set(err, ERR_INVALID_MODEL,
                           "%s: windows in other layers than %s has are not supported", key,
                           params->architecture->name);
    }
    return 0;
}

static int read_window_period(const struct gguf *gguf, struct model_params *params, struct err *err)
{
    char key[ARCH_KEY_MAX_BYTES];
    struct err is_no_list = ERR_INIT;
    uint64_t value = params->architecture->window_period;
    uint64_t count = 0;

    params->window_period = params->architecture->window_period;
    (void)arch_key(params->architecture->name, "attention.sliding_window_pattern", key);
    if (!gguf_has(gguf, key))
        return 0;
    if (gguf_array_len(gguf, key, GGUF_BOOL, &count, &is_no_list) == 0)
        return check_window_list(gguf, params, key, count, err);
    if (gguf_read_u64(gguf, key, &value, err) != 0)
        return -1;
    if (value < 1 || value > UINT32_MAX)
        return err_set(err, ERR_INVALID_MODEL, "%s is %" PRIu64 ": no such layers", key, value);
    params->window_period = (uint32_t)value;
    return 0;
}

/* A base of their own comes without the scaling of the other layers. */
static int read_window_rope(const struct gguf *gguf, struct model_params *params, struct err *err)
{
    double base = params->architecture->window_rope_base;

    params->window_rope = params->rope;
    if (base != 0.0)
        params->window_rope = (struct rope){.factor = 1.0, .magnitude = 1.0};
    else
        base = params->rope.base;
    return arch_read_positive(gguf, params->architecture->name, "rope.freq_base_swa", base,
                              &params->window_rope.base, err);
}

static int read_windows(const struct gguf *gguf, struct model_params *params, struct err *err)
{
    const struct architecture *architecture = params->architecture;
    const char *name = "attention.sliding_window";
    char key[ARCH_KEY_MAX_BYTES];
    uint64_t tokens = architecture->window_tokens;

    if (architecture->window_period == 0)
        return refuse_key(gguf, params, name, "a sliding attention window", err);
    if (gguf_has(gguf, arch_key(architecture->name, name, key)) &&
        gguf_read_u64(gguf, key, &tokens, err) != 0)
        return -1;
    /* One that no context reaches is none, and the rope of its layers is still theirs. */
    params->window_tokens = tokens < UINT32_MAX ? (uint32_t)tokens : UINT32_MAX;
    if (tokens == 0)
        return 0;
    if (read_window_rope(gguf, params, err) != 0)
        return -1;
    return read_window_period(gguf, params, err);
}

static int read_softcap(const struct gguf *gguf, const struct model_params *params,
                        const char *name, double usual, float *out, struct err *err)
{
    double softcap = 0.0;

    if (usual < 0.0)
        return refuse_key(gguf, params, name, "this softcapping", err);
    if (arch_read_number(gguf, params->architecture->name, name, usual, &softcap, err) != 0)
        return -1;
    *out = (float)softcap;
    return 0;
}

static int read_scales(const struct gguf *gguf, struct model_params *params, struct err *err)
{
    const struct architecture *architecture = params->architecture;
    uint32_t scaled_width = params->layer_count == architecture->wide_layer_count
                                ? params->embedding / params->head_count
                                : params->head_dim;
    double epsilon = 0.0;
    double scale = 0.0;

    if (arch_read_positive(gguf, architecture->name, "attention.layer_norm_rms_epsilon", 0.0,
                           &epsilon, err) != 0 ||
        arch_read_number(gguf, architecture->name, "attention.scale", 0.0, &scale, err) != 0)
        return -1;
    if (scale == 0.0) /* not there, or left to the reader */
        scale = 1.0 / sqrt(scaled_width);
    params->norm_epsilon = (float)epsilon;
    params->attention_scale = (float)scale;
    params->embedding_scale =
        architecture->scales_embedding ? sqrtf((float)params->embedding) : 1.0f;
    if (read_softcap(gguf, params, "attn_logit_softcapping", architecture->attention_softcap,
                     &params->attention_softcap, err) != 0)
        return -1;
    return read_softcap(gguf, params, "final_logit_softcapping", architecture->logit_softcap,
                        &params->logit_softcap, err);
}

int arch_read(const struct gguf *gguf, struct model_params *out, struct err *err)
{
    struct model_params params = {0};

    if (read_architecture(gguf, &params, err) != 0 || read_parameters(gguf, &params, err) != 0)
        return -1;
    fill_defaults(&params);
    if (check_heads(&params, err) != 0 ||
        rope_read(gguf, params.architecture->name, params.context_tokens, &params.rope, err) != 0 ||
        check_causal(gguf, &params, err) != 0 || refuse_unsupported(gguf, &params, err) != 0 ||
        read_windows(gguf, &params, err) != 0 || read_scales(gguf, &params, err) != 0)
        return -1;
    *out = params;
    return 0;
}

uint32_t arch_window(const struct model_params *params, uint32_t layer_index)
{
    if (params->window_tokens == 0 || (layer_index + 1) % params->window_period == 0)
        return 0;
    return params->window_tokens;
}

bool arch_has_windows(const struct model_params *params)
{
    return params->window_tokens != 0 && params->window_period > 1;
}
