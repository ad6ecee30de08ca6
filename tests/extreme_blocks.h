/* Blocks of weights at the ends of what they can be, written byte by byte: no encoder of floats
 * makes such. */
#ifndef RBEE_TESTS_EXTREME_BLOCKS_H
#define RBEE_TESTS_EXTREME_BLOCKS_H

#include "hip/model/quant.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A block whose every weight is as large as its scale allows. */
struct extreme {
    uint32_t type;
    uint32_t scale_at; /* of the half that scales the block; of MXFP4 a byte */
    uint32_t offset_at;
    uint8_t fill;
    bool has_offset;
};

static const struct extreme EXTREMES[] = {
    {.type = QUANT_Q8_0, .fill = 0x80},
    {.type = QUANT_Q4_0, .fill = 0x00},
    {.type = QUANT_Q4_1, .fill = 0xff, .offset_at = 2, .has_offset = true},
    {.type = QUANT_Q5_0, .fill = 0x00},
    {.type = QUANT_Q5_1, .fill = 0xff, .offset_at = 2, .has_offset = true},
    {.type = QUANT_IQ4_NL, .fill = 0x00},
    {.type = QUANT_MXFP4, .fill = 0x77},
    {.type = QUANT_Q2_K, .fill = 0xff, .scale_at = 80, .offset_at = 82, .has_offset = true},
    {.type = QUANT_Q3_K, .fill = 0x00, .scale_at = 108},
    {.type = QUANT_Q4_K, .fill = 0xff, .offset_at = 2, .has_offset = true},
    {.type = QUANT_Q5_K, .fill = 0xff, .offset_at = 2, .has_offset = true},
    {.type = QUANT_Q6_K, .fill = 0x00, .scale_at = 208},
    {.type = QUANT_IQ4_XS, .fill = 0x00},
};

enum {
    HALF_ONE = 0x3c00,
    HALF_MINUS_ONE = 0xbc00,
    HALF_SMALLEST = 0x0001,
    HALF_LARGEST = 0x7bff,
    HALF_INFINITY = 0x7c00,
    HALF_MINUS_INFINITY = 0xfc00,
    HALF_NAN = 0x7e00,
    E8M0_ONE = 127,
    Q6_K_SCALES_AT = 192,
    Q6_K_SCALES = 16,
};

static inline void put_half(uint8_t *to, uint16_t half)
{
    memcpy(to, &half, sizeof(half));
}

/* One block, scaled by SCALE and with OFFSET where the type has one. */
static inline void put_extreme(const struct extreme *e, uint16_t scale, uint16_t offset,
                               uint8_t *block)
{
    memset(block, e->fill, quant_info(e->type)->block_bytes);
    if (e->type == QUANT_Q6_K)
        memset(block + Q6_K_SCALES_AT, 0x80, Q6_K_SCALES); /* -128 each */
    if (e->type == QUANT_MXFP4) {
        block[0] = E8M0_ONE;
        return;
    }
    put_half(block + e->scale_at, scale);
    if (e->has_offset)
        put_half(block + e->offset_at, offset);
    if (e->type == QUANT_IQ4_XS)
        put_half(block + 2, 0); /* upper bits of scales: -32 each */
}

static inline uint8_t *extreme_blocks(const struct extreme *e, uint32_t columns, uint32_t width,
                                      uint16_t scale, uint16_t offset)
{
    uint64_t len = quant_row_bytes(e->type, (uint64_t)columns * width);
    uint8_t *blocks = malloc(len);

    assert_non_null(blocks);
    for (uint64_t at = 0; at < len; at += quant_info(e->type)->block_bytes)
        put_extreme(e, scale, offset, blocks + at);
    return blocks;
}

#endif
