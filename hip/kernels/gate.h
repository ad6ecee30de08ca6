/* The gate of two products that different kernels have made: where its weights are of two types. */
#ifndef RBEE_HIP_KERNELS_GATE_H
#define RBEE_HIP_KERNELS_GATE_H

#include "hip/kernels/epilogue.h"

/* Grid: blocks of the elements of a row, rows. */
GPU_KERNEL(gate, args_gate)
{
    uint32_t column = gpu_block_x() * gpu_threads() + gpu_thread();
    uint64_t at = (uint64_t)gpu_block_y() * a->width + column;

    if (column < a->width)
        a->out[at] = gpu_gate(a->epilogue, a->first[at], a->second[at]);
}

#endif
