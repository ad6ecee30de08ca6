/* Owns the table of tensor types, halves, and the readers of types without blocks. Knows nothing of
 * files or of speed. */
#include "hip/model/quant_readers.h"

#include "common/attr.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum {
    F16_EXPONENT_SHIFT = 10,
    F16_EXPONENT_MAX = 31,
    F16_MANTISSA_MASK = 0x3ff,
    F16_INFINITY = 0x7c00,
    F16_QUIET = 0x200,
    F32_EXPONENT_SHIFT = 23,
    F32_EXPONENT_MAX = 255,
    F32_MANTISSA_MASK = 0x7fffff,
    F32_IMPLICIT_ONE = 0x800000,
    /* An f32 exponent minus this is the f16 exponent of the same number (biases 127 and 15). */
    F16_BIAS_DISTANCE = 112,
    MANTISSA_DISTANCE = F32_EXPONENT_SHIFT - F16_EXPONENT_SHIFT,
};

/* The step between f16 subnormals, 2^-24. */
static const float F16_SUBNORMAL_STEP = 0x1p-24f;

static float float_of_bits(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint32_t bits_of_float(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

float quant_f16_to_f32(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = (half >> F16_EXPONENT_SHIFT) & F16_EXPONENT_MAX;
    uint32_t mantissa = half & F16_MANTISSA_MASK;

    if (exponent == 0) {
        float magnitude = (float)mantissa * F16_SUBNORMAL_STEP;

        return float_of_bits(bits_of_float(magnitude) | sign);
    }
    if (exponent == F16_EXPONENT_MAX)
        exponent = F32_EXPONENT_MAX;
    else
        exponent += F16_BIAS_DISTANCE;
    return float_of_bits(sign | exponent << F32_EXPONENT_SHIFT | mantissa << MANTISSA_DISTANCE);
}

/* VALUE >> SHIFT, to the nearest, ties to even. SHIFT is at least 1. */
static uint32_t shift_to_nearest_even(uint32_t value, uint32_t shift)
{
    uint32_t kept = value >> shift;
    uint32_t rest = value & ((1u << shift) - 1);
    uint32_t half = 1u << (shift - 1);

    if (rest > half || (rest == half && (kept & 1) != 0))
        kept++;
    return kept;
}

uint16_t quant_f32_to_f16(float value)
{
    uint32_t bits = bits_of_float(value);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    int32_t exponent = (int32_t)(bits >> F32_EXPONENT_SHIFT & F32_EXPONENT_MAX);
    uint32_t mantissa = bits & F32_MANTISSA_MASK;
    int32_t half_exponent = exponent - F16_BIAS_DISTANCE;

    if (exponent == F32_EXPONENT_MAX && mantissa != 0)
        return (uint16_t)(sign | F16_INFINITY | F16_QUIET | mantissa >> MANTISSA_DISTANCE);
    if (half_exponent >= F16_EXPONENT_MAX)
        return (uint16_t)(sign | F16_INFINITY);
    if (half_exponent <= 0) {
        uint32_t shift = (uint32_t)(MANTISSA_DISTANCE + 1 - half_exponent);

        /* Below half the smallest subnormal everything is zero, and the shift would pass 31. */
        if (shift > F32_EXPONENT_SHIFT + 1)
            return sign;
        return (uint16_t)(sign | shift_to_nearest_even(mantissa | F32_IMPLICIT_ONE, shift));
    }
    /* A mantissa that rounds up to 2 carries into the exponent, and from there to infinity. */
    return (uint16_t)(sign + ((uint32_t)half_exponent << F16_EXPONENT_SHIFT) +
                      shift_to_nearest_even(mantissa, MANTISSA_DISTANCE));
}

float quant_bf16_to_f32(uint16_t half)
{
    return float_of_bits((uint32_t)half << 16);
}

uint16_t quant_f32_to_bf16(float value)
{
    uint32_t bits = bits_of_float(value);

    if (isnan(value))
        return (uint16_t)(bits >> 16 | 0x40); /* stays a NaN when its low bits are cut */
    return (uint16_t)shift_to_nearest_even(bits, 16);
}

void quant_decode_f32(const void *blocks, float *out, size_t count)
{
    memcpy(out, blocks, count * sizeof(*out));
}

void quant_decode_f16(const void *blocks, float *out, size_t count)
{
    const uint8_t *bytes = blocks;

    for (size_t i = 0; i < count; i++)
        out[i] = quant_f16_to_f32(quant_load_u16(bytes + 2 * i));
}

void quant_decode_bf16(const void *blocks, float *out, size_t count)
{
    const uint8_t *bytes = blocks;

    for (size_t i = 0; i < count; i++)
        out[i] = quant_bf16_to_f32(quant_load_u16(bytes + 2 * i));
}

static const struct quant_info QUANTS[QUANT_TYPE_MAX + 1] = {
#define QUANT(id, type_name, elements, bytes, reader)                                              \
    [id] = {.name = #type_name, .block_elements = elements, .block_bytes = bytes, .decode = reader},
#include "hip/model/quant_types.def"
#undef QUANT
};

const struct quant_info *quant_info(uint32_t type)
{
    if (type >= ARRAY_COUNT(QUANTS) || QUANTS[type].name == NULL)
        return NULL;
    return &QUANTS[type];
}

uint64_t quant_row_bytes(uint32_t type, uint64_t count)
{
    const struct quant_info *info = quant_info(type);

    assert(info != NULL && count % info->block_elements == 0);
    return count / info->block_elements * info->block_bytes;
}

void quant_decode(uint32_t type, const void *blocks, float *out, size_t count)
{
    const struct quant_info *info = quant_info(type);

    assert(info != NULL && info->decode != NULL && count % info->block_elements == 0);
    info->decode(blocks, out, count);
}
