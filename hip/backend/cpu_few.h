/* Products of integers for a few rows of activations, bound by the memory's speed: weights are read
 * once, FEW_WIDTH rows at a time, and a product's sums lie along the columns. */
#ifndef RBEE_HIP_BACKEND_CPU_FEW_H
#define RBEE_HIP_BACKEND_CPU_FEW_H

#include "hip/backend/cpu_products.h"

#if defined(__x86_64__)

/* What will be read PREFETCH_BYTES later: further in the row, or in the row that comes
 * FEW_WIDTH after it. */
WIDE void prefetch_strip(uint32_t type, const struct cpu_product *product, const uint8_t *row,
                         uint64_t at)
{
    uint64_t ahead = at + PREFETCH_BYTES;

    if (ahead >= product->row_bytes)
        ahead += (FEW_WIDTH - 1) * product->row_bytes;
    for (uint32_t i = 0; i < strip_bytes(type); i += LINE_BYTES)
        _mm_prefetch((const char *)row + ahead + i, _MM_HINT_T0);
}

/* A strip of FEW_WIDTH weights by ROWS rows of activations, 1 or 2, a strip after the other: exact
 * sums. Behind the last column activations are zeroes, so a whole strip is always right. */
WIDE void multiply_strip(int16_t weights[FEW_WIDTH][STRIP], const int16_t *x, uint32_t rows,
                         __m128i out[2])
{
    sums32 sum[2][FEW_WIDTH];

    UNROLL
    for (uint32_t w = 0; w < FEW_WIDTH; w++)
        sum[0][w] = sum[1][w] = sums_zero();
    UNROLL
    for (uint32_t i = 0; i < STRIP; i += WORDS) {
        UNROLL
        for (uint32_t w = 0; w < FEW_WIDTH; w++) {
            words weight = words_load(weights[w] + i);

            UNROLL
            for (uint32_t r = 0; r < rows; r++)
                sum[r][w] = sums_add(sum[r][w], weight, words_load(x + r * STRIP + i));
        }
    }
    UNROLL
    for (uint32_t r = 0; r < rows; r++)
        out[r] = sums_of_four(sum[r]);
}

/* FEW_WIDTH weights; where there are fewer, the last one again. */
struct few_job {
    const struct cpu_product *product;
    const uint8_t *rows[FEW_WIDTH];
    struct strip_rows prepared[2]; /* of a strip, and of the next one */
    _Alignas(LINE_BYTES) int16_t weights[FEW_WIDTH][STRIP];
    __m128 totals[CPU_FEW_ROWS];
};

/* Strip STRIP_INDEX has PARTS parts: a constant but for the last one, here and below. */
WIDE void few_prepare(uint32_t type, struct few_job *job, uint32_t strip_index, uint32_t parts)
{
    const uint8_t *strips[FEW_WIDTH];

    for (uint32_t w = 0; w < FEW_WIDTH; w++)
        strips[w] = job->rows[w] + (uint64_t)strip_index * strip_bytes(type);
    prepare_strips(type, strips, parts, &job->prepared[strip_index % 2]);
}

WIDE void few_prefetch(uint32_t type, const struct few_job *job, uint32_t strip_index)
{
    for (uint32_t w = 0; w < FEW_WIDTH; w++)
        prefetch_strip(type, job->product, job->rows[w], (uint64_t)strip_index * strip_bytes(type));
}

WIDE void few_words(uint32_t type, struct few_job *job, uint32_t strip_index, uint32_t parts)
{
    uint64_t at = (uint64_t)strip_index * strip_bytes(type);
    const struct strip_rows *prepared = &job->prepared[strip_index % 2];

    for (uint32_t w = 0; w < FEW_WIDTH; w++)
        strip_to_words(type, job->rows[w] + at, parts, prepared, w, job->weights[w]);
}

/* Offsets of FEW_WIDTH weights by the sums of one row of activations. */
WIDE __m128i multiply_offsets(const struct strip_rows *prepared, const int16_t *sums_of_x)
{
    __m256i x = _mm256_loadu_si256((const __m256i *)sums_of_x);
    __m256i products[FEW_WIDTH];

    UNROLL
    for (uint32_t w = 0; w < FEW_WIDTH; w++)
        products[w] = _mm256_madd_epi16(load_32((const uint8_t *)prepared->offsets[w]), x);
    return sum_each_of_four(products);
}

/* To the totals of row ROW of activations: a strip's SUM of FEW_WIDTH weights, and their offsets.
 */
WIDE void few_add_strip(uint32_t type, struct few_job *job, uint32_t strip_index, uint32_t row,
                        __m128i sum)
{
    const struct cpu_integers *x = job->product->x;
    const struct strip_rows *prepared = &job->prepared[strip_index % 2];
    uint64_t place = (uint64_t)strip_index * x->row_count + row;
    __m128 unit = _mm_set1_ps(x->units[place]);
    __m128 total = job->totals[row];

    total =
        _mm_fmadd_ps(_mm_cvtepi32_ps(sum), _mm_mul_ps(_mm_loadu_ps(prepared->units), unit), total);
    if (has_exact_words(type)) {
        __m128i offsets = multiply_offsets(prepared, x->sums + place * 2 * CPU_STRIP_SUMS);

        total = _mm_fmadd_ps(_mm_cvtepi32_ps(offsets),
                             _mm_mul_ps(_mm_loadu_ps(prepared->offset_units), unit), total);
    }
    job->totals[row] = total;
}

