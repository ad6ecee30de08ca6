/* What the quant*.c files share: the plain readers that the table names. Nobody else includes it;
 * quant_decode() is the way in. All have the contract of quant_info.decode. */
#ifndef RBEE_HIP_MODEL_QUANT_READERS_H
#define RBEE_HIP_MODEL_QUANT_READERS_H

#include "hip/model/quant.h"

/* Elements of a block of quant_blocks32.c, and of one of quant_k.c. */
enum { QUANT_BLOCK = 32, QUANT_K_BLOCK = 256 };

static inline uint16_t quant_load_u16(const uint8_t *bytes)
{
    uint16_t value;

    memcpy(&value, bytes, sizeof(value));
    return value;
}

static inline uint32_t quant_load_u32(const uint8_t *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof(value));
    return value;
}

static inline float quant_load_f16(const uint8_t *bytes)
{
    return quant_f16_to_f32(quant_load_u16(bytes));
}

/* ---- quant.c ---- */

void quant_decode_f32(const void *blocks, float *out, size_t count);
void quant_decode_f16(const void *blocks, float *out, size_t count);
void quant_decode_bf16(const void *blocks, float *out, size_t count);

/* ---- quant_blocks32.c ---- */

void quant_decode_q8_0(const void *blocks, float *out, size_t count);
void quant_decode_q4_0(const void *blocks, float *out, size_t count);
void quant_decode_q4_1(const void *blocks, float *out, size_t count);
void quant_decode_q5_0(const void *blocks, float *out, size_t count);
void quant_decode_q5_1(const void *blocks, float *out, size_t count);
void quant_decode_iq4_nl(const void *blocks, float *out, size_t count);
void quant_decode_mxfp4(const void *blocks, float *out, size_t count);

/* ---- quant_k.c ---- */

void quant_decode_q2_k(const void *blocks, float *out, size_t count);
void quant_decode_q3_k(const void *blocks, float *out, size_t count);
void quant_decode_q4_k(const void *blocks, float *out, size_t count);
void quant_decode_q5_k(const void *blocks, float *out, size_t count);
void quant_decode_q6_k(const void *blocks, float *out, size_t count);
void quant_decode_iq4_xs(const void *blocks, float *out, size_t count);

#endif
