/* Owns the keys of rope and the speeds that follow from them. Turns nothing: that is a backend's.
 */
#include "hip/model/rope.h"

#include "hip/model/arch_keys.h"

#include <math.h>
#include <string.h>

static bool is_text(struct gguf_string string, const char *text)
{
    return string.len == strlen(text) && memcmp(string.data, text, string.len) == 0;
}

/* Under its name of today or the old one; none or 0 is 1. */
static int read_factor(const struct gguf *gguf, const char *architecture, double *out,
                       struct err *err)
{
    char key[ARCH_KEY_MAX_BYTES];
    const char *name = "rope.scaling.factor";
    double factor = 0.0;

    if (!gguf_has(gguf, arch_key(architecture, name, key)))
        name = "rope.scale_linear";
    if (arch_read_number(gguf, architecture, name, 0.0, &factor, err) != 0)
        return -1;
    *out = factor == 0.0 ? 1.0 : factor;
    return 0;
}

static int read_yarn(const struct gguf *gguf, const char *architecture, uint32_t context_tokens,
                     struct rope *rope, struct err *err)
{
    const double paper_beta_fast = 32.0;
    const double paper_beta_slow = 1.0;
    const char *length_name = "rope.scaling.original_context_length";
    char key[ARCH_KEY_MAX_BYTES];
    uint64_t original = context_tokens;
    double share = 1.0;

    if (arch_read_positive(gguf, architecture, "rope.scaling.yarn_beta_fast", paper_beta_fast,
                           &rope->beta_fast, err) != 0 ||
        arch_read_positive(gguf, architecture, "rope.scaling.yarn_beta_slow", paper_beta_slow,
                           &rope->beta_slow, err) != 0 ||
        arch_read_number(gguf, architecture, "rope.scaling.yarn_ext_factor", 1.0, &share, err) != 0)
        return -1;
    if (share != 1.0)
        return err_set(err, ERR_INVALID_MODEL,
                       "a share of YaRN (%s.rope.scaling.yarn_ext_factor is %g) is not supported",
                       architecture, share);
    if (gguf_has(gguf, arch_key(architecture, length_name, key)) &&
        gguf_read_u64(gguf, key, &original, err) != 0)
        return -1;
    if (original < 1)
        return err_set(err, ERR_INVALID_MODEL, "%s is 0", key);
    rope->is_yarn = true;
    rope->original_context_tokens = (double)original;
    if (rope->factor > 1.0) /* attention stays as sharp as it was: section 3.4 of the paper */
        rope->magnitude *= 1.0 + 0.1 * log(rope->factor);
    return 0;
}

/* A file that names no type of scaling means linear. */
int rope_read(const struct gguf *gguf, const char *architecture, uint32_t context_tokens,
              struct rope *out, struct err *err)
{
    const double paper_base = 10000.0;
    char key[ARCH_KEY_MAX_BYTES];
    struct gguf_string kind = {.data = "linear", .len = 6};
    struct rope rope = {.factor = 1.0, .magnitude = 1.0};

    if (arch_read_positive(gguf, architecture, "rope.freq_base", paper_base, &rope.base, err) != 0)
        return -1;
    if (gguf_has(gguf, arch_key(architecture, "rope.scaling.type", key)) &&
        gguf_read_string(gguf, key, &kind, err) != 0)
        return -1;
    if (arch_read_positive(gguf, architecture, "rope.scaling.attn_factor", 1.0, &rope.magnitude,
                           err) != 0)
        return -1;
    if (!is_text(kind, "none")) {
        if (!is_text(kind, "linear") && !is_text(kind, "yarn"))
            return err_set(err, ERR_INVALID_MODEL, "rope scaling of type %.*s is not supported",
                           kind.len < ARCH_KEY_MAX_BYTES ? (int)kind.len : ARCH_KEY_MAX_BYTES,
                           kind.data);
        if (read_factor(gguf, architecture, &rope.factor, err) != 0)
            return -1;
    }
    if (is_text(kind, "yarn") && read_yarn(gguf, architecture, context_tokens, &rope, err) != 0)
        return -1;
    *out = rope;
    return 0;
}

/* The pair (not whole) that turns TURNS times within the original context. */
static double yarn_pair(const struct rope *rope, uint32_t dims, double turns)
{
    return dims * log(rope->original_context_tokens / (turns * 2.0 * M_PI)) /
           (2.0 * log(rope->base));
}

/* How much of pair I keeps its speed: 1 for all of it, 0 for none. */
static double yarn_kept(const struct rope *rope, uint32_t dims, uint32_t i)
{
    const double narrowest = 0.001; /* so that no ramp is a division by 0 */
    double from = fmax(0.0, floor(yarn_pair(rope, dims, rope->beta_fast)));
    double to = fmin(dims - 1.0, ceil(yarn_pair(rope, dims, rope->beta_slow)));
    double along = (i - from) / fmax(narrowest, to - from);

    return 1.0 - fmin(1.0, fmax(0.0, along));
}

void rope_frequencies(const struct rope *rope, uint32_t dims, const float *factors, float *out)
{
    for (uint32_t i = 0; i < dims / 2; i++) {
        double own =
            pow(rope->base, -2.0 * i / dims) / (factors != NULL ? (double)factors[i] : 1.0);
        double slowed = own / rope->factor;
        double kept = rope->is_yarn ? yarn_kept(rope, dims, i) : 0.0;

        out[i] = (float)(kept * own + (1.0 - kept) * slowed);
    }
}
