/* gpu.h for AMD: clang's builtins and nothing else, no header or library of ROCm's.
 * https://llvm.org/docs/AMDGPUUsage.html */
#ifndef RBEE_HIP_KERNELS_GPU_AMD_H
#define RBEE_HIP_KERNELS_GPU_AMD_H

/* clang takes no notice of launch_bounds as an attribute here. */
#define GPU_BLOCK_LIMIT amdgpu_flat_work_group_size(1, GPU_THREADS_MAX)

GPU_DEVICE uint32_t gpu_thread(void)
{
    return __builtin_amdgcn_workitem_id_x();
}

GPU_DEVICE uint32_t gpu_block_x(void)
{
    return __builtin_amdgcn_workgroup_id_x();
}

GPU_DEVICE uint32_t gpu_block_y(void)
{
    return __builtin_amdgcn_workgroup_id_y();
}

GPU_DEVICE uint32_t gpu_block_z(void)
{
    return __builtin_amdgcn_workgroup_id_z();
}

/* Blocks are launched whole. */
GPU_DEVICE uint32_t gpu_threads(void)
{
    return __builtin_amdgcn_workgroup_size_x();
}

GPU_DEVICE void gpu_barrier(void)
{
    __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");
    __builtin_amdgcn_s_barrier();
    __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");
}

GPU_DEVICE int32_t gpu_shuffle_int(int32_t value, uint32_t lane)
{
    return __builtin_amdgcn_ds_bpermute((int)lane * 4, value);
}

GPU_DEVICE float gpu_shuffle(float value, uint32_t lane)
{
    return __builtin_bit_cast(float, gpu_shuffle_int(__builtin_bit_cast(int32_t, value), lane));
}

#if defined(__GFX11__) || defined(__GFX12__)
enum { GPU_HAS_DOT4 = 1 };
#define GPU_AMD_DOT4(a, b, sum) __builtin_amdgcn_sudot4(true, a, true, b, sum, false)
#elif defined(__gfx906__) || defined(__gfx908__) || defined(__gfx90a__) || defined(__gfx942__) ||  \
    defined(__gfx950__) || defined(__gfx1011__) || defined(__gfx1012__) || defined(__GFX10_3__) || \
    defined(__gfx1030__) || defined(__gfx10_3_generic__)
enum { GPU_HAS_DOT4 = 1 };
#define GPU_AMD_DOT4(a, b, sum) __builtin_amdgcn_sdot4(a, b, sum, false)
#else
enum { GPU_HAS_DOT4 = 0 }; /* in one instruction: see gpu_dot4_wide() */
#endif

/* SUM + the four products of signed bytes. */
GPU_DEVICE int32_t gpu_dot4(int32_t a, int32_t b, int32_t sum)
{
#ifdef GPU_AMD_DOT4
    return GPU_AMD_DOT4(a, b, sum);
#else
    for (int i = 0; i < 32; i += 8)
        sum += (int32_t)(int8_t)(a >> i) * (int32_t)(int8_t)(b >> i);
    return sum;
#endif
}

GPU_DEVICE float gpu_half_to_float(uint16_t half)
{
    return (float)__builtin_bit_cast(_Float16, half);
}

GPU_DEVICE uint16_t gpu_float_to_half(float value)
{
    return __builtin_bit_cast(uint16_t, (_Float16)value);
}

/* One instruction; the compiler's own function, which clang 15 has, looks after denormals too. */
GPU_DEVICE float gpu_exp2(float x)
{
#if __has_builtin(__builtin_amdgcn_exp2f)
    return __builtin_amdgcn_exp2f(x);
#else
    return __builtin_exp2f(x);
#endif
}

GPU_DEVICE float gpu_rsqrt(float x)
{
    return __builtin_amdgcn_rsqf(x);
}

/* Of TURNS full turns, 0 to 1. */
GPU_DEVICE float gpu_cos_turns(float turns)
{
    return __builtin_amdgcn_cosf(turns);
}

GPU_DEVICE float gpu_sin_turns(float turns)
{
    return __builtin_amdgcn_sinf(turns);
}

GPU_DEVICE double gpu_floor(double x)
{
    return __builtin_floor(x);
}

/* VALUE, the same for all lanes, of which the compiler knows nothing before it is here, and across
 * which it moves no instruction: loads from addresses made of it come after all that stands
 * above. */
GPU_DEVICE uint32_t gpu_not_before(uint32_t value)
{
    __builtin_amdgcn_sched_barrier(0);
#if __clang_major__ > 15 /* which finds a scalar in a vector register there */
    asm volatile("" : "+s"(value));
#endif
    return value;
}

#define GPU_HAS_SCALAR_REGISTERS

GPU_DEVICE uint32_t gpu_uniform(uint32_t value)
{
    return __builtin_amdgcn_readfirstlane((int)value);
}

/* Address space 4 is constant memory. */
GPU_DEVICE struct gpu_int4 gpu_uniform_load16(const void *from)
{
    typedef int32_t four __attribute__((ext_vector_type(4)));
    four value = *(const __attribute__((address_space(4))) four *)from;
    struct gpu_int4 out = {value.x, value.y, value.z, value.w};

    return out;
}

GPU_DEVICE struct gpu_int2 gpu_uniform_load8(const void *from)
{
    typedef int32_t two __attribute__((ext_vector_type(2)));
    two value = *(const __attribute__((address_space(4))) two *)from;
    struct gpu_int2 out = {value.x, value.y};

    return out;
}

GPU_DEVICE float gpu_uniform_load_float(const void *from)
{
    return *(const __attribute__((address_space(4))) float *)from;
}

/* A * B + C, rounded once. */
GPU_DEVICE float gpu_fma(float a, float b, float c)
{
    return __builtin_fmaf(a, b, c);
}

/* Each byte of the result is the entry of a table of 16 bytes, entry 0 lowest in FIRST, that the
 * same byte of INDICES, 0 to 15, names. */
GPU_DEVICE uint32_t gpu_look_up(uint32_t indices, uint32_t first, uint32_t second, uint32_t third,
                                uint32_t fourth)
{
    uint32_t below_8 = indices & 0x07070707;
    uint32_t either = (indices >> 1 & 0x04040404) | 0x03020100;
    uint32_t lower = __builtin_amdgcn_perm(second, first, below_8);
    uint32_t upper = __builtin_amdgcn_perm(fourth, third, below_8);

    return __builtin_amdgcn_perm(upper, lower, either);
}

#endif
