/* A row's group of 32 columns out of the planes of a weight (layout.h): what products and the
 * embedding work on. Everything that depends on the type does so on a constant format. */
#ifndef RBEE_HIP_KERNELS_UNPACK_H
#define RBEE_HIP_KERNELS_UNPACK_H

#include "hip/kernels/gpu.h"
#include "hip/kernels/layout.h"

enum {
    GPU_GROUP_WORDS = GPU_GROUP_COLUMNS / 4,
    GPU_HALF_GROUP_WORDS = GPU_SUM_COLUMNS / 4,
    GPU_HIGH_BITS_MAX = 2,
    GPU_CHUNK_GROUPS_MAX = 8,
    GPU_CHUNK_PIECES_MAX = 8,                    /* of floats */
    GPU_PIECE_NUMBERS_MAX = GPU_PIECE_BYTES / 2, /* floats, of which halves are the smallest */
};

/* Where a lane reads: a tile's planes, the same for all lanes, and the bytes from there to the
 * lane's own row. */
struct gpu_place {
    const uint8_t *codes;
    const uint8_t *high;
    const uint8_t *scales;
    const uint8_t *supers;
    uint32_t codes_lane;
    uint32_t high_lane;
    uint32_t scales_lane;
    uint32_t supers_lane;
};

/* Of the row ROWS_AFTER rows after the first of TILE. TILE is the same for all lanes, as far as
 * the wave should load side by side. */
GPU_DEVICE struct gpu_place gpu_place_of(const struct gpu_format *format,
                                         const struct gpu_planes *planes, uint32_t tile,
                                         uint32_t rows_after)
{
    struct gpu_tile_bytes bytes = gpu_tile_bytes_of(format, planes->columns);
    uint32_t tiles_after = rows_after / GPU_TILE_ROWS;
    uint32_t row = rows_after % GPU_TILE_ROWS;
    struct gpu_place place;

    place.codes = planes->codes + (uint64_t)tile * bytes.codes;
    place.high = planes->high + (uint64_t)tile * bytes.high;
    place.scales = planes->scales + (uint64_t)tile * bytes.scales;
    place.supers = planes->supers + (uint64_t)tile * bytes.supers;
    place.codes_lane = tiles_after * bytes.codes + row * GPU_PIECE_BYTES;
    place.high_lane = tiles_after * bytes.high + row * GPU_PIECE_BYTES;
    place.scales_lane = tiles_after * bytes.scales + row * format->scale_bytes;
    place.supers_lane = tiles_after * bytes.supers + row * format->super_bytes;
    return place;
}

/* 32 numbers: scale * code + minimum, with a scale and a minimum for each 16. Formats with `less`
 * have no minima, and their numbers are scale * (code - less). */
struct gpu_unpacked {
    int32_t codes[GPU_GROUP_WORDS]; /* signed bytes, column 0 lowest */
    float scales[2];
    float minima[2];
};

GPU_DEVICE uint32_t gpu_format_has_minima(const struct gpu_format *format)
{
    return format->scales == GPU_SCALES_HALF_MINIMUM ||
           format->scales == GPU_SCALES_NIBBLE_MINIMUM || format->scales == GPU_SCALES_BYTE_MINIMUM;
}

/* The second scale of a group is not the first once more. */
GPU_DEVICE uint32_t gpu_format_has_two_scales(const struct gpu_format *format)
{
    return format->scales == GPU_SCALES_NIBBLE_MINIMUM || format->scales == GPU_SCALES_BYTE_OF_16;
}

/* The words of a group with BITS a number, the INDEX-th of its plane. */
GPU_DEVICE void gpu_group_words(const uint8_t *plane, uint32_t lane, uint32_t index, uint32_t bits,
                                int32_t *out)
{
    const uint32_t piece_words = GPU_PIECE_BYTES / 4;
    uint32_t word = index * bits;
    struct gpu_int4 piece;

    GPU_UNROLL
    for (uint32_t i = 0; i < bits; i++) {
        if (i % piece_words == 0)
            piece = gpu_load16(
                plane + (uint64_t)((word + i) / piece_words) * (GPU_PIECE_BYTES * GPU_TILE_ROWS) +
                lane);
        out[i] = gpu_word_of(piece, (word % piece_words + i) % piece_words);
    }
}

/* Four neighbours, the INDEX-th four of a group, in four bytes. */
GPU_DEVICE uint32_t gpu_four_of(const int32_t *words, uint32_t index, uint32_t bits)
{
    uint32_t each = 8 / bits; /* fours in a word */

    return (uint32_t)words[index / each] >> index % each * bits & ((1u << bits) - 1) * 0x01010101u;
}