/* Rows FIRST to FIRST + ROWS - 1 of activations; ROWS is 1 or 2, a constant. */
WIDE void few_multiply_rows(uint32_t type, struct few_job *job, uint32_t strip_index,
                            uint32_t first, uint32_t rows)
{
    const struct cpu_integers *x = job->product->x;
    uint64_t place = (uint64_t)strip_index * x->row_count + first;
    __m128i sum[2];

    multiply_strip(job->weights, x->values + place * STRIP, rows, sum);
    UNROLL
    for (uint32_t r = 0; r < rows; r++)
        few_add_strip(type, job, strip_index, first + r, sum[r]);
    /* There are more weights than registers: else they are read to the stack for the next rows. */
    __asm__("" : "+m"(job->weights));
}

/* Two rows at a time: there are sums enough in flight then. */
WIDE void few_multiply_all(uint32_t type, struct few_job *job, uint32_t strip_index)
{
    uint32_t count = job->product->x->row_count;
    uint32_t r = 0;

    for (; r + 2 <= count; r += 2)
        few_multiply_rows(type, job, strip_index, r, 2);
    if (r < count)
        few_multiply_rows(type, job, strip_index, r, 1);
}

/* Functions of their own: all types share them, but for those with exact words. */
static NOINLINE WIDE_TARGET void few_multiply_rounded(struct few_job *job, uint32_t strip_index)
{
    few_multiply_all(QUANT_Q8_0, job, strip_index);
}

static NOINLINE WIDE_TARGET void few_multiply_exact(struct few_job *job, uint32_t strip_index)
{
    few_multiply_all(QUANT_Q4_K, job, strip_index);
}

WIDE void few_multiply(uint32_t type, struct few_job *job, uint32_t strip_index)
{
    if (has_exact_words(type))
        few_multiply_exact(job, strip_index);
    else
        few_multiply_rounded(job, strip_index);
}

/* One row of activations: words are multiplied as they are made, and need no memory. */
WIDE void few_multiply_one(uint32_t type, struct few_job *job, uint32_t strip_index, uint32_t parts)
{
    const struct cpu_integers *x = job->product->x;
    const struct strip_rows *prepared = &job->prepared[strip_index % 2];
    const int16_t *values = x->values + (uint64_t)strip_index * STRIP;
    uint64_t at = (uint64_t)strip_index * strip_bytes(type);
    sums32 sum[FEW_WIDTH];

    UNROLL
    for (uint32_t w = 0; w < FEW_WIDTH; w++)
        sum[w] = sums_zero();
    FOR_EACH_PART
    for (uint32_t part = 0; part < STRIP_PARTS; part += PARTS_AT_ONCE) {
        words first = words_load(values + part * BLOCK);
        words second = words_load(values + part * BLOCK + WORDS);

        if (part >= parts)
            continue;
        UNROLL
        for (uint32_t w = 0; w < FEW_WIDTH; w++) {
            words both[2];

            words_of_parts(type, job->rows[w] + at, part, parts - part, &prepared->scales[w], both);
            sum[w] = sums_add(sums_add(sum[w], both[0], first), both[1], second);
        }
    }
    few_add_strip(type, job, strip_index, 0, sums_of_four(sum));
}

/* The scales of the next strip, if it HAS_NEXT, are prepared before this one is multiplied: the
 * processor does the one while it waits for the other. */
WIDE void few_strip(uint32_t type, struct few_job *job, uint32_t strip_index, uint32_t parts,
                    bool has_next)
{
    bool is_one = job->product->x->row_count == 1;

    few_prefetch(type, job, strip_index);
    if (!is_one)
        few_words(type, job, strip_index, parts);
    if (has_next)
        few_prepare(type, job, strip_index + 1, STRIP_PARTS);
    if (is_one)
        few_multiply_one(type, job, strip_index, parts);
    else
        few_multiply(type, job, strip_index);
}

WIDE void few_strips(uint32_t type, struct few_job *job, uint32_t full, uint32_t rest)
{
    if (full > 0)
        few_prepare(type, job, 0, STRIP_PARTS);
    for (uint32_t strip = 0; strip < full; strip++)
        few_strip(type, job, strip, STRIP_PARTS, strip + 1 < full);
    if (has_small_blocks(type) && rest != 0) {
        few_prepare(type, job, full, rest);
        few_strip(type, job, full, rest, false);
    }
}

WIDE void few_of_type(uint32_t type, const struct cpu_product *product)
{
    uint32_t full = product->x->columns / STRIP;
    uint32_t rest = strip_parts(product->x->columns % STRIP);
    struct few_job job;

    job.product = product;
    memset(job.weights, 0, sizeof(job.weights)); /* a rest does not fill them */
    for (uint32_t first = 0; first < product->width; first += FEW_WIDTH) {
        uint32_t left = product->width - first;
        uint32_t count = left < FEW_WIDTH ? left : FEW_WIDTH;

        for (uint32_t w = 0; w < FEW_WIDTH; w++)
            job.rows[w] =
                product->weights + (first + (w < count ? w : count - 1)) * product->row_bytes;
        for (uint32_t r = 0; r < product->x->row_count; r++)
            job.totals[r] = _mm_setzero_ps();
        few_strips(type, &job, full, rest);
        for (uint32_t r = 0; r < product->x->row_count; r++) {
            float four[FEW_WIDTH];

            _mm_storeu_ps(four, job.totals[r]);
            memcpy(product->out + (uint64_t)r * product->width + first, four,
                   count * sizeof(*four));
        }
    }
}

/* The same loops once for each type, so that the choice is outside of them. */
#define FEW_CASE(name)                                                                             \
    case QUANT_##name:                                                                             \
        few_of_type(QUANT_##name, product);                                                        \
        break;

#endif

#endif
