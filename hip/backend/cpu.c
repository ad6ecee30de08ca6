/* Owns the CPU backend: its threads, its choice of inner loops, how it keeps weights and how its
 * threads treat floats. Weights are read where they lie in the map of the file; keys and values are
 * kept as halves. The ops are cpu_rows.c and cpu_matmul.c. */
#include "hip/backend/cpu.h"

#include "common/mem.h"
#include "hip/model/model.h"
#include "hip/model/quant.h"

#include <assert.h>
#include <stdlib.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of Linux; older headers do not have them. */
enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_TILE_CONFIG = 17, XFEATURE_TILE_DATA = 18 };
#endif

/* ---- floats ---- */

/* Subnormal numbers take a hundred times as long and change no answer: they are zero here. */
static uint32_t float_mode_fast(void)
{
#if defined(__x86_64__)
    uint32_t before = _mm_getcsr();

    _mm_setcsr(before | _MM_FLUSH_ZERO_ON | 0x0040 /* denormals are zero */);
    return before;
#else
    return 0;
#endif
}

static void float_mode_restore(uint32_t mode)
{
#if defined(__x86_64__)
    _mm_setcsr(mode);
#endif
}

static void thread_started(void)
{
    (void)float_mode_fast(); /* for the thread's whole life */
}

/* ---- weights ---- */

static struct backend_weight *cpu_weight_new(struct backend *backend,
                                             const struct backend_matrix *matrix, struct err *err)
{
    struct backend_weight *weight = host_weight_new(backend, matrix, err);

    if (matrix->rows == 1 && matrix->type != QUANT_F32) {
        weight->floats = host_alloc(matrix->columns, sizeof(float));
        if (weight->floats == NULL) {
            host_weight_free(backend, weight);
            return err_set_null(err, ERR_NO_MEMORY, "no memory for %u floats", matrix->columns);
        }
        quant_decode(matrix->type, matrix->data, weight->floats, matrix->columns);
    }
    return weight;
}

/* ---- the backend ---- */

static int cpu_step_begin(struct backend *backend, const struct backend_step *step, struct err *err)
{
    assert(step->row_count >= 1 && step->row_count <= SESSION_BATCH_MAX_ROWS);
    cpu_of(backend)->step = step;
    cpu_of(backend)->saved_float_mode = float_mode_fast();
    return 0;
}

static void cpu_step_end(struct backend *backend)
{
    float_mode_restore(cpu_of(backend)->saved_float_mode);
    cpu_of(backend)->step = NULL;
}

static uint64_t cpu_kv_bytes(const struct backend *backend, const struct backend_kv_shape *shape)
{
    return host_kv_bytes(shape, sizeof(uint16_t));
}

static struct backend_kv *cpu_kv_new(struct backend *backend, const struct backend_kv_shape *shape,
                                     struct err *err)
{
    assert(shape->kv_type == KV_TYPE_F16);
    return host_kv_new(shape, sizeof(uint16_t), err);
}

static void cpu_free(struct backend *backend)
{
    struct cpu_backend *cpu = cpu_of(backend);

    pool_free(cpu->pool);
    cpu_activations_release(&cpu->activations);
    free(cpu->scratch);
    free(cpu);
}

static const struct backend_ops CPU_OPS = {
    .free = cpu_free,
    .memory_available = host_memory_available,
    .scratch_bytes = cpu_scratch_bytes,
    .weight_new = cpu_weight_new,
    .weight_free = host_weight_free,
    .buffer_new = host_buffer_new,
    .buffer_free = host_buffer_free,
    .buffer_write = host_buffer_write,
    .buffer_read = host_buffer_read,
    .kv_bytes = cpu_kv_bytes,
    .kv_new = cpu_kv_new,
    .kv_free = host_kv_free,
    .step_begin = cpu_step_begin,
    .embed = cpu_embed,
    .rope_table = cpu_rope_table,
    .norm = cpu_norm,
    .matmul = cpu_matmul,
    .rope_kv = cpu_rope_kv,
    .attention = cpu_attention,
    .head = cpu_head,
    .step_end = cpu_step_end,
};

#if defined(__x86_64__)
static bool has_f16c(void)
{
    unsigned eax = 0;
    unsigned ebx = 0;
    unsigned ecx = 0;
    unsigned edx = 0;

    /* By hand: clang 14 does not know the name. */
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
#endif

#if defined(__x86_64__)
bool cpu_has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

bool cpu_has_avx512(void)
{
    return cpu_has_avx2() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}

/* Whether the processor has tiles and products of bytes, and the system keeps a thread's tiles for
 * it. By hand: no compiler here knows all of their names. */
static bool has_tiles(void)
{
    enum { OSXSAVE = 1 << 27, TILE = 1 << 24, INT8 = 1 << 25, KEPT = 3 << XFEATURE_TILE_CONFIG };
    unsigned eax = 0;
    unsigned ebx = 0;
    unsigned ecx = 0;
    unsigned edx = 0;
    unsigned kept = 0;

    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & OSXSAVE) == 0)
        return false;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 ||
        (edx & (TILE | INT8)) != (TILE | INT8))
        return false;
    __asm__("xgetbv" : "=a"(kept), "=d"(edx) : "c"(0));
    return (kept & KEPT) == KEPT;
}

/* The system wants to be asked for tiles, once a process: they make a thread's state 8 KB larger.
 * It may refuse: an old one, or one that is told to. */
bool cpu_has_amx(void)
{
    return cpu_has_avx512() && has_tiles() &&
           syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_TILE_DATA) == 0;
}
#endif

static const struct cpu_kernels *best_kernels(void)
{
#if defined(__x86_64__)
    if (cpu_has_amx())
        return &CPU_KERNELS_AMX;
    if (cpu_has_avx512())
        return &CPU_KERNELS_AVX512;
    if (cpu_has_avx2())
        return &CPU_KERNELS_AVX2;
#endif
    return &CPU_KERNELS_PLAIN;
}

static struct backend *cpu_new(const struct cpu_kernels *kernels, uint32_t threads, struct err *err)
{
    struct cpu_backend *cpu = NULL;

    if (threads == 0)
        threads = pool_core_count();
    if (threads > BACKEND_THREADS_MAX_COUNT)
        threads = BACKEND_THREADS_MAX_COUNT;
    cpu = xcalloc(1, sizeof(*cpu));
    cpu->backend.ops = &CPU_OPS;
    cpu->kernels = kernels;
    cpu->pool = pool_new(threads, thread_started);
    return &cpu->backend;
}

struct backend *cpu_backend_new(uint32_t threads, struct err *err)
{
    return cpu_new(best_kernels(), threads, err);
}

struct backend *cpu_avx512_backend_new(uint32_t threads, struct err *err)
{
#if defined(__x86_64__)
    if (cpu_has_avx512())
        return cpu_new(&CPU_KERNELS_AVX512, threads, err);
#endif
    return err_set_null(err, ERR_DEVICE, "this processor has no AVX-512 with VNNI");
}

struct backend *cpu_avx2_backend_new(uint32_t threads, struct err *err)
{
#if defined(__x86_64__)
    if (cpu_has_avx2())
        return cpu_new(&CPU_KERNELS_AVX2, threads, err);
#endif
    return err_set_null(err, ERR_DEVICE, "this processor has no AVX2");
}

struct backend *cpu_plain_backend_new(uint32_t threads, struct err *err)
{
    return cpu_new(&CPU_KERNELS_PLAIN, threads, err);
}
