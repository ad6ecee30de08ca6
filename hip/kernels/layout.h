/* How weights lie on the device: which planes a type has (weight_types.def), where in them a row's
 * numbers are, and how large they are. Shared by the host, which allocates one piece of memory for
 * a weight, and by the kernels, which write and read it; knows nothing of either.
 *
 * Rows come in tiles of GPU_TILE_ROWS, columns in groups of GPU_GROUP_COLUMNS; rows and columns
 * that are missing from the last are zeros. Every plane is [tile][piece][row of the tile][bytes of
 * a piece], so that the lanes of a wave, each with a row of its own, read side by side:
 * - codes: pieces of 16 bytes, as many as the groups need: [group][low bits * 4 bytes];
 * - high: pieces of 16 bytes, for whole chunks: [group][high bits * 4 bytes];
 * - scales: a piece for each chunk;
 * - supers: a piece for each chunk.
 *
 * A group of B bits a number is B words of 4 bytes. Word K has element 4 * (K * 8 / B + i) + b in
 * the bits from 8 * b + i * B on, so that a shift and a mask give four neighbours in four bytes.
 * Floats lie one after the other.
 *
 * Scales of a chunk, by the name in the table (s is signed, all else is not):
 *   HALF            a half for each group
 *   HALF_MINIMUM    a half and the half of a minimum, which is added, for each group
 *   EXPONENT        a byte for each group, quant_e8m0_halved()
 *   NIBBLE_MINIMUM  for each 16 columns a scale in the low nibble and a minimum in the high one
 *   BYTE_MINIMUM    8 scales, then 8 minima
 *   BYTE_OF_16      s8 for each 16 columns
 *   BYTE            s8 for each group
 * The last four are shares of supers: the half that scales are multiples of and, where there are
 * minima, the half that those are multiples of; such minima are subtracted. */
#ifndef RBEE_HIP_KERNELS_LAYOUT_H
#define RBEE_HIP_KERNELS_LAYOUT_H

#include "hip/kernels/args.h"

#include <stddef.h>
#include <stdint.h>

#ifdef GPU_WAVE /* a kernel is compiled */
#include "hip/kernels/gpu.h"
#define GPU_SHARED_SOURCE GPU_DEVICE
#else
#define GPU_SHARED_SOURCE static inline
#endif

enum gpu_weight_type {
#define WEIGHT_TYPE(name, ...) GPU_WEIGHT_##name,
#include "hip/kernels/weight_types.def"
#undef WEIGHT_TYPE
    GPU_WEIGHT_TYPE_COUNT,
};

enum gpu_numbers {
    GPU_NUMBERS_WHOLE,
    GPU_NUMBERS_IQ4,  /* QUANT_IQ4_VALUES */
    GPU_NUMBERS_E2M1, /* QUANT_E2M1_DOUBLED */
    GPU_NUMBERS_FLOAT32,
    GPU_NUMBERS_FLOAT16,
    GPU_NUMBERS_BFLOAT16,
};

enum gpu_scales {
    GPU_SCALES_NONE,
    GPU_SCALES_HALF,
    GPU_SCALES_HALF_MINIMUM,
    GPU_SCALES_EXPONENT,
    GPU_SCALES_NIBBLE_MINIMUM,
    GPU_SCALES_BYTE_MINIMUM,
    GPU_SCALES_BYTE_OF_16,
    GPU_SCALES_BYTE,
};

/* A row of weight_types.def. */
struct gpu_format {
    enum gpu_weight_type type;
    enum gpu_numbers numbers;
    enum gpu_scales scales;
    uint32_t chunk_groups;
    uint32_t low_bits;
    uint32_t high_bits;
    int32_t less;
    uint32_t scale_bytes;
    uint32_t super_bytes;
    uint32_t block_elements;
    uint32_t block_bytes;
};

enum {
    GPU_PIECE_BYTES = 16,  /* what a lane loads at once */
    GPU_PLANE_ALIGN = 256, /* of a plane in its memory; more than the widest load needs */
    GPU_MATMUL_ROWS = 8,   /* of activations that a wave of matmul has at once */
    GPU_MATMUL_TILES = 2,  /* waves' widths of a weight's rows that a block of it has */
    GPU_MMA_X_ROWS = 64,   /* of activations that a block on matrix units has, or */
    GPU_MMA_X_ROWS_MAX = 128,
    GPU_MMA_WEIGHT_ROWS = 128,
    GPU_MMA_THREADS = GPU_THREADS_MAX,
    GPU_EMBED_THREADS = 64, /* of a block of embed and repack: enough for whole waves of 64 */
};

