/* The CPU backend's loops over integers for AVX2: 16 products of 16 bits, added in pairs to 8 sums,
 * in two instructions; and attention. Entered only after cpu.c has asked the processor. */
#if defined(__x86_64__)

#include "hip/backend/cpu_attend.h"
#include "hip/backend/cpu_few.h"
#include "hip/backend/cpu_many.h"

#include <assert.h>

WIDE_TARGET float cpu_avx2_to_integers(const float *x, uint32_t count, int16_t *values,
                                       int16_t *sums_of_x)
{
    return to_integers(x, count, values, sums_of_x);
}

WIDE_TARGET void cpu_avx2_to_group(const int16_t *rows, void *group)
{
    interleave_rows(rows, CPU_STRIP_BYTES / FOUR_BYTES, group);
}

WIDE_TARGET void cpu_avx2_few(const struct cpu_product *product)
{
    switch (product->type) {
        FOR_EACH_BLOCK_TYPE(FEW_CASE)
    default:
        assert(false && "a type without blocks");
    }
}

WIDE_TARGET void cpu_avx2_many(const struct cpu_product *product)
{
    switch (product->type) {
        FOR_EACH_BLOCK_TYPE(MANY_CASE)
    default:
        assert(false && "a type without blocks");
    }
}

WIDE_TARGET void cpu_avx2_attend(struct cpu_query *queries, uint32_t count, const uint16_t *k,
                                 const uint16_t *v, uint32_t first, uint32_t end)
{
    if (queries[0].head_dim % FLOATS != 0)
        CPU_KERNELS_PLAIN.attend(queries, count, k, v, first, end);
    else
        attend_all(queries, count, k, v, first, end);
}

#else
/* Not for this processor: cpu.c uses the plain loops. */
typedef int cpu_avx2_products_is_for_x86_64;
#endif
