/* The CPU backend's inner loops in plain C, for processors without a file of their own and for
 * sizes that the faster ones do not take. */
#include "hip/backend/cpu_kernels.h"

#include "hip/backend/backend.h"
#include "hip/model/quant.h"

#include <assert.h>
#include <math.h>

/* Independent sums, so that the additions need not wait for each other and the rounding of a long
 * row stays small. */
enum { LANES = 8 };

/* Elements of a row that are decoded at a time; a multiple of every block. */
enum { STRIP = 256 };

static float dot_floats(const float *a, const float *b, uint32_t count)
{
    float sums[LANES] = {0};
    float sum = 0.0f;
    uint32_t i = 0;

    for (; i + LANES <= count; i += LANES) {
        for (uint32_t lane = 0; lane < LANES; lane++)
            sums[lane] += a[i + lane] * b[i + lane];
    }
    for (; i < count; i++)
        sum += a[i] * b[i];
    for (uint32_t lane = 0; lane < LANES; lane++)
        sum += sums[lane];
    return sum;
}

/* The sums and their order are those of plain_dot(): an answer may not depend on how many rows were
 * computed together. */
static float dot_strips(const float *a, const float *b, uint32_t count)
{
    float sum = 0.0f;

    for (uint32_t at = 0; at < count; at += STRIP)
        sum += dot_floats(a + at, b + at, count - at < STRIP ? count - at : STRIP);
    return sum;
}

static void plain_decode(uint32_t type, const void *row, float *out, uint32_t count)
{
    quant_decode(type, row, out, count);
}

static void plain_dot(uint32_t type, const void *row, const float *x, uint32_t rows, uint32_t count,
                      float *out)
{
    float strip[STRIP];

    for (uint32_t r = 0; r < rows; r++)
        out[r] = 0.0f;
    for (uint32_t at = 0; at < count; at += STRIP) {
        uint32_t len = count - at < STRIP ? count - at : STRIP;

        quant_decode(type, (const char *)row + quant_row_bytes(type, at), strip, len);
        for (uint32_t r = 0; r < rows; r++)
            out[r] += dot_floats(strip, x + (uint64_t)r * count + at, len);
    }
}

static void plain_tile(const float *panel, uint32_t panel_rows, const float *x, uint32_t rows,
                       uint32_t count, float *out)
{
    for (uint32_t w = 0; w < panel_rows; w++) {
        for (uint32_t r = 0; r < rows; r++)
            out[r * panel_rows + w] =
                dot_strips(panel + (uint64_t)w * count, x + (uint64_t)r * count, count);
    }
}

static void plain_norm(const float *x, const float *scale, float epsilon, uint32_t count,
                       bool is_added, float *out)
{
    float factor = 1.0f / sqrtf(dot_floats(x, x, count) / (float)count + epsilon);

    for (uint32_t i = 0; i < count; i++)
        out[i] = x[i] * factor * scale[i] + (is_added ? out[i] : 0.0f);
}

static void plain_silu_mul(const float *gate, const float *up, float *out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        out[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

static void plain_gelu_mul(const float *gate, const float *up, float *out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        float x = gate[i];

        out[i] = x / (1.0f + expf(-x * (CPU_GELU_LINEAR + CPU_GELU_CUBIC * x * x))) * up[i];
    }
}

static void plain_to_half(const float *x, uint16_t *out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        out[i] = quant_f32_to_f16(x[i]);
}

/* The key of a position is a column of K. */
static float score_of(const struct cpu_query *query, const uint16_t *k, uint32_t position)
{
    float sum = 0.0f;

    for (uint32_t d = 0; d < query->head_dim; d++)
        sum += query->q[d] * quant_f16_to_f32(k[(uint64_t)d * BACKEND_KV_BLOCK_TOKENS + position]);
    return cpu_capped(query->scale * sum, query->softcap);
}

static void attend_one(struct cpu_query *query, const uint16_t *k, const uint16_t *v,
                       uint32_t first, uint32_t end)
{
    float scores[BACKEND_KV_BLOCK_TOKENS]; /* from first on */
    uint32_t head_dim = query->head_dim;
    float max = query->max;
    float shrink = 0.0f;

    for (uint32_t i = first; i < end; i++) {
        scores[i] = score_of(query, k, i);
        max = fmaxf(max, scores[i]);
    }
    shrink = expf(query->max - max);
    query->max = max;
    query->sum *= shrink;
    for (uint32_t d = 0; d < head_dim; d++)
        query->out[d] *= shrink;
    for (uint32_t i = first; i < end; i++) {
        /* cppcheck-suppress uninitvar ; the loop above has the same bounds */
        float weight = expf(scores[i] - max);

        query->sum += weight;
        for (uint32_t d = 0; d < head_dim; d++)
            query->out[d] += weight * quant_f16_to_f32(v[(uint64_t)i * head_dim + d]);
    }
}

static void plain_attend(struct cpu_query *queries, uint32_t count, const uint16_t *k,
                         const uint16_t *v, uint32_t first, uint32_t end)
{
    assert(first < end && end <= BACKEND_KV_BLOCK_TOKENS);
    for (uint32_t i = 0; i < count; i++)
        attend_one(&queries[i], k, v, first, end);
}

const struct cpu_kernels CPU_KERNELS_PLAIN = {
    .decode = plain_decode,
    .dot = plain_dot,
    .tile = plain_tile,
    .norm = plain_norm,
    .silu_mul = plain_silu_mul,
    .gelu_mul = plain_gelu_mul,
    .to_half = plain_to_half,
    .attend = plain_attend,
};
