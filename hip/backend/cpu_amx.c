/* The CPU backend's products for many rows of activations on AMX, beside AVX-512. Entered only
 * after cpu.c has asked the processor and the system. */
#if defined(__x86_64__)

#define CPU_VECTOR_512
#include "hip/backend/cpu_many_tiles.h"

WIDE_TARGET void cpu_amx_to_group(const int16_t *rows, void *group)
{
    rows_to_pieces(rows, group);
}

WIDE_TARGET void cpu_amx_many(const struct cpu_product *product)
{
    multiply_by_tiles(product);
}

#else
/* Not for this processor: cpu.c uses the plain loops. */
typedef int cpu_amx_is_for_x86_64;
#endif
