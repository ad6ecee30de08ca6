/* Products for rows that decode: one read of the weight for up to 8 of them. A lane has one row of
 * the weight and a block's waves share its columns, chunk by chunk; their sums are added up in the
 * order of the waves. So a row's result has the same bits in _r1, _r2, _r4 and _r8, as long as the
 * block has as many waves: each does the same additions in the same order.
 *
 *   matvec_TYPE_rR(struct args_product)
 *   grid   x: gpu_product_blocks(a, is_gate, GPU_WAVE): GPU_WAVE rows of a weight each
 *          y: row_count / R, rounded up
 *   block  1 to GPU_THREADS_MAX / GPU_WAVE waves
 *   reads  weights[i] [rows][columns], x or quantised [row][columns]
 *   writes outs[i] [row][rows of weights[i]], rows row_begin to row_begin + row_count - 1, and of a
 *          gate the same in gated */
#ifndef RBEE_HIP_KERNELS_MATVEC_H
#define RBEE_HIP_KERNELS_MATVEC_H

#include "hip/kernels/product.h"
#include "hip/kernels/quantise.h"

/* A chunk is under way while the one before is worked on. Where waves are wide, a launch has few of
 * them, and what they load at once would be less than it takes to keep memory busy; where they are
 * narrow there are enough, and registers decide how many run. */
enum { MATVEC_LOADS_AHEAD = GPU_WAVE > GPU_TILE_ROWS };

/* Adds the products with the lane's row of the weight, over every WAVES-th chunk from WAVE on, and
 * over every WAVES-th step of what is left behind whole chunks. */
GPU_DEVICE void matvec_columns(const struct args_product *a, const struct gpu_format *format,
                               const struct gpu_place *place, const struct product_rows *rows,
                               uint32_t wave, uint32_t waves, struct product_sums *sums)
{
    uint32_t columns = a->weights[0].columns;
    uint32_t step_columns = product_step_columns(format);
    uint32_t steps = product_chunk_steps(format);
    uint32_t chunks = product_whole_columns(format, columns) / (steps * step_columns);
    struct product_chunk next;

    if (MATVEC_LOADS_AHEAD && wave < chunks)
        product_load_chunk(format, place, wave, &next);
    for (uint32_t chunk = wave; chunk < chunks; chunk += waves) {
        struct product_chunk raw;

        if (MATVEC_LOADS_AHEAD)
            raw = next;
        else
            product_load_chunk(format, place, chunk, &raw);
        if (MATVEC_LOADS_AHEAD && chunk + waves < chunks)
            product_load_chunk(format, place, chunk + waves, &next);
        product_add_chunk(a, format, &raw, rows, chunk, sums);
    }
    if (format->block_elements > GPU_GROUP_COLUMNS)
        return; /* a block is a chunk: nothing is left */
    for (uint32_t step = chunks * steps + wave; step * step_columns < columns; step += waves)
        product_add_step(a, format, place, 1, rows, step / steps, step % steps,
                         !gpu_format_is_float(format), sums);
}

/* What a wave found, where matvec_sum() looks for it. */
GPU_DEVICE float *matvec_slot(float *shared, uint32_t weight, uint32_t row, uint32_t row_max,
                              uint32_t thread)
{
    return shared + (weight * row_max + row) * GPU_THREADS_MAX + thread;
}

GPU_DEVICE float matvec_sum(float *shared, uint32_t weight, uint32_t row, uint32_t row_max,
                            uint32_t lane)
{
    float sum = 0.0f;

    for (uint32_t wave = 0; wave < gpu_waves(); wave++)
        sum += *matvec_slot(shared, weight, row, row_max, wave * GPU_WAVE + lane);
    return sum;
}

GPU_DEVICE void matvec_finish(const struct args_product *a, struct product_block block,
                              const struct product_rows *rows, float *shared)
{
    uint32_t is_gate = gpu_is_gate(a->epilogue);
    uint32_t width = product_planes(a, block.weight).rows;

    for (uint32_t i = gpu_thread(); i < rows->count * GPU_WAVE; i += gpu_threads()) {
        uint32_t row = i / GPU_WAVE;
        uint32_t lane = i % GPU_WAVE;
        float first = matvec_sum(shared, 0, row, rows->count, lane);
        float second = is_gate ? matvec_sum(shared, 1, row, rows->count, lane) : 0.0f;
        bool is_row = rows->first + row <= rows->last; /* of all lanes of the wave */
        bool is_column = block.first + lane < width;
        float out = 0.0f;

        if (is_row && is_column)
            out = gpu_finish(a, block.weight, rows->first + row, block.first + lane, first, second);
        if (is_row && a->gated.upper != NULL)
            quantise_column(&a->gated, (uint64_t)(rows->first + row) * width + block.first + lane,
                            is_column, out);
    }
}

/* SHARED: [2 of a gate][row][thread]. */
GPU_DEVICE void matvec(const struct args_product *a, enum gpu_weight_type type, uint32_t row_max,
                       float *shared)
{
    struct gpu_format format = gpu_format_of(type);
    struct product_block block = product_block_of(a, GPU_WAVE);
    uint32_t weight_count = gpu_is_gate(a->epilogue) ? 2 : 1;
    struct product_rows rows = {a->row_begin + gpu_block_y() * row_max,
                                a->row_begin + a->row_count - 1, row_max};

    for (uint32_t w = 0; w < weight_count; w++) {
        struct gpu_planes planes = product_planes(a, block.weight + w);
        struct gpu_place place = product_place(&format, &planes, block.first);
        struct product_sums sums;

        GPU_UNROLL
        for (uint32_t i = 0; i < row_max; i++)
            sums.of[0][i] = 0.0f;
        matvec_columns(a, &format, &place, &rows, gpu_uniform(gpu_wave()), gpu_waves(), &sums);
        GPU_UNROLL
        for (uint32_t i = 0; i < row_max; i++)
            *matvec_slot(shared, w, i, row_max, gpu_thread()) = sums.of[0][i];
    }
    gpu_barrier();
    matvec_finish(a, block, &rows, shared);
}

#define MATVEC(name, row_max)                                                                      \
    GPU_KERNEL(matvec_##name##_r##row_max, args_product)                                           \
    {                                                                                              \
        GPU_SHARED(float, shared, 2 * row_max * GPU_THREADS_MAX);                                  \
        matvec(a, GPU_WEIGHT_##name, row_max, shared);                                             \
    }
#define WEIGHT_TYPE(name, ...)                                                                     \
    MATVEC(name, 1)                                                                                \
    MATVEC(name, 2)                                                                                \
    MATVEC(name, 4)                                                                                \
    MATVEC(name, 8)
#include "hip/kernels/weight_types.def"
#undef WEIGHT_TYPE
#undef MATVEC

#endif
