/* The inner loops of the CPU backend: one table for each instruction set, chosen once at start.
 * Pure functions on plain memory; any COUNT is right, multiples of 32 are fast. */
#ifndef RBEE_HIP_BACKEND_CPU_KERNELS_H
#define RBEE_HIP_BACKEND_CPU_KERNELS_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    CPU_TILE_ROWS = 4, /* rows of activations that share one reading of a weight */
};

/* Softmax over blocks of keys as they come: out is the sum of exp(score - max) * value so far, to
 * be divided by sum at the end. Starts as max -INFINITY, sum 0, out zeroes.
 * https://arxiv.org/abs/1805.02867 */
struct cpu_attention {
    const float *q; /* [head_dim] */
    float *out;     /* [head_dim] */
    uint32_t head_dim;
    float scale;
    float softcap; /* of a score, or 0: see backend_attention */
    float max;
    float sum;
};

struct cpu_kernels {
    /* A weight's row to floats. */
    void (*decode)(uint32_t type, const void *row, float *out, uint32_t count);
    /* out[r] = weight's row * x[r], for r below ROWS <= CPU_TILE_ROWS; x is [ROWS][count]. */
    void (*dot)(uint32_t type, const void *row, const float *x, uint32_t rows, uint32_t count,
                float *out);
    /* out[r][w] = panel[w] * x[r]; panel is [panel_rows][count], x [ROWS][count], ROWS as in dot.
     * Bit for bit what dot gives for the same row, whatever ROWS is: the pace of a prompt decides
     * which of the two is used. */
    void (*tile)(const float *panel, uint32_t panel_rows, const float *x, uint32_t rows,
                 uint32_t count, float *out);
    /* out = x / sqrt(mean(x * x) + epsilon) * scale, or is that much more; out may be x. */
    void (*norm)(const float *x, const float *scale, float epsilon, uint32_t count, bool is_added,
                 float *out);
    /* out = silu(gate) * up, out = gelu(gate) * up; out may be gate. */
    void (*silu_mul)(const float *gate, const float *up, float *out, uint32_t count);
    void (*gelu_mul)(const float *gate, const float *up, float *out, uint32_t count);
    void (*to_half)(const float *x, uint16_t *out, uint32_t count);
    /* Goes on with POSITIONS (1 to 32) more; k and v are halves [position][head_dim]. */
    void (*attend)(struct cpu_attention *attention, const uint16_t *k, const uint16_t *v,
                   uint32_t positions);
};

/* x / 2 * (1 + tanh(u)) is x / (1 + e^-2u): what gelu has in place of silu's x is 2u, which is
 * x * (CPU_GELU_LINEAR + CPU_GELU_CUBIC * x * x). */
#define CPU_GELU_LINEAR 1.5957691216057308f /* 2 * sqrt(2 / pi) */
#define CPU_GELU_CUBIC (0.044715f * 1.5957691216057308f)

static inline float cpu_capped(float x, float softcap)
{
    return softcap == 0.0f ? x : softcap * tanhf(x / softcap);
}

extern const struct cpu_kernels CPU_KERNELS_PLAIN;
#if defined(__x86_64__)
/* Needs AVX2, FMA and F16C, which cpu.c asks the processor for. */
extern const struct cpu_kernels CPU_KERNELS_AVX2;
#endif

#endif
