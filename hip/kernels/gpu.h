/* What a kernel may use of a GPU, with all that differs between compilers and vendors; but for
 * gpu_mma.h nothing else in this folder may name either. Kernels are written in the part of HIP
 * that is also C, so that three kinds of compiler take the same source: clang for AMD
 * (freestanding: no header of ROCm), clang for NVIDIA, and any C compiler for the emulator
 * (tests/emulator), which runs them on the CPU and stops at what a GPU would get silently wrong.
 *
 * GPU_WAVE is the number of threads that run in lockstep, 32 or 64: a constant of each build. */
#ifndef RBEE_HIP_KERNELS_GPU_H
#define RBEE_HIP_KERNELS_GPU_H

#include "hip/kernels/args.h"

#include <stdint.h>

#ifndef GPU_WAVE
#error "the build says how wide a wave is: -DGPU_WAVE=32 or 64"
#endif

/* 16 bytes that travel as one load or store. */
struct __attribute__((aligned(16))) gpu_int4 {
    int32_t x, y, z, w;
};

struct __attribute__((aligned(8))) gpu_int2 {
    int32_t x, y;
};

/* At compile time. */
#ifdef __cplusplus
#define GPU_ASSERT static_assert
#else
#define GPU_ASSERT _Static_assert
#endif

/* Before a loop with a constant count, whose body is to be there that often: arrays that it indexes
 * are registers then, and its loads are under way together. */
#if defined(__clang__)
#define GPU_UNROLL _Pragma("unroll")
#else
#define GPU_UNROLL _Pragma("GCC unroll 1")
#endif

#ifndef GPU_EMULATOR
#define GPU_DEVICE static inline __attribute__((device, always_inline))
/* GPU_KERNEL(name, args) { ... a->field ... } */
#define GPU_KERNEL(name, args_struct)                                                              \
    GPU_DEVICE void name##_body(const struct args_struct *a);                                      \
    extern "C" __attribute__((global, GPU_BLOCK_LIMIT)) void name(const struct args_struct args)   \
    {                                                                                              \
        name##_body(&args);                                                                        \
    }                                                                                              \
    GPU_DEVICE void name##_body(const struct args_struct *a)
#define GPU_SHARED(type, name, count) static __attribute__((shared, aligned(16))) type name[count]
#endif

#if defined(GPU_EMULATOR)
#include "tests/emulator/gpu_emulator.h"
#elif defined(__AMDGCN__)
#include "hip/kernels/gpu_amd.h"
#elif defined(__NVPTX__) || defined(__CUDA_ARCH__)
#include "hip/kernels/gpu_nvidia.h"
#else
#error "no GPU that this file knows"
#endif

/* ---- what follows is the same everywhere ---- */

/* gpu_uniform(): a value that all lanes of the wave have alike, as the compiler then knows:
 * addresses made of it are loaded once for the wave. gpu_uniform_load…(): what lies where all lanes
 * look and the kernel does not write, to scalar registers where there are such. */
#ifndef GPU_HAS_SCALAR_REGISTERS
GPU_DEVICE uint32_t gpu_uniform(uint32_t value)
{
    return value;
}

GPU_DEVICE struct gpu_int4 gpu_uniform_load16(const void *from)
{
    return *(const struct gpu_int4 *)from;
}

GPU_DEVICE struct gpu_int2 gpu_uniform_load8(const void *from)
{
    return *(const struct gpu_int2 *)from;
}

GPU_DEVICE float gpu_uniform_load_float(const void *from)
{
    return *(const float *)from;
}
#endif

GPU_DEVICE uint32_t gpu_lane(void)
{
    return gpu_thread() % GPU_WAVE;
}

GPU_DEVICE uint32_t gpu_wave(void)
{
    return gpu_thread() / GPU_WAVE;
}

/* Waves of a block. Blocks have whole waves. */
GPU_DEVICE uint32_t gpu_waves(void)
{
    return gpu_threads() / GPU_WAVE;
}

GPU_DEVICE float gpu_bits_to_float(uint32_t bits)
{
    float value;

    __builtin_memcpy(&value, &bits, sizeof(value));
    return value;
}

GPU_DEVICE uint32_t gpu_float_to_bits(float value)
{
    uint32_t bits;

    __builtin_memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* SUM + the products of the signed bytes of A with the four numbers whose upper bytes, signed, and
 * lower ones are those of UPPER and LOWER. For where there is no gpu_dot4 in one instruction: a
 * multiplication takes numbers of 16 bits as well as bytes. */
GPU_DEVICE int32_t gpu_dot4_wide(int32_t a, int32_t upper, int32_t lower, int32_t sum)
{
    GPU_UNROLL
    for (int i = 0; i < 32; i += 8) {
        int32_t number = (int32_t)(int8_t)(upper >> i) * 256 + (int32_t)(int8_t)(lower >> i);

        sum += (int32_t)(int8_t)(a >> i) * number;
    }
    return sum;
}

GPU_DEVICE float gpu_bf16_to_float(uint16_t half)
{
    return gpu_bits_to_float((uint32_t)half << 16);
}

/* One load, also where only a part of it is used in each place: clang takes structs apart, and
 * would load the parts. */
GPU_DEVICE struct gpu_int4 gpu_load16(const void *from)
{
#if defined(__clang__)
    typedef int32_t gpu_vector __attribute__((vector_size(16)));
    gpu_vector value = *(const gpu_vector *)from;
    struct gpu_int4 out = {value[0], value[1], value[2], value[3]};

    return out;
#else
    return *(const struct gpu_int4 *)from;
#endif
}

GPU_DEVICE struct gpu_int2 gpu_load8(const void *from)
{
    return *(const struct gpu_int2 *)from;
}

GPU_DEVICE void gpu_store16(void *to, struct gpu_int4 value)
{
    *(struct gpu_int4 *)to = value;
}

GPU_DEVICE float gpu_max(float a, float b)
{
    return a > b ? a : b;
}

GPU_DEVICE uint32_t gpu_min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

GPU_DEVICE float gpu_exp(float x)
{
    return gpu_exp2(x * 1.44269504f); /* log2(e) */
}

GPU_DEVICE float gpu_tanh(float x)
{
    return 1.0f -
           2.0f / (gpu_exp(2.0f * x) + 1.0f); /* exp is infinite or 0 at the ends: 1 and -1 */
}

/* SOFTCAP 0: none. */
GPU_DEVICE float gpu_capped(float x, float softcap)
{
    return softcap == 0.0f ? x : softcap * gpu_tanh(x / softcap);
}

GPU_DEVICE int32_t gpu_word_of(struct gpu_int4 piece, uint32_t index)
{
    int32_t low = (index & 1) != 0 ? piece.y : piece.x;
    int32_t high = (index & 1) != 0 ? piece.w : piece.z;

    return (index & 2) != 0 ? high : low;
}

/* Over WIDTH neighbouring lanes, a power of 2 of at most GPU_WAVE; all lanes of the wave call it,
 * and each gets the result of its own neighbours. The order of the sum is the same in each. */
#ifndef GPU_HAS_REDUCTIONS /* the emulator meets once instead of once a step */
GPU_DEVICE float gpu_sum_over(float value, uint32_t width)
{
    for (uint32_t step = width / 2; step > 0; step /= 2)
        value += gpu_shuffle(value, gpu_lane() ^ step);
    return value;
}

GPU_DEVICE float gpu_max_over(float value, uint32_t width)
{
    for (uint32_t step = width / 2; step > 0; step /= 2)
        value = gpu_max(value, gpu_shuffle(value, gpu_lane() ^ step));
    return value;
}
#endif

#endif
