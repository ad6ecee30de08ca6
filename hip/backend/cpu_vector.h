/* The vectors that a file's loops are made of: of 256 bits, or, where it defines CPU_VECTOR_512
 * first, of 512. Both headers define
 *
 *      WIDE                        what makes a function inline for the instruction set
 *      WIDE_TARGET                 what makes one that is not
 *      words, WORDS                a vector of 16-bit words, and how many it has
 *      sums32                      WORDS / 2 sums of 32 bits
 *      PARTS_AT_ONCE               parts whose words fill two vectors
 *      MANY_TILE_WIDTH, MANY_TILE_GROUPS   the tile of products whose sums fit the registers
 *      floats, FLOATS              a vector of floats, and how many it has
 *      ATTEND_QUERIES              queries whose scores fit the registers
 *
 * and the functions words_*, sums_*, words_of_parts() and floats_*. */
#ifndef RBEE_HIP_BACKEND_CPU_VECTOR_H
#define RBEE_HIP_BACKEND_CPU_VECTOR_H

#ifdef CPU_VECTOR_512
#include "hip/backend/cpu_vector_avx512.h"
#else
#include "hip/backend/cpu_vector_avx2.h"
#endif

#endif
