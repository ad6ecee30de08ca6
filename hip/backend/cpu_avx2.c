/* The CPU backend's inner loops for AVX2, FMA and F16C. Entered only after cpu.c has asked the
 * processor. Weights become floats in registers, so every type has the same loops and the result is
 * that of plain floats: activations rounded to 8 bits would be faster to multiply, and were
 * measured to cost a KL divergence of 3e-3 on the demo model (tests/golden/README.md). */
#if defined(__x86_64__)

#include "hip/backend/cpu_kernels.h"

#include "hip/backend/backend.h"
#include "hip/backend/cpu_attend.h"
#include "hip/backend/cpu_avx2_load.h"
#include "hip/model/quant.h"

#include <assert.h>
#include <immintrin.h>
#include <math.h>
#include <string.h>

/* For what follows alone, not for the functions of the headers, which other files share. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

enum {
    PREFETCH_AHEAD_BYTES = 1024, /* hip/SPEED.md */
    SUMS = 2, /* of a product, so that an addition need not wait for the one before */
    /* TILE_ROWS * TILE_COLUMNS * SUMS sums and what is multiplied fit 16 registers. */
    TILE_ROWS = 2,
    TILE_COLUMNS = 3,
};

INLINE void decode_strips(uint32_t type, const uint8_t *row, float *out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i += STRIP, row += strip_bytes(type)) {
        uint32_t parts = strip_parts(count - i);
        struct strip_scales scales;

        load_strip_scales(type, row, parts, &scales);
        FOR_EACH_PART
        for (uint32_t part = 0; part < STRIP_PARTS; part++) {
            __m256 block[VECTORS];

            if (part >= parts)
                break;
            load_part(type, row, part, &scales, block);
            for (uint32_t j = 0; j < VECTORS; j++)
                _mm256_storeu_ps(out + i + part * BLOCK + LANES * j, block[j]);
        }
    }
}

INLINE void decode_floats(uint32_t type, const uint8_t *row, float *out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i += BLOCK, row += block_bytes(type)) {
        __m256 block[VECTORS];

        load_floats(type, row, block);
        for (uint32_t j = 0; j < VECTORS; j++)
            _mm256_storeu_ps(out + i + LANES * j, block[j]);
    }
}

/* BLOCK weights by ROWS activations from X on, each COUNT after the one before. Even and odd
 * vectors have sums of their own, in the order of tile_block(): an answer may not depend on how
 * many rows were computed together. */
INLINE void add_products(const __m256 block[VECTORS], const float *x, uint32_t rows, uint32_t count,
                         __m256 sums[CPU_TILE_ROWS][SUMS])
{
    for (uint32_t r = 0; r < rows; r++) {
        for (int j = 0; j < VECTORS; j++) {
            __m256 values = _mm256_loadu_ps(x + (uint64_t)r * count + LANES * j);

            sums[r][j % SUMS] = _mm256_fmadd_ps(block[j], values, sums[r][j % SUMS]);
        }
    }
}

/* ROWS is a constant, 1 or CPU_TILE_ROWS. */
INLINE void dot_floats(uint32_t type, const uint8_t *row, const float *x, uint32_t rows,
                       uint32_t count, float *out)
{
    __m256 sums[CPU_TILE_ROWS][SUMS];

    for (uint32_t r = 0; r < rows; r++)
        sums[r][0] = sums[r][1] = _mm256_setzero_ps();
    for (uint32_t i = 0; i < count; i += BLOCK, row += block_bytes(type)) {
        __m256 block[VECTORS];

        _mm_prefetch((const char *)row + PREFETCH_AHEAD_BYTES, _MM_HINT_T0);
        load_floats(type, row, block);
        add_products(block, x + i, rows, count, sums);
    }
    for (uint32_t r = 0; r < rows; r++)
        out[r] = floats_sum(_mm256_add_ps(sums[r][0], sums[r][1]));
}

