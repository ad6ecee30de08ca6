/* From a file's rows to planes (layout.h). What a file's blocks look like: hip/model/quant*.c.
 *
 *   repack_TYPE(struct args_repack)
 *   grid   x: chunks of a row / (GPU_EMBED_THREADS / GPU_TILE_ROWS), rounded up
 *          y: gpu_tiles(row_count)
 *   block  GPU_EMBED_THREADS: a thread has a chunk of a row
 *   reads  raw [row_count][raw_row_bytes], at any alignment
 *   writes all of the tiles from row_begin on; rows that are not there as zeros
 *
 * A chunk is written as it will be read, word by word, so each word looks for the codes it is made
 * of. That is not the fastest way, but faster than the bus that the rows come over. */
#ifndef RBEE_HIP_KERNELS_REPACK_H
#define RBEE_HIP_KERNELS_REPACK_H

#include "hip/kernels/gpu.h"
#include "hip/kernels/layout.h"

/* A chunk of a row in the file. */
struct raw_chunk {
    const uint8_t *blocks;
    uint32_t group_count; /* that are there; 0: none, all is zero */
    uint32_t column_count;
};

/* ---- blocks of 32 ---- */

GPU_DEVICE uint32_t raw_nibble(const uint8_t *nibbles, uint32_t i)
{
    return nibbles[i % 16] >> i / 16 * 4 & 0xf;
}

GPU_DEVICE uint32_t raw_bit(const uint8_t *bits, uint32_t i)
{
    return bits[i / 8] >> i % 8 & 1;
}

/* ---- blocks of 256: element I ---- */

