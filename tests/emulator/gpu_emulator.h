/* gpu.h for the emulator (tests/emulator/README.md): each GPU thread is a fiber, waves are GPU_WAVE
 * neighbouring threads. Included by kernels only. Stricter than any GPU: what is only lucky there
 * ends the process here. */
#ifndef RBEE_TESTS_EMULATOR_GPU_EMULATOR_H
#define RBEE_TESTS_EMULATOR_GPU_EMULATOR_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* Not into each kernel, as for a GPU: many copies of a few functions take gcc minutes. */
#define GPU_DEVICE static inline __attribute__((unused))
/* A kernel is an ordinary function; the emulator calls it once on each fiber. */
#define GPU_KERNEL(name, args_struct)                                                              \
    void name(const struct args_struct *a);                                                        \
    void name(const struct args_struct *a)
/* Inside a function. Poisoned when the first thread of a block comes by: a float that nobody wrote
 * is NaN. An array of its own each, so that AddressSanitizer sees an index that leaves it. */
#define GPU_SHARED(type, name, count)                                                              \
    static type name[count] __attribute__((aligned(16)));                                          \
    static uint64_t name##_block;                                                                  \
    const int name##_poisoned __attribute__((unused)) =                                            \
        name##_block == emulated_block_number ||                                                   \
        emulated_poison(&name##_block, name, sizeof(name), __FILE__, __LINE__)

struct emulated_thread {
    uint32_t thread;
    uint32_t block[3];
    uint32_t threads; /* of the block */
};

/* The fiber that runs. */
extern struct emulated_thread *emulated_now;
/* Of the block that runs, over all launches. */
extern uint64_t emulated_block_number;

int emulated_poison(uint64_t *seen_block, void *shared, size_t bytes, const char *file, int line);

/* Collectives: all threads of the block, or of the wave, must come to the same LINE; else the
 * process ends and says which did not. */
void emulated_barrier(const char *file, int line);
int32_t emulated_shuffle(int32_t value, uint32_t lane, const char *file, int line);
float emulated_sum_over(float value, uint32_t width, const char *file, int line);
float emulated_max_over(float value, uint32_t width, const char *file, int line);
/* When all lanes of the wave have come, ALL is called once with what each brought, GPU_WAVE
 * pointers (a lane's own variables: it stands still); then all go on. What a wave does as one, such
 * as a product of matrices. */
void emulated_together(void (*all)(void *const *brought), void *mine, const char *file, int line);
/* Ends the process: what this thread does at FILE:LINE is wrong. */
void emulated_refuse(const char *file, int line, const char *what) __attribute__((noreturn, cold));

GPU_DEVICE uint32_t gpu_thread(void)
{
    return emulated_now->thread;
}

GPU_DEVICE uint32_t gpu_block_x(void)
{
    return emulated_now->block[0];
}

GPU_DEVICE uint32_t gpu_block_y(void)
{
    return emulated_now->block[1];
}

GPU_DEVICE uint32_t gpu_block_z(void)
{
    return emulated_now->block[2];
}

GPU_DEVICE uint32_t gpu_threads(void)
{
    return emulated_now->threads;
}

#define gpu_barrier() emulated_barrier(__FILE__, __LINE__)
#define gpu_shuffle_int(value, lane) emulated_shuffle(value, lane, __FILE__, __LINE__)
#define gpu_shuffle(value, lane) emulated_shuffle_float(value, lane, __FILE__, __LINE__)
/* The same sums as those of gpu.h in shuffles, bit for bit. */
#define GPU_HAS_REDUCTIONS
#define gpu_sum_over(value, width) emulated_sum_over(value, width, __FILE__, __LINE__)
#define gpu_max_over(value, width) emulated_max_over(value, width, __FILE__, __LINE__)

GPU_DEVICE float emulated_shuffle_float(float value, uint32_t lane, const char *file, int line)
{
    int32_t bits;

    __builtin_memcpy(&bits, &value, sizeof(bits));
    bits = emulated_shuffle(bits, lane, file, line);
    __builtin_memcpy(&value, &bits, sizeof(bits));
    return value;
}

/* So that both ways are run. */
enum { GPU_HAS_DOT4 = GPU_WAVE == 32 };

GPU_DEVICE int32_t gpu_dot4(int32_t a, int32_t b, int32_t sum)
{
    for (int i = 0; i < 32; i += 8)
        sum += (int32_t)(int8_t)(a >> i) * (int32_t)(int8_t)(b >> i);
    return sum;
}

/* In integers and one product: compilers here differ in whether they know halves at all. */
GPU_DEVICE float gpu_half_to_float(uint16_t half)
{
    uint32_t bits = (uint32_t)(half & 0x7FFF) << 13;
    float value;

    __builtin_memcpy(&value, &bits, sizeof(value));
    value *= 0x1p112f; /* the exponents' offsets are 15 and 127; exact, subnormals too */
    __builtin_memcpy(&bits, &value, sizeof(bits));
    if ((half & 0x7C00) == 0x7C00)
        bits |= 0x7F800000;
    bits |= (uint32_t)(half & 0x8000) << 16;
    __builtin_memcpy(&value, &bits, sizeof(value));
    return value;
}

/* To nearest, ties to even. */
GPU_DEVICE uint16_t gpu_float_to_half(float value)
{
    uint32_t bits, half, sign;

    __builtin_memcpy(&bits, &value, sizeof(bits));
    sign = bits >> 16 & 0x8000;
    bits &= 0x7FFFFFFF;
    if (bits > 0x7F800000)
        return (uint16_t)(sign | 0x7E00);
    if (bits >= 0x477FF000) /* 65520: what rounds to beyond the largest half */
        return (uint16_t)(sign | 0x7C00);
    if (bits <
        0x38800000) { /* 2^-14: below it halves are multiples of 2^-24, which 0.5 rounds to */
        float small, magic = 0.5f;

        __builtin_memcpy(&small, &bits, sizeof(small));
        small += magic;
        __builtin_memcpy(&half, &small, sizeof(half));
        return (uint16_t)(sign | (half & 0x7FF));
    }
    half = bits - 0x38000000;
    half += 0xFFF + (half >> 13 & 1);
    return (uint16_t)(sign | half >> 13);
}

GPU_DEVICE float gpu_exp2(float x)
{
    return exp2f(x);
}

GPU_DEVICE float gpu_rsqrt(float x)
{
    return 1.0f / sqrtf(x);
}

GPU_DEVICE float gpu_cos_turns(float turns)
{
    return (float)cos(2.0 * M_PI * (double)turns);
}

GPU_DEVICE float gpu_sin_turns(float turns)
{
    return (float)sin(2.0 * M_PI * (double)turns);
}

GPU_DEVICE double gpu_floor(double x)
{
    return floor(x);
}

GPU_DEVICE uint32_t gpu_not_before(uint32_t value)
{
    return value;
}

GPU_DEVICE float gpu_fma(float a, float b, float c)
{
    return fmaf(a, b, c);
}

GPU_DEVICE uint32_t gpu_look_up(uint32_t indices, uint32_t first, uint32_t second, uint32_t third,
                                uint32_t fourth)
{
    uint32_t table[4] = {first, second, third, fourth};
    uint32_t out = 0;

    for (uint32_t i = 0; i < 32; i += 8) {
        uint32_t index = indices >> i & 0xf;

        out |= (table[index / 4] >> index % 4 * 8 & 0xff) << i;
    }
    return out;
}

#endif