/* The same loops once for each type, so that the choice is outside of them. */
static void avx2_decode(uint32_t type, const void *row, float *out, uint32_t count)
{
    if (count % BLOCK != 0) {
        CPU_KERNELS_PLAIN.decode(type, row, out, count);
        return;
    }
    switch (type) {
#define X(name)                                                                                    \
    case QUANT_##name:                                                                             \
        decode_floats(QUANT_##name, row, out, count);                                              \
        break;
        FOR_EACH_FLOAT_TYPE(X)
#undef X
#define X(name)                                                                                    \
    case QUANT_##name:                                                                             \
        decode_strips(QUANT_##name, row, out, count);                                              \
        break;
        FOR_EACH_BLOCK_TYPE(X)
#undef X
    default:
        CPU_KERNELS_PLAIN.decode(type, row, out, count);
    }
}

static void avx2_dot(uint32_t type, const void *row, const float *x, uint32_t rows, uint32_t count,
                     float *out)
{
    if (count % BLOCK != 0) {
        CPU_KERNELS_PLAIN.dot(type, row, x, rows, count, out);
        return;
    }
    switch (type) {
#define X(name)                                                                                    \
    case QUANT_##name:                                                                             \
        if (rows == CPU_TILE_ROWS) {                                                               \
            dot_floats(QUANT_##name, row, x, CPU_TILE_ROWS, count, out);                           \
            break;                                                                                 \
        }                                                                                          \
        for (uint32_t r = 0; r < rows; r++)                                                        \
            dot_floats(QUANT_##name, row, x + (uint64_t)r * count, 1, count, out + r);             \
        break;
        FOR_EACH_FLOAT_TYPE(X)
#undef X
    default: /* types with blocks are multiplied as integers */
        CPU_KERNELS_PLAIN.dot(type, row, x, rows, count, out);
    }
}

/* COLUMNS weights by ROWS activations, all sums in registers; both are constants. */
INLINE void tile_block(const float *panel, uint32_t columns, const float *x, uint32_t rows,
                       uint32_t count, uint32_t out_stride, float *out)
{
    __m256 sums[TILE_ROWS][TILE_COLUMNS][SUMS];

    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t w = 0; w < columns; w++)
            sums[r][w][0] = sums[r][w][1] = _mm256_setzero_ps();
    }
    for (uint32_t i = 0; i < count; i += SUMS * LANES) {
        for (uint32_t s = 0; s < SUMS; s++) {
            __m256 weights[TILE_COLUMNS];

            for (uint32_t w = 0; w < columns; w++)
                weights[w] = _mm256_loadu_ps(panel + (uint64_t)w * count + i + s * LANES);
            for (uint32_t r = 0; r < rows; r++) {
                __m256 values = _mm256_loadu_ps(x + (uint64_t)r * count + i + s * LANES);

                for (uint32_t w = 0; w < columns; w++)
                    sums[r][w][s] = _mm256_fmadd_ps(weights[w], values, sums[r][w][s]);
            }
        }
    }
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t w = 0; w < columns; w++)
            out[r * out_stride + w] = floats_sum(_mm256_add_ps(sums[r][w][0], sums[r][w][1]));
    }
}

static void avx2_tile(const float *panel, uint32_t panel_rows, const float *x, uint32_t rows,
                      uint32_t count, float *out)
{
    uint32_t w = 0;

    if (count % BLOCK != 0) { /* as avx2_dot() */
        CPU_KERNELS_PLAIN.tile(panel, panel_rows, x, rows, count, out);
        return;
    }
    for (; rows == CPU_TILE_ROWS && w + TILE_COLUMNS <= panel_rows; w += TILE_COLUMNS) {
        for (uint32_t r = 0; r < CPU_TILE_ROWS; r += TILE_ROWS)
            tile_block(panel + (uint64_t)w * count, TILE_COLUMNS, x + (uint64_t)r * count,
                       TILE_ROWS, count, panel_rows, out + r * panel_rows + w);
    }
    for (; w < panel_rows; w++) {
        for (uint32_t r = 0; r < rows; r++)
            tile_block(panel + (uint64_t)w * count, 1, x + (uint64_t)r * count, 1, count,
                       panel_rows, out + r * panel_rows + w);
    }
}

static void avx2_norm(const float *x, const float *scale, float epsilon, uint32_t count,
                      bool is_added, float *out)
{
    __m256 sums = _mm256_setzero_ps();
    __m256 factor;

    if (count % LANES != 0) {
        CPU_KERNELS_PLAIN.norm(x, scale, epsilon, count, is_added, out);
        return;
    }
    for (uint32_t i = 0; i < count; i += LANES) {
        __m256 values = _mm256_loadu_ps(x + i);

        sums = _mm256_fmadd_ps(values, values, sums);
    }
    factor = _mm256_set1_ps(1.0f / sqrtf(floats_sum(sums) / (float)count + epsilon));
    for (uint32_t i = 0; i < count; i += LANES) {
        __m256 scaled = _mm256_mul_ps(_mm256_loadu_ps(x + i), factor);

        scaled = _mm256_mul_ps(scaled, _mm256_loadu_ps(scale + i));
        if (is_added)
            scaled = _mm256_add_ps(scaled, _mm256_loadu_ps(out + i));
        _mm256_storeu_ps(out + i, scaled);
    }
}