GPU_DEVICE uint32_t raw_two_bits(const uint8_t *planes, uint32_t i)
{
    return planes[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
}

/* Bit p of byte b is of element b of part p. */
GPU_DEVICE uint32_t raw_part_bit(const uint8_t *bits, uint32_t i)
{
    return bits[i % 32] >> i / 32 & 1;
}

GPU_DEVICE uint32_t raw_part_nibble(const uint8_t *nibbles, uint32_t i)
{
    return nibbles[i / 64 * 32 + i % 32] >> i % 64 / 32 * 4 & 0xf;
}

/* Of Q6_K. */
GPU_DEVICE uint32_t raw_half_nibble(const uint8_t *nibbles, uint32_t i)
{
    return nibbles[i / 128 * 64 + i % 64] >> i % 128 / 64 * 4 & 0xf;
}

/* The code of element I of a block. */
GPU_DEVICE uint32_t raw_code(enum gpu_weight_type type, const uint8_t *block, uint32_t i)
{
    switch (type) {
    case GPU_WEIGHT_Q8_0:
        return block[2 + i];
    case GPU_WEIGHT_Q4_0:
    case GPU_WEIGHT_IQ4_NL:
        return raw_nibble(block + 2, i);
    case GPU_WEIGHT_Q4_1:
        return raw_nibble(block + 4, i);
    case GPU_WEIGHT_MXFP4:
        return raw_nibble(block + 1, i);
    case GPU_WEIGHT_Q5_0:
        return raw_nibble(block + 6, i) | raw_bit(block + 2, i) << 4;
    case GPU_WEIGHT_Q5_1:
        return raw_nibble(block + 8, i) | raw_bit(block + 4, i) << 4;
    case GPU_WEIGHT_Q2_K:
        return raw_two_bits(block + 16, i);
    case GPU_WEIGHT_Q3_K:
        return raw_two_bits(block + 32, i) | raw_part_bit(block, i) << 2;
    case GPU_WEIGHT_Q4_K:
        return raw_part_nibble(block + 16, i);
    case GPU_WEIGHT_Q5_K:
        return raw_part_nibble(block + 48, i) | raw_part_bit(block + 16, i) << 4;
    case GPU_WEIGHT_Q6_K:
        return raw_half_nibble(block, i) | raw_two_bits(block + 128, i) << 4;
    case GPU_WEIGHT_IQ4_XS:
        return raw_nibble(block + 8 + i / 32 * 16, i % 32);
    default:
        return 0; /* floats have no codes */
    }
}

/* Scale I of 16 of a Q3_K block's 12 bytes, as a signed byte. */
GPU_DEVICE uint32_t raw_scale_q3_k(const uint8_t *packed, uint32_t i)
{
    uint32_t low = packed[i % 8] >> i / 8 * 4 & 0xf;
    uint32_t high = packed[8 + i % 4] >> i / 4 * 2 & 3;

    return ((low | high << 4) - 32) & 0xff;
}

/* Scales 0 to 7, then minima, of the 12 bytes of a Q4_K or Q5_K block. */
GPU_DEVICE uint32_t raw_scale_q4_k(const uint8_t *packed, uint32_t i)
{
    uint32_t part = i % 8;
    uint32_t is_minimum = i / 8;
    uint32_t low;

    if (part < 4)
        return packed[part + 4 * is_minimum] & 0x3f;
    low = packed[part + 4] >> 4 * is_minimum & 0xf;
    return low | packed[part - 4 + 4 * is_minimum] >> 6 << 4;
}

/* Of part I of an IQ4_XS block, as a signed byte. */
GPU_DEVICE uint32_t raw_scale_iq4_xs(const uint8_t *block, uint32_t i)
{
    uint32_t low = block[4 + i / 2] >> i % 2 * 4 & 0xf;
    uint32_t high = block[2 + i / 4] >> i % 4 * 2 & 3;

    return ((low | high << 4) - 32) & 0xff;
}

/* Byte I of a chunk's piece of scales. */
GPU_DEVICE uint32_t raw_scale(const struct gpu_format *format, const struct raw_chunk *chunk,
                              uint32_t i)
{
    uint32_t group_bytes = format->scale_bytes / format->chunk_groups; /* of blocks of 32 */

    if (format->block_elements == GPU_GROUP_COLUMNS) {
        uint32_t group = i / group_bytes;

        if (group >= chunk->group_count)
            return 0;
        return chunk->blocks[group * format->block_bytes + i % group_bytes];
    }
    switch (format->type) {
    case GPU_WEIGHT_Q2_K:
        return chunk->blocks[i];
    case GPU_WEIGHT_Q3_K:
        return raw_scale_q3_k(chunk->blocks + 96, i);
    case GPU_WEIGHT_Q4_K:
    case GPU_WEIGHT_Q5_K:
        return raw_scale_q4_k(chunk->blocks + 4, i);
    case GPU_WEIGHT_Q6_K:
        return chunk->blocks[192 + i];
    case GPU_WEIGHT_IQ4_XS:
        return raw_scale_iq4_xs(chunk->blocks, i);
    default:
        return 0; /* none has blocks of 256 */
    }
}

/* Where a block of 256 has what its scales share. */
GPU_DEVICE uint32_t raw_supers_at(enum gpu_weight_type type)
{
    switch (type) {
    case GPU_WEIGHT_Q2_K:
        return 80;
    case GPU_WEIGHT_Q3_K:
        return 108;
    case GPU_WEIGHT_Q6_K:
        return 208;
    default:
        return 0;
    }
}

/* Word INDEX of the chunk's codes in a plane of BITS a number, which are those above the lowest
 * SHIFT. */
GPU_DEVICE uint32_t raw_word(const struct gpu_format *format, const struct raw_chunk *chunk,
                             uint32_t bits, uint32_t shift, uint32_t index)
{
    uint32_t group = index / bits;
    uint32_t each = 8 / bits; /* fours of elements in a word */
    uint32_t first = group * GPU_GROUP_COLUMNS + index % bits * each * 4;
    uint32_t word = 0;

    if (group >= chunk->group_count)
        return 0;
    for (uint32_t i = 0; i < each * 4; i++) {
        uint32_t column = first + i;
        const uint8_t *block =
            chunk->blocks + column / format->block_elements * format->block_bytes;
        uint32_t code = raw_code(format->type, block, column % format->block_elements) >> shift;

        word |= (code & ((1u << bits) - 1)) << (i % 4 * 8 + i / 4 * bits);
    }
    return word;
}

/* Word INDEX of a chunk of floats. */
GPU_DEVICE uint32_t raw_float_word(const struct gpu_format *format, const struct raw_chunk *chunk,
                                   uint32_t index)
{
    uint32_t word = 0;

    for (uint32_t i = 0; i < 4; i++) {
        uint32_t at = index * 4 + i;

        if (at < chunk->column_count * format->block_bytes)
            word |= (uint32_t)chunk->blocks[at] << i * 8;
    }
    return word;
}

/* ---- planes ---- */

/* The chunk's pieces in a plane of BITS a number, of which it has those of GROUPS. */
GPU_DEVICE void repack_codes(const struct gpu_format *format, const struct raw_chunk *chunk,
                             uint32_t bits, uint32_t shift, uint32_t groups, uint8_t *to)
{
    const uint32_t piece_words = GPU_PIECE_BYTES / 4;

    for (uint32_t piece = 0; piece < groups * bits / piece_words; piece++) {
        uint32_t words[4];
        struct gpu_int4 value;

        GPU_UNROLL
        for (uint32_t i = 0; i < 4; i++)
            words[i] = gpu_format_is_float(format)
                           ? raw_float_word(format, chunk, piece * piece_words + i)
                           : raw_word(format, chunk, bits, shift, piece * piece_words + i);
        value.x = (int32_t)words[0];
        value.y = (int32_t)words[1];
        value.z = (int32_t)words[2];
        value.w = (int32_t)words[3];
        gpu_store16(to + (uint64_t)piece * (GPU_PIECE_BYTES * GPU_TILE_ROWS), value);
    }
}

GPU_DEVICE void repack_scales(const struct gpu_format *format, const struct raw_chunk *chunk,
                              uint8_t *scales, uint8_t *supers)
{
    uint32_t supers_at = raw_supers_at(format->type);

    for (uint32_t i = 0; i < format->scale_bytes; i++)
        scales[i] = chunk->group_count == 0 ? 0 : (uint8_t)raw_scale(format, chunk, i);
    for (uint32_t i = 0; i < format->super_bytes; i++)
        supers[i] = chunk->group_count == 0 ? 0 : chunk->blocks[supers_at + i];
}

/* Planes are constant to all other kernels. */
GPU_DEVICE uint8_t *repack_plane(const uint8_t *plane)
{
    return (uint8_t *)(uintptr_t)plane;
}

/* Chunk INDEX of row ROW of the launch. */
GPU_DEVICE struct raw_chunk raw_chunk_of(const struct args_repack *a,
                                         const struct gpu_format *format, uint32_t row,
                                         uint32_t index)
{
    uint32_t column = index * format->chunk_groups * GPU_GROUP_COLUMNS;
    uint32_t columns = format->chunk_groups * GPU_GROUP_COLUMNS;
    struct raw_chunk chunk = {a->raw, 0, 0};

    if (row >= a->row_count)
        return chunk;
    chunk.blocks += (uint64_t)row * a->raw_row_bytes +
                    (uint64_t)(column / format->block_elements) * format->block_bytes;
    chunk.column_count = gpu_min_u32(columns, a->to.columns - column);
    chunk.group_count = gpu_groups(chunk.column_count);
    return chunk;
}

GPU_DEVICE void repack(const struct args_repack *a, enum gpu_weight_type type)
{
    const uint32_t chunks_of_block = GPU_EMBED_THREADS / GPU_TILE_ROWS;
    struct gpu_format format = gpu_format_of(type);
    uint32_t index = gpu_block_x() * chunks_of_block + gpu_thread() / GPU_TILE_ROWS;
    uint32_t row = gpu_thread() % GPU_TILE_ROWS;
    uint32_t tile = a->row_begin / GPU_TILE_ROWS + gpu_block_y();
    uint32_t first_group = index * format.chunk_groups;
    uint32_t group_count = gpu_groups(a->to.columns);
    struct gpu_tile_bytes bytes = gpu_tile_bytes_of(&format, a->to.columns);
    const uint32_t bit_bytes = GPU_GROUP_COLUMNS / 8 * GPU_TILE_ROWS; /* of a group's each bit */
    uint64_t lane = row * GPU_PIECE_BYTES;
    struct raw_chunk chunk;

    if (first_group >= group_count)
        return;
    chunk = raw_chunk_of(a, &format, gpu_block_y() * GPU_TILE_ROWS + row, index);
    repack_codes(&format, &chunk, format.low_bits, 0,
                 gpu_min_u32(format.chunk_groups, group_count - first_group),
                 repack_plane(a->to.codes) + (uint64_t)tile * bytes.codes +
                     (uint64_t)first_group * format.low_bits * bit_bytes + lane);
    if (format.high_bits != 0)
        repack_codes(&format, &chunk, format.high_bits, format.low_bits, format.chunk_groups,
                     repack_plane(a->to.high) + (uint64_t)tile * bytes.high +
                         (uint64_t)first_group * format.high_bits * bit_bytes + lane);
    repack_scales(&format, &chunk,
                  repack_plane(a->to.scales) + (uint64_t)tile * bytes.scales +
                      ((uint64_t)index * GPU_TILE_ROWS + row) * format.scale_bytes,
                  repack_plane(a->to.supers) + (uint64_t)tile * bytes.supers +
                      ((uint64_t)index * GPU_TILE_ROWS + row) * format.super_bytes);
}

#define WEIGHT_TYPE(name, ...)                                                                     \
    GPU_KERNEL(repack_##name, args_repack)                                                         \
    {                                                                                              \
        repack(a, GPU_WEIGHT_##name);                                                              \
    }
#include "hip/kernels/weight_types.def"
#undef WEIGHT_TYPE

#endif
