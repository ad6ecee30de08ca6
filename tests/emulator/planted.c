/* Kernels for the emulator's own tests: some that are right, and one for each fault that it must
 * find. Built as hip/kernels/kernels.hip is. */
#include "hip/kernels/gpu.h"
#include "hip/kernels/gpu_mma.h"
#include "tests/emulator/planted_args.h"

enum { SHARED_COUNT = 64 };

/* ---- right ones ---- */

/* out[block] = sum of in[block][count], by all waves of the block. */
GPU_KERNEL(sum_rows, args_planted)
{
    GPU_SHARED(float, sums, GPU_THREADS_MAX / GPU_WAVE);
    const float *row = a->in + (uint64_t)gpu_block_x() * a->count;
    float sum = 0.0f;

    for (uint32_t i = gpu_thread(); i < a->count; i += gpu_threads())
        sum += row[i];
    sum = gpu_sum_over(sum, GPU_WAVE);
    if (gpu_lane() == 0)
        sums[gpu_wave()] = sum;
    gpu_barrier();
    if (gpu_thread() != 0)
        return;
    sum = 0.0f;
    for (uint32_t i = 0; i < gpu_waves(); i++)
        sum += sums[i];
    a->out[gpu_block_x()] = sum;
}

/* Shuffles, and the reductions that stand for rows of shuffles. */
GPU_KERNEL(lanes_swap, args_planted)
{
    uint32_t thread = gpu_thread();
    float value = a->in[thread], sum = value, largest = value;

    a->words[thread] = (uint32_t)gpu_shuffle_int((int32_t)thread, (gpu_lane() + 1) % GPU_WAVE);
    for (uint32_t step = a->count / 2; step > 0; step /= 2)
        sum += gpu_shuffle(sum, gpu_lane() ^ step);
    for (uint32_t step = a->count / 2; step > 0; step /= 2)
        largest = gpu_max(largest, gpu_shuffle(largest, gpu_lane() ^ step));
    a->out[thread * 4] = sum;
    a->out[thread * 4 + 1] = gpu_sum_over(value, a->count);
    a->out[thread * 4 + 2] = largest;
    a->out[thread * 4 + 3] = gpu_max_over(value, a->count);
}

/* Each thread counts at its own place in the grid of blocks; count is blocks in x, and in y. */
GPU_KERNEL(who_am_i, args_planted)
{
    uint64_t block =
        gpu_block_x() + a->count * (gpu_block_y() + (uint64_t)a->count * gpu_block_z());

    a->words[block * gpu_threads() + gpu_wave() * GPU_WAVE + gpu_lane()] += 1 + gpu_thread();
}

GPU_KERNEL(many_meetings, args_planted)
{
    float sum = (float)gpu_lane();

    for (uint32_t i = 0; i < a->count; i++)
        sum = gpu_shuffle(sum, (gpu_lane() + 1) % GPU_WAVE);
    a->out[gpu_thread()] = sum;
}

/* out[16][16] = count times the first tile of halves at words, times the second one, transposed. */
GPU_KERNEL(product, args_planted)
{
    enum { TILE = GPU_MMA_SIDE * GPU_MMA_SIDE };
    GPU_SHARED(uint16_t, halves, 2 * TILE);
    struct gpu_mma_tile first, second;
    struct gpu_mma_sum sum = {{0}};

    for (uint32_t i = gpu_thread(); i < 2 * TILE; i += gpu_threads())
        halves[i] = (uint16_t)a->words[i];
    gpu_barrier();
    gpu_mma_load(&first, halves, GPU_MMA_SIDE);
    gpu_mma_load(&second, halves + TILE, GPU_MMA_SIDE);
    for (uint32_t i = 0; i < a->count; i++)
        gpu_mma(&sum, &first, &second);
    for (uint32_t i = 0; i < GPU_MMA_ELEMENTS; i++)
        a->out[gpu_mma_row(i) * GPU_MMA_SIDE + gpu_mma_column(i)] = sum.values[i];
}

/* out[i] = the half of words[i] as a float; then words[i] = in[i] as a half. */
GPU_KERNEL(halves, args_planted)
{
    uint32_t i = gpu_block_x() * gpu_threads() + gpu_thread();

    if (i < a->count) {
        a->out[i] = gpu_half_to_float((uint16_t)a->words[i]);
        a->words[i] = gpu_float_to_half(a->in[i]);
    }
}

