/* Owns activations as integers: where those that are multiplied next lie, and whose they are. */
#include "hip/backend/gpu_backend.h"

#include <assert.h>

/* Of each array in struct gpu_quantised. */
struct quantised_sizes {
    uint64_t bytes; /* upper, and lower */
    uint64_t scales;
    uint64_t sums;
};

static struct quantised_sizes sizes_of(uint64_t row_count, uint64_t columns)
{
    return (struct quantised_sizes){
        .bytes = gpu_aligned(row_count * columns),
        .scales = gpu_aligned(row_count * (columns / GPU_GROUP_COLUMNS) * sizeof(float)),
        .sums = gpu_aligned(row_count * (columns / GPU_SUM_COLUMNS) * sizeof(int32_t)),
    };
}

uint64_t gpu_quantised_bytes(uint64_t row_count, uint64_t columns)
{
    struct quantised_sizes sizes = sizes_of(row_count, columns);

    return 2 * sizes.bytes + sizes.scales + sizes.sums;
}

static int place_in(struct gpu_backend *gpu, struct gpu_area *area, uint32_t row_count,
                    uint32_t columns, struct gpu_quantised *out, struct err *err)
{
    struct quantised_sizes sizes = sizes_of(row_count, columns);
    char *memory = NULL;

    assert(columns % GPU_GROUP_COLUMNS == 0);
    gpu->quantised_of = NULL;
    if (gpu_area_reserve(gpu, area, gpu_quantised_bytes(row_count, columns), err) != 0)
        return -1;
    memory = area->memory;
    *out = (struct gpu_quantised){
        .upper = (void *)memory,
        .lower = (void *)(memory + sizes.bytes),
        .scales = (void *)(memory + 2 * sizes.bytes),
        .sums = (void *)(memory + 2 * sizes.bytes + sizes.scales),
    };
    return 0;
}

int gpu_quantised_place(struct gpu_backend *gpu, uint32_t row_count, uint32_t columns,
                        struct gpu_quantised *out, struct err *err)
{
    return place_in(gpu, &gpu->quantised, row_count, columns, out, err);
}

/* Where all rows decode: those of prompts are stored by other kernels, and there are so many that
 * a launch does not count. */
int gpu_quantised_beside(struct gpu_backend *gpu, const struct backend_buffer *buffer,
                         struct gpu_quantised *out, struct err *err)
{
    uint32_t rows = gpu->step->row_count;

    *out = (struct gpu_quantised){0};
    if (!gpu->has_quantised_weights || gpu->step->decode_row_count < rows ||
        buffer->width % GPU_GROUP_COLUMNS != 0)
        return 0;
    return place_in(gpu, &gpu->beside, rows, buffer->width, out, err);
}

void gpu_quantised_made(struct gpu_backend *gpu, const struct backend_buffer *buffer,
                        const struct gpu_quantised *at)
{
    if (at->upper == NULL)
        return;
    gpu->quantised_of = buffer;
    gpu->quantised_at = *at;
}

int gpu_quantised_of(struct gpu_backend *gpu, const struct backend_buffer *buffer,
                     struct gpu_quantised *out, struct err *err)
{
    struct args_quantise args = {.x = buffer->data, .columns = buffer->width};
    uint32_t rows = gpu->step->row_count;
    uint32_t threads = gpu_row_threads(buffer->width);
    const uint32_t blocks[3] = {gpu_blocks(buffer->width, threads * GPU_LANE_COLUMNS), rows, 1};

    if (gpu->quantised_of != buffer) {
        if (gpu_quantised_place(gpu, rows, buffer->width, &args.out, err) != 0 ||
            gpu_launch(gpu->context, gpu->kernels.quantise, blocks, threads, &args, err) != 0)
            return -1;
        gpu_quantised_made(gpu, buffer, &args.out);
    }
    *out = gpu->quantised_at;
    return 0;
}
