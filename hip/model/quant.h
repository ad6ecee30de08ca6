/* Tensor types: how the bytes of a block stand for numbers. The table (quant_types.def) says what
 * exists; readers here are plain C and are the definition that every faster kernel is tested
 * against. Block formats: https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h */
#ifndef RBEE_HIP_MODEL_QUANT_H
#define RBEE_HIP_MODEL_QUANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum quant_type {
#define QUANT(id, name, elements, bytes, reader) QUANT_##name = id,
#include "hip/model/quant_types.def"
#undef QUANT
    QUANT_TYPE_MAX = QUANT_Q2_0,
};

struct quant_info {
    const char *name;
    uint32_t block_elements;
    uint32_t block_bytes;
    /* Blocks at BLOCKS, unaligned, to OUT[count]; COUNT is a multiple of block_elements. NULL: this
     * version does not read the type. */
    void (*decode)(const void *blocks, float *out, size_t count);
};

/* NULL for an id that no type has. */
const struct quant_info *quant_info(uint32_t type);
/* Bytes of COUNT elements, a multiple of the type's block. TYPE must exist. */
uint64_t quant_row_bytes(uint32_t type, uint64_t count);
/* TYPE must have a reader. */
void quant_decode(uint32_t type, const void *blocks, float *out, size_t count);

/* IEEE 754 half precision, subnormals and infinities included; to half rounds to nearest even. */
float quant_f16_to_f32(uint16_t half);
uint16_t quant_f32_to_f16(float value);
/* The upper half of a float; to bf16 rounds to nearest even. */
float quant_bf16_to_f32(uint16_t half);
uint16_t quant_f32_to_bf16(float value);

/* What the 16 nibbles of IQ4_NL and IQ4_XS stand for, before the scale. */
extern const int8_t QUANT_IQ4_VALUES[16];
/* The 16 four-bit floats of MXFP4 (sign, two bits of exponent, one of mantissa), doubled, so that
 * they are whole.
 * https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf
 */
extern const int8_t QUANT_E2M1_DOUBLED[16];

/* The scale of an MXFP4 block for the doubled values: 2^(EXPONENT - 128). 255, a NaN in the MX
 * specification, is one more exponent in GGML, whose files these are. */
static inline float quant_e8m0_halved(uint8_t exponent)
{
    /* A float's exponent is one less, but for the two that only subnormals reach. */
    uint32_t bits = exponent >= 2 ? (uint32_t)(exponent - 1) << 23 : 0x200000u << exponent;
    float value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

#endif
