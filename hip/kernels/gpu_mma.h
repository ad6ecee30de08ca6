/* Matrix units behind one primitive: a wave multiplies tiles of 16 x 16 halves into floats. Which
 * lane holds which element is each unit's own business, so fragments are filled by
 * gpu_mma_load() and read by gpu_mma_row() and gpu_mma_column(), and nothing else knows.
 *
 * C[16][16] += A[16][16] * transposed(B[16][16]); A is [row][k], B is [column][k], both with the
 * k of a row side by side, as weights and activations lie. All lanes of a wave call each of them.
 * GPU_HAS_MMA is defined where there is such a unit; where it is not, kernels use gpu_dot4().
 *
 * Lanes of AMD's units: https://gpuopen.com/learn/wmma_on_rdna3/ and the instruction set manuals of
 * CDNA3 and RDNA4; of NVIDIA's: the PTX manual, "Matrix Fragments for mma.m16n8k16". */
#ifndef RBEE_HIP_KERNELS_GPU_MMA_H
#define RBEE_HIP_KERNELS_GPU_MMA_H

#include "hip/kernels/gpu.h"

/* Before a loop whose loads would take too many registers if all were under way together, and
 * before one whose code would only be long. */
#if defined(__clang__)
#define GPU_UNROLL_TWICE _Pragma("unroll 2")
#define GPU_ROLLED _Pragma("nounroll")
#else
#define GPU_UNROLL_TWICE GPU_UNROLL
#define GPU_ROLLED GPU_UNROLL
#endif

enum {
    GPU_MMA_SIDE = 16,
    GPU_MMA_ELEMENTS = GPU_MMA_SIDE * GPU_MMA_SIDE / GPU_WAVE, /* of C in one lane */
};

#if defined(GPU_EMULATOR)
#include "tests/emulator/gpu_emulator_mma.h"
#elif defined(__gfx908__) || defined(__gfx90a__) || defined(__gfx942__) || defined(__gfx950__)
#define GPU_HAS_MMA 1

typedef _Float16 gpu_half4 __attribute__((ext_vector_type(4)));
typedef float gpu_float4 __attribute__((ext_vector_type(4)));

struct gpu_mma_tile {
    gpu_half4 halves; /* k of 4 * (lane / 16) on, row lane % 16 */
};

struct gpu_mma_sum {
    gpu_float4 values; /* rows of 4 * (lane / 16) on, column lane % 16 */
};

GPU_DEVICE void gpu_mma_load(struct gpu_mma_tile *tile, const uint16_t *from, uint32_t stride)
{
    uint32_t lane = gpu_lane();

    tile->halves = *(const gpu_half4 *)(from + lane % 16 * stride + lane / 16 * 4);
}

GPU_DEVICE uint32_t gpu_mma_row(uint32_t i)
{
    return gpu_lane() / 16 * 4 + i;
}

GPU_DEVICE uint32_t gpu_mma_column(uint32_t i)
{
    return gpu_lane() % 16;
}

GPU_DEVICE void gpu_mma(struct gpu_mma_sum *sum, const struct gpu_mma_tile *a,
                        const struct gpu_mma_tile *b)
{
    sum->values = __builtin_amdgcn_mfma_f32_16x16x16f16(a->halves, b->halves, sum->values, 0, 0, 0);
}

#elif defined(__GFX11__)
#define GPU_HAS_MMA 1

typedef _Float16 gpu_half16 __attribute__((ext_vector_type(16)));
typedef float gpu_float8 __attribute__((ext_vector_type(8)));

struct gpu_mma_tile {
    gpu_half16 halves; /* the whole row lane % 16 */
};

struct gpu_mma_sum {
    gpu_float8 values; /* rows lane / 16, and each second one on, column lane % 16 */
};

GPU_DEVICE void gpu_mma_load(struct gpu_mma_tile *tile, const uint16_t *from, uint32_t stride)
{
    const uint16_t *row = from + gpu_lane() % 16 * stride;
    struct gpu_int4 parts[2] = {gpu_load16(row), gpu_load16(row + 8)};

    __builtin_memcpy(&tile->halves, parts, sizeof(parts));
}

