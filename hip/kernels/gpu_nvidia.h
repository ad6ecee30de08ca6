/* gpu.h for NVIDIA: PTX 7.8, by clang, without a header of CUDA's.
 * https://docs.nvidia.com/cuda/parallel-thread-execution/ */
#ifndef RBEE_HIP_KERNELS_GPU_NVIDIA_H
#define RBEE_HIP_KERNELS_GPU_NVIDIA_H

#define GPU_BLOCK_LIMIT launch_bounds(GPU_THREADS_MAX)

#define GPU_REGISTER(function, name)                                                               \
    GPU_DEVICE uint32_t function(void)                                                             \
    {                                                                                              \
        uint32_t value;                                                                            \
        asm("mov.u32 %0, %%" name ";" : "=r"(value));                                              \
        return value;                                                                              \
    }
GPU_REGISTER(gpu_thread, "tid.x")
GPU_REGISTER(gpu_block_x, "ctaid.x")
GPU_REGISTER(gpu_block_y, "ctaid.y")
GPU_REGISTER(gpu_block_z, "ctaid.z")
GPU_REGISTER(gpu_threads, "ntid.x")

GPU_DEVICE void gpu_barrier(void)
{
    asm volatile("bar.sync 0;" ::: "memory");
}

GPU_DEVICE int32_t gpu_shuffle_int(int32_t value, uint32_t lane)
{
    int32_t out;

    asm volatile("shfl.sync.idx.b32 %0, %1, %2, 31, 0xffffffff;"
                 : "=r"(out)
                 : "r"(value), "r"(lane));
    return out;
}

GPU_DEVICE float gpu_shuffle(float value, uint32_t lane)
{
    float out;

    asm volatile("shfl.sync.idx.b32 %0, %1, %2, 31, 0xffffffff;"
                 : "=f"(out)
                 : "f"(value), "r"(lane));
    return out;
}

enum { GPU_HAS_DOT4 = 1 };

GPU_DEVICE int32_t gpu_dot4(int32_t a, int32_t b, int32_t sum)
{
    int32_t out;

    asm("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(out) : "r"(a), "r"(b), "r"(sum));
    return out;
}

GPU_DEVICE float gpu_half_to_float(uint16_t half)
{
    float out;

    asm("cvt.f32.f16 %0, %1;" : "=f"(out) : "h"(half));
    return out;
}

GPU_DEVICE uint16_t gpu_float_to_half(float value)
{
    uint16_t out;

    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(out) : "f"(value));
    return out;
}

GPU_DEVICE float gpu_exp2(float x)
{
    float out;

    asm("ex2.approx.f32 %0, %1;" : "=f"(out) : "f"(x));
    return out;
}

GPU_DEVICE float gpu_rsqrt(float x)
{
    float out;

    asm("rsqrt.approx.f32 %0, %1;" : "=f"(out) : "f"(x));
    return out;
}

GPU_DEVICE float gpu_cos_turns(float turns)
{
    float out;

    asm("cos.approx.f32 %0, %1;" : "=f"(out) : "f"((turns - 0.5f) * 6.28318531f));
    return -out; /* half a turn less keeps it where the approximation is best */
}

GPU_DEVICE float gpu_sin_turns(float turns)
{
    float out;

    asm("sin.approx.f32 %0, %1;" : "=f"(out) : "f"((turns - 0.5f) * 6.28318531f));
    return -out;
}

GPU_DEVICE double gpu_floor(double x)
{
    double out;

    asm("cvt.rmi.f64.f64 %0, %1;" : "=d"(out) : "d"(x));
    return out;
}

/* The driver's compiler, which orders instructions anew, sees through all but a real one. */
GPU_DEVICE uint32_t gpu_not_before(uint32_t value)
{
    uint32_t out;

    asm volatile("shfl.sync.idx.b32 %0, %1, 0, 31, 0xffffffff;"
                 : "=r"(out)
                 : "r"(value)
                 : "memory");
    return out;
}

GPU_DEVICE float gpu_fma(float a, float b, float c)
{
    float out;

    asm("fma.rn.f32 %0, %1, %2, %3;" : "=f"(out) : "f"(a), "f"(b), "f"(c));
    return out;
}

/* Byte i of the result is byte c[i] of A and B, whose bytes are 0 to 3 and 4 to 7; c[i] are the
 * lowest four nibbles of SELECTORS. */
GPU_DEVICE uint32_t gpu_nvidia_permute(uint32_t a, uint32_t b, uint32_t selectors)
{
    uint32_t out;

    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(out) : "r"(a), "r"(b), "r"(selectors));
    return out;
}

GPU_DEVICE uint32_t gpu_look_up(uint32_t indices, uint32_t first, uint32_t second, uint32_t third,
                                uint32_t fourth)
{
    /* Nibbles 0 and 1 side by side in byte 0, nibbles 2 and 3 in byte 2; then all four. */
    uint32_t pairs = indices | indices >> 4;
    uint32_t nibbles = gpu_nvidia_permute(pairs, 0, 0x4420);
    uint32_t below_8 = nibbles & 0x7777;
    uint32_t lower = gpu_nvidia_permute(first, second, below_8);
    uint32_t upper = gpu_nvidia_permute(third, fourth, below_8);

    return gpu_nvidia_permute(lower, upper, (nibbles >> 1 & 0x4444) | 0x3210);
}

#endif