/* ---- faults ---- */

GPU_KERNEL(divergent_barrier, args_planted)
{
    if (gpu_thread() != 5)
        gpu_barrier();
    a->out[gpu_thread()] = 1.0f;
}

/* All waves come, but the second one to another barrier than the rest. */
GPU_KERNEL(divergent_waves, args_planted)
{
    if (gpu_wave() == 1)
        gpu_barrier();
    else
        gpu_barrier();
    a->out[gpu_thread()] = 1.0f;
}

GPU_KERNEL(divergent_shuffle, args_planted)
{
    float value = 1.0f;

    if (gpu_lane() < 7)
        value = gpu_shuffle(value, 0);
    else
        value = gpu_shuffle(value, 1);
    a->out[gpu_thread()] = value;
}

/* The lanes of one wave go round unequally often. */
GPU_KERNEL(divergent_loop, args_planted)
{
    float value = 1.0f;

    for (uint32_t i = 0; i < 3 + gpu_lane() / 16; i++)
        value += gpu_shuffle(value, 0);
    gpu_barrier();
    a->out[gpu_thread()] = value;
}

GPU_KERNEL(shuffle_after_exit, args_planted)
{
    if (gpu_thread() >= a->count)
        return;
    a->out[gpu_thread()] = gpu_shuffle(1.0f, GPU_WAVE - 1);
}

GPU_KERNEL(shuffle_beyond_wave, args_planted)
{
    a->out[gpu_thread()] = gpu_shuffle(1.0f, gpu_lane() + 1);
}

GPU_KERNEL(unwritten_shared, args_planted)
{
    GPU_SHARED(float, values, SHARED_COUNT);

    if (gpu_thread() != 3 && gpu_thread() < SHARED_COUNT)
        values[gpu_thread()] = 1.0f;
    gpu_barrier();
    a->out[gpu_thread()] = values[gpu_thread() % SHARED_COUNT];
}

/* Only the first block writes. */
GPU_KERNEL(shared_of_block_before, args_planted)
{
    GPU_SHARED(float, values, SHARED_COUNT);

    if (gpu_block_x() == 0)
        values[gpu_thread() % SHARED_COUNT] = 1.0f;
    gpu_barrier();
    a->out[gpu_block_x() * gpu_threads() + gpu_thread()] = values[gpu_thread() % SHARED_COUNT];
}

GPU_KERNEL(missing_barrier, args_planted)
{
    GPU_SHARED(float, values, GPU_THREADS_MAX);
    uint32_t next = (gpu_thread() + 1) % gpu_threads();

    values[gpu_thread()] = 0.0f;
    gpu_barrier();
    values[gpu_thread()] = (float)gpu_thread();
    a->out[gpu_thread()] = values[next];
}

/* Right within a wave that meets, but no wave waits for the next. */
GPU_KERNEL(missing_barrier_of_waves, args_planted)
{
    GPU_SHARED(float, values, GPU_THREADS_MAX);
    uint32_t next = (gpu_thread() + GPU_WAVE) % gpu_threads();

    values[gpu_thread()] = 0.0f;
    gpu_barrier();
    values[gpu_thread()] = gpu_sum_over((float)gpu_thread(), GPU_WAVE);
    a->out[gpu_thread()] = values[next];
}

GPU_KERNEL(heap_overrun, args_planted)
{
    a->out[gpu_thread() + a->count] = 1.0f;
}

GPU_KERNEL(shared_overrun, args_planted)
{
    GPU_SHARED(float, values, SHARED_COUNT);
    float *past = values + a->count; /* UBSan sees an index of the array itself, ASan this, too */

    past[gpu_thread()] = 1.0f;
    gpu_barrier();
    a->out[gpu_thread()] = values[gpu_thread()];
}

GPU_KERNEL(too_much_shared, args_planted)
{
    GPU_SHARED(float, first, 8192);
    GPU_SHARED(float, second, 8192);

    first[gpu_thread()] = 1.0f;
    second[gpu_thread()] = first[gpu_thread()];
    a->out[gpu_thread()] = second[gpu_thread()];
}

GPU_KERNEL(uneven_width, args_planted)
{
    a->out[gpu_thread()] = gpu_sum_over(1.0f, 24);
}
