/* AMX: eight tiles of 16 rows of 64 bytes, and what multiplies them.
 *
 * Inline assembly, because gcc's intrinsics say neither that a tile is loaded from memory nor that
 * the configuration is all of its 64 bytes: what was stored to either just before could be left
 * out. No compiler keeps anything in tiles of its own accord, so none is saved or restored. */
#ifndef RBEE_HIP_BACKEND_CPU_TILES_H
#define RBEE_HIP_BACKEND_CPU_TILES_H

#if defined(__x86_64__)

#include <stdint.h>

enum {
    TILE_COUNT = 8,
    TILE_ROWS = 16,
    TILE_ROW_BYTES = 64,
    TILE_BYTES = TILE_ROWS * TILE_ROW_BYTES,
};

/* How many rows and bytes of a row each tile has; as the processor reads it. */
struct tile_config {
    uint8_t palette;
    uint8_t first_row;
    uint8_t zeroes[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

/* From here until tiles_off() the calling thread has tiles, all of full size. */
static inline void tiles_on(void)
{
#define ALL_TILES(value)                                                                           \
    {                                                                                              \
        value, value, value, value, value, value, value, value                                     \
    }
    static const struct tile_config config = {
        .palette = 1, .row_bytes = ALL_TILES(TILE_ROW_BYTES), .rows = ALL_TILES(TILE_ROWS)};
#undef ALL_TILES

    __asm__ volatile("ldtilecfg %0" ::"m"(config));
}

/* The system has no tiles to save for this thread any more. */
static inline void tiles_off(void)
{
    __asm__ volatile("tilerelease");
}

/* Tiles go by their number, a constant; the rows of one in memory are STRIDE bytes apart. */
#define TILE_ZERO(tile) __asm__ volatile("tilezero %%tmm" #tile ::)
#define TILE_LOAD(tile, from, stride)                                                              \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"(from), "r"((uint64_t)(stride))       \
                     : "memory")
#define TILE_STORE(tile, to, stride)                                                               \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"(to), "r"((uint64_t)(stride))     \
                     : "memory")

/* sum[m][n] += a[m][4 * k + i] * b[k][4 * n + i] for all k and i: signed bytes, sums of 32 bits. */
#define TILE_ADD_PRODUCT(sum, a, b)                                                                \
    __asm__ volatile("tdpbssd %%tmm" #b ", %%tmm" #a ", %%tmm" #sum ::)

#endif

#endif