/* With a constant TYPE all of it is constant, and what depends on it folds. */
GPU_SHARED_SOURCE struct gpu_format gpu_format_of(enum gpu_weight_type type)
{
    struct gpu_format none = {
        GPU_WEIGHT_TYPE_COUNT, GPU_NUMBERS_WHOLE, GPU_SCALES_NONE, 1, 0, 0, 0, 0, 0, 1, 0};

    switch (type) {
#define WEIGHT_TYPE(name, groups, low, high, less, numbers, scales, scale, super, elements, bytes) \
    case GPU_WEIGHT_##name: {                                                                      \
        struct gpu_format format = {GPU_WEIGHT_##name,                                             \
                                    GPU_NUMBERS_##numbers,                                         \
                                    GPU_SCALES_##scales,                                           \
                                    groups,                                                        \
                                    low,                                                           \
                                    high,                                                          \
                                    less,                                                          \
                                    scale,                                                         \
                                    super,                                                         \
                                    elements,                                                      \
                                    bytes};                                                        \
        return format;                                                                             \
    }
#include "hip/kernels/weight_types.def"
#undef WEIGHT_TYPE
    case GPU_WEIGHT_TYPE_COUNT:
        break;
    }
    return none;
}

/* Its activations are floats (args_product.x), not integers. */
GPU_SHARED_SOURCE uint32_t gpu_format_is_float(const struct gpu_format *format)
{
    return format->scales == GPU_SCALES_NONE;
}

GPU_SHARED_SOURCE uint32_t gpu_groups(uint32_t columns)
{
    return (columns + GPU_GROUP_COLUMNS - 1) / GPU_GROUP_COLUMNS;
}

GPU_SHARED_SOURCE uint32_t gpu_chunks(const struct gpu_format *format, uint32_t columns)
{
    return (gpu_groups(columns) + format->chunk_groups - 1) / format->chunk_groups;
}

GPU_SHARED_SOURCE uint32_t gpu_tiles(uint32_t rows)
{
    return (rows + GPU_TILE_ROWS - 1) / GPU_TILE_ROWS;
}

/* Bytes of one tile in each plane. */
struct gpu_tile_bytes {
    uint32_t codes;
    uint32_t high;
    uint32_t scales;
    uint32_t supers;
};

GPU_SHARED_SOURCE struct gpu_tile_bytes gpu_tile_bytes_of(const struct gpu_format *format,
                                                          uint32_t columns)
{
    uint32_t bytes_of_bit = GPU_GROUP_COLUMNS / 8 * GPU_TILE_ROWS; /* of a group's each number */
    uint32_t chunks = gpu_chunks(format, columns);
    struct gpu_tile_bytes bytes;

    bytes.codes = gpu_groups(columns) * format->low_bits * bytes_of_bit;
    bytes.high = chunks * format->chunk_groups * format->high_bits * bytes_of_bit;
    bytes.scales = chunks * format->scale_bytes * GPU_TILE_ROWS;
    bytes.supers = chunks * format->super_bytes * GPU_TILE_ROWS;
    return bytes;
}

#ifndef GPU_WAVE /* the rest is the host's */

static inline uint64_t gpu_plane_bytes(uint32_t tiles, uint32_t tile_bytes)
{
    uint64_t bytes = (uint64_t)tiles * tile_bytes;

    return (bytes + GPU_PLANE_ALIGN - 1) / GPU_PLANE_ALIGN * GPU_PLANE_ALIGN;
}

/* Of all planes of a weight together. */
static inline uint64_t gpu_weight_bytes(enum gpu_weight_type type, uint32_t rows, uint32_t columns)
{
    struct gpu_format format = gpu_format_of(type);
    struct gpu_tile_bytes tile = gpu_tile_bytes_of(&format, columns);
    uint32_t tiles = gpu_tiles(rows);

    return gpu_plane_bytes(tiles, tile.codes) + gpu_plane_bytes(tiles, tile.high) +
           gpu_plane_bytes(tiles, tile.scales) + gpu_plane_bytes(tiles, tile.supers);
}

/* The planes in MEMORY of the device, gpu_weight_bytes() of it, aligned to GPU_PLANE_ALIGN. */
static inline struct gpu_planes gpu_planes_at(enum gpu_weight_type type, const void *memory,
                                              uint32_t rows, uint32_t columns)
{
    struct gpu_format format = gpu_format_of(type);
    struct gpu_tile_bytes tile = gpu_tile_bytes_of(&format, columns);
    uint32_t tiles = gpu_tiles(rows);
    const uint8_t *at = memory;
    struct gpu_planes planes = {.codes = at, .rows = rows, .columns = columns};

    at += gpu_plane_bytes(tiles, tile.codes);
    planes.high = tile.high != 0 ? at : NULL;
    at += gpu_plane_bytes(tiles, tile.high);
    planes.scales = tile.scales != 0 ? at : NULL;
    at += gpu_plane_bytes(tiles, tile.scales);
    planes.supers = tile.supers != 0 ? at : NULL;
    return planes;
}

/* Blocks along x of a launch, of ROWS_PER_BLOCK rows of a weight each: the wave for matvec, wave *
 * GPU_MATMUL_TILES for matmul, GPU_MMA_WEIGHT_ROWS for mma. A gate's two weights share theirs. */
static inline uint32_t gpu_product_blocks(const struct args_product *args, uint32_t is_gate,
                                          uint32_t rows_per_block)
{
    uint32_t blocks = 0;

    for (uint32_t i = 0; i < (is_gate ? 1 : args->weight_count); i++)
        blocks += (args->weights[i].rows + rows_per_block - 1) / rows_per_block;
    return blocks;
}

#endif

#endif