GPU_DEVICE uint32_t gpu_mma_row(uint32_t i)
{
    return gpu_lane() / 16 + 2 * i;
}

GPU_DEVICE uint32_t gpu_mma_column(uint32_t i)
{
    return gpu_lane() % 16;
}

GPU_DEVICE void gpu_mma(struct gpu_mma_sum *sum, const struct gpu_mma_tile *a,
                        const struct gpu_mma_tile *b)
{
    sum->values = __builtin_amdgcn_wmma_f32_16x16x16_f16_w32(a->halves, b->halves, sum->values);
}

#elif defined(__GFX12__)
#define GPU_HAS_MMA 1

typedef _Float16 gpu_half8 __attribute__((ext_vector_type(8)));
typedef float gpu_float8 __attribute__((ext_vector_type(8)));

struct gpu_mma_tile {
    gpu_half8 halves; /* k of 8 * (lane / 16) on, row lane % 16 */
};

struct gpu_mma_sum {
    gpu_float8 values; /* rows of 8 * (lane / 16) on, column lane % 16 */
};

GPU_DEVICE void gpu_mma_load(struct gpu_mma_tile *tile, const uint16_t *from, uint32_t stride)
{
    uint32_t lane = gpu_lane();
    struct gpu_int4 part = gpu_load16(from + lane % 16 * stride + lane / 16 * 8);

    __builtin_memcpy(&tile->halves, &part, sizeof(part));
}

GPU_DEVICE uint32_t gpu_mma_row(uint32_t i)
{
    return gpu_lane() / 16 * 8 + i;
}

GPU_DEVICE uint32_t gpu_mma_column(uint32_t i)
{
    return gpu_lane() % 16;
}

GPU_DEVICE void gpu_mma(struct gpu_mma_sum *sum, const struct gpu_mma_tile *a,
                        const struct gpu_mma_tile *b)
{
    sum->values =
        __builtin_amdgcn_wmma_f32_16x16x16_f16_w32_gfx12(a->halves, b->halves, sum->values);
}

#elif defined(__NVPTX__) || defined(__CUDA_ARCH__)
#define GPU_HAS_MMA 1

struct gpu_mma_tile {
    /* Pairs of k, lane % 4 * 2 and 8 more, of row lane / 4: [0] and [1], and 8 rows below: [2], [3]
     */
    uint32_t pairs[4];
};

struct gpu_mma_sum {
    /* Columns lane % 4 * 2 and one more: [0], [1] of row lane / 4, [2], [3] of 8 rows below; and
     * the same 8 columns on. */
    float values[8];
};

GPU_DEVICE void gpu_mma_load(struct gpu_mma_tile *tile, const uint16_t *from, uint32_t stride)
{
    uint32_t lane = gpu_lane();

    GPU_UNROLL
    for (uint32_t i = 0; i < 4; i++)
        tile->pairs[i] =
            *(const uint32_t *)(from + (lane / 4 + i / 2 * 8) * stride + lane % 4 * 2 + i % 2 * 8);
}

GPU_DEVICE uint32_t gpu_mma_row(uint32_t i)
{
    return gpu_lane() / 4 + i / 2 % 2 * 8;
}

GPU_DEVICE uint32_t gpu_mma_column(uint32_t i)
{
    return gpu_lane() % 4 * 2 + i % 2 + i / 4 * 8;
}

GPU_DEVICE void gpu_mma_half(float *sum, const uint32_t *a, const uint32_t *b)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[2]), "r"(a[1]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

GPU_DEVICE void gpu_mma(struct gpu_mma_sum *sum, const struct gpu_mma_tile *a,
                        const struct gpu_mma_tile *b)
{
    gpu_mma_half(sum->values, a->pairs, b->pairs);
    gpu_mma_half(sum->values + 4, a->pairs, b->pairs + 2);
}

#endif

#endif