/* out = gate / (1 + e^-z) * up, where z is gate itself (silu) or what gelu makes of it. */
INLINE void gate_vector(bool is_gelu, const float *gate, const float *up, float *out)
{
    __m256 x = _mm256_loadu_ps(gate);
    __m256 z = x;
    __m256 e;

    if (is_gelu)
        z = _mm256_mul_ps(x, _mm256_fmadd_ps(_mm256_mul_ps(x, x), _mm256_set1_ps(CPU_GELU_CUBIC),
                                             _mm256_set1_ps(CPU_GELU_LINEAR)));
    e = exponentials(_mm256_sub_ps(_mm256_setzero_ps(), z));
    x = _mm256_div_ps(x, _mm256_add_ps(_mm256_set1_ps(1.0f), e));
    _mm256_storeu_ps(out, _mm256_mul_ps(x, _mm256_loadu_ps(up)));
}

/* IS_GELU is a constant. The rest is computed as the vectors are: where a chunk ends may not change
 * an element. */
INLINE void gate_mul(bool is_gelu, const float *gate, const float *up, float *out, uint32_t count)
{
    float rest[3][LANES] = {0};
    uint32_t i = 0;

    for (; i + LANES <= count; i += LANES)
        gate_vector(is_gelu, gate + i, up + i, out + i);
    if (i == count)
        return;
    memcpy(rest[0], gate + i, (count - i) * sizeof(float));
    memcpy(rest[1], up + i, (count - i) * sizeof(float));
    gate_vector(is_gelu, rest[0], rest[1], rest[2]);
    memcpy(out + i, rest[2], (count - i) * sizeof(float));
}

static void avx2_silu_mul(const float *gate, const float *up, float *out, uint32_t count)
{
    gate_mul(false, gate, up, out, count);
}

static void avx2_gelu_mul(const float *gate, const float *up, float *out, uint32_t count)
{
    gate_mul(true, gate, up, out, count);
}

static void avx2_to_half(const float *x, uint16_t *out, uint32_t count)
{
    uint32_t i = 0;

    for (; i + LANES <= count; i += LANES)
        _mm_storeu_si128((__m128i *)(out + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
    if (i < count)
        CPU_KERNELS_PLAIN.to_half(x + i, out + i, count - i);
}

#define SHARED_LOOPS                                                                               \
    .decode = avx2_decode, .dot = avx2_dot, .tile = avx2_tile, .norm = avx2_norm,                  \
    .silu_mul = avx2_silu_mul, .gelu_mul = avx2_gelu_mul, .to_half = avx2_to_half

const struct cpu_kernels CPU_KERNELS_AVX2 = {
    SHARED_LOOPS,
    .to_integers = cpu_avx2_to_integers,
    .few = cpu_avx2_few,
    .many = cpu_avx2_many,
    .many_width = CPU_MANY_WIDTH,
    .many_step = CPU_MANY_STEP,
    .to_group = cpu_avx2_to_group,
    .group_row_bytes = CPU_STRIP_BYTES,
    .attend = cpu_avx2_attend,
};

#define AVX512_LOOPS                                                                               \
    SHARED_LOOPS, .to_integers = cpu_avx512_to_integers, .few = cpu_avx512_few,                    \
                  .attend = cpu_avx512_attend

const struct cpu_kernels CPU_KERNELS_AVX512 = {
    AVX512_LOOPS,
    .many = cpu_avx512_many,
    .many_width = CPU_MANY_WIDTH,
    .many_step = CPU_MANY_STEP,
    .to_group = cpu_avx512_to_group,
    .group_row_bytes = CPU_STRIP_BYTES,
};

const struct cpu_kernels CPU_KERNELS_AMX = {
    AVX512_LOOPS,
    .many = cpu_amx_many,
    .many_width = CPU_TILE_WIDTH,
    .many_step = CPU_TILE_STEP,
    .to_group = cpu_amx_to_group,
    .group_row_bytes = CPU_STRIP_PIECES,
};

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#else
/* Not for this processor: cpu.c uses the plain loops. */
typedef int cpu_avx2_is_for_x86_64;
#endif