GPU_DEVICE uint32_t gpu_number_codes(enum gpu_numbers numbers, uint32_t codes)
{
    if (numbers == GPU_NUMBERS_IQ4)
        return gpu_look_up(codes, 0xbfad9881, 0xf6eaddcf, 0x26190d01, 0x71594535);
    if (numbers == GPU_NUMBERS_E2M1)
        return gpu_look_up(codes, 0x03020100, 0x0c080604, 0xfdfeff00, 0xf4f8fafc);
    return codes;
}

/* A group as it lies in memory, and what its chunk has for all its groups: loads come apart from
 * what is done with them, so that many can be under way. */
struct gpu_raw_group {
    int32_t low[GPU_GROUP_WORDS];
    int32_t high[GPU_HIGH_BITS_MAX];
};

struct gpu_raw_scales {
    struct gpu_int4 words;
    uint32_t supers;
};

/* Group GROUP of the chunk CHUNK. */
GPU_DEVICE struct gpu_raw_group gpu_load_group(const struct gpu_format *format,
                                               const struct gpu_place *place, uint32_t chunk,
                                               uint32_t group)
{
    uint32_t index = chunk * format->chunk_groups + group;
    struct gpu_raw_group raw;

    gpu_group_words(place->codes, place->codes_lane, index, format->low_bits, raw.low);
    if (format->high_bits != 0)
        gpu_group_words(place->high, place->high_lane, index, format->high_bits, raw.high);
    return raw;
}

GPU_DEVICE struct gpu_raw_scales gpu_load_scales(const struct gpu_format *format,
                                                 const struct gpu_place *place, uint32_t chunk)
{
    const uint8_t *scales = place->scales +
                            (uint64_t)chunk * (format->scale_bytes * GPU_TILE_ROWS) +
                            place->scales_lane;
    const uint8_t *supers = place->supers +
                            (uint64_t)chunk * (format->super_bytes * GPU_TILE_ROWS) +
                            place->supers_lane;
    struct gpu_raw_scales raw = {{0, 0, 0, 0}, 0};

    if (format->scale_bytes == 16) {
        raw.words = gpu_load16(scales);
    } else if (format->scale_bytes == 8) {
        struct gpu_int2 pair = gpu_load8(scales);

        raw.words.x = pair.x;
        raw.words.y = pair.y;
    } else {
        raw.words.x = *(const int32_t *)scales;
    }
    if (format->super_bytes == 4)
        raw.supers = *(const uint32_t *)supers;
    else if (format->super_bytes == 2)
        raw.supers = *(const uint16_t *)supers;
    return raw;
}

GPU_DEVICE void gpu_unpack_codes(const struct gpu_format *format, const struct gpu_raw_group *raw,
                                 struct gpu_unpacked *out)
{
    GPU_UNROLL
    for (uint32_t i = 0; i < GPU_GROUP_WORDS; i++) {
        uint32_t codes = gpu_four_of(raw->low, i, format->low_bits);

        if (format->high_bits != 0)
            codes |= gpu_four_of(raw->high, i, format->high_bits) << format->low_bits;
        out->codes[i] = (int32_t)gpu_number_codes(format->numbers, codes);
    }
}

/* Byte INDEX of words, the first lowest. */
GPU_DEVICE uint32_t gpu_byte_of(uint32_t first, uint32_t second, uint32_t index)
{
    return (index < 4 ? first : second) >> index % 4 * 8 & 0xff;
}

GPU_DEVICE float gpu_half_of(uint32_t word, uint32_t index)
{
    return gpu_half_to_float((uint16_t)(word >> index * 16));
}

/* As quant_e8m0_halved(). */
GPU_DEVICE float gpu_exponent_to_float(uint32_t exponent)
{
    return gpu_bits_to_float(exponent >= 2 ? (exponent - 1) << 23 : 0x200000u << exponent);
}

/* Scales that lie in the chunk's own pieces as they are. */
GPU_DEVICE void gpu_unpack_own_scales(const struct gpu_format *format, struct gpu_int4 words,
                                      uint32_t group, struct gpu_unpacked *out)
{
    uint32_t word = (uint32_t)gpu_word_of(words, group);

    if (format->scales == GPU_SCALES_HALF) {
        out->scales[0] = gpu_half_of((uint32_t)gpu_word_of(words, group / 2), group % 2);
    } else if (format->scales == GPU_SCALES_HALF_MINIMUM) {
        out->scales[0] = gpu_half_of(word, 0);
        out->minima[0] = gpu_half_of(word, 1);
    } else {
        out->scales[0] = gpu_exponent_to_float((uint32_t)words.x >> group * 8 & 0xff);
    }
}

