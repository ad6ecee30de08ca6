/* The matrix unit: what gpu_emulator_mma.h's lanes hold together is multiplied once for all of
 * them. */
#include "hip/kernels/gpu_mma.h"

enum { SIDE = GPU_MMA_SIDE };

static void spread(float out[SIDE][SIDE], void *const *brought, int is_b)
{
    for (uint32_t lane = 0; lane < GPU_WAVE; lane++) {
        const struct emulated_mma *mine = brought[lane];
        const struct gpu_mma_tile *tile = is_b ? mine->b : mine->a;

        /* In waves of 32 the upper lanes hold the same as the lower ones. */
        for (uint32_t i = 0; i < EMULATED_MMA_HALVES; i++) {
            uint32_t k = emulated_mma_first(lane) + i;
            float value = gpu_half_to_float(tile->halves[i]);

            if (is_b)
                out[k][lane % SIDE] = value;
            else
                out[lane % SIDE][k] = value;
        }
    }
}

/* Each element's products are added in the order of k. */
void emulated_mma_all(void *const *brought)
{
    float a[SIDE][SIDE], b[SIDE][SIDE], sum[SIDE][SIDE]; /* [row][k], [k][column], [row][column] */

    spread(a, brought, 0);
    spread(b, brought, 1);
    for (uint32_t lane = 0; lane < GPU_WAVE; lane++)
        for (uint32_t i = 0; i < GPU_MMA_ELEMENTS; i++)
            sum[emulated_mma_row(lane, i)][lane % SIDE] =
                ((const struct emulated_mma *)brought[lane])->sum->values[i];
    for (uint32_t row = 0; row < SIDE; row++)
        for (uint32_t k = 0; k < SIDE; k++)
            for (uint32_t column = 0; column < SIDE; column++)
                sum[row][column] += a[row][k] * b[k][column];
    for (uint32_t lane = 0; lane < GPU_WAVE; lane++)
        for (uint32_t i = 0; i < GPU_MMA_ELEMENTS; i++)
            ((const struct emulated_mma *)brought[lane])->sum->values[i] =
                sum[emulated_mma_row(lane, i)][lane % SIDE];
}
