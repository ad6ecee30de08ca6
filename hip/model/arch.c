/* Owns the reading of a model's parameters. Knows keys; tensors are load.c's. */
#include "hip/model/arch.h"

#include "common/attr.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { KEY_MAX_BYTES = 128 };
enum { OPTIONAL, REQUIRED };

static const char *const ARCHITECTURES[] = {
#define ARCHITECTURE(name) name,
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
 * leaving it out would give wrong answers. */
static const struct {
    const char *key;
    const char *feature;
} UNSUPPORTED[] = {
    {"expert_count", "a mixture of experts"},
    {"attention.sliding_window", "a sliding attention window"},
    {"attn_logit_softcapping", "softcapping of attention"},
    {"final_logit_softcapping", "softcapping of logits"},
    {"logit_scale", "a logit scale"},
    {"residual_scale", "a residual scale"},
    {"embedding_scale", "an embedding scale"},
};

/* "llama" and "block_count" to "llama.block_count". */
static const char *full_key(const struct model_params *params, const char *key,
                            char out[KEY_MAX_BYTES])
{
    (void)snprintf(out, KEY_MAX_BYTES, "%s.%s", params->architecture, key); /* ours: it fits */
    return out;
}

static int read_architecture(const struct gguf *gguf, struct model_params *params, struct err *err)
{
    struct gguf_string name;

    if (gguf_read_string(gguf, "general.architecture", &name, err) != 0)
        return -1;
    for (size_t i = 0; i < ARRAY_COUNT(ARCHITECTURES); i++) {
        if (name.len == strlen(ARCHITECTURES[i]) &&
            memcmp(name.data, ARCHITECTURES[i], name.len) == 0) {
            params->architecture = ARCHITECTURES[i];
            return 0;
        }
    }
    return err_set(err, ERR_INVALID_MODEL, "architecture %.*s is not supported",
                   name.len < KEY_MAX_BYTES ? (int)name.len : KEY_MAX_BYTES, name.data);
}

static int read_parameters(const struct gguf *gguf, struct model_params *params, struct err *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(PARAMETERS); i++) {
        char key[KEY_MAX_BYTES];
        uint64_t value = 0;
        uint32_t *field = (uint32_t *)((char *)params + PARAMETERS[i].offset);

        (void)full_key(params, PARAMETERS[i].key, key);
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

/* FALLBACK 0: the key must be there. */
static int read_positive(const struct gguf *gguf, const struct model_params *params,
                         const char *name, double fallback, double *out, struct err *err)
{
    char key[KEY_MAX_BYTES];

    (void)full_key(params, name, key);
    *out = fallback;
    if (fallback != 0.0 && !gguf_has(gguf, key))
        return 0;
    if (gguf_read_f64(gguf, key, out, err) != 0)
        return -1;
    if (!isfinite(*out) || *out <= 0.0)
        return err_set(err, ERR_INVALID_MODEL, "%s is %g, not a positive number", key, *out);
    return 0;
}

/* The factor of linear scaling, under its name of today or the old one; none or 0 is 1. */
static int read_rope_factor(const struct gguf *gguf, struct model_params *params, struct err *err)
{
    char key[KEY_MAX_BYTES];
    double factor = 0.0;

    if (!gguf_has(gguf, full_key(params, "rope.scaling.factor", key)))
        (void)full_key(params, "rope.scale_linear", key);
    if (gguf_has(gguf, key) && gguf_read_f64(gguf, key, &factor, err) != 0)
        return -1;
    if (!isfinite(factor) || factor < 0.0)
        return err_set(err, ERR_INVALID_MODEL, "%s is %g, not a positive number", key, factor);
    params->rope_factor = factor == 0.0 ? 1.0 : factor;
    return 0;
}

/* A file that names no type of scaling means linear. */
static int read_rope(const struct gguf *gguf, struct model_params *params, struct err *err)
{
    const double llama_base = 10000.0; /* of the rope paper */
    char key[KEY_MAX_BYTES];
    struct gguf_string kind = {.data = "linear", .len = 6};

    if (read_positive(gguf, params, "rope.freq_base", llama_base, &params->rope_base, err) != 0)
        return -1;
    params->rope_factor = 1.0;
    if (gguf_has(gguf, full_key(params, "rope.scaling.type", key)) &&
        gguf_read_string(gguf, key, &kind, err) != 0)
        return -1;
    if (kind.len == 4 && memcmp(kind.data, "none", 4) == 0)
        return 0;
    if (kind.len != 6 || memcmp(kind.data, "linear", 6) != 0)
        return err_set(err, ERR_INVALID_MODEL, "rope scaling of type %.*s is not supported",
                       kind.len < KEY_MAX_BYTES ? (int)kind.len : KEY_MAX_BYTES, kind.data);
    return read_rope_factor(gguf, params, err);
}

/* attention.causal false: every token would see those after it. */
static int check_causal(const struct gguf *gguf, const struct model_params *params, struct err *err)
{
    char key[KEY_MAX_BYTES];
    bool is_causal = true;

    if (gguf_has(gguf, full_key(params, "attention.causal", key)) &&
        gguf_read_bool(gguf, key, &is_causal, err) != 0)
        return -1;
    if (!is_causal)
        return err_set(err, ERR_INVALID_MODEL,
                       "attention that is not causal (%s) is not supported by this version", key);
    return 0;
}

static int refuse_unsupported(const struct gguf *gguf, const struct model_params *params,
                              struct err *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(UNSUPPORTED); i++) {
        char key[KEY_MAX_BYTES];
        struct err ignored = ERR_INIT;
        uint64_t whole = 0;
        double real = 0.0;

        (void)full_key(params, UNSUPPORTED[i].key, key);
        if (!gguf_has(gguf, key))
            continue;
        if (gguf_read_u64(gguf, key, &whole, &ignored) == 0 && whole == 0)
            continue;
        if (gguf_read_f64(gguf, key, &real, &ignored) == 0 && real == 0.0)
            continue;
        return err_set(err, ERR_INVALID_MODEL, "%s (%s) is not supported by this version",
                       UNSUPPORTED[i].feature, key);
    }
    return 0;
}

int arch_read(const struct gguf *gguf, struct model_params *out, struct err *err)
{
    double epsilon = 0.0;
    double scale = 0.0;

    if (read_architecture(gguf, out, err) != 0 || read_parameters(gguf, out, err) != 0)
        return -1;
    fill_defaults(out);
    if (check_heads(out, err) != 0 || read_rope(gguf, out, err) != 0 ||
        check_causal(gguf, out, err) != 0 || refuse_unsupported(gguf, out, err) != 0)
        return -1;
    if (read_positive(gguf, out, "attention.layer_norm_rms_epsilon", 0.0, &epsilon, err) != 0 ||
        read_positive(gguf, out, "attention.scale", 1.0 / sqrt(out->head_dim), &scale, err) != 0)
        return -1;
    out->norm_epsilon = (float)epsilon;
    out->attention_scale = (float)scale;
    return 0;
}