/* Scales that are shares of those of the whole chunk. */
GPU_DEVICE void gpu_unpack_shares(const struct gpu_format *format, struct gpu_int4 words,
                                  uint32_t supers, uint32_t group, struct gpu_unpacked *out)
{
    float scale = gpu_half_of(supers, 0);
    float minimum = -gpu_half_of(supers, 1);
    uint32_t pair = (uint32_t)gpu_word_of(words, group / 2) >> group % 2 * 16; /* of two bytes */

    if (format->scales == GPU_SCALES_BYTE_MINIMUM) {
        out->scales[0] = scale * (float)gpu_byte_of((uint32_t)words.x, (uint32_t)words.y, group);
        out->minima[0] = minimum * (float)gpu_byte_of((uint32_t)words.z, (uint32_t)words.w, group);
        return;
    }
    if (format->scales == GPU_SCALES_BYTE) {
        out->scales[0] =
            scale * (float)(int8_t)gpu_byte_of((uint32_t)words.x, (uint32_t)words.y, group);
        return;
    }
    GPU_UNROLL
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t byte = pair >> i * 8 & 0xff;

        if (format->scales == GPU_SCALES_BYTE_OF_16) {
            out->scales[i] = scale * (float)(int8_t)byte;
        } else {
            out->scales[i] = scale * (float)(byte & 0xf);
            out->minima[i] = minimum * (float)(byte >> 4);
        }
    }
}

/* The scales and minima of group GROUP of the chunk that SCALES are of, in a format of integers. */
GPU_DEVICE void gpu_unpack_scales(const struct gpu_format *format,
                                  const struct gpu_raw_scales *scales, uint32_t group,
                                  struct gpu_unpacked *out)
{
    out->minima[0] = 0.0f;
    out->minima[1] = 0.0f;
    if (format->super_bytes != 0)
        gpu_unpack_shares(format, scales->words, scales->supers, group, out);
    else
        gpu_unpack_own_scales(format, scales->words, group, out);
    if (!gpu_format_has_two_scales(format)) {
        out->scales[1] = out->scales[0];
        out->minima[1] = out->minima[0];
    }
}

/* The same with its codes. */
GPU_DEVICE struct gpu_unpacked gpu_unpack(const struct gpu_format *format,
                                          const struct gpu_raw_group *raw,
                                          const struct gpu_raw_scales *scales, uint32_t group)
{
    struct gpu_unpacked out;

    gpu_unpack_codes(format, raw, &out);
    gpu_unpack_scales(format, scales, group, &out);
    return out;
}

/* Floats of a piece. */
GPU_DEVICE uint32_t gpu_piece_numbers(const struct gpu_format *format)
{
    return 8 * GPU_PIECE_BYTES / format->low_bits;
}

/* Piece PIECE of a row of floats. */
GPU_DEVICE struct gpu_int4 gpu_load_piece(const struct gpu_place *place, uint32_t piece)
{
    return gpu_load16(place->codes + (uint64_t)piece * (GPU_PIECE_BYTES * GPU_TILE_ROWS) +
                      place->codes_lane);
}

GPU_DEVICE void gpu_unpack_piece(const struct gpu_format *format, struct gpu_int4 words,
                                 float out[GPU_PIECE_NUMBERS_MAX])
{
    GPU_UNROLL
    for (uint32_t i = 0; i < gpu_piece_numbers(format); i++) {
        uint32_t word = (uint32_t)gpu_word_of(words, i * format->low_bits / 32);

        if (format->numbers == GPU_NUMBERS_FLOAT32)
            out[i] = gpu_bits_to_float(word);
        else if (format->numbers == GPU_NUMBERS_FLOAT16)
            out[i] = gpu_half_of(word, i % 2);
        else
            out[i] = gpu_bf16_to_float((uint16_t)(word >> i % 2 * 16));
    }
}

/* The same of any format, as the numbers that they stand for. */
GPU_DEVICE void gpu_unpack_numbers(const struct gpu_format *format, const struct gpu_place *place,
                                   uint32_t chunk, uint32_t group, float out[GPU_GROUP_COLUMNS])
{
    struct gpu_raw_group raw;
    struct gpu_raw_scales scales;
    struct gpu_unpacked unpacked;

    if (gpu_format_is_float(format)) {
        const uint32_t count = gpu_piece_numbers(format);
        uint32_t pieces = GPU_GROUP_COLUMNS / count;
        uint32_t first = (chunk * format->chunk_groups + group) * pieces;

        GPU_UNROLL
        for (uint32_t i = 0; i < pieces; i++)
            gpu_unpack_piece(format, gpu_load_piece(place, first + i), out + i * count);
        return;
    }
    raw = gpu_load_group(format, place, chunk, group);
    scales = gpu_load_scales(format, place, chunk);
    unpacked = gpu_unpack(format, &raw, &scales, group);
    GPU_UNROLL
    for (uint32_t i = 0; i < GPU_GROUP_COLUMNS; i++) {
        int32_t code = (int8_t)((uint32_t)unpacked.codes[i / 4] >> i % 4 * 8);
        uint32_t half = i / GPU_SUM_COLUMNS;

        out[i] =
            gpu_fma(unpacked.scales[half], (float)(code - format->less), unpacked.minima[half]);
    }
}

#endif
