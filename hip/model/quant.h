/* Tensor types: how the bytes of a block stand for numbers. The table (quant_types.def) says what
 * exists; readers here are plain C and are the definition that every faster kernel is tested
 * against. Block formats: https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h */
#ifndef RBEE_HIP_MODEL_QUANT_H
#define RBEE_HIP_MODEL_QUANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* Activations for integer dot products: x = scale * q, 32 at a time. */
enum { QUANT_Q8_ELEMENTS = 32 };
/* COUNT (a multiple of 32) values to Q[count]; SCALES[count / 32]; SUMS[count / 32] is scale times
 * the sum of q, which blocks with an offset need. q is x / (largest magnitude / 127), rounded half
 * away from zero; a block of zeros (or below
 * 1e-35) has scale 0. A block that is not finite gets a NaN scale, so that
 * the fault is still visible at the end. */
void quant_q8(const float *x, size_t count, int8_t *q, float *scales, float *sums);

#endif
