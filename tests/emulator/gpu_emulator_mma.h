/* gpu_mma.h for the emulator: lanes hold what those of RDNA3's unit hold in waves of 32, and of
 * CDNA's in waves of 64, so that kernels that took one for granted fail at the other. */
#ifndef RBEE_TESTS_EMULATOR_GPU_EMULATOR_MMA_H
#define RBEE_TESTS_EMULATOR_GPU_EMULATOR_MMA_H

#include "hip/kernels/gpu_mma.h"

#define GPU_HAS_MMA 1

enum {
    EMULATED_MMA_HALVES = GPU_WAVE == 32 ? 16 : 4, /* of a tile in one lane */
};

struct gpu_mma_tile {
    uint16_t halves[EMULATED_MMA_HALVES]; /* of row lane % 16 */
};

struct gpu_mma_sum {
    float values[GPU_MMA_ELEMENTS];
};

/* What a lane brings to the wave's product. */
struct emulated_mma {
    struct gpu_mma_sum *sum;
    const struct gpu_mma_tile *a;
    const struct gpu_mma_tile *b;
};

/* The product, for all lanes at once (mma.c). */
void emulated_mma_all(void *const *brought);

/* A lane's first element of a row, and its rows of the sum. */
GPU_DEVICE uint32_t emulated_mma_first(uint32_t lane)
{
    return GPU_WAVE == 32 ? 0 : lane / 16 * 4;
}

GPU_DEVICE uint32_t emulated_mma_row(uint32_t lane, uint32_t i)
{
    return GPU_WAVE == 32 ? lane / 16 + 2 * i : lane / 16 * 4 + i;
}

/* Units take their operands in registers that are loaded whole. */
GPU_DEVICE void emulated_mma_load(struct gpu_mma_tile *tile, const uint16_t *from, uint32_t stride,
                                  const char *file, int line)
{
    uint32_t lane = gpu_thread() % GPU_WAVE;

    from += lane % 16 * stride + emulated_mma_first(lane);
    if ((uintptr_t)from % (GPU_WAVE == 32 ? 16 : 8) != 0)
        emulated_refuse(file, line, "a tile whose rows are not aligned");
    __builtin_memcpy(tile->halves, from, sizeof(tile->halves));
}

#define gpu_mma_load(tile, from, stride) emulated_mma_load(tile, from, stride, __FILE__, __LINE__)

GPU_DEVICE uint32_t gpu_mma_row(uint32_t i)
{
    return emulated_mma_row(gpu_thread() % GPU_WAVE, i);
}

GPU_DEVICE uint32_t gpu_mma_column(uint32_t i)
{
    return gpu_thread() % 16;
}

GPU_DEVICE void emulated_mma(struct gpu_mma_sum *sum, const struct gpu_mma_tile *a,
                             const struct gpu_mma_tile *b, const char *file, int line)
{
    struct emulated_mma mine = {sum, a, b};

    emulated_together(emulated_mma_all, &mine, file, line);
}

#define gpu_mma(sum, a, b) emulated_mma(sum, a, b, __FILE__, __LINE__)

#endif
