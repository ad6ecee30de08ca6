/* The inner loops of the CPU backend: one table for each instruction set, chosen once at start.
 * Pure functions on plain memory; any COUNT is right, multiples of 32 are fast. */
#ifndef RBEE_HIP_BACKEND_CPU_KERNELS_H
#define RBEE_HIP_BACKEND_CPU_KERNELS_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    CPU_TILE_ROWS = 4, /* rows of activations that share one reading of a weight */
    CPU_STRIP = 256,   /* columns that share one unit as integers */
    CPU_GROUP = 16,    /* rows of activations that are multiplied side by side */
    /* Rows of a weight that one call of `many` takes where it multiplies vectors: together with a
     * group pair of activations a strip of them fits the first-level cache. */
    CPU_MANY_WIDTH = 24,
    CPU_MANY_STEP = 12,
    /* The same for tiles, which take CPU_TILE_STEP at once. All activations are read once for each
     * call, and so few rows would be multiplied faster than activations come. */
    CPU_TILE_WIDTH = 128,
    CPU_TILE_STEP = 16,
    CPU_QUERIES_MAX = 16, /* of a call of `attend` */
    CPU_FEW_ROWS = 8,     /* of activations that one call of `few` takes at most */
    /* The largest integers: a strip's products, and their sum, stay within 32 bits. */
    CPU_STRIP_SUMS = 8,
    CPU_SUM_UNIT = 512,
    CPU_ACTIVATION_MAX = 4095,
    CPU_WEIGHT_MAX = 1900,
    /* Bytes of a row's strip in a group, as integers or as three pieces of each. */
    CPU_STRIP_BYTES = 2 * CPU_STRIP,
    CPU_STRIP_PIECES = 3 * CPU_STRIP,
};

/* Activations as integers: x = unit * value, one unit for each strip of a row, so that its largest
 * value is CPU_ACTIVATION_MAX. Columns after the last are zero. */
struct cpu_integers {
    uint32_t row_count;
    uint32_t columns;
    /* For `few` [strip][row][CPU_STRIP], a strip's columns in an order of the table's own; for
     * `many` [strip][group][CPU_STRIP / 2][CPU_GROUP][2]: pairs of them of CPU_GROUP rows side by
     * side; or what else to_group makes of a strip and group, CPU_GROUP * group_row_bytes. */
    const int16_t *values;
    /* Of each 32 columns of a strip their sum as a pair, sum % CPU_SUM_UNIT and sum / CPU_SUM_UNIT
     * rounded down, in the same arrangement: [strip][row][CPU_STRIP_SUMS][2] or
     * [strip][group][CPU_STRIP_SUMS][CPU_GROUP][2]. */
    const int16_t *sums;
    const float *units; /* for `few` [strip][row], for `many` [strip][group][CPU_GROUP] */
};

/* Rows of a weight with blocks by activations as integers: weights become integers of 12 bits, with
 * one unit a strip (cpu_words.h); a strip's products are summed exactly, and the strips as floats
 * in order. So both loops give the same, bit for bit, however many rows there are. */
struct cpu_product {
    uint32_t type;
    const uint8_t *weights; /* [width] rows, row_bytes from one to the next */
    uint64_t row_bytes;
    uint32_t width;
    const struct cpu_integers *x;
    float *out;  /* [row][width] */
    float *sums; /* scratch of `many`: [group][width][CPU_GROUP] */
};

/* One head of one row: a softmax over blocks of keys as they come: out is the sum of
 * exp(score - max) * value so far, to be divided by sum at the end. Starts as max -INFINITY, sum 0,
 * out zeroes. https://arxiv.org/abs/1805.02867 */
struct cpu_query {
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
    /* COUNT columns, at most CPU_STRIP, of a row of activations to a strip of integers and its SUMS
     * [CPU_STRIP_SUMS][2]; returns the unit. NULL, with the next two: this table multiplies as
     * floats alone. */
    float (*to_integers)(const float *x, uint32_t count, int16_t *values, int16_t *sums);
    void (*few)(const struct cpu_product *product);  /* up to CPU_FEW_ROWS rows */
    void (*many)(const struct cpu_product *product); /* up to many_width weights */
    uint32_t many_width;
    uint32_t many_step; /* multiples of that are fast */
    /* A strip of CPU_GROUP rows of integers, one after the other, as `many` wants it. */
    void (*to_group)(const int16_t *rows, void *group);
    uint32_t group_row_bytes; /* each row's share of that */
    /* out = x / sqrt(mean(x * x) + epsilon) * scale, or is that much more; out may be x. */
    void (*norm)(const float *x, const float *scale, float epsilon, uint32_t count, bool is_added,
                 float *out);
    /* out = silu(gate) * up, out = gelu(gate) * up; out may be gate. */
    void (*silu_mul)(const float *gate, const float *up, float *out, uint32_t count);
    void (*gelu_mul)(const float *gate, const float *up, float *out, uint32_t count);
    void (*to_half)(const float *x, uint16_t *out, uint32_t count);
    /* COUNT queries of one head_dim go on with positions FIRST to END - 1 of a block; k are halves
     * [head_dim][BACKEND_KV_BLOCK_TOKENS], v [BACKEND_KV_BLOCK_TOKENS][head_dim]. */
    void (*attend)(struct cpu_query *queries, uint32_t count, const uint16_t *k, const uint16_t *v,
                   uint32_t first, uint32_t end);
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
/* Whether the processor has AVX2, FMA and F16C; AVX-512 F, BW, VL and VNNI, too; and tiles of
 * bytes, which the system must let this process use. */
bool cpu_has_avx2(void);
bool cpu_has_avx512(void);
bool cpu_has_amx(void);
/* Need that. */
extern const struct cpu_kernels CPU_KERNELS_AVX2;
extern const struct cpu_kernels CPU_KERNELS_AVX512;
extern const struct cpu_kernels CPU_KERNELS_AMX;

float cpu_avx2_to_integers(const float *x, uint32_t count, int16_t *values, int16_t *sums);
void cpu_avx2_to_group(const int16_t *rows, void *group);
void cpu_avx2_few(const struct cpu_product *product);
void cpu_avx2_many(const struct cpu_product *product);
void cpu_avx2_attend(struct cpu_query *queries, uint32_t count, const uint16_t *k,
                     const uint16_t *v, uint32_t first, uint32_t end);
void cpu_avx512_attend(struct cpu_query *queries, uint32_t count, const uint16_t *k,
                       const uint16_t *v, uint32_t first, uint32_t end);
float cpu_avx512_to_integers(const float *x, uint32_t count, int16_t *values, int16_t *sums);
void cpu_avx512_to_group(const int16_t *rows, void *group);
void cpu_avx512_few(const struct cpu_product *product);
void cpu_avx512_many(const struct cpu_product *product);
void cpu_amx_many(const struct cpu_product *product);
void cpu_amx_to_group(const int16_t *rows, void *group);
#endif

#endif
