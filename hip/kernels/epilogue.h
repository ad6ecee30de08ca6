/* What happens to a finished product: bias, cap, gate, and where it goes. As finished() and
 * capped() of hip/backend/ref.c. */
#ifndef RBEE_HIP_KERNELS_EPILOGUE_H
#define RBEE_HIP_KERNELS_EPILOGUE_H

#include "hip/kernels/args.h"
#include "hip/kernels/gpu.h"

/* Two weights make one out. */
GPU_DEVICE uint32_t gpu_is_gate(uint32_t epilogue)
{
    return epilogue == GPU_SILU_MUL || epilogue == GPU_GELU_MUL;
}

/* silu or gelu of FIRST, times SECOND. Sums are spelt out as gpu_fma, here and wherever two kernels
 * must give the same bits: a compiler might else round once in one of them and twice in the
 * other. */
GPU_DEVICE float gpu_gate(uint32_t epilogue, float first, float second)
{
    float inner;

    if (epilogue == GPU_SILU_MUL)
        return first / (1.0f + gpu_exp(-first)) * second;
    inner = 0.797884561f * gpu_fma(0.044715f * first * first, first, first); /* sqrt(2 / pi) */
    return gpu_fma(0.5f * first, gpu_tanh(inner), 0.5f * first) * second;
}

/* FIRST and, of a gate, SECOND are row ROW times row COLUMN of weight INDEX. What is stored. */
GPU_DEVICE float gpu_finish(const struct args_product *a, uint32_t index, uint32_t row,
                            uint32_t column, float first, float second)
{
    const float *bias = index == 0 ? a->biases[0] : index == 1 ? a->biases[1] : a->biases[2];
    float *out = index == 0 ? a->outs[0] : index == 1 ? a->outs[1] : a->outs[2];
    uint32_t width = index == 0   ? a->weights[0].rows
                     : index == 1 ? a->weights[1].rows
                                  : a->weights[2].rows;

    out += (uint64_t)row * width + column;
    if (bias != 0)
        first += bias[column];
    first = gpu_capped(first, a->softcap);
    if (gpu_is_gate(a->epilogue))
        first = gpu_gate(a->epilogue, first, second);
    else if (a->epilogue == GPU_ADD)
        first += *out;
    *out = first;
    return first;
}

#endif
